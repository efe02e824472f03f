"""Takes the pictures of `attnlog view` and of an exported file: the newest demo run, just after its induction heads appeared.

python scripts/hosts/studio_pictures.py FOLDER…
"""

from __future__ import annotations

import sys
import tempfile
import threading
from pathlib import Path

import uvicorn
from playwright.sync_api import sync_playwright

import attnlog
from attnlog.view.export import export_html
from attnlog.view.server import application, listen

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))
from scripts.hosts.moment import newest, rise  # noqa: E402
from tests.chromium import launch  # noqa: E402

OUT = ROOT / "docs/images"
VIEWS = ("model", "head", "neuron", "timeline")


def main() -> None:
    """Serve the run and export it, look at both, keep the pictures."""
    run = newest([Path(one) for one in sys.argv[1:]])
    step, input, layer, head = rise(attnlog.open(run))
    place = f"#view=head&step={step}&input={input}&kind=self&layer={layer}&heads={head}"
    made = listen(None)
    server = uvicorn.Server(uvicorn.Config(application({"0": run}), log_level="error", lifespan="off"))
    threading.Thread(target=server.run, kwargs={"sockets": [made]}, daemon=True).start()
    OUT.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch, "attention.html")
        export_html(run, file)
        browser = launch(playwright)
        for name, address, width in (
            ("studio", f"http://127.0.0.1:{made.getsockname()[1]}/", 1400),
            ("html-file", file.as_uri(), 1280),
        ):
            page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme="light")
            page.goto(address + place)
            for view in VIEWS:
                page.wait_for_selector(f'[data-view="{view}"][data-ready^="{step}/{input}/"]')
            page.wait_for_timeout(500)
            page.screenshot(path=str(OUT / f"{name}.png"))
            print(OUT / f"{name}.png")
        browser.close()
    server.should_exit = True


if __name__ == "__main__":
    main()
