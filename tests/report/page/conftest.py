"""The pages, and the browser that opens them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.helpers.pages import Made, audited, swept

if TYPE_CHECKING:
    from selenium.webdriver import Chrome


@pytest.fixture(scope="session")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return swept(tmp_path_factory.mktemp("swept") / "out")


@pytest.fixture(scope="session")
def audit() -> Made:
    return audited()


@pytest.fixture(scope="session")
def folder(sweep: Made, audit: Made, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """sweep.html and audit.html."""
    place = tmp_path_factory.mktemp("pages")
    for name, made in (("sweep", sweep), ("audit", audit)):
        (place / f"{name}.html").write_text(made.page(), encoding="utf-8")
    return place


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    from tests.helpers.browser import CHROMIUM, DRIVER, start

    for program in (CHROMIUM, DRIVER):
        if not program.exists():
            pytest.skip(f"{program} is not installed (Debian: chromium, chromium-driver)")
    started = start(tmp_path_factory.mktemp("profile"))
    yield started
    started.quit()
