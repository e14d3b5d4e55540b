"""How often do the intervals of `compare` hold on exams? `python -m studies.compare_exams [--draws N] [--items 45 180]`.

An exam has four subjects with `--items` questions each, three to a passage. Everything is drawn anew: a question has five choices
and a three-parameter logistic response (Birnbaum 1968); a model has an ability in each subject, and takes to some passages more
than to others, which all its runs share. Subjects count the same (`truth=macro`), and passages are the clusters, unless said
otherwise. Printed for each number of questions:

- two models, whose abilities differ: the truth is their difference over 100,000 such passages;
- two equal models, whose difference over all such passages is 0; passages taken as clusters, and ignored;
- two runs of one model (A/A), whose difference is 0 on every question;
- the same with repeats (`--repeats`): taken as repeats, and as if they were questions.

The last columns are the share of p-values below .05, for equal models and A/A false alarms, and what is to be expected of it.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from microbench_ray.metrics.run_difference import Items, Reference
from studies.compare_coverage import HEADER, Shares

FloatArray = NDArray[np.float64]
SUBJECTS, PASSAGE, CHOICES = 4, 3, 5
N_PAIRS, N_TRUTH = 20, 300_000
OF_PASSAGE = 0.8
"""Standard deviation of a model's liking for a passage, on the scale of abilities."""


class Exam:
    """Questions of all subjects: `difficulty`, `slope`, `stratum` (the subject) and `cluster` (the passage), each (n_items,)."""

    def __init__(self, per_subject: int, rng: np.random.Generator) -> None:
        n = SUBJECTS * per_subject
        self.difficulty, self.slope = rng.normal(0.0, 1.0, n), np.exp(rng.normal(0.3, 0.3, n))
        self.stratum = np.repeat(np.arange(SUBJECTS), per_subject)
        self.cluster = np.arange(n) // PASSAGE
        self._n_passages = int(self.cluster[-1]) + 1

    def chances(self, ability: FloatArray, rng: np.random.Generator) -> FloatArray:
        """(n_items,) probabilities that a model with this (n_subjects,) ability is right; its likings are drawn."""
        liking = rng.normal(0.0, OF_PASSAGE, self._n_passages)[self.cluster]
        logit = self.slope * (ability[self.stratum] + liking - self.difficulty)
        return 1 / CHOICES + (1 - 1 / CHOICES) / (1 + np.exp(-logit))


def runs_of(chances: FloatArray, repeats: int, rng: np.random.Generator) -> FloatArray:
    """(n_items, n_repeats) scores of independent answers."""
    return (rng.random((chances.size, repeats)) < chances[:, None]).astype(np.float64)


def pairs_of_models(rng: np.random.Generator) -> list[tuple[FloatArray, FloatArray, float]]:
    """Abilities of two models, and the difference of their expected scores."""
    large = Exam(N_TRUTH // SUBJECTS // PASSAGE * PASSAGE, rng)
    found = []
    for _ in range(N_PAIRS):
        a, b = rng.normal(rng.normal(0.5, 0.5, (2, 1)), 0.3, (2, SUBJECTS))
        found.append((a, b, float((large.chances(b, rng) - large.chances(a, rng)).mean())))
    return found


def measure(per_subject: int, repeats: int, draws: int, rng: np.random.Generator) -> dict[str, Shares]:
    """Intervals of `draws` exams with `per_subject` questions in each subject, a multiple of `PASSAGE`."""
    found: dict[str, Shares] = {}
    pairs = pairs_of_models(rng)

    def add(name: str, items: Items, truth: float, reference: Reference = "population") -> None:
        found.setdefault(name, Shares()).add(items, truth, reference)

    for draw in range(draws):
        exam = Exam(per_subject, rng)
        a, b, truth = pairs[draw % N_PAIRS]
        of_a, of_b, of_equal = (exam.chances(each, rng) for each in (a, b, a))
        each_alone = np.arange(exam.cluster.size)
        for name, first, second, true in (("two models", of_a, of_b, truth), ("two equal models", of_a, of_equal, 0.0)):
            once = Items(runs_of(first, 1, rng), runs_of(second, 1, rng), exam.stratum, exam.cluster)
            add(f"{name}, answered once", once, true)
            add(f"{name}, answered once, passages ignored", once._replace(cluster=each_alone), true)
        add("A/A, answered once", Items(runs_of(of_a, 1, rng), runs_of(of_a, 1, rng), exam.stratum, exam.cluster), 0.0)
        for name, second in (("two equal models", of_equal), ("A/A", of_a)):
            several = Items(runs_of(of_a, repeats, rng), runs_of(second, repeats, rng), exam.stratum, exam.cluster)
            add(f"{name}, {repeats} repeats", several, 0.0)
            stratum = np.repeat(exam.stratum, repeats)
            flat = Items(several.a.reshape(-1, 1), several.b.reshape(-1, 1), stratum, np.arange(stratum.size))
            add(f"{name}, {repeats} repeats taken as questions", flat, 0.0)
            if name == "A/A":
                add(f"{name}, {repeats} repeats, reference=benchmark", several, 0.0, "benchmark")
    return found


def main(words: Sequence[str] | None = None) -> int:
    """Print a table for each number of questions."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=2000)
    parser.add_argument("--items", type=int, nargs="+", default=[45, 180])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args(words)
    for per_subject in given.items:
        rng = np.random.default_rng([given.seed, per_subject])
        print(f"{SUBJECTS} subjects × {per_subject} questions; {given.draws} draws\n")
        print(HEADER)
        for name, shares in measure(per_subject, given.repeats, given.draws, rng).items():
            print(shares.row(name))
        print()
    return 0


if __name__ == "__main__":
    sys.exit(main())
