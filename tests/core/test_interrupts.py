"""An interrupt inside compiled code is an interrupt, not an error of a method."""

from __future__ import annotations

import pytest

import microbench_ray as mb
from microbench_ray.cli.main import INTERRUPTED, main
from microbench_ray.core.interrupts import kept_interrupts


def as_compiled_code_does(error: BaseException) -> None:
    try:
        raise error
    except BaseException as raised:
        raise SystemError("returned a result with an exception set") from raised


def test_an_interrupt_is_raised_again() -> None:
    with pytest.raises(KeyboardInterrupt), kept_interrupts():
        as_compiled_code_does(KeyboardInterrupt())


@pytest.mark.parametrize("error", [SystemError("other"), ValueError("x")])
def test_other_errors_stay_what_they_are(error: Exception) -> None:
    with pytest.raises(SystemError, match="returned a result"), kept_interrupts():
        as_compiled_code_does(error)


def test_a_command_is_interrupted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("microbench_ray.cli.main._main", lambda arguments: as_compiled_code_does(KeyboardInterrupt()))
    assert main(["plan"]) == INTERRUPTED


class Interrupted(mb.SelectorWithoutFit):
    """A selector whose compiled code is interrupted."""

    def select(self, seen, fit, size, rng):  # type: ignore[no-untyped-def]
        as_compiled_code_does(KeyboardInterrupt())


def test_a_sweep_is_interrupted() -> None:
    board = mb.synthetic(n_models=20, n_items=40)
    with pytest.raises(KeyboardInterrupt):
        mb.sweep(board, mb.method(label="mine", selector=Interrupted()), sizes=[5], n_source=5, n_target=5, runs=1)
