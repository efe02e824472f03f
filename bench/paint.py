"""How soon the studio draws, beside BertViz with the same tensors in the same Chromium, and how it stays as inputs and runs grow.

Both are one HTML file opened from disk, and time runs from the start of navigation to the first frame after everything is
drawn. BertViz's libraries come from ``bench/node_modules`` in place of its CDN. Whatever is compared takes turns, and medians
are told. Where a goal is a ratio, both of its sides were measured in the same turns. Prints JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from playwright.sync_api import sync_playwright

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent)]
from paint_runs import bertviz_pages, many_steps, our_page, our_run, served
from paint_watch import BERTVIZ, BOTH, EMPTY, OURS, UNCAPPED, act, hovers, middle, shown, studio, switches

from tests.chromium import launch

if TYPE_CHECKING:
    from playwright.sync_api import Browser

VIEWS = ("head", "model")
STEPS, INPUTS = 100, 8
LOOK = 1.0  # seconds that somebody looks at something before going on
Row = dict[str, Any]


class Turns:
    """Measurements by name, turn after turn."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self.found: dict[str, dict[str, list[float]]] = {}

    def add(self, what: str, **values: float) -> None:
        """Note what one turn measured."""
        for name, value in values.items():
            self.found.setdefault(what, {}).setdefault(name, []).append(value)

    def medians(self, name: str, digits: int = 3) -> dict[str, float]:
        """The median of one measurement, by what was measured."""
        return {what: round(middle(values[name]), digits) for what, values in self.found.items() if name in values}


def progress(what: str, found: object) -> None:
    print(json.dumps({what: found}), file=sys.stderr, flush=True)


def beside_bertviz(browser: Browser, tokens: int, runs: int, folder: Path, page: Path) -> Row:
    """First paint of both tools, page start included."""
    theirs = bertviz_pages(tokens, folder)
    empty = folder / "empty.html"
    empty.write_text("<!doctype html><title>empty</title>")
    shown(browser, empty.as_uri(), EMPTY)  # warms the browser up
    turns = Turns()
    for turn in range(runs):
        # What is in the document is the same in every turn, and millions of elements take long to count.
        whole = turn == 0
        turns.add("empty", **shown(browser, empty.as_uri(), EMPTY, whole=whole))
        for view in VIEWS:
            turns.add(f"bertviz {view}", **shown(browser, theirs[view].as_uri(), BERTVIZ, whole=whole))
            turns.add(f"attnlog {view}", **shown(browser, page.as_uri(), OURS % view, whole=whole))
    seconds = turns.medians("seconds")
    row: Row = {"tokens": tokens, "seconds": seconds, "elements": turns.medians("elements", 0), "heap": turns.medians("heap", 1)}
    for view in VIEWS:
        row[f"{view} view times sooner"] = round(seconds[f"bertviz {view}"] / seconds[f"attnlog {view}"], 1)
    return row


def alone(browser: Browser, pages: dict[int, Path], runs: int) -> list[Row]:
    """First paint of ours where BertViz is not tried: all sizes take turns."""
    turns = Turns()
    for _ in range(runs):
        for tokens, page in pages.items():
            for view in VIEWS:
                turns.add(f"{tokens} {view}", **shown(browser, page.as_uri(), OURS % view))
    seconds, elements, heap = turns.medians("seconds"), turns.medians("elements", 0), turns.medians("heap", 1)
    return [
        {
            "tokens": tokens,
            "seconds": {view: seconds[f"{tokens} {view}"] for view in VIEWS},
            "elements": max(elements[f"{tokens} {view}"] for view in VIEWS),
            "heap": max(heap[f"{tokens} {view}"] for view in VIEWS),
            "megabytes": round(page.stat().st_size / 1e6, 1),
        }
        for tokens, page in pages.items()
    ]


def over_view(browser: Browser, made: dict[int, Path], runs: int) -> dict[str, Any]:
    """First paint of the model view from the server of ``attnlog view``, which sends what is looked at and no more."""
    turns = Turns()
    with served({str(tokens): run for tokens, run in made.items()}) as addresses:
        for _ in range(runs):
            for tokens, address in addresses.items():
                turns.add(tokens, **shown(browser, address, OURS % "model", whole=False))
    return turns.medians("seconds")


def acting(browser: Browser, pages: dict[int, Path], runs: int) -> dict[str, Any]:
    """Layer switches: to new layers one right after the other, to new ones after a look at each, and to ones seen before; pointing at tokens."""
    turns = Turns()
    for _ in range(runs):
        for tokens, page in pages.items():
            with studio(browser, f"{page.as_uri()}#layer=0&step=1") as opened:
                walks = (
                    ("first", "ArrowDown", range(1, 7), 0.0),
                    ("looking", "ArrowDown", range(7, 12), LOOK),
                    ("again", "ArrowUp", range(10, -1, -1), 0.0),
                )
                for name, key, layers, look in walks:
                    turns.add(str(tokens), **{name: middle(switches(opened, key, list(layers), look))})
                found = hovers(opened, list(range(1, 16)))
                turns.add(
                    str(tokens), hover=middle([one["milliseconds"] for one in found]), handler=middle([one["worked"] for one in found])
                )
    return {name: turns.medians(name, 1) for name in ("first", "looking", "again", "hover", "handler")}


