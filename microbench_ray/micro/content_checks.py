"""Checks of the content of microbench.json: every value has its kind, and those that follow from others agree with them."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from microbench_ray.micro.json_values import finite_number, plain_text

Check = Callable[[Any, str], object]
LARGEST_COUNT = 10**9
"""Most models or items of a benchmark."""
SUMMARY_TOLERANCE = 1e-9
"""Summaries of errors are sums, whose last digits depend on the machine."""


def check_kinds(content: Mapping[str, Any]) -> None:
    """Raise ValueError, TypeError or KeyError unless all values that are passed on as they are have their kind."""
    for key, checks in KINDS.items():
        for name, check in checks.items():
            check(content[key][name], f"{key}, {name}")
    if "truth" in content["benchmark"]:
        one_of("macro", "weights")(content["benchmark"]["truth"], "benchmark, truth")
    for name in ("cost", "selected_cost", "budget", "cost_power"):
        if name in content["benchmark"]:
            finite_number(content["benchmark"][name], f"benchmark, {name}")
    if "budget" in content["benchmark"] and not (content["benchmark"]["selected_cost"] > 0 < content["benchmark"]["cost"]):
        raise ValueError(f"benchmark, cost: {content['benchmark']['selected_cost']} of {content['benchmark']['cost']}")
    whole(content["seed"], "seed")
    one_of("correctness", "confidence")(content["signal"], "signal")
    mapping(content["source"], "source")
    for name, value in content["source"].items():
        plain_setting(value, f"source, {name}")
    mapping(content["versions"], "versions")
    for name, value in content["versions"].items():
        plain_text(value, f"versions, {name}")
    for part in (content, *([] if content["extrapolation"] is None else [content["extrapolation"]])):
        plain_text(part["error"]["of"], "error, of")
        for name, value in part["mdad"].items():
            if value is not None:
                finite_number(value, f"mdad, {name}")
        for row in part["agreement"]:
            for name in ("diff_lo", "agreement", "n_pairs"):
                finite_number(row[name], f"agreement, {name}")
    plain_text(content["method"]["selector"]["name"], "method, selector, name")
    for key in ("items", "reserve"):
        for item in content[key]:
            check_item(item, key)
    if len(content["reserve"]) not in (0, len(content["items"])):
        raise ValueError(f"reserve: {len(content['reserve'])} items for {len(content['items'])}")
    if content["benchmark"]["n_models"] != len(content["models"]):
        raise ValueError(f"benchmark, n_models: {content['benchmark']['n_models']} for {len(content['models'])} models")
    if content["benchmark"]["n_items"] < len(content["items"]):
        raise ValueError(f"benchmark, n_items: {content['benchmark']['n_items']} for {len(content['items'])} items")


def plain_setting(value: Any, where: str) -> None:
    """Raise ValueError unless a setting is a text, a number, true, false or nothing, or lists and objects of these."""
    if isinstance(value, dict):
        for name, each in value.items():
            plain_setting(each, f"{where}, {plain_text(name, where)}")
    elif isinstance(value, list):
        for each in value:
            plain_setting(each, where)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        finite_number(value, where)
    elif value is not None and not isinstance(value, bool):
        plain_text(value, where)


def check_unique(content: Mapping[str, Any]) -> None:
    """Raise ValueError where an item occurs twice."""
    for key in ("items", "reserve"):
        repeated = [item_id for item_id, count in Counter(item["id"] for item in content[key]).items() if count > 1]
        if repeated:
            raise ValueError(f"{key}: {repeated[0]!r} occurs twice")


def check_item(item: Mapping[str, Any], part: str) -> None:
    """The same for an item; `part` is `items` or `reserve`."""
    for name in ("id", "subtask"):
        plain_text(item[name], f"{part}, {name}")
    where = f"{part}, {item['id']!r}"
    for name in ("weight", "coefficient", "mean"):
        finite_number(item[name], f"{where}, {name}")
    if not 0 <= item["mean"] <= 1:
        raise ValueError(f"{where}, mean: {item['mean']!r} is outside [0, 1]")
    for name in ("task", "position"):
        if name in item:
            plain_text(item[name], f"{where}, {name}")


def check_agreement(content: Mapping[str, Any], expected: Mapping[str, Any]) -> None:
    """Raise ValueError unless the content is what its micro-benchmark is written as; `expected` is that."""
    for key in sorted(set(content) | set(expected)):
        if key != "checksum" and not same(content.get(key), expected.get(key)):
            raise ValueError(f"{key}: does not agree with the other keys")


def same(value: Any, other: Any) -> bool:
    """Whether plain values are equal, up to the rounding of sums."""
    if value == other:  # at once for the thousands of responses of a model
        return True
    if isinstance(value, Mapping) and isinstance(other, Mapping):
        return set(value) == set(other) and all(same(value[key], other[key]) for key in value)
    if isinstance(value, list) and isinstance(other, list):
        return len(value) == len(other) and all(map(same, value, other))
    if isinstance(value, float) and isinstance(other, float):
        return math.isclose(value, other, rel_tol=SUMMARY_TOLERANCE, abs_tol=SUMMARY_TOLERANCE)
    return False


def whole(value: Any, where: str) -> None:
    """ValueError unless the value is a whole number of at least 0."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError(f"{where}: {value!r} is not a whole number of at least 0")


def count(value: Any, where: str) -> None:
    """ValueError unless the value is a whole number from 1 to `LARGEST_COUNT`."""
    whole(value, where)
    if not 1 <= value <= LARGEST_COUNT:
        raise ValueError(f"{where}: {value!r:.40} is not from 1 to {LARGEST_COUNT:,}")


def mapping(value: Any, where: str) -> None:
    """ValueError unless the value is an object."""
    if not isinstance(value, Mapping):
        raise ValueError(f"{where}: {value!r} is not an object")


def one_of(*texts: str) -> Check:
    """A check that raises ValueError for any value but these."""

    def check(value: Any, where: str) -> None:
        if value not in texts:
            raise ValueError(f"{where}: {value!r} is not one of {', '.join(texts)}")

    return check


KINDS: dict[str, dict[str, Check]] = {
    "benchmark": {"name": plain_text, "digest": plain_text, "n_models": count, "n_items": count},
    "method": {"label": plain_text, "selector": mapping, "estimator": mapping},
    "readout": {"intercept": finite_number, "total": finite_number, "missing": one_of("left out", "filled")},
}
"""Checks of the keys of objects."""
