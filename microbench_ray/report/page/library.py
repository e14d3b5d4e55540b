"""The JavaScript library for the charts as one script (Vega, Vega-Lite, Vega-Embed), and charts drawn without a browser."""

from __future__ import annotations

import logging
import re
import struct
import subprocess
import sys
import zlib
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache
from hashlib import blake2b
from importlib.resources import files
from typing import Any

from microbench_ray.core.cache import read_cached, write_cached
from microbench_ray.core.extras import require_extra
from microbench_ray.report.page.text import Html

logger = logging.getLogger(__name__)

VEGA_LITE = "6.4"
BUNDLE = {"snippet": "window.vegaEmbed=vegaEmbed;", "vl_version": VEGA_LITE}
PACKAGE = "vl-convert-python"
PROGRAM = f"import sys, vl_convert; sys.stdout.buffer.write(vl_convert.javascript_bundle(**{BUNDLE!r}).encode())"
_PREPARED: list[Future[str]] = []


def prepare() -> None:
    """Start bundling in a separate process, unless the script is kept: it takes over a second and holds the GIL, while a sweep
    runs.
    """
    if not _PREPARED:
        executor = ThreadPoolExecutor(1)
        _PREPARED.append(executor.submit(_bundle_in_process))
        executor.shutdown(wait=False)


def _bundle_in_process() -> str:
    """The script that an earlier process kept, or that a separate process writes; empty where that fails."""
    name = _kept_name()
    content = None if name is None else read_cached(name)
    if content is not None:
        return content.decode()
    try:
        completed = subprocess.run([sys.executable, "-c", PROGRAM], stdin=subprocess.DEVNULL, capture_output=True, check=True)
    except (OSError, subprocess.SubprocessError) as error:
        logger.debug("Bundling the chart library in a separate process failed, bundling it in this one: %s", error)
        return ""
    if name is not None:
        write_cached(name, completed.stdout)
    return completed.stdout.decode()


def _kept_name() -> str | None:
    """The name under which the script is kept; None if the package that makes it is not installed."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        made_by = f"{version(PACKAGE)} {BUNDLE}"
    except PackageNotFoundError:
        return None
    return f"charts-{blake2b(made_by.encode(), digest_size=8).hexdigest()}.js"


@cache
def bundle() -> Html:
    """The script, with equal bytes each time; bundled now unless `prepare` was called. ConfigError without the extra `report`."""
    text = _PREPARED[0].result() if _PREPARED else ""
    if not text:
        require_extra("report", "The page of a report")
        import vl_convert

        text = vl_convert.javascript_bundle(**BUNDLE)
    return Html(text.replace("</script", "<\\/script"))


def picture(spec: Mapping[str, Any], datasets: Mapping[str, Any], kind: str, *, scale: float = 1.0) -> bytes:
    """A Vega-Lite specification as the content of a `png` or `svg` file, in the light colours of the page.

    Parameters
    ----------
    spec
        Its colours may be variables of style.css.
    datasets
        Rows by the name of a data source of the specification.
    kind
        `png` or `svg`.
    scale
        Pixels of a PNG per unit of the specification.
    """
    import vl_convert

    drawn = _in_light_colours(dict(spec)) | {"datasets": dict(datasets)}
    if kind == "svg":
        return str(vl_convert.vegalite_to_svg(drawn, vl_version=VEGA_LITE)).encode()
    return _compressed(bytes(vl_convert.vegalite_to_png(drawn, vl_version=VEGA_LITE, scale=scale)))


def _compressed(png: bytes) -> bytes:
    """The same PNG in about a quarter of the bytes: its pixels are compressed for speed."""
    chunks: dict[bytes, bytes] = {}
    place = 8  # after the signature
    while place < len(png):
        (length,) = struct.unpack(">I", png[place : place + 4])
        kind, content = png[place + 4 : place + 8], png[place + 8 : place + 8 + length]
        chunks[kind] = chunks.get(kind, b"") + content
        place += length + 12
    chunks[b"IDAT"] = zlib.compress(zlib.decompress(chunks[b"IDAT"]), 9)
    parts = (
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks.items()
    )
    return png[:8] + b"".join(parts)


@cache
def _light_colours() -> Mapping[str, str]:
    """The light colour of each variable of style.css."""
    style = files(__package__).joinpath("style.css").read_text(encoding="utf-8")
    return {f"var({name})": colour for name, colour in re.findall(r"(--[\w-]+): light-dark\((#\w+),", style)}


def _in_light_colours(part: Any) -> Any:
    """A specification whose variables are replaced by colours."""
    if isinstance(part, dict):
        return {key: _in_light_colours(value) for key, value in part.items()}
    if isinstance(part, list):
        return [_in_light_colours(value) for value in part]
    return _light_colours().get(part, part) if isinstance(part, str) else part
