"""A real browser for tests: Debian's Chromium, headless, driven by Selenium; all tests share one."""

import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.resources import files
from typing import Any
from urllib.parse import quote

import pytest

REQUIRED = "CIPHER_DEBATE_REQUIRE_BROWSER"
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
    # Nothing is to be awaited but what the page does.
    "--force-prefers-reduced-motion",
)
# A report is made in a process of its own, which takes seconds, and on a machine with other work many.
WAIT_S = 60.0


def require_browser() -> None:
    """Skip the test where no browser is, with a sentence; fail it where one is required."""
    missing = [name for name in ("chromium", "chromedriver") if shutil.which(name) is None]
    try:
        import selenium  # noqa: F401
    except ModuleNotFoundError:
        missing.append("selenium")
    if not missing:
        return
    what = ", ".join(missing)
    sentence = f"the viewer is tested in a browser, and {what} is not here: apt-get install chromium chromium-driver"
    if os.environ.get(REQUIRED):
        pytest.fail(sentence)
    pytest.skip(sentence)


def route(*parts: object, **asked: str) -> str:
    """Return the address of a view, in the part behind the #."""
    query = "&".join(f"{key}={quote(value)}" for key, value in asked.items())
    return "#/" + "/".join(quote(str(part), safe="") for part in parts) + (f"?{query}" if query else "")


class Browser:
    """A page in the browser."""

    def __init__(self, driver: Any) -> None:
        self.driver = driver

    def open(self, url: str) -> None:
        """Go to an address, and wait until the page shows something."""
        self.driver.get("about:blank")
        # What the page before complained of is not this one's: the server that it asked may have ended since.
        self.complaints()
        self.driver.get(url)
        self.wait("#title")

    def go(self, route: str) -> None:
        """Follow a deep link in the page that is open, and wait until it is shown."""
        self.js("document.getElementById('main').dataset.old = '1'; document.getElementById('title')?.remove()")
        self.js("location.hash = arguments[0]", route)
        self.wait("#title")

    def js(self, code: str, *arguments: Any) -> Any:
        """Run a script in the page."""
        return self.driver.execute_script(code, *arguments)

    def wait(self, selector: str, count: int = 1) -> Any:
        """Return the first element of a selector once there are so many."""
        self.until(lambda: len(self.all(selector)) >= count, f"{count} of {selector}")
        return self.all(selector)[0]

    def until(self, true: Callable[[], Any], what: str) -> None:
        """Wait until something holds."""
        end = time.monotonic() + WAIT_S
        while not true():
            assert time.monotonic() < end, f"no {what} within {WAIT_S} s; the page says: {self.text('body')[:500]!r}"
            time.sleep(0.03)

    def all(self, selector: str) -> list[Any]:
        """Return the elements of a selector."""
        return list(self.driver.find_elements("css selector", selector))

    def text(self, selector: str) -> str:
        """Return the text of an element, hidden parts too."""
        return str(self.js("return document.querySelector(arguments[0])?.textContent ?? ''", selector))

    def press(self, *keys: str) -> None:
        """Press keys, where the focus is."""
        from selenium.webdriver import ActionChains

        ActionChains(self.driver).send_keys(*keys).perform()

    def size(self, width: int, height: int = 900) -> None:
        """Make the window so large."""
        self.driver.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False},
        )

    def dark(self, on: bool) -> None:
        """Prefer dark colours, or light ones."""
        scheme = {"name": "prefers-color-scheme", "value": "dark" if on else "light"}
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})

    def complaints(self) -> list[str]:
        """Return what the console says since it was last asked."""
        return [line["message"] for line in self.driver.get_log("browser")]

    def axe(self) -> list[str]:
        """Return what axe finds that is serious or critical."""
        source = files("axe_core_python").joinpath("axe.min.js").read_text(encoding="utf-8")
        self.driver.execute_script(source)
        found = self.driver.execute_async_script(
            "const done = arguments[0]; axe.run(document, {resultTypes: ['violations']}).then(found => done(found.violations))"
        )
        return [
            f"{one['id']}: {node['html'][:200]}"
            for one in found
            if one["impact"] in ("serious", "critical")
            for node in one["nodes"][:3]
        ]


@contextmanager
def started(folder: str) -> Iterator[Browser]:
    """Start a browser whose profile lies in a folder."""
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or ""
    for flag in (*FLAGS, f"--user-data-dir={folder}", "--window-size=1280,900"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    options.add_experimental_option("prefs", {"download.default_directory": folder})
    driver = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
    # Without a window system no page has the focus, and what is shown on focus would never be.
    driver.execute_cdp_cmd("Emulation.setFocusEmulationEnabled", {"enabled": True})
    try:
        driver.set_script_timeout(30)
        yield Browser(driver)
    finally:
        driver.quit()
