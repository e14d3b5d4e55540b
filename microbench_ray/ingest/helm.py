"""Run folders of HELM: `run_spec.json`, `per_instance_stats.json` and `scenario_state.json` of one model and one scenario."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from microbench_ray.core.errors import DataError
from microbench_ray.data.names import first_few
from microbench_ray.ingest.base import Log, Options, Sample, Tally, wanted
from microbench_ray.ingest.jsonl import json_file
from microbench_ray.ingest.values import checked_score, files_below, found, item_digest, part

MAIN_METRICS = (
    "chain_of_thought_correctness",
    "math_equiv_chain_of_thought",
    "math_equiv",
    "final_number_exact_match",
    "ifeval_strict_accuracy",
    "omni_math_accuracy",
    "f1_score",
    "quasi_exact_match",
    "exact_match",
    "quasi_prefix_exact_match",
    "prefix_exact_match",
    "bleu_4",
    "rouge_l",
    "rouge_2",
)
"""The metric of a run, unless one is asked for, is the first of these that it has: a scenario that computes a metric of its own is
judged by it. Where answers are multiple choice `exact_match` comes first, as on HELM's own leaderboards."""

_SPLITS = ("test", "valid")  # of a run with both, leaderboards show the first
_OF_THE_MODEL = ("model=", "model_deployment=")  # parts of a run's name


class HelmReader:
    """A run is one model's run of one scenario with its arguments, which are the subtask; trials are repetitions. HELM keeps of its
    requests the log-probability of the answer that was given, not of the others: there are no confidences."""

    def find(self, path: Path, options: Options, tally: Tally) -> Sequence[Log]:
        """The run folders below `path` (or the one at it); a run that did not end is dropped."""
        logs = []
        for spec_file in files_below(path, ("run_spec.json",)):
            with tally.going_on(spec_file):
                where, folder = str(spec_file), spec_file.parent
                spec = json_file(spec_file, options.max_line_bytes)
                adapter = part(spec, dict, where, "adapter_spec")
                model = part(adapter, str, where, "model" if adapter.get("model") else "model_deployment")
                task = _task(part(spec, str, where, "name"))
                if not (wanted(task, options.tasks) and wanted(model, options.models)):
                    continue
                files = [folder / name for name in ("per_instance_stats.json", "scenario_state.json")]
                if not files[0].is_file():
                    tally.drop("run without per_instance_stats.json")
                    continue
                logs.append(Log(model, (spec_file, *(file for file in files if file.is_file())), task))
        return found(logs, path, "HELM", options, tally)

    def read(self, log: Log, options: Options, tally: Tally) -> Iterator[Sample]:
        """Its instances, those of one split and without perturbations; each file is one document, of at most `max_line_bytes`."""
        spec_file, stats_file, *state_files = log.files
        method = str(part(json_file(spec_file, options.max_line_bytes), dict, str(spec_file), "adapter_spec").get("method"))
        contents = _contents(state_files[0], options.max_line_bytes) if state_files else {}
        records = part(json_file(stats_file, options.max_line_bytes), list, str(stats_file))
        responses = _responses(records, stats_file, tally)
        metric = options.metric or _main_metric(responses, method, stats_file)
        if responses and not any(metric in stats for _, stats in responses):
            raise _no_metric(metric, responses, stats_file)
        for instance, stats in responses:
            item = f"{log.part}/{instance}"
            score = checked_score(stats.get(metric), tally, file=stats_file, item=item, metric=metric)
            yield Sample(item, log.part, score, content=contents.get(instance), position=instance)


def _task(name: str) -> str:
    """A run's name without what it says of the model."""
    scenario, _, arguments = name.partition(":")
    kept = [argument for argument in arguments.split(",") if argument and not argument.startswith(_OF_THE_MODEL)]
    return scenario + (":" + ",".join(kept) if kept else "")


def _responses(records: list[Any], file: Path, tally: Tally) -> list[tuple[str, dict[str, Any]]]:
    """Instances of the run's main split with the means of their metrics, one per instance and trial."""
    merged: dict[tuple[str, str], tuple[str, dict[str, Any]]] = {}
    perturbed = set()
    for number, record in enumerate(records, 1):
        where = f"{file}: record {number}"
        instance, trial = part(record, str, where, "instance_id"), str(record.get("train_trial_index", 0))
        if record.get("perturbation"):
            perturbed.add((instance, trial, str(record["perturbation"])))
            continue
        split, means = merged.setdefault((instance, trial), ("", {}))
        for stat in part(record, list, where, "stats"):
            name = part(stat, dict, where, "name")
            if not name.get("perturbation"):
                means[part(name, str, where, "name")] = stat.get("mean")
                split = split or str(name.get("split") or "")
        merged[instance, trial] = (split, means)
    if perturbed:
        tally.drop("perturbed instance", len(perturbed))
    splits = {split for split, _ in merged.values()}
    main = next((split for split in _SPLITS if split in splits), None)
    kept = [(instance, means) for (instance, _), (split, means) in merged.items() if main is None or split == main]
    if len(kept) < len(merged):
        tally.drop(f"instance of another split than {main}", len(merged) - len(kept))
    return kept


def _main_metric(responses: Sequence[tuple[str, Mapping[str, Any]]], method: str, file: Path) -> str:
    order = ("exact_match", *MAIN_METRICS) if method.startswith("multiple_choice") else MAIN_METRICS
    known = {name for _, stats in responses for name in stats}
    metric = next((name for name in order if name in known), None)
    if metric is None and responses:
        raise _no_metric("any of the usual metrics", responses, file)
    return metric or order[0]


def _no_metric(metric: str, responses: Sequence[tuple[str, Mapping[str, Any]]], file: Path) -> DataError:
    known = sorted({name for _, stats in responses for name in stats if not name.startswith("num_")})
    return DataError(
        f"The run does not have {metric}.",
        where=str(file),
        got=f"metrics {first_few(known, 20)}",
        hint="choose one: metric=NAME, and the tasks that have it: tasks=[…]",
    )


def _contents(file: Path, most: int) -> dict[str, str]:
    """Digests of the instances, by their ids: input, references, and which of them are correct."""
    contents: dict[str, str] = {}
    for number, state in enumerate(part(json_file(file, most), list, str(file), "request_states"), 1):
        where = f"{file}: request state {number}"
        instance = part(state, dict, where, "instance")
        name = part(instance, str, where, "id")
        if name not in contents and not instance.get("perturbation"):
            references = [
                [_content(part(reference, dict, where, "output")), part(reference, list, where, "tags")]
                for reference in part(instance, list, where, "references")
            ]
            contents[name] = item_digest(where, input=_content(part(instance, dict, where, "input")), references=references)
    return contents


def _content(document: Mapping[str, Any]) -> Any:
    """The text of an input or output, and whatever else it is made of (images, messages)."""
    return document["text"] if set(document) == {"text"} else document
