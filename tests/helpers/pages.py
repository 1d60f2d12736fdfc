"""The page as people start it, and somebody with a browser."""

import contextlib
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cvsegguide.app.uploads import LABELS

PATIENCE = 120_000.0
"""Milliseconds: machines may be busy."""


@contextlib.contextmanager
def page(*options: str, **environment: str) -> Iterator[str]:
    """``cvsegguide app`` on a free port; interrupted at the end, as by Ctrl+C."""
    process = subprocess.Popen(
        [sys.executable, "-m", "cvsegguide", "app", "--port", "0", "--device", "cpu", *options],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, **environment},
    )
    try:
        assert process.stdout is not None
        found = re.search(r"http://\S+", process.stdout.readline())
        assert found is not None
        yield found[0]
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0


class Guest:
    """Somebody with a browser; whatever the page asks of whom is written down."""

    def __init__(self, browser: Any, address: str, width: int = 1280) -> None:
        self.context = browser.new_context(viewport={"width": width, "height": 900})
        self.context.set_default_timeout(PATIENCE)
        self.page = self.context.new_page()
        self.asked: list[str] = []
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.goto(address)
        self.page.wait_for_selector("#go")

    def drop(self, kind: str, path: Path) -> None:
        """Bring a picture, and wait until the page lists it."""
        if self.page.locator(f"#{kind} button[aria-label='Clear']").count():
            self.page.click(f"#{kind} button[aria-label='Clear']")
        self.page.set_input_files(f"#{kind} input[type=file]", path)
        self.page.wait_for_selector(f"#{kind} .file-preview")

    def fill(self, name: str, value: str) -> None:
        """Type into a field, and leave it."""
        field = self.page.locator(f"#{name} :is(input[type=number], input[type=text], textarea)")
        field.first.fill(value)
        field.first.blur()

    def press_example(self, title: str) -> None:
        """Press an example and wait for its answer."""
        self._press(f".examples button:has-text('{title}')")

    def find(self) -> None:
        """Press the button and wait for the answer."""
        self._press("#go")

    def _press(self, selector: str) -> None:
        self.page.evaluate("document.querySelector('#facts table')?.classList.add('before')")
        self.page.click(selector)
        self.page.wait_for_selector("#facts table:not(.before)")

    def fact(self, name: str) -> str:
        """What the answer says, ``"row, column"`` for example."""
        return str(self.page.inner_text(f"#facts tr:has(td:text-is('{name}')) td:last-child"))

    def fault(self, name: str) -> str:
        """The fault that is told beside a field; waits for it."""
        return str(self.page.inner_text(f"#fault-{name} .fault"))

    def wait_until_mended(self, name: str) -> None:
        """Wait until no fault is told beside a field."""
        self.page.wait_for_selector(f"#fault-{name} .fault", state="hidden")

    def faults(self) -> list[str]:
        """Names of the fields beside which a fault is told."""
        shown = self.page.locator(".fault:visible")
        return [name for name in (*LABELS, "answer") if shown.locator(
            f"xpath=ancestor::*[@id='fault-{name}']").count()]  # fmt: skip

    def download(self, name: str) -> bytes:
        """A file of the answer."""
        row = self.page.locator("#downloads tr", has_text=name.rpartition(".")[2]).filter(
            has_text=name[:5]
        )
        with self.page.expect_download() as waiting:
            row.locator("a").first.click()
        assert waiting.value.suggested_filename == name
        return Path(waiting.value.path()).read_bytes()
