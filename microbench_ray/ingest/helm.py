"""HELM run folders: `run_spec.json`, `per_instance_stats.json` and `scenario_state.json` of one model and one scenario."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from microbench_ray.core.errors import DataError
from microbench_ray.data.names import first_few
from microbench_ray.ingest.base import ModelLog, Options, OwnScore, Sample, Tally, finite_number, matches, selects
from microbench_ray.ingest.identity import few_shot
from microbench_ray.ingest.jsonl import json_file
from microbench_ray.ingest.metrics import check_higher_is_better, most_common_metric
from microbench_ray.ingest.values import files_below, item_digest, parse_score, require_logs, value_at

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
"""Default metrics: a run is scored by the first of these that it has, so that a scenario-specific metric takes precedence. For
multiple choice `exact_match` comes first, as on HELM's own leaderboards."""

HEAD_BYTES = 1 << 18
"""Bytes of a run that are looked through for the names of its metrics."""

SPEC = "run_spec.json"
RUN_FILES = (SPEC, "per_instance_stats.json", "scenario_state.json", "stats.json")
"""Files of a run folder; the path of one stands for the folder."""
_SPLITS = ("test", "valid")  # leaderboards show the first that a run has
_MODEL_ARGUMENTS = ("model=", "model_deployment=")


class _Response(NamedTuple):
    """The means of the metrics of one instance in one trial."""

    instance: str
    split: str
    means: dict[str, Any]


class HelmReader:
    """Reads one log per run folder. The subtask is the scenario with its arguments; trials are repetitions.

    There are no confidences: HELM logs the log-probability of the answer given, but not of the other answers. The mean over items
    is compared with that in `stats.json`.
    """

    weighs = "HELM's mean in stats.json"

    def find(self, path: Path, options: Options, tally: Tally) -> Sequence[ModelLog]:
        """Return the run folders at or below `path`; an unfinished run is dropped."""
        logs = []
        orders: dict[str, tuple[str, ...]] = {}
        for spec_file in files_below(path.parent if path.name in RUN_FILES and path.is_file() else path, (SPEC,), tally):
            with tally.collect_error(spec_file):
                where, folder = str(spec_file), spec_file.parent
                spec = json_file(spec_file, options.max_line_bytes)
                adapter = value_at(spec, dict, where, "adapter_spec")
                model = value_at(adapter, str, where, "model" if adapter.get("model") else "model_deployment")
                task = _task(value_at(spec, str, where, "name"))
                if not (matches(task, options.tasks) and selects(options.models, model)):
                    continue
                files = [folder / name for name in RUN_FILES[1:3]]
                if not files[0].is_file():
                    tally.drop("runs without per_instance_stats.json", model=model)
                    continue
                existing = tuple(file for file in files if file.is_file())
                orders[task] = _order(str(adapter.get("method")))
                sets = few_shot(adapter.get("max_train_instances"))
                logs.append(ModelLog(model=model, files=(spec_file, *existing), part=task, sets=sets))
        logs = logs if options.metric else _with_metrics(logs, orders)
        return require_logs(logs, path, "HELM", options, tally, (SPEC,))

    def read(self, log: ModelLog, options: Options, tally: Tally) -> Iterator[Sample]:
        """Yield the unperturbed instances of one split. Each file is one document of at most `max_line_bytes`."""
        spec_file, stats_file, *state_files = log.files
        method = str(value_at(json_file(spec_file, options.max_line_bytes), dict, str(spec_file), "adapter_spec").get("method"))
        contents = _contents(state_files[0], options.max_line_bytes) if state_files else {}
        records = value_at(json_file(stats_file, options.max_line_bytes), list, str(stats_file))
        responses = _responses(records, stats_file, tally)
        metric = options.metric or log.metric or _main_metric(responses, method, stats_file)
        if responses and not any(metric in response.means for response in responses):
            raise _no_metric(f"metric {metric!r}", responses, stats_file)
        check_higher_is_better(metric, log.part, options.scale)
        tally.choose(f"{log.part}: metric {metric}")
        tally.read_by(log.part, metric)
        for instance, _, means in responses:
            item = f"{log.part}/{instance}"
            score = parse_score(means.get(metric), tally, file=stats_file, item=item, metric=metric)
            yield Sample(item_id=item, subtask=log.part, score=score, content=contents.get(instance), position=instance)
        if responses:
            tally.own = _own(stats_file.with_name("stats.json"), metric, responses[0].split, options.max_line_bytes, tally)


