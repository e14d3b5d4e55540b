"""Optional packages: which extra brings them, and one message where one is needed and missing."""

from __future__ import annotations

from importlib.util import find_spec

from microbench_ray.core.errors import ConfigError, MicrobenchError

EXTRAS = {
    "cli": ("hydra", "rich"),
    "ray": ("ray",),
    "report": ("matplotlib", "PIL", "vl_convert", "rich"),
    "hub": ("huggingface_hub",),
    "excel": ("openpyxl",),
    "inspect": ("inspect_ai",),
}
"""By extra, the modules that it brings and that are imported. Counts, sweeps in process, plans, exports and scores need none."""


def missing_modules(extra: str) -> list[str]:
    """The modules of an extra that are not installed."""
    return [module for module in EXTRAS[extra] if find_spec(module) is None]


def require_extra(
    extra: str, what: str, *, where: str | None = None, otherwise: str | None = None, kind: type[MicrobenchError] = ConfigError
) -> None:
    """Raise an error that names the extra unless its packages are installed. None of them is imported.

    Parameters
    ----------
    extra
        A key of `EXTRAS`.
    what
        What needs it, as the subject of a sentence.
    where
        The key or the function that asks for it.
    otherwise
        What to do without it.
    kind
        The class of the error.
    """
    if missing := missing_modules(extra):
        hint = f'pip install "microbench-ray[{extra}]"' + (f"; or {otherwise}" if otherwise else "")
        got = f"not installed: {', '.join(missing)}"
        raise kind(f"{what} requires packages of the extra `{extra}`.", where=where, got=got, hint=hint)
