"""The names that people give to the columns of tables, and what the names of rows and columns say about them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from typing import Literal

from microbench_ray.data.suspicious import FAMILIES

NUMBERINGS = ("id", "ids", "index", "idx", "key", "number", "no", "nr", "name", "hash")
ITEM_WORDS = (
    "question", "doc", "document", "sample", "example", "instance", "instruction", "query", "case", "task", "prompt", "problem",
)  # fmt: skip
MODEL_TIERS: tuple[frozenset[str], ...] = (
    frozenset({"modelid", "model", "modelname", "models"}),
    frozenset(
        f"{word}{rest}"
        for word in ("system", "agent", "llm", "submission", "engine", "solver", "checkpoint", "ckpt", "assistant", "bot")
        for rest in ("", "id", "name")
    ),
)
"""Names of the column that holds models, from the clearest on. All names are without case, spaces and punctuation."""
STRONG_ITEM_TIERS: tuple[frozenset[str], ...] = (
    frozenset({"itemid"}),
    frozenset(f"{word}{rest}" for word in ("item", *ITEM_WORDS) for rest in NUMBERINGS) | {"uid", "uuid", "qid"},
    frozenset({"item", "items"}),
    frozenset({"q", "question", "doc", "example", "instance", "instruction", "query", "case", "problem", "prompt"}),
    frozenset({"task", "sample"}),
)
ID_NAMES = frozenset().union(*MODEL_TIERS, *STRONG_ITEM_TIERS)
"""Names of columns that hold models or items."""
WEAK_IDS = frozenset({"", "#", "row", "rowid", "rownumber", "rowname", *NUMBERINGS})
"""Names that the ids of items and of models both have."""
SCORE_NAMES = frozenset({
    "score", "scores", "correct", "iscorrect", "correctness", "accuracy", "acc", "result", "grade", "passed", "pass", "ispassed",
    "success", "issuccess", "resolved", "isresolved", "solved", "reward", "exactmatch", "em", "passat1", "pass1", "right",
})  # fmt: skip
METRIC_NAMES = SCORE_NAMES | {
    "f1", "precision", "recall", "bleu", "rouge", "rouge1", "rouge2", "rougel", "chrf", "loss", "perplexity", "accnorm",
    "confidence", "probability", "prob", "logprob", "loglikelihood", "latency", "time", "seconds", "duration", "cost", "tokens",
}  # fmt: skip
"""Names of what is measured, which are none of models."""
LOWER_IS_BETTER = frozenset({
    "perplexity", "ppl", "word_perplexity", "byte_perplexity", "bits_per_byte", "logprob_per_byte_loss", "loss",
    "brier_score", "likelihood_diff", "pct_stereotype", "ter", "wer", "cer", "mse", "rmse", "mae", "edit_distance",
    "error_rate", "toxicity", "max_toxicity",
})  # fmt: skip
"""Metrics of which lower values are better, in the names that tools give them."""
UNCERTAINTIES = frozenset({
    "stderr", "stderror", "standarderror", "std", "stdev", "stddev", "standarddeviation", "sem", "variance", "uncertainty",
    "marginoferror", "ci", "ci95", "95ci", "cilow", "cihigh", "cilower", "ciupper", "lowerci", "upperci", "lowerbound",
    "upperbound", "confidence", "confidenceinterval", "±", "+/-",
})  # fmt: skip
"""Names of what is uncertain about scores, alone or after the name of another column (`acc_stderr`)."""
NO_MODEL = UNCERTAINTIES | {
    "probability", "prob", "logprob", "loglikelihood", "loss", "perplexity", "latency", "time", "seconds", "duration", "cost",
    "tokens",
}  # fmt: skip
"""Names of numbers beside scores, which neither models nor items have."""
SUBTASK_NAMES = frozenset({
    "subtask", "subset", "category", "subject", "domain", "topic", "subcategory", "task", "taskname", "dataset", "datasetname",
    "benchmark", "suite",
})  # fmt: skip
REPEAT_TIERS: tuple[frozenset[str], ...] = (
    frozenset(
        f"{word}{rest}"
        for word in ("epoch", "repeat", "repetition", "trial", "attempt", "replicate")
        for rest in ("", "id", "index", "idx", "number", "no")
    ),
    frozenset({"sample", "sampleindex", "sampleidx", "run", "runid", "seed", "iteration"}),
)
DESCRIPTIONS = frozenset({
    "question", "prompt", "input", "problem", "text", "context", "target", "answer", "reference", "gold", "choices", "options",
    "response", "output", "completion", "prediction", "explanation", "reasoning", "note", "notes", "comment", "comments",
    "source", "url", "link", "difficulty", "level", "split", "language", "type", "metric", "filter", "scorer",
    "org", "organization", "organisation", "family", "license", "licence", "date", "releasedate", "timestamp", "params",
    "parameters", "size", "revision", "precision", "provider", "ranking", "elo", "votes", "year",
})  # fmt: skip
"""Names of columns that describe items, models or responses, which are left out where they are neither scores nor ids."""
_ERRORS = ("error", "errors", "errorrate", "wrong", "iswrong", "incorrect", "isincorrect", "failed", "failure", "mistakes")
_ENDS = tuple(end for end in UNCERTAINTIES if end.isalnum())
_UNNAMED = re.compile(r"Unnamed: ?\d+(_level_\d+)?")

Kind = Literal["models", "items"]
_MODEL_START = re.compile(r"(model|system|agent|llm|checkpoint|ckpt|m)[\W_]?\d+")
_MODEL_SIZE = re.compile(r"(?<![0-9a-z])\d+(\.\d+)?[bm](?![0-9a-z])")
_ITEM_START = re.compile(rf"({'|'.join(('item', *ITEM_WORDS))}|q|id|row|p)?[\W_]?\d+")
_DIGEST = re.compile(r"[0-9a-f]{8,64}")
MAX_MODEL_NAME, SENTENCE = 100, 5
"""Characters of the longest name of a model; spaces of a sentence."""
MANY = 200
"""Number of names that are looked at."""


@lru_cache(maxsize=1 << 16)
def plain_name(name: str) -> str:
    """A column's name without case, spaces and punctuation, if it has anything else; empty for what programs write for none."""
    return "" if _UNNAMED.fullmatch(name) else re.sub(r"[\W_]", "", name).casefold() or name.strip()


