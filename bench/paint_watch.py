"""What ``paint.py`` measures in a page: when a picture is finished, what an action takes, how much is in the document and the heap."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, Route

HERE = Path(__file__).parent
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
BOTH = f"{OURS % 'head'} && {OURS % 'model'}"
EMPTY = "document.readyState === 'complete'"
# Times an action from its event to the end of the frame that shows what it did: once the selector is there, or at once.
TIMED = """
  const framed = () => new Promise((resolve) => requestAnimationFrame(() => {
    const channel = new MessageChannel();
    channel.port1.onmessage = () => resolve(performance.now());
    channel.port2.postMessage(0);
  }));
  window.bench = async (act, selector) => {
    await framed();
    const begin = performance.now();
    act();
    const worked = performance.now() - begin;
    if (selector && !document.querySelector(selector)) await new Promise((resolve) => {
      const look = () => document.querySelector(selector) && (observer.disconnect(), resolve());
      const observer = new MutationObserver(look);
      observer.observe(document, { subtree: true, attributes: true, attributeFilter: ["data-ready"] });
    });
    return { milliseconds: (await framed()) - begin, worked };
  };
"""
# Frames as soon as they are made: at sixty a second an action would take 17 or 33 ms, and nothing between.
UNCAPPED = ("--disable-frame-rate-limit", "--disable-gpu-vsync")


def library(route: Route) -> None:
    """Answer for the CDN."""
    name = route.request.url.rsplit("/", 1)[-1]
    route.fulfill(path=HERE / "node_modules" / LIBRARIES[name], content_type="text/javascript")


def heap(page: Page) -> float:
    """Megabytes that the page's JavaScript holds (buffers of typed arrays and the decoding worker not among them), after a collection."""
    session = page.context.new_cdp_session(page)
    session.send("HeapProfiler.enable")
    session.send("HeapProfiler.collectGarbage")
    session.send("Performance.enable")
    found = {one["name"]: one["value"] for one in session.send("Performance.getMetrics")["metrics"]}
    return float(found["JSHeapUsedSize"]) / 1e6


def shown(browser: Browser, address: str, done: str, *, whole: bool = True) -> dict[str, float]:
    """Open a page and say when its picture was finished, since navigation began; `whole`: with elements and heap as they are then."""
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.set_default_timeout(600_000)
    page.route("https://cdnjs.cloudflare.com/**", library)
    page.add_init_script(WATCH % done)
    page.goto(address, wait_until="commit")
    # Read as an attribute: the exported page forbids evaluating text as script.
    page.wait_for_selector("html[data-shown]", state="attached")
    found = {"seconds": float(page.get_attribute("html", "data-shown") or "nan") / 1000}
    if whole:
        found |= {"elements": page.locator("*").count(), "heap": heap(page)}
    page.close()
    return found


@contextmanager
def studio(browser: Browser, address: str) -> Iterator[Page]:
    """A page of ours that is ready and can be acted on."""
    context = browser.new_context(viewport={"width": 1280, "height": 900}, bypass_csp=True)
    page = context.new_page()
    page.set_default_timeout(120_000)
    page.add_init_script(TIMED)
    page.goto(address)
    for view in ("head", "model", "timeline"):
        page.wait_for_selector(f"[data-view={view}][data-ready]")
    page.wait_for_timeout(500)
    yield page
    context.close()


def act(page: Page, script: str, selector: str = "") -> dict[str, float]:
    """Milliseconds from an event to the frame that shows what it did, and of them those spent while the event was handled."""
    found: dict[str, float] = page.evaluate(f"(selector) => window.bench(() => {{ {script} }}, selector)", selector)
    return found


def switches(page: Page, key: str, layers: list[int], look: float = 0) -> list[float]:
    """Milliseconds of moving through layers by a key, until the head view has drawn each; each is looked at for so many seconds before."""
    event = f"document.body.dispatchEvent(new KeyboardEvent('keydown', {{ key: '{key}', bubbles: true, cancelable: true }}))"
    found = []
    for layer in layers:
        page.wait_for_timeout(1000 * look)
        found.append(act(page, event, f"[data-view=head][data-ready='1/0/self/{layer}']")["milliseconds"])
    return found


def hovers(page: Page, rows: list[int]) -> list[dict[str, float]]:
    """Milliseconds of pointing at tokens, until their lines are drawn."""
    point = "document.querySelector('.tokens-left .tok[data-row=\"%d\"]').dispatchEvent(new PointerEvent('pointerover', { bubbles: true }))"
    return [act(page, point % row) for row in rows]


def middle(values: list[Any]) -> float:
    """The median, or NaN of nothing."""
    return float(statistics.median(values)) if values else float("nan")
