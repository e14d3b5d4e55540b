"""What a micro-benchmark writes to microbench.json."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from microbench_ray.micro.irt_content import irt_content
from microbench_ray.micro.json_values import checksum, json_number, json_numbers
from microbench_ray.micro.records import HeldOut, error_summary

if TYPE_CHECKING:
    from microbench_ray.micro.artifact import MicroBenchmark

FORMAT = "microbench_ray micro-benchmark"


def content_of(micro: MicroBenchmark) -> dict[str, Any]:
    """The content of microbench.json: plain values, equal for equal micro-benchmarks."""
    readout = micro.readout
    estimates = dict(zip(micro.held_out.models.tolist(), micro.held_out.estimates, strict=True))
    responses = json_numbers(micro.responses)
    content: dict[str, Any] = {
        "format": FORMAT,
        "version": micro.version,
        "benchmark": dict(micro.benchmark),
        "method": dict(micro.method),
        "seed": micro.seed,
        "size": micro.size,
        "signal": micro.signal,
        "source": dict(micro.source),
        "versions": dict(micro.versions),
        "readout": {
            "intercept": readout.intercept,
            "total": readout.total,
            "missing": "left out" if readout.means is None else "filled",
            **({} if micro.version < 3 else {"irt": irt_content(readout, micro.version)}),
        },
        "error": error_summary(micro.held_out.label, micro.errors(micro.held_out)),
        "mdad": dict(micro.held_out.mdad),
        "agreement": [dict(row) for row in micro.held_out.agreement],
        "extrapolation": None if micro.extrapolated is None else _extrapolation(micro, micro.extrapolated),
        "items": [item.content() for item in micro.items],
        "reserve": [item.content() for item in micro.reserve],
        "models": [
            {
                "model": model_id,
                **_model_record(micro, row),
                "accuracy": json_number(micro.accuracy[row]),
                "estimate_held_out": json_number(estimates[row]) if row in estimates else None,
                "responses": responses[row],
            }
            for row, model_id in enumerate(micro.models)
        ],
    }
    if micro.version > 1:
        content["random_items"] = None if micro.random_items is None else micro.random_items._asdict()
        content["better_from"] = micro.better_from
    return content | {"checksum": checksum(content)}


def _model_record(micro: MicroBenchmark, row: int) -> dict[str, Any]:
    """What format version 2 adds to a model."""
    if micro.version == 1:
        return {}
    novelty = json_number(micro.novelty[row]) if micro.novelty.size else None
    return {"group": micro.models[micro.groups[row]], "variance": json_number(micro.variance[row]), "novelty": novelty}


def _extrapolation(micro: MicroBenchmark, best: HeldOut) -> dict[str, Any]:
    estimates = zip(best.models, best.estimates, strict=True)
    return {
        "error": error_summary(best.label, micro.errors(best)),
        "mdad": dict(best.mdad),
        "agreement": [dict(row) for row in best.agreement],
        "models": [{"model": micro.models[row], "estimate_held_out": json_number(value)} for row, value in estimates],
    }
