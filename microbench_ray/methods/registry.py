"""Selectors and estimators by name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, is_dataclass
from inspect import signature
from typing import Any

from microbench_ray.core.errors import ConfigError, unknown
from microbench_ray.core.plain import plain
from microbench_ray.methods import plugins
from microbench_ray.methods.base import Estimator, Selector, WithoutFit, can_weight, reads_costs
from microbench_ray.methods.estimators.aipw import Aipw
from microbench_ray.methods.estimators.anchor_predictor import AnchorPredictor
from microbench_ray.methods.estimators.auto import AutoEstimator
from microbench_ray.methods.estimators.irt import GpIrt, IrtAbility, PIrt
from microbench_ray.methods.estimators.kernel_ridge import KernelRidge
from microbench_ray.methods.estimators.means import HorvitzThompson, Mean, WeightedMean
from microbench_ray.methods.estimators.ridge import Ridge
from microbench_ray.methods.estimators.ridge_remainder import RidgeRemainder
from microbench_ray.methods.selectors.anchor_points import AnchorPoints
from microbench_ray.methods.selectors.auto import AutoSelector
from microbench_ray.methods.selectors.disco import Disco
from microbench_ray.methods.selectors.diversity import Diversity
from microbench_ray.methods.selectors.embedding_kmeans import EmbeddingKmeans
from microbench_ray.methods.selectors.fisher_information import FisherInformation
from microbench_ray.methods.selectors.fixed import Fixed
from microbench_ray.methods.selectors.greedy import Greedy
from microbench_ray.methods.selectors.mdad_guided import MdadGuided
from microbench_ray.methods.selectors.mid_range import MidRange
from microbench_ray.methods.selectors.mrmr import Mrmr
from microbench_ray.methods.selectors.neyman import RandomSubtaskNeyman
from microbench_ray.methods.selectors.random import Random, RandomSubtaskEqual, RandomSubtaskInverse, RandomSubtaskProportional
from microbench_ray.methods.selectors.random_search import RandomSearch
from microbench_ray.methods.selectors.stratified import StratifiedConfidence
from microbench_ray.methods.selectors.tinybenchmarks import TinyBenchmarks

SELECTORS: dict[str, Any] = {
    "auto": AutoSelector,
    "random": Random,
    "random_subtask_equal": RandomSubtaskEqual,
    "random_subtask_proportional": RandomSubtaskProportional,
    "random_subtask_inverse": RandomSubtaskInverse,
    "random_subtask_neyman": RandomSubtaskNeyman,
    "stratified_confidence": StratifiedConfidence,
    "anchor_points": AnchorPoints,
    "tinybenchmarks": TinyBenchmarks,
    "diversity": Diversity,
    "disco": Disco,
    "fisher_information": FisherInformation,
    "embedding_kmeans": EmbeddingKmeans,
    "greedy": Greedy,
    "mdad_guided": MdadGuided,
    "mrmr": Mrmr,
    "random_search": RandomSearch,
    "mid_range": MidRange,
    "fixed": Fixed,
}
ESTIMATORS: dict[str, Any] = {
    "auto": AutoEstimator,
    "mean": Mean,
    "weighted_mean": WeightedMean,
    "horvitz_thompson": HorvitzThompson,
    "anchor_predictor": AnchorPredictor,
    "p_irt": PIrt,
    "gp_irt": GpIrt,
    "irt_ability": IrtAbility,
    "aipw": Aipw,
    "ridge": Ridge,
    "ridge_remainder": RidgeRemainder,
    "kernel_ridge": KernelRidge,
}


REGISTRIES = {"selector": SELECTORS, "estimator": ESTIMATORS}
NEEDED = {
    "selector": ("fit", "select", "fit_key", "signal", "nested", "fit_seconds", "fit_bytes"),
    "estimator": ("fit", "estimate", "fit_key", "signal", "source_signal", "fit_seconds", "fit_bytes"),
}
"""The attributes of a part of a method."""


@dataclass(frozen=True)
class Method:
    """A configured method: its label in the tables, its selector and its estimator."""

    label: str
    selector: Selector
    estimator: Estimator

    def __post_init__(self) -> None:
        for name, part in (("selector", self.selector), ("estimator", self.estimator)):
            if isinstance(part, WithoutFit) and type(part).fit is not WithoutFit.fit and not part.fit_key:
                raise ConfigError(
                    f"The {name} overrides fit, but has no fit_key.",
                    where=f"method {self.label}",
                    got=f"{type(part).__name__} with fit_key = ''",
                    hint='set fit_key to a name that contains the parameters of the fit, for example fit_key = "disputed/3"',
                )

    def identity(self) -> dict[str, Any]:
        """Everything that the method's numbers depend on, as plain values; ConfigError for a parameter that is not one.

        A class whose numbers have changed for the same parameters says so by a higher `version`, so that finished cells of an
        earlier one are not reused.
        """
        return {
            "label": self.label,
            "selector": _described(SELECTORS, self.selector),
            "estimator": _described(ESTIMATORS, self.estimator),
        }


def check_weighted(methods: Iterable[Method], truth: str) -> None:
    """Raise ConfigError for an estimator that lets all items count the same, where they do not: `truth` is not `micro`."""
    unable = [method for method in methods if truth != "micro" and not can_weight(method.estimator)]
    if unable:
        names = ", ".join(f"{method.label} ({method.identity()['estimator']['name']})" for method in unable)
        able = ", ".join(sorted(name for name, kind in ESTIMATORS.items() if can_weight(kind)))
        raise ConfigError(
            "An estimator cannot estimate accuracies in which items count differently.",
            where=f"methods, with truth={truth}",
            got=names,
            hint=f"estimators that can: {able}; or truth=micro. One of your own reads seen.weights and has weighted = True",
        )


def check_costs(methods: Iterable[Method], *, known: bool) -> None:
    """Raise ConfigError for a method that reads costs where none are `known`, or of whose two parts only one reads them."""
    for method in methods:
        selects, estimates = reads_costs(method.selector), reads_costs(method.estimator)
        if (selects or estimates) and not known:
            raise ConfigError(
                "A method chooses items by their costs, which are not known.",
                where="methods",
                got=f"{method.label} with by_cost, and a benchmark without costs",
                hint="benchmark.columns={cost: NAME} names the column; mb.benchmark(…, cost=…) for an array",
            )
        both = [part.by_cost for part in (method.selector, method.estimator) if hasattr(part, "by_cost")]
        if len(both) == 2 and both[0] != both[1]:
            of_selector, of_estimator = (str(each).lower() for each in both)
            raise ConfigError(
                "The selector and the estimator must both read costs, or neither.",
                where=f"methods, {method.label}",
                got=f"by_cost: {of_selector} for the selector, {of_estimator} for the estimator",
                hint="selector: {by_cost: true}, estimator: {by_cost: true}",
            )


def build_method(label: str, selector: Mapping[str, Any], estimator: Mapping[str, Any]) -> Method:
    """Build a method from its configuration.

    Parameters
    ----------
    label
        The value of `method` in the tables.
    selector, estimator
        A `name` in `SELECTORS` or `ESTIMATORS`, or of an installed package's entry point, and that class's parameters.

    Raises
    ------
    ConfigError
        Unknown name or parameter, or a value that the class rejects.
    """
    return Method(
        label=label,
        selector=_build("selector", f"methods.{label}.selector", selector),
        estimator=_build("estimator", f"methods.{label}.estimator", estimator),
    )


def check_part(part: object, where: str, kind: str | None = None) -> str:
    """Check that an object has the attributes of a selector or an estimator.

    Parameters
    ----------
    part
        The object.
    where
        Its place, for messages.
    kind
        `selector` or `estimator`; None for the one that it looks like.

    Returns
    -------
    str
        `selector` or `estimator`.

    Raises
    ------
    ConfigError
        A class instead of an instance, an object that neither selects nor estimates, or one that lacks attributes.
    """
    kind = kind or part_kind(part)
    if isinstance(part, type):
        hint = f"{kind or 'selector'}={part.__name__}(), with parentheses, which make an instance"
        raise ConfigError(
            f"The {kind or 'part of a method'} is a class, not an instance.", where=where, got=f"class {part.__name__}", hint=hint
        )
    if kind is None:
        hint = "class Mine(mb.SelectorWithoutFit), or class Mine(mb.EstimatorWithoutFit); see microbench_ray.methods.base"
        raise ConfigError("A selector or an estimator is needed.", where=where, got=type(part).__name__, hint=hint)
    if missing := [name for name in NEEDED[kind] if not hasattr(part, name)]:
        own, base = type(part).__name__, f"mb.{kind.capitalize()}WithoutFit"
        hint = f"class {own}({base}) inherits all but {NEEDED[kind][1]} and signal; see microbench_ray.methods.base"
        raise ConfigError(f"The {kind} lacks attributes.", where=where, got=f"{own} without {', '.join(missing)}", hint=hint)
    return kind


def part_kind(part: object) -> str | None:
    """`selector` for what selects, `estimator` for what estimates, None for anything else; of an instance or a class."""
    return next((kind for kind, needed in NEEDED.items() if hasattr(part, needed[1])), None)


def part_class(kind: str, where: str, name: object) -> Any:
    """The class of a selector or an estimator: a built-in one, or one that an installed package registers.

    Parameters
    ----------
    kind
        `selector` or `estimator`.
    where
        The key, for messages.
    name
        The name.

    Raises
    ------
    ConfigError
        An unknown name, one that is registered twice, or that stands for something else.
    """
    registry = REGISTRIES[kind]
    plugins.check_name(str(name), registry)
    if name in registry:
        return registry[name]
    if name not in plugins.plugins():
        raise unknown("name", where, name, [*registry, *plugins.plugins()])
    loaded = plugins.load(str(name))
    if part_kind(loaded) != kind:
        got = f"{name}, {'a method' if isinstance(loaded, Mapping) else part_kind(loaded) or 'neither'}: {loaded!r:.80}"
        raise ConfigError(f"The name does not stand for the class of a {kind}.", where=where, got=got)
    return loaded


def _build(kind: str, where: str, conf: Mapping[str, Any]) -> Any:
    parameters = dict(conf)
    name = parameters.pop("name", None)
    made = part_class(kind, where, name)
    known = signature(made).parameters
    for key in parameters:
        if key not in known and not any(each.kind is each.VAR_KEYWORD for each in known.values()):
            raise unknown(f"parameter of {name}", where, key, known)
    try:
        part = made(**parameters)
    except ConfigError as error:
        raise ConfigError(error.what, where=error.where or where, got=error.got, hint=error.hint) from None
    except (TypeError, ValueError) as error:
        raise ConfigError(f"A parameter of {name} has the wrong type.", where=where, got=str(error)) from None
    check_part(part, where, kind)
    return part


def _described(registry: dict[str, Any], part: Any) -> dict[str, Any]:
    kind = type(part)
    qualified_name = f"{kind.__module__}.{kind.__qualname__}"  # for a class outside the registry: of a notebook, or another package
    name = next((name for name, registered in registry.items() if registered is kind), qualified_name)
    parameters = plain(part if is_dataclass(part) else _attributes(part), qualified_name)
    if "name" in parameters:
        raise ConfigError(
            "A parameter may not be called name.", where=qualified_name, got="name", hint="give the parameter another name"
        )
    if parameters.get("by_cost") in (False, "auto"):  # younger than finished cells of the same numbers, which have no budget
        del parameters["by_cost"]
    version = getattr(kind, "version", None)
    return {"name": name, **({"version": version} if isinstance(version, int) else {}), **parameters}


def _attributes(part: Any) -> dict[str, Any]:
    """The attributes of an object whose class is not a dataclass, in slots or not."""
    slots = [name for kind in type(part).__mro__ for name in _names(kind.__dict__.get("__slots__", ()))]
    return {name: getattr(part, name) for name in slots if hasattr(part, name) and name != "__dict__"} | getattr(
        part, "__dict__", {}
    )


def _names(slots: str | Iterable[str]) -> list[str]:
    return [slots] if isinstance(slots, str) else list(slots)
