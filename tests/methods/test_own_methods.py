"""Methods that users write themselves: each has its own fit and its own parameters."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import pytest
from numpy.typing import NDArray

import microbench_ray as mb
from microbench_ray.core.errors import ConfigError
from microbench_ray.methods.base import WithoutFit
from microbench_ray.sweeps.shards import method_hash
from tests.helpers.errors import refuses


class Best(mb.SelectorWithoutFit):
    """The items that the first or the last source model answered."""

    signal: ClassVar[Any] = "correctness"
    nested = True

    def __init__(self, model: int) -> None:
        self.model = model

    def fit(self, seen: mb.SeenItems, rng: np.random.Generator) -> Any:
        assert seen.responses is not None
        return np.argsort(-seen.responses[self.model], kind="stable")

    def select(self, seen: mb.SeenItems, fit: NDArray[np.intp], size: int, rng: np.random.Generator) -> mb.Selection:
        return mb.Selection(fit[:size])


class Whole:
    """A class with the attributes of a selector that inherits nothing."""

    signal: ClassVar[Any] = "correctness"
    nested = True
    fit_key = ""
    fit, select = Best.fit, Best.select
    fit_seconds, fit_bytes = WithoutFit.fit_seconds, WithoutFit.fit_bytes

    def __init__(self, model: int) -> None:
        self.model = model


class Slotted(Whole):
    __slots__ = ("model",)


@pytest.fixture(scope="module")
def board() -> mb.Benchmark:
    rng = np.random.default_rng(5)
    scores = (rng.random((30, 24)) < rng.uniform(0.3, 0.9, 24)).astype(float)
    columns = {"item_id": [f"i{row}" for row in range(30)]} | {f"m{column}": scores[:, column] for column in range(24)}
    import pandas as pd

    return mb.benchmark(pd.DataFrame(columns), name="board")


def test_a_fit_of_its_own_needs_a_key() -> None:
    with refuses(ConfigError, "fit_key", where="mine", got="Best"):
        mb.method(label="mine", selector=Best(0))


def test_a_key_is_enough() -> None:
    class Keyed(Best):
        @property
        def fit_key(self) -> str:  # type: ignore[override]
            return f"best/{self.model}"

    assert mb.method(label="mine", selector=Keyed(3)).selector.fit_key == "best/3"


def test_fits_without_a_key_are_not_shared(board: mb.Benchmark) -> None:
    """Each of two methods has the numbers that it has alone."""
    first, second = (mb.method(label=f"m{model}", selector=Whole(model)) for model in (0, 1))
    settings: dict[str, Any] = {"sizes": [5], "n_source": 12, "n_target": 8, "runs": 3}
    together = mb.sweep(board, [first, second], **settings).summary
    for method in (first, second):
        alone = mb.sweep(board, [method], **settings).summary
        columns = ["mean_agreement", "mean_abs_error"]
        np.testing.assert_array_equal(together[together.method == method.label][columns], alone[columns])
    errors = together[together.split == "seen"].mean_abs_error
    assert errors.iloc[0] != errors.iloc[1]


@pytest.mark.parametrize("kind", [Whole, Slotted])
def test_parameters_of_any_class_are_in_the_identity(kind: type[Whole]) -> None:
    identities = {method_hash(mb.method(label="m", selector=kind(model))) for model in (0, 1, 1)}
    assert len(identities) == 2


def test_a_parameter_that_cannot_be_identified_is_refused() -> None:
    with refuses(ConfigError, "plain", where="Whole.model", got="object"):
        mb.method(label="m", selector=Whole(object())).identity()  # type: ignore[arg-type]
