"""The study of the intervals of `compare` on drawn exams."""

from __future__ import annotations

import numpy as np
import pytest

from studies import compare_exams
from studies.compare_exams import Exam, main, measure, runs_of


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compare_exams, "N_PAIRS", 2)
    monkeypatch.setattr(compare_exams, "N_TRUTH", 6_000)


def test_an_exam_has_passages_within_subjects() -> None:
    exam = Exam(6, np.random.default_rng(0))
    assert np.bincount(exam.stratum).tolist() == [6] * 4
    assert np.bincount(exam.cluster).tolist() == [3] * 8
    assert all(len(set(exam.stratum[exam.cluster == each])) == 1 for each in range(8))
    chances = exam.chances(np.array([-9.0, 0, 0, 9]), np.random.default_rng(1))
    assert chances[:6] == pytest.approx(0.2, abs=0.05)
    assert chances[-6:] == pytest.approx(1, abs=0.05)
    assert runs_of(np.full(2_000, 0.3), 2, np.random.default_rng(2)).mean() == pytest.approx(0.3, abs=0.03)


def test_repeats_taken_as_questions_are_shown_to_fail() -> None:
    found = measure(15, 6, 40, np.random.default_rng(0))
    alarms = {name: np.mean(each.significant) for name, each in found.items()}
    assert alarms["two equal models, 6 repeats taken as questions"] > alarms["two equal models, 6 repeats"] + 0.1


def test_the_table(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--draws", "2", "--items", "6", "--repeats", "2"]) == 0
    printed = capsys.readouterr().out
    assert "4 subjects × 6 questions" in printed
    assert "| A/A, 2 repeats, reference=benchmark |" in printed
