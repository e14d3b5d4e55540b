"""Pages of a sweep and an audit, and a browser to open them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.helpers.pages import PageInput, audited, swept

if TYPE_CHECKING:
    from selenium.webdriver import Chrome


@pytest.fixture(scope="session")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> PageInput:
    return swept(tmp_path_factory.mktemp("swept") / "out")


@pytest.fixture(scope="session")
def audit() -> PageInput:
    return audited()


@pytest.fixture(scope="session")
def sweep_html(sweep: PageInput, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_page(sweep, tmp_path_factory.mktemp("sweep"))


@pytest.fixture(scope="session")
def audit_html(audit: PageInput, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_page(audit, tmp_path_factory.mktemp("audit"))


def write_page(page: PageInput, folder: Path) -> Path:
    path = folder / "report.html"
    path.write_text(page.html(), encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    from tests.helpers.browser import CHROMIUM, DRIVER, start

    for program in (CHROMIUM, DRIVER):
        if not program.exists():
            pytest.skip(f"{program} is not installed (Debian: chromium, chromium-driver)")
    started = start(tmp_path_factory.mktemp("profile"))
    yield started
    started.quit()
