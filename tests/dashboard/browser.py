"""A real Chromium, and what a person does in it: looking, clicking, typing. Where there is none, tests are left out, but
never in the proof of a change (CI_REQUIRES_BROWSER).
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import pytest
from playwright.sync_api import Browser, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome")

# It runs as root in the proof, has no screen, and need not call home.
FLAGS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
)  # fmt: skip

# Of everything that waits: a page that is slow on a busy machine is not a wrong one.
PATIENCE_MS = 10_000


def found(environ: Mapping[str, str]) -> str:
    """The program; skips where there is none, or fails where there has to be one."""
    for name in NAMES:
        path = shutil.which(name, path=environ.get("PATH", ""))
        if path is not None:
            return path
    if environ.get("CI_REQUIRES_BROWSER"):
        pytest.fail(f"CI_REQUIRES_BROWSER is set, and none of {', '.join(NAMES)} is on PATH")
    pytest.skip("the dashboard is tested in a browser: apt-get install chromium")


@contextmanager
def launched() -> Iterator[Browser]:
    program = found(os.environ)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=list(FLAGS))
        try:
            yield browser
        finally:
            browser.close()
