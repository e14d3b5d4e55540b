"""Headless Chromium as packaged by Debian: nothing is downloaded, and its requests are recorded."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

from selenium.webdriver import Chrome
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import WebDriverWait

CHROMIUM, DRIVER = Path("/usr/bin/chromium"), Path("/usr/bin/chromedriver")
PHONE, DESKTOP = (390, 844), (1440, 900)
FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-dev-shm-usage",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
    "--force-device-scale-factor=1",
    "--hide-scrollbars",
)


def start(profile: Path) -> Chrome:
    """A browser that logs its console and its requests."""
    options = Options()
    options.binary_location = str(CHROMIUM)
    for flag in (*FLAGS, f"--user-data-dir={profile}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    browser = Chrome(options=options, service=Service(str(DRIVER)))
    browser.get("about:blank")
    for kind in ("browser", "performance"):
        browser.get_log(kind)  # of the browser's first page
    return browser


def open_page(browser: Chrome, path: Path, *, dark: bool = False, size: tuple[int, int] = DESKTOP) -> None:
    """Open a file with a colour scheme and window size, and wait until all charts are drawn."""
    scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
    scheme.append({"name": "prefers-reduced-motion", "value": "reduce"})  # no smooth scrolling before a click
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "", "features": scheme})
    metrics = {"width": size[0], "height": size[1], "deviceScaleFactor": 1, "mobile": size == PHONE}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    browser.get(path.as_uri())
    WebDriverWait(browser, 30).until(lambda here: here.execute_script("return document.documentElement.dataset.drawn") == "true")


def settled(browser: Chrome) -> None:
    """Wait until two more frames are drawn."""
    browser.execute_async_script(
        "const end = arguments[0]; requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(end, 60)))"
    )


def console(browser: Chrome) -> list[str]:
    """The messages of the console."""
    return [entry["message"] for entry in browser.get_log("browser")]


def requests(browser: Chrome) -> set[str]:
    """Schemes of the requests, with the whole URL of requests to a network."""
    requested = set()
    for entry in browser.get_log("performance"):
        message = json.loads(entry["message"])["message"]
        if message["method"] == "Network.requestWillBeSent":
            url: str = message["params"]["request"]["url"]
            requested.add(url if url.startswith(("http", "ws", "ftp")) else url.split(":", 1)[0])
    return requested


def hover(browser: Chrome, place: WebElement, x: float, y: float) -> None:
    """Move the pointer to (x, y) pixels from the upper left corner of an element."""
    box = place.rect
    browser.execute_script("arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", place)
    ActionChains(browser, duration=20).move_to_element_with_offset(
        place, int(x - box["width"] / 2), int(y - box["height"] / 2)
    ).perform()
    settled(browser)


def picture(browser: Chrome, path: Path) -> None:
    """Write the whole page as PNG."""
    image: dict[str, Any] = browser.execute_cdp_cmd(
        "Page.captureScreenshot", {"format": "png", "captureBeyondViewport": True, "clip": _all(browser)}
    )
    path.write_bytes(base64.b64decode(image["data"]))


def _all(browser: Chrome) -> dict[str, float]:
    size = browser.execute_cdp_cmd("Page.getLayoutMetrics", {})["cssContentSize"]
    return {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1}


def printed(browser: Chrome) -> bytes:
    """The printed page, as PDF."""
    pdf: dict[str, Any] = browser.execute_cdp_cmd(
        "Page.printToPDF", {"printBackground": False, "paperWidth": 8.27, "paperHeight": 11.69}
    )
    return base64.b64decode(pdf["data"])
