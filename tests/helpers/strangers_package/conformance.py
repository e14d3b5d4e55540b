"""The tests of the package."""

from strangers_methods import Shrunk, Spread  # type: ignore[import-not-found]

from microbench_ray import testing


@testing.parametrize_with_checks([Spread(), Shrunk()])
def test_methods(method, check):
    check(method)
