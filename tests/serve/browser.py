"""A real browser, where one is installed; tests that need it are skipped, and counted, where none is."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome")
PATH = next((found for found in map(shutil.which, NAMES) if found), None)
ARGUMENTS = ("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-dev-shm-usage")

needs_browser = pytest.mark.skipif(PATH is None, reason="no chromium is installed")


@contextmanager
def browser() -> Iterator[Any]:
    """Start a browser."""
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as running:
        started = running.chromium.launch(executable_path=PATH, args=list(ARGUMENTS))
        try:
            yield started
        finally:
            started.close()


@contextmanager
def extended(extension: Path, profile: Path) -> Iterator[Any]:
    """Start a browser with an unpacked extension; yield its context."""
    playwright = pytest.importorskip("playwright.sync_api")
    more = [f"--disable-extensions-except={extension}", f"--load-extension={extension}"]
    with playwright.sync_playwright() as running:
        context = running.chromium.launch_persistent_context(
            profile, executable_path=PATH, args=[*ARGUMENTS, *more], ignore_default_args=["--disable-extensions"]
        )
        try:
            yield context
        finally:
            context.close()
