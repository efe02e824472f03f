"""Takes the README's picture: the newest demo run, just after its induction heads appeared, as Chromium shows it."""

from __future__ import annotations

import sys
import threading
from pathlib import Path

import uvicorn
from playwright.sync_api import sync_playwright

import attnlog
from attnlog.view.server import application, find_runs, listen

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))
from tests.chromium import launch  # noqa: E402

OUT = ROOT / "docs/images/studio.png"


def best_moment(saved: attnlog.SavedRun) -> tuple[int, int, int, int]:
    """Find the step where induction rose most, and the head that rose, on the last input."""
    scores: dict[tuple[int, int], list[float]] = {}
    last = len(saved.read().inputs) - 1
    for step in saved.steps:
        for layer in saved.read(step).layers:
            if layer.input == last:
                for head, score in zip(layer.heads, layer.metrics["induction"], strict=True):
                    scores.setdefault((layer.layer, head), []).append(float(score))
    rises = [(values[n] - values[n - 1], n, where) for where, values in scores.items() for n in range(1, len(values))]
    _, n, (layer, head) = max(rises)
    return saved.steps[n], last, layer, head


def main() -> None:
    """Serve the run, look at it, keep the picture."""
    run = max(find_runs(sys.argv[1:]).values(), key=lambda path: path.stat().st_mtime)
    step, input, layer, head = best_moment(attnlog.open(run))
    made = listen(None)
    server = uvicorn.Server(uvicorn.Config(application({"0": run}), log_level="error", lifespan="off"))
    threading.Thread(target=server.run, kwargs={"sockets": [made]}, daemon=True).start()
    address = f"http://127.0.0.1:{made.getsockname()[1]}/#view=head&step={step}&input={input}&kind=self&layer={layer}&heads={head}"
    with sync_playwright() as playwright:
        browser = launch(playwright)
        page = browser.new_page(viewport={"width": 1400, "height": 900}, color_scheme="light")
        page.goto(address)
        for view in ("model", "head", "neuron", "timeline"):
            page.wait_for_selector(f'[data-view="{view}"][data-ready^="{step}/{input}/"]')
        OUT.parent.mkdir(parents=True, exist_ok=True)
        page.wait_for_timeout(500)
        page.screenshot(path=str(OUT))
        browser.close()
    server.should_exit = True
    print(OUT)


if __name__ == "__main__":
    main()
