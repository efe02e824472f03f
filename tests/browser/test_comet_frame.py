"""Comet's panel in frames that allow little, and in a page that chooses other experiments or puts other HTML in its place."""

from __future__ import annotations

import base64
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from attnlog.view.export import script_safe
from attnlog_integrations.comet.panel import write_panel
from tests.browser.pages import GOLDEN, sandboxed
from tests.browser.test_embedded import inspect

if TYPE_CHECKING:
    from playwright.sync_api import Page

#: Scripts of the page itself, and neither a worker nor a request to anybody.
POLICY = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:; worker-src 'none'"

#: Stands for Comet's page, which cannot exist here: the class that panels extend, over assets that the page carries. Of the
#: experiment `late` nothing has been recorded.
COMET = """
const carried = %s, bytes = (name) => Uint8Array.from(atob(carried[name]), (letter) => letter.charCodeAt(0));
globalThis.Comet = {
  Panel: class {
    constructor() {
      this.options = {};
      this.api = {
        experimentName: async (key) => "experiment " + key,
        experimentAssets: async (key) => (key === "late" ? [] : Object.keys(carried)).map((name) => (
          { assetId: name, fileName: name, fileSize: bytes(name).length, createdAt: 1 })),
        experimentAsset: async (key, name, type) => type === "text" ? new TextDecoder().decode(bytes(name)) : bytes(name).buffer,
      };
    }
  },
};
"""


def assets(run: str) -> dict[str, bytes]:
    files = (file for file in (GOLDEN / run).rglob("*") if file.suffix in (".arrow", ".jsonl"))
    return {f"attnlog/{file.relative_to(GOLDEN / run).as_posix()}": file.read_bytes() for file in files}


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Code, HTML and CSS of the panel, as Comet takes them from its zip."""
    with zipfile.ZipFile(write_panel(tmp_path_factory.mktemp("panel") / "panel.zip")) as archive:
        found: dict[str, str] = json.loads(archive.read("tempVisualizationTemplate.json"))["code"]
    return found


def frame(parts: dict[str, str], chosen: list[str], policy: str | None = None) -> str:
    """The page that Comet makes of a panel."""
    carried = json.dumps({name: base64.b64encode(data).decode() for name, data in assets("decoder").items()})
    said = f'<meta http-equiv="Content-Security-Policy" content="{policy}">' if policy else ""
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8">{said}<title>panel</title><style>{parts["css"]}</style></head>'
        f"<body>{parts['html']}<script>{COMET % carried}</script><script>{script_safe(parts['code'])}</script>"
        f"<script>const panel = new AttnlogPanel(); panel.setup(); panel.draw({json.dumps(chosen)})</script></body></html>"
    )


def test_a_frame_without_origin_workers_or_network_shows_every_view(
    page: Page, complaints: list[str], parts: dict[str, str], tmp_path: Path
) -> None:
    file = tmp_path / "outer.html"
    file.write_text(sandboxed(frame(parts, ["one"], POLICY)), encoding="utf-8")
    page.set_viewport_size({"width": 700, "height": 700})
    page.goto(file.as_uri())
    inside = page.frames[1]
    inside.wait_for_selector('[data-attnlog-state="ready"]')
    for view in ("head", "model", "matrix", "neuron", "timeline", "tokens"):
        inside.locator(f'[data-open-view="{view}"]').first.click()
        inside.wait_for_selector(f'[data-view="{view}"][data-ready]')
    assert page.workers == []
    # Chromium says of itself that it refused the worker.
    refused = [said for said in complaints if "worker" in said.lower()]
    assert complaints == refused
    complaints.clear()


@pytest.fixture
def panel(page: Page, show: Callable[..., None], parts: dict[str, str]) -> Page:
    """A panel of two experiments, of which the second is shown."""
    show(page, frame(parts, ["one", "two"]))
    page.get_by_label("experiment", exact=True).select_option("two")
    page.wait_for_function(f"{RUN} === 'two'")
    page.wait_for_selector('[data-attnlog-state="ready"]')
    return page


RUN = "AttnlogStudio.inspect(document.getElementById('attnlog')).run?.id"


def test_other_html_in_its_place_ends_the_studio_before(panel: Page) -> None:
    assert len(panel.workers) == 1
    panel.evaluate("document.getElementById('attnlog').outerHTML = '<div id=\"attnlog\"></div>'")
    panel.evaluate("panel.draw(['one', 'two'])")
    panel.wait_for_selector('[data-view="head"][data-ready]')
    assert inspect(panel, "run.id") == "two"
    assert len(panel.workers) == 1
    # One studio moves by one layer; two of them, in one page, would both hear the key.
    panel.keyboard.press("ArrowDown")
    panel.wait_for_selector('[data-view="head"][data-ready="200/0/self/1"]')


def test_experiments_chosen_twice_in_a_moment_leave_no_word_about_an_address(panel: Page) -> None:
    panel.evaluate("panel.draw(['two', 'late']); panel.draw(['one'])")
    panel.wait_for_function(f"{RUN} === 'one'")
    panel.wait_for_selector('[data-view="head"][data-ready]')
    assert panel.locator(".address-said").inner_text() == ""


def test_what_was_shown_comes_back_where_its_experiment_was_not_chosen_for_a_moment(panel: Page) -> None:
    panel.evaluate("panel.draw([])")
    panel.get_by_text("No experiment is chosen.").wait_for()
    panel.evaluate("panel.draw(['one', 'two'])")
    panel.wait_for_function(f"{RUN} === 'two'")


def test_an_experiment_that_records_later_appears_by_itself(new_page: Callable[..., Page], parts: dict[str, str], tmp_path: Path) -> None:
    page = new_page(700, 700)
    page.clock.install()
    file = tmp_path / "late.html"
    file.write_text(frame(parts, ["late"]), encoding="utf-8")
    page.goto(file.as_uri())
    page.get_by_text("The chosen experiment has no attention that attnlog logged.").wait_for()
    page.evaluate("panel.api.experimentAssets = ((list) => () => list('one'))(panel.api.experimentAssets)")
    page.clock.run_for(31_000)
    page.wait_for_selector('[data-attnlog-state="ready"]')