def _own(file: Path, metric: str, split: str, max_bytes: int, tally: Tally) -> OwnScore | None:
    """HELM's own mean of a metric over the trials of a run, without perturbations; None where the file does not tell."""
    try:
        stats = json_file(file, max_bytes)
    except DataError:
        return None
    named = ((stat.get("name"), stat.get("mean")) for stat in stats if isinstance(stat, dict)) if isinstance(stats, list) else ()
    own = [finite_number(mean) for name, mean in named if name == {"name": metric, "split": split}]
    return OwnScore(tally.scale.score(own[0])) if len(own) == 1 and own[0] is not None else None


def _order(method: str) -> tuple[str, ...]:
    """The default metrics of runs by a method of the adapter, the preferred one first."""
    return ("exact_match", *MAIN_METRICS) if method.startswith("multiple_choice") else MAIN_METRICS


def _with_metrics(logs: Sequence[ModelLog], orders: Mapping[str, Sequence[str]]) -> list[ModelLog]:
    """The logs with one metric for all runs of a scenario, where there are several; `orders` are those of its default metrics."""
    runs: dict[str, list[ModelLog]] = {}
    for log in logs:
        runs.setdefault(log.part, []).append(log)
    chosen = {
        part: most_common_metric([_known_metrics(log.files[1]) for log in group], orders[part])
        for part, group in runs.items()
        if len(group) > 1
    }
    return [replace(log, metric=chosen.get(log.part)) for log in logs]


def _known_metrics(file: Path) -> list[str]:
    """The default metrics that the first records of a run hold, in order of preference."""
    try:
        with file.open("rb") as opened:
            head = opened.read(HEAD_BYTES)
    except OSError:
        return []  # reported when it is read
    return [name for name in MAIN_METRICS if f'"{name}"'.encode() in head]


def _task(name: str) -> str:
    """A run's name without its arguments that name the model."""
    scenario, _, arguments = name.partition(":")
    kept = [argument for argument in arguments.split(",") if argument and not argument.startswith(_MODEL_ARGUMENTS)]
    return scenario + (":" + ",".join(kept) if kept else "")


def _responses(records: list[Any], file: Path, tally: Tally) -> list[_Response]:
    """The responses of the run's main split, one per instance and trial."""
    merged: dict[tuple[str, str], _Response] = {}
    perturbed = set()
    for number, record in enumerate(records, 1):
        where = f"{file}: record {number}"
        instance, trial = value_at(record, str, where, "instance_id"), str(record.get("train_trial_index", 0))
        if record.get("perturbation"):
            perturbed.add((instance, trial, str(record["perturbation"])))
            continue
        response = merged.get((instance, trial), _Response(instance=instance, split="", means={}))
        split, means = response.split, response.means
        for stat in value_at(record, list, where, "stats"):
            name = value_at(stat, dict, where, "name")
            if not name.get("perturbation"):
                means[value_at(name, str, where, "name")] = stat.get("mean")
                split = split or str(name.get("split") or "")
        merged[instance, trial] = _Response(instance=instance, split=split, means=means)
    if perturbed:
        tally.drop("perturbed instances", len(perturbed))
    splits = {response.split for response in merged.values()}
    main = next((split for split in _SPLITS if split in splits), None)
    kept = [response for response in merged.values() if main is None or response.split == main]
    if len(kept) < len(merged):
        tally.drop(f"instances outside the split {main}", len(merged) - len(kept))
    return kept


def _main_metric(responses: Sequence[_Response], method: str, file: Path) -> str:
    order = _order(method)
    known = {name for response in responses for name in response.means}
    metric = next((name for name in order if name in known), None)
    if metric is None and responses:
        raise _no_metric("known metric", responses, file)
    return metric or order[0]


def _no_metric(missing: str, responses: Sequence[_Response], file: Path) -> DataError:
    known = sorted({name for response in responses for name in response.means if not name.startswith("num_")})
    return DataError(
        f"The run has no {missing}.",
        where=str(file),
        got=f"metrics {first_few(known, 20)}",
        hint="choose a metric with metric=NAME, and the tasks that have it with tasks=[…]",
    )


def _contents(file: Path, max_bytes: int) -> dict[str, str]:
    """Digests of the instances by id, each of the input, the references and their tags (which mark the correct ones)."""
    contents: dict[str, str] = {}
    for number, state in enumerate(value_at(json_file(file, max_bytes), list, str(file), "request_states"), 1):
        where = f"{file}: request state {number}"
        instance = value_at(state, dict, where, "instance")
        name = value_at(instance, str, where, "id")
        if name not in contents and not instance.get("perturbation"):
            references = [
                [_content(value_at(reference, dict, where, "output")), value_at(reference, list, where, "tags")]
                for reference in value_at(instance, list, where, "references")
            ]
            contents[name] = item_digest(where, input=_content(value_at(instance, dict, where, "input")), references=references)
    return contents


def _content(document: Mapping[str, Any]) -> Any:
    """The text of an input or output; the whole object if it holds anything else (images, messages)."""
    return document["text"] if set(document) == {"text"} else document
