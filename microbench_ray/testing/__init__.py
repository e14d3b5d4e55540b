"""Checks that every selector and estimator must pass: for the authors of methods, inside this project and outside of it.

A test file of one function runs all of them with pytest::

    from microbench_ray import testing

    @testing.parametrize_with_checks([MySelector(), MyEstimator()])
    def test_methods(method, check):
        check(method)

`check_method` runs them without pytest. `check_reader` and `READER_CHECKS` do the same for readers of logs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from microbench_ray.core.errors import ConfigError
from microbench_ray.ingest.reader_checks import READER_CHECKS, check_reader
from microbench_ray.methods.registry import Method, check_part
from microbench_ray.testing.boards import N_ITEMS
from microbench_ray.testing.estimator_checks import ESTIMATOR_CHECKS
from microbench_ray.testing.selector_checks import SELECTOR_CHECKS, SIZES
from microbench_ray.testing.sweep_checks import check_sweeps_do_not_show_targets

if TYPE_CHECKING:
    import pytest

__all__ = ["READER_CHECKS", "Check", "check_method", "check_reader", "checks_of", "parametrize_with_checks"]


@dataclass(frozen=True)
class Check:
    """One check, to be called with a selector or an estimator.

    Attributes
    ----------
    function
        Raises AssertionError, with what is wrong, for a part that does not pass.
    sizes
        Numbers of items to select.
    """

    function: Callable[[Any, Sequence[int]], None]
    sizes: tuple[int, ...]

    def __call__(self, method: Any) -> None:
        """Raise AssertionError, with what is wrong, unless the part passes."""
        self.function(method, self.sizes)

    @property
    def name(self) -> str:
        """The name of the function."""
        return self.function.__name__


def checks_of(method: Any, sizes: Sequence[int] = SIZES) -> list[Check]:
    """The checks of a selector or an estimator.

    Parameters
    ----------
    method
        An instance.
    sizes
        Ascending numbers of items, at most 40, which a selector is asked for.

    Raises
    ------
    ConfigError
        A class instead of an instance, an object that neither selects nor estimates, or invalid sizes.
    """
    if isinstance(method, Method):
        what = "A method is checked by its parts."
        raise ConfigError(what, where="checks_of", got=f"method {method.label}", hint="[method.selector, method.estimator]")
    part = check_part(method, "checks_of")
    given = tuple(sizes)
    if not given or list(given) != sorted(set(given)) or given[0] < 1 or given[-1] > N_ITEMS:
        hint = f"ascending whole numbers from 1 to {N_ITEMS}, such as {SIZES}"
        raise ConfigError("Invalid sizes.", where="checks_of", got=repr(sizes), hint=hint)
    functions = SELECTOR_CHECKS if part == "selector" else ESTIMATOR_CHECKS
    return [Check(function, given) for function in (*functions, check_sweeps_do_not_show_targets)]


def check_method(method: Any, sizes: Sequence[int] = SIZES) -> None:
    """Run all checks of a selector or an estimator; AssertionError, with what is wrong, for the first that fails."""
    for check in checks_of(method, sizes):
        check(method)


def parametrize_with_checks(methods: Iterable[Any], sizes: Sequence[int] = SIZES) -> pytest.MarkDecorator:
    """A pytest decorator for a test with the arguments `method` and `check`: one test for each method and check.

    Parameters
    ----------
    methods
        Instances of selectors and estimators.
    sizes
        As for `checks_of`; for a selector of a fixed number of items, that number alone.

    Raises
    ------
    ConfigError
        As for `checks_of`.
    """
    import pytest

    pairs = [(method, check) for method in methods for check in checks_of(method, sizes)]
    ids = [f"{type(method).__name__}-{check.name}" for method, check in pairs]
    return pytest.mark.parametrize(("method", "check"), pairs, ids=ids)
