"""`microbench methods`: all methods, in every format."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest

from microbench_ray.cli.main import DONE, main
from microbench_ray.cli.methods import Listed, MethodsJob, listed_methods, methods_text
from microbench_ray.methods.presets import method_files

Captured = pytest.CaptureFixture[str]


def test_every_method_has_one_sentence_and_a_source() -> None:
    methods = listed_methods()
    assert [each.method for each in methods] == sorted(method_files())
    for each in methods:
        assert each.what.endswith((".", "}]")), each
        assert each.source, each
    assert len({each.what for each in methods}) == len(methods)


def test_all_formats_list_the_same_methods(capsys: Captured) -> None:
    names = sorted(method_files())
    printed = {}
    for name in ("table", "json", "markdown", "csv"):
        assert main(["methods", f"format={name}"]) == DONE
        printed[name] = capsys.readouterr().out
    assert [line.split()[0] for line in printed["table"].splitlines()] == names
    assert [each["method"] for each in json.loads(printed["json"])] == names
    assert [line.split(" | ")[0][2:] for line in printed["markdown"].splitlines()[2:]] == names
    rows = list(csv.DictReader(io.StringIO(printed["csv"])))
    assert rows == json.loads(printed["json"])
    assert rows[names.index("anchor_points")]["source"] == "Vivek et al. 2024"


@pytest.mark.parametrize("width", [40, 80])
def test_the_table_fits_the_terminal_and_names_are_whole(width: int) -> None:
    lines = methods_text(MethodsJob("table"), width).splitlines()
    assert max(map(len, lines)) == width
    assert [line.split()[0] for line in lines] == sorted(method_files())


def test_methods_in_the_users_folder_are_listed(tmp_path: Path, capsys: Captured) -> None:
    (tmp_path / "method").mkdir()
    (tmp_path / "method" / "mine.yaml").write_text("# What I do.\n# Source: mine\n\nselector: {name: random}\n")
    (tmp_path / "method" / "plain.yaml").write_text("selector: {name: random}\n")
    assert main(["methods", "--config-dir", str(tmp_path), "format=json"]) == DONE
    listed = [Listed(**each) for each in json.loads(capsys.readouterr().out)]
    assert {Listed("mine", "What I do.", "mine"), Listed("plain", "", "")} <= set(listed)
    assert len(listed) == len(method_files()) + 2
