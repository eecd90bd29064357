"""Headless Chromium of the system, driven by its own driver."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from selenium.common.exceptions import TimeoutException
from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.support.expected_conditions import alert_is_present
from selenium.webdriver.support.wait import WebDriverWait

PROGRAMS = ("chromium", "chromedriver")
ARGUMENTS = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"),
    *("--window-size=1280,1000", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"),
)
PAGE_TIMEOUT_S = 60
ANSWER_TIMEOUT_S = 5
CHANGE_TIMEOUT_S = 180  # a rollout on a loaded machine


@contextmanager
def chromium() -> Iterator[Chrome]:
    """A browser that reaches no other host than this one.

    Skips the test where Chromium is not installed; in CI that is a failure.
    """
    paths = {name: shutil.which(name) for name in PROGRAMS}
    missing = [name for name, path in paths.items() if path is None]
    if missing:
        reason = f"{' and '.join(missing)} not found: install Debian's chromium and chromium-driver"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    options = ChromeOptions()
    options.binary_location = str(paths["chromium"])
    for argument in ARGUMENTS:
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = Chrome(options=options, service=Service(str(paths["chromedriver"])))
    driver.set_page_load_timeout(PAGE_TIMEOUT_S)
    try:
        yield driver
    finally:
        driver.quit()


class ConsolePage:
    """The console's page, used as a person does; controls are found by their ids."""

    def __init__(self, browser: Chrome) -> None:
        self._browser = browser
        self._wait_until(lambda: self.text("updated") != "")

    def text(self, name: str) -> str:
        return str(self._browser.find_element(By.ID, name).text)

    def wait_for(self, name: str, text: str) -> None:
        """Wait until an element has a text."""
        self._wait_until(lambda: self.text(name) == text)

    def decide(self, action: str, version: int) -> None:
        """Approve or reject a package, and confirm it."""
        self._wait_until(lambda: self._browser.find_elements(By.ID, f"{action}-{version}"))
        self._browser.find_element(By.ID, f"{action}-{version}").click()
        WebDriverWait(self._browser, PAGE_TIMEOUT_S).until(alert_is_present()).accept()

    def ask(self, user: str, message: str) -> None:
        """Ask for a user's recommendations until the page says so; the fallback may answer first."""
        field = self._browser.find_element(By.ID, "user")
        field.clear()
        field.send_keys(user)
        self._repeat("#try button", message)

    def click_item(self, message: str) -> None:
        """Add the first recommended item to the session, until the page says so."""
        self._repeat("[aria-label^='Click item']", message)

    def problems(self) -> list[str]:
        """Errors that the browser logged: of the script, of the content policy, of requests."""
        return [entry["message"] for entry in self._browser.get_log("browser")]

    def _repeat(self, control: str, message: str) -> None:
        def clicked_and_answered() -> bool:
            self._browser.find_element(By.CSS_SELECTOR, control).click()
            try:
                WebDriverWait(self._browser, ANSWER_TIMEOUT_S).until(
                    lambda _: self.text("message") == message
                )
            except TimeoutException:
                return False
            return True

        self._wait_until(clicked_and_answered)

    def _wait_until(self, condition: Callable[[], object]) -> None:
        WebDriverWait(self._browser, CHANGE_TIMEOUT_S).until(lambda _: condition())
