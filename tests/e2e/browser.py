"""A headless Chromium for the tests and the screenshots: Debian's, driven by Playwright.

``METERHOUSE_CHROMIUM`` names another binary. The flags keep it from looking for its maker.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from playwright.sync_api import Browser, Page, sync_playwright

CHROMIUM = Path(os.environ.get("METERHOUSE_CHROMIUM", "/usr/bin/chromium"))
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
DESKTOP = (1440, 1000)
PHONE = (390, 844)
PATIENCE = 120
"""Seconds after which even a busy machine would have shown what is waited for."""
Scheme = Literal["light", "dark"]


@contextmanager
def started_browser() -> Iterator[Browser]:
    """A browser that ends with the block."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=str(CHROMIUM), args=FLAGS, timeout=PATIENCE * 1_000
        )
        try:
            yield browser
        finally:
            browser.close()


class Visit:
    """A page that was opened, and every request that it made."""

    def __init__(
        self, browser: Browser, *, scheme: Scheme = "light", size: tuple[int, int] = DESKTOP
    ) -> None:
        """Open an empty page of ``size`` in CSS pixels that prefers ``scheme``."""
        self.page: Page = browser.new_page(
            viewport={"width": size[0], "height": size[1]}, color_scheme=scheme
        )
        self.page.set_default_timeout(PATIENCE * 1_000)
        self.requests: list[str] = []
        self.errors: list[str] = []
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))

    def open(self, url: str) -> "Visit":
        """Go to ``url`` and wait until the app has drawn everything."""
        self.page.goto(url)
        self.settle()
        return self

    def settle(self) -> None:
        """Wait until the script has run and charts and fonts are there."""
        self.page.wait_for_selector("h1")
        self.page.wait_for_selector('[data-testid="stApp"][data-test-script-state="notRunning"]')
        self.page.wait_for_function(
            "!document.querySelector('[data-testid=stMain] [data-testid=stSkeleton]')"
        )
        self.page.wait_for_function("document.fonts.status === 'loaded'")
        self.page.wait_for_function(
            "[...document.querySelectorAll('[data-testid=stVegaLiteChart]')]"
            ".every(chart => chart.querySelector('canvas, svg'))"
        )
        self.page.wait_for_timeout(400)

    def outside_requests(self) -> list[str]:
        """Requests that left this machine."""
        return [
            url
            for url in self.requests
            if urlsplit(url).scheme not in ("data", "blob")
            and urlsplit(url).hostname not in ("127.0.0.1", "localhost")
        ]

    def is_wider_than_the_screen(self) -> bool:
        """Whether the page can be scrolled sideways."""
        return bool(
            self.page.evaluate(
                "document.querySelector('[data-testid=stMain]').scrollWidth"
                " > document.querySelector('[data-testid=stMain]').clientWidth + 1"
            )
        )
