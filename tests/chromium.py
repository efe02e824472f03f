"""The one Chromium that tests, benches and pictures use: the system's, without a GPU and without services of its own."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Playwright

NAMES = ("chromium", "chromium-browser", "google-chrome")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def launch(playwright: Playwright, *flags: str) -> Browser:
    """Start the Chromium on PATH with more flags; without one it fails, because a browser test that is skipped shows nothing."""
    found = next((path for name in NAMES if (path := shutil.which(name))), None)
    if found is None:
        raise FileNotFoundError(f"there is no Chromium on PATH (looked for {', '.join(NAMES)}): run make .stamps/chromium")
    return playwright.chromium.launch(executable_path=found, args=[*FLAGS, *flags])
