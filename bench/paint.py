"""How soon the head view and the model view are on the screen, ours and BertViz's, from the same tensors in the same Chromium.

Both are one HTML file opened from disk, and time runs from the start of navigation to the first frame after everything is
drawn. Runs of both tools alternate. BertViz's libraries come from ``bench/node_modules`` in place of its CDN. Prints JSON.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from pathlib import Path

import torch
from bertviz import head_view, model_view
from playwright.sync_api import Browser, Page, Route, sync_playwright

import attnlog

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent)]
from tensors import attentions, names

from tests.chromium import launch

LIBRARIES = {
    "require.min.js": "requirejs/require.js",
    "d3.min.js": "d3/dist/d3.min.js",
    "jquery.min.js": "jquery/dist/jquery.min.js",
}
# Watches for the finished picture once a frame, and notes the time of the frame after it.
WATCH = """(done => {
  const shown = () => { document.documentElement.dataset.shown = performance.now(); };
  const look = () => requestAnimationFrame(done() ? () => requestAnimationFrame(shown) : look);
  requestAnimationFrame(look);
})(() => %s)"""
# BertViz draws everything in one go, so lines that are there are all there.
BERTVIZ = "document.querySelector('svg line') !== null"
OURS = "document.querySelector('[data-view=%s][data-ready]') !== null"
EMPTY = "document.readyState === 'complete'"


def library(route: Route) -> None:
    name = route.request.url.rsplit("/", 1)[-1]
    route.fulfill(path=HERE / "node_modules" / LIBRARIES[name], content_type="text/javascript")


def shown(browser: Browser, page_file: Path, done: str) -> dict[str, float]:
    page: Page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.set_default_timeout(600_000)
    page.route("https://cdnjs.cloudflare.com/**", library)
    page.add_init_script(WATCH % done)
    page.goto(page_file.as_uri(), wait_until="commit")
    # Read as an attribute: the exported page forbids evaluating text as script.
    page.wait_for_selector("html[data-shown]", state="attached")
    found = {
        "seconds": float(page.get_attribute("html", "data-shown") or "nan") / 1000,
        "elements": page.locator("*").count(),
    }
    page.close()
    return found


def pages(tokens: int, folder: Path) -> dict[str, Path]:
    weights, words = attentions(tokens), names(tokens)
    tensors = tuple(torch.tensor(w)[None] for w in weights)
    require = '<script src="https://cdnjs.cloudflare.com/ajax/libs/require.js/2.3.6/require.min.js"></script>'
    made = {}
    for view, make in (("head", head_view), ("model", model_view)):
        html = make(tensors, words, html_action="return").data
        html = html if "require.min.js" in html else require + html
        made[f"bertviz {view}"] = folder / f"bertviz-{view}.html"
        made[f"bertviz {view}"].write_text(f"<!doctype html><meta charset=utf-8>{html}")
    with attnlog.Run(folder / "run") as run:
        run.log(attnlog.from_tensors(weights, words), step=1)
    made["attnlog"] = folder / "attnlog.html"
    attnlog.export(folder / "run", made["attnlog"])
    made["empty"] = folder / "empty.html"
    made["empty"].write_text("<!doctype html><title>empty</title>")
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tokens", type=int, nargs="+", default=[32, 64, 128])
    parser.add_argument("--runs", type=int, default=3)
    arguments = parser.parse_args()
    rows = []
    with sync_playwright() as playwright:
        browser = launch(playwright)
        for tokens in arguments.tokens:
            with tempfile.TemporaryDirectory() as name:
                made = pages(tokens, Path(name))
                shown(browser, made["empty"], EMPTY)  # warms the browser up
                times: dict[str, list[float]] = {}
                elements: dict[str, float] = {}
                for _ in range(arguments.runs):
                    for what, file, done in (
                        ("empty", made["empty"], EMPTY),
                        ("bertviz head", made["bertviz head"], BERTVIZ),
                        ("attnlog head", made["attnlog"], OURS % "head"),
                        ("bertviz model", made["bertviz model"], BERTVIZ),
                        ("attnlog model", made["attnlog"], OURS % "model"),
                    ):
                        found = shown(browser, file, done)
                        times.setdefault(what, []).append(found["seconds"])
                        elements[what] = found["elements"]
                middle = {what: statistics.median(values) for what, values in times.items()}
                rows.append(
                    {
                        "tokens": tokens,
                        "seconds": {what: round(value, 3) for what, value in middle.items()},
                        "elements": elements,
                        "head view times sooner": round(middle["bertviz head"] / middle["attnlog head"], 1),
                        "model view times sooner": round(middle["bertviz model"] / middle["attnlog model"], 1),
                    }
                )
                print(json.dumps(rows[-1]), file=sys.stderr, flush=True)
        browser.close()
    print(json.dumps({"paint": rows}, indent=2))


if __name__ == "__main__":
    main()