LOWER_NAMES = frozenset(map(plain_name, LOWER_IS_BETTER)).union(_ERRORS)
"""Names of columns with numbers of which lower ones are better."""


def beside_scores(names: Sequence[str]) -> frozenset[str]:
    """The columns that hold what is uncertain about the scores in another one, or in all others, by their names."""
    starts = Counter(map(plain_name, names))
    found = set()
    for name in names:
        plain = plain_name(name)
        of_another = plain.endswith(_ENDS) and any(plain.endswith(end) and plain.removesuffix(end) in starts for end in _ENDS)
        if plain in UNCERTAINTIES or of_another or (starts[plain] > 1 and name.rstrip("()[] ").endswith(("±", "+/-"))):
            found.add(name)
    return frozenset(found)


def kind_of(names: Sequence[str]) -> Kind | None:
    """Whether most names are like those of models, or of items; None if they are like neither.

    Names of models have a known family, a size (`7b`) or a word such as `model_12`. Names of items are numbers, `q12`, `item_12`,
    digests, or sentences.
    """
    return _kind_of(tuple(names[:MANY]))


@lru_cache(maxsize=64)  # files of models have the same items
def _kind_of(names: tuple[str, ...]) -> Kind | None:
    some = [name.casefold().strip() for name in names if name.strip()]
    models, items = sum(map(_like_model, some)), sum(map(_like_item, some))
    if not some:
        return None
    if 2 * models >= len(some) > 2 * items:
        return "models"
    if 2 * items >= len(some) > 2 * models:
        return "items"
    return None


def _like_model(name: str) -> bool:
    known = any(family in name for family in FAMILIES) or bool(_MODEL_START.fullmatch(name) or _MODEL_SIZE.search(name))
    return known and len(name) < MAX_MODEL_NAME


def _like_item(name: str) -> bool:
    return bool(_ITEM_START.fullmatch(name) or _DIGEST.fullmatch(name)) or name.count(" ") >= SENTENCE


def text_columns(names: Sequence[str]) -> list[str]:
    """Columns that are read as texts even where they look like numbers (`001`): the first, and those named like ids."""
    ids = frozenset().union(*MODEL_TIERS, *STRONG_ITEM_TIERS, WEAK_IDS, SUBTASK_NAMES, *REPEAT_TIERS)
    return [name for position, name in enumerate(names) if position == 0 or plain_name(name) in ids]
