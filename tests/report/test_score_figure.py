"""The picture of scored models: their order, marks and names, and its bytes."""

from __future__ import annotations

import re
import struct
import zlib
from xml.etree import ElementTree

import pytest

from microbench_ray.report.score_figure import MAX_MODELS, ScoredModel, score_figure

NAMES = ("second", "<b>first & {x}</b>", "var(--ink)", "bell\x07")
MODELS = [
    ScoredModel(NAMES[0], 0.5, 0.4, 0.6, False),
    ScoredModel(NAMES[1], 0.7, 0.6, 0.9, True),
    ScoredModel(NAMES[2], 0.2, None, None, False),
    ScoredModel(NAMES[3], 0.1, 0.05, 0.3, False),
]


def svg(models: list[ScoredModel]) -> ElementTree.Element:
    return ElementTree.fromstring(score_figure(models, [0.3, 0.45, 0.8], "board: 40 of 400 items", "svg"))


def texts(root: ElementTree.Element) -> list[str]:
    return ["".join(each.itertext()) for each in root.iter("{http://www.w3.org/2000/svg}text")]


def test_models_are_ranked_and_names_are_text() -> None:
    names = [text for text in texts(svg(MODELS)) if text in (*NAMES[:3], r"bell\x07", "known models")]
    assert names == [NAMES[1], NAMES[0], "var(--ink)", r"bell\x07", "known models"]


def test_those_unlike_the_known_models_are_marked_and_those_without_an_interval() -> None:
    root = svg(MODELS)
    assert {"like the known models", "unlike the known models", "no interval", "board: 40 of 400 items"} <= set(texts(root))
    drawn = ElementTree.tostring(root, encoding="unicode")
    assert len(re.findall(r'aria-label="[^"]*state: unlike the known models"', drawn)) == 2  # interval and point
    assert drawn.count("var(--") == drawn.count("var(--ink)") == 3  # the model's name, in three texts; no colour
    alike = texts(svg(MODELS[:1]))
    assert "like the known models" not in alike  # a legend of one entry says nothing


def test_of_many_models_the_best_are_drawn() -> None:
    many = [ScoredModel(f"m{k}", k / 1000, 0.0, 1.0, False) for k in range(MAX_MODELS + 3)]
    shown = texts(svg(many))
    assert "m3" in shown
    assert "m2" not in shown
    assert any("3 more models" in text for text in shown)


@pytest.mark.parametrize("models", [MODELS, []])
def test_a_png_is_whole_small_and_the_same_each_time(models: list[ScoredModel]) -> None:
    found = score_figure(models, [0.3, 0.5], "title", "png")
    assert found == score_figure(models, [0.3, 0.5], "title", "png")
    assert found.startswith(b"\x89PNG\r\n\x1a\n")
    assert len(found) < 80_000
    place, kinds = 8, []
    while place < len(found):
        (length,) = struct.unpack(">I", found[place : place + 4])
        chunk = found[place + 4 : place + 8 + length]
        assert struct.unpack(">I", found[place + 8 + length : place + 12 + length]) == (zlib.crc32(chunk),)
        kinds.append(chunk[:4])
        place += length + 12
    assert (kinds[0], kinds[-1]) == (b"IHDR", b"IEND")