def stepping(browser: Browser, runs: int, folder: Path) -> dict[str, float]:
    """A run of many steps and inputs: from the server's first answer to the page, and from the slider to the next model view."""
    turns = Turns()
    with served({"many": many_steps(folder, steps=STEPS, inputs=INPUTS)}) as addresses:
        first = "(performance.getEntriesByType('navigation')[0]?.responseStart ?? 0)"
        for turn in range(runs):
            turns.add("steps", opened=shown(browser, addresses["many"], BOTH, whole=False)["seconds"])
            with studio(browser, addresses["many"]) as page:
                turns.add("steps", answered=page.evaluate(first) / 1000)
                places = [*range(40, 46), *range(5 + turn, 35, 5)]  # the next step after a look, then any that nobody has looked at
                for at in places:
                    page.wait_for_timeout(1000 * LOOK)
                    move = f"const s = document.querySelector('.step input'); s.value = {at}; s.dispatchEvent(new Event('input', {{ bubbles: true }}))"
                    found = act(page, move, f"[data-view=model][data-ready^='{100 * at}/']")
                    turns.add("steps", **{"next" if 40 < at < 46 else "any": found["milliseconds"]})
    found = {name: turns.medians(name)["steps"] for name in ("opened", "answered", "next", "any")}
    return {
        "ready, seconds after the first answer": round(found["opened"] - found["answered"], 3),
        "slider to the next step's model view, ms": round(found["next"], 1),
        "slider to any step's model view, ms": round(found["any"], 1),
    }


def goals(found: Row) -> list[Row]:
    """What the design asks for beside what was measured."""
    view, acts, steps = found["model view over attnlog view"], found["acting"], found["steps"]
    elements = [row["elements"]["attnlog head"] for row in found["paint"]] + [row["elements"] for row in found["alone"]]

    def ratio(values: dict[str, float], big: int, small: int) -> float | None:
        return round(values[str(big)] / values[str(small)], 2) if {str(big), str(small)} <= values.keys() else None

    asked = [
        ("model view at 1024 tokens beside 64, over attnlog view", ratio(view, 1024, 64), 1.3),
        (f"layer switch at 512 tokens beside 128, after a look of {LOOK:g} s", ratio(acts["looking"], 512, 128), 2),
        ("layer switch at 512 tokens beside 128, one right after the other", ratio(acts["first"], 512, 128), 2),
        ("layer switch at 512 tokens beside 128, to a layer seen before", ratio(acts["again"], 512, 128), 2),
        ("pointing at a token at 4096 tokens beside 128", ratio(acts["hover"], 4096, 128), 2),
        ("elements in the document, most of all sizes", max(elements, default=None), 5000),
        (f"{STEPS} steps of {INPUTS} inputs: seconds from first answer to ready", steps["ready, seconds after the first answer"], 1),
        ("slider to the next step's model view, ms", steps["slider to the next step's model view, ms"], 150),
        ("slider to any step's model view, ms", steps["slider to any step's model view, ms"], 150),
    ]
    return [{"what": what, "found": value, "goal": most, "met": value is not None and value <= most} for what, value, most in asked]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tokens", type=int, nargs="*", default=[16, 32, 64, 128], help="beside BertViz")
    parser.add_argument("--alone", type=int, nargs="*", default=[256, 512, 1024, 2048, 4096], help="ours without it")
    parser.add_argument("--runs", type=int, default=3)
    arguments = parser.parse_args()
    runs: int = arguments.runs
    found: Row = {}
    with tempfile.TemporaryDirectory() as name, sync_playwright() as playwright:
        folder = Path(name)
        made = {tokens: our_run(tokens, folder) for tokens in sorted({*arguments.tokens, *arguments.alone, 64, 128, 512, 1024, 4096})}
        pages = {tokens: our_page(run) for tokens, run in made.items()}
        browser = launch(playwright)
        found["paint"] = []
        for tokens in arguments.tokens:
            found["paint"].append(beside_bertviz(browser, tokens, runs, folder, pages[tokens]))
            progress("paint", found["paint"][-1])
        found["alone"] = alone(browser, {tokens: pages[tokens] for tokens in arguments.alone}, runs)
        progress("alone", found["alone"])
        found["model view over attnlog view"] = over_view(
            browser, {tokens: made[tokens] for tokens in (64, 256, 1024, 4096) if tokens in made}, max(5, runs)
        )
        progress("view", found["model view over attnlog view"])
        browser.close()
        browser = launch(playwright, *UNCAPPED)
        found["acting"] = acting(browser, {tokens: pages[tokens] for tokens in (128, 512, 4096)}, runs)
        progress("acting", found["acting"])
        found["steps"] = stepping(browser, runs, folder)
        browser.close()
    found["goals"] = goals(found)
    # Others on the machine make everything slower: how many wanted its cores, on average, in the last minutes.
    found["machine"] = {"cores": os.cpu_count(), "load": [round(one, 1) for one in os.getloadavg()]}
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
