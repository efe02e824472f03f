"""Takes the pictures of docs/guides/comet.md: the JavaScript panel at its natural size, and the Python panel in Streamlit.

Comet's own page cannot be had here: the pages that tests use in its place are. Give run folders, or the newest demo run is taken.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from playwright.sync_api import sync_playwright

import attnlog
from attnlog.delivery.sync import sync
from attnlog_integrations.comet.panel import python_code, write_panel
from attnlog_integrations.comet.tracker import CometTracker

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))
from scripts.hosts.moment import newest, rise  # noqa: E402
from tests.chromium import launch  # noqa: E402
from tests.integrations.comet_host import host_page  # noqa: E402
from tests.integrations.comet_loopback import loopback  # noqa: E402
from tests.integrations.comet_python_host import python_host  # noqa: E402

OUT = ROOT / "docs/images"
KEYS = {"induction-seed-0": "1" * 32, "induction-seed-1": "2" * 32}


def options_at_rise(saved: attnlog.SavedRun) -> dict[str, Any]:
    """Where induction rose most, as options of the panel."""
    moment = rise(saved)
    return {"step": moment.step, "input": moment.input, "layer": moment.layer, "heads": [moment.head], "theme": "light"}


def panels(browser: Any, run: Path, scratch: Path) -> None:
    """The JavaScript panel, one view each, and two experiments compared."""
    files = [*run.glob("*.arrow"), *run.glob("step-*/*/*.arrow"), *run.glob("manifest-*.jsonl")]
    assets = {f"attnlog/{file.relative_to(run)}": file.read_bytes() for file in files}
    begin = options_at_rise(attnlog.open(run))
    zipped = write_panel(scratch / "panel.zip")
    for view, width in (("head", 420), ("model", 420), ("neuron", 420), ("compare", 600)):
        options = {**begin, "view": "head" if view == "compare" else view}
        with host_page(zipped, dict.fromkeys(KEYS, assets), options=options) as address:
            page = browser.new_page(viewport={"width": width, "height": 560})
            page.goto(address)
            if view == "compare":
                page.get_by_label("compare with another").select_option(label="step")
                page.get_by_text("A: step").wait_for()
            page.locator(f'[data-view="{options["view"]}"][data-ready]').wait_for()
            page.wait_for_timeout(500)
            page.screenshot(path=OUT / f"comet-panel-{view}.png")
            page.close()


def python_panel(browser: Any, run: Path, scratch: Path) -> None:
    """The Python panel, over a loopback server that was delivered to."""
    with loopback() as server:
        os.environ.update(server.environment())
        for key in KEYS.values():
            sync(run, CometTracker(run, run=key), wait=120)
        begin = options_at_rise(attnlog.open(run))
        with python_host(scratch / "host", python_code(), list(KEYS.values()), server.environment(), begin) as address:
            page = browser.new_page(viewport={"width": 1280, "height": 1000})
            page.goto(address)
            inside = page.locator("iframe").last.content_frame
            for view in ("head", "model", "neuron", "timeline"):
                inside.locator(f'[data-view="{view}"][data-ready]').wait_for(timeout=120_000)
            page.wait_for_timeout(1000)
            page.screenshot(path=OUT / "comet-python-panel.png")
            page.close()


def main() -> None:
    """Find a run, and take the pictures."""
    given = [Path(one) for one in sys.argv[1:]]
    places = given or [ROOT / "demo-runs"]
    run = newest(places)
    OUT.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as scratch:
        # A delivery is remembered in the run's folder: a copy keeps that out of somebody's run.
        run = Path(shutil.copytree(run, Path(scratch, run.name)))
        browser = launch(playwright)
        panels(browser, run, Path(scratch))
        python_panel(browser, run, Path(scratch))
        browser.close()
    for file in sorted(OUT.glob("comet-*.png")):
        print(file, file.stat().st_size)


if __name__ == "__main__":
    main()
