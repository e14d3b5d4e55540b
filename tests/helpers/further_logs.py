"""More small logs of many models with known scores, as those of `tool_logs`: other layouts of tools that have one already."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from tests.helpers.many_models import N_ITEMS, N_MODELS, Truth, truth
from tests.helpers.tool_logs import flat, write_json


def swe_bench_submissions(folder: Path, n_models: int = N_MODELS, n_items: int = N_ITEMS) -> Truth:
    """Submissions to the leaderboard; the first one has no patch for what it did not resolve, so that all instances are named."""
    scores = flat(truth(n_models, n_items))
    for number, (model, values) in enumerate(scores.items()):
        ids = [f"octo__repo-{'abc'[item % 3]}-{item}" for item in range(n_items)]
        resolved = [name for name, value in zip(ids, values, strict=True) if value]
        others = [name for name in ids if name not in resolved]
        results = folder / "evaluation/verified" / model / "results"
        write_json(results / "results.json", {"no_generation": [] if number else others, "no_logs": [], "resolved": resolved})
        write_json(results / "resolved_by_repo.json", {"octo/repo": {"resolved": len(resolved), "total": n_items}})
    return scores


def opencompass_cascade(folder: Path, n_models: int = N_MODELS, n_items: int = N_ITEMS) -> Truth:
    """Details of rules and then a judge, which sees only what the rules call wrong; the last model is always right by rule."""
    scores = flat(truth(n_models, n_items))
    *_, last = scores
    scores[last] = [1.0] * n_items
    for model, values in scores.items():
        details = []
        for item, value in enumerate(values):
            by_rule = model == last or (bool(value) and item % 2 == 0)
            rule = {"pred": "1", "answer": "1", "correct": by_rule, "evaluation_method": "rule"}
            detail: dict[str, object] = {"example_abbr": f"aime_{item}", "rule_evaluation": [rule]}
            if model != last:
                judged = [] if by_rule else [{"prediction": "A" if value else "B", "gold": "1", "llm_correct": bool(value)}]
                detail |= {"llm_evaluation": judged, "cascade_correct": [bool(value)]}
            details.append(detail)
        document = {"accuracy": 100 * sum(values) / n_items, "cascade_stats": [{"total_samples": n_items}], "details": details}
        write_json(folder / "outputs/20260801_120000/results" / model / "aime.json", document)
    return scores


def files_of_models(folder: Path, n_models: int = N_MODELS, n_items: int = N_ITEMS) -> Truth:
    """JSON Lines of ids and verdicts, one file per model."""
    scores = flat(truth(n_models, n_items))
    folder.mkdir(parents=True, exist_ok=True)
    for model, values in scores.items():
        rows = [{"id": f"sum_{item}", "correct": bool(value), "response": f"it is {item}"} for item, value in enumerate(values)]
        (folder / f"{model}.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    return scores


WRITERS: dict[str, tuple[str, Callable[..., Truth]]] = {
    "swe_bench_submissions": ("swe_bench", swe_bench_submissions),
    "opencompass_cascade": ("opencompass", opencompass_cascade),
    "files_of_models": ("table", files_of_models),
}
"""By layout: its `source`, and the function that writes logs into a folder."""
