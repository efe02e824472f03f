"""The Python panel in a real Streamlit, over what the real client logged to a loopback server, in Chromium."""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterator
from typing import Any

import comet_ml
import pytest

from attnlog.boundary import Boundary
from attnlog.delivery.queue import Delivery
from attnlog_integrations.comet.panel import python_code
from attnlog_integrations.comet.tracker import CometTracker
from tests.integrations.comet_loopback import Loopback, loopback
from tests.integrations.comet_python_host import given, python_host
from tests.integrations.files import entries, small_run
from tests.integrations.screen import shows

ONE, TWO, EMPTY, BAD = "1" * 32, "2" * 32, "3" * 32, "4" * 32


@pytest.fixture(scope="module")
def comet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Loopback]:
    """Two experiments with a run each, one with none, and one of which an asset was damaged."""
    with loopback() as server, pytest.MonkeyPatch.context() as patch:
        for name, value in server.environment().items():
            patch.setenv(name, value)
        folder = small_run(tmp_path_factory.mktemp("run") / "run")
        for key in (ONE, TWO, BAD):
            delivery = Delivery(folder, [CometTracker(folder, run=key)], Boundary())
            delivery.offer(entries(folder))
            delivery.finish(wait=120)
        damaged = next(a for name, a in server.of(BAD).items() if "step-00000300" in name and name.endswith("attention.arrow"))
        damaged.data = damaged.data[:500] + bytes([damaged.data[500] ^ 1]) + damaged.data[501:]
        yield server


@pytest.fixture(scope="module")
def address(comet: Loopback, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with python_host(tmp_path_factory.mktemp("panel"), python_code(), [ONE, TWO, EMPTY], comet.environment()) as found:
        yield found


@pytest.fixture
def page(browser: Any) -> Iterator[Any]:
    opened = browser.new_page(viewport={"width": 1300, "height": 1000})
    yield opened
    opened.close()


def studio(page: Any) -> Any:
    return page.locator("iframe").last.content_frame


def choose(page: Any, label: str, option: str) -> None:
    page.get_by_role("combobox", name=label).click()
    page.get_by_role("option", name=option, exact=True).click()


def ready(page: Any, view: str, key: str) -> None:
    studio(page).locator(f'[data-view="{view}"][data-ready^="{key}"]').wait_for(timeout=60_000)


def test_the_code_is_for_the_python_that_comet_runs() -> None:
    tree = ast.parse(python_code(), feature_version=(3, 9))
    imported = {alias.name.split(".")[0] for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    imported |= {str(node.module).split(".")[0] for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert not {name for name in imported if name.startswith("attnlog")}
    assert "<script>" not in python_code().partition("STUDIO = (")[2].partition(")")[0]


def test_views_are_drawn_and_another_step_and_experiment_chosen(address: str, page: Any, comet: Loopback) -> None:
    page.goto(address)
    page.locator("iframe").wait_for(timeout=120_000)
    shows(studio(page))
    ready(page, "head", "300/0/self/0")
    studio(page).get_by_label("layer", exact=True).select_option("1")
    ready(page, "head", "300/0/self/1")
    choose(page, "step", "100")
    ready(page, "head", "100/0/self/1")  # what was chosen in the viewer stays
    ready(page, "neuron", "100/0/self/1")
    studio(page).get_by_role("slider", name="step", exact=True).press("End")
    studio(page).get_by_text("The weights of step 300 are not in this page.").first.wait_for()
    assert "Choose the step above the viewer" in studio(page).locator("body").inner_text()
    choose(page, "experiment", "loopback " + TWO[:4])
    ready(page, "head", "300/0/self/1")
    assert comet.key not in page.content() and comet.key not in studio(page).locator("html").inner_html()


def test_a_step_and_an_experiment_are_compared_with_another(address: str, page: Any) -> None:
    page.goto(address)
    choose(page, "compare with", "step 100")
    studio(page).get_by_text("A: step 300 · B: step 100").wait_for()
    ready(page, "head", "300/0/self/0")
    choose(page, "compare with", f"loopback {TWO[:4]}, step 300")
    studio(page).get_by_text(f"A: step 300 · B: loopback {TWO[:4]}, step 300").wait_for()
    ready(page, "head", "300/0/self/0")


def test_what_cannot_be_shown_is_told(address: str, page: Any) -> None:
    page.goto(address + given([]))
    page.get_by_text("No experiment is chosen").wait_for(timeout=60_000)
    page.goto(address + given([EMPTY]))
    page.get_by_text("None of the 1 chosen experiments has attention").wait_for(timeout=60_000)
    page.goto(address + given([BAD]))
    page.get_by_text("is not as it was logged").wait_for(timeout=60_000)
    studio(page).get_by_text("The weights of step 300 are not in this page.").first.wait_for()


def test_options_say_where_it_begins_and_what_a_page_may_carry(address: str, page: Any) -> None:
    page.goto(address + given([ONE], {"step": 200, "layer": 1, "heads": [1], "theme": "dark", "height": 600}))
    page.locator("iframe").wait_for(timeout=60_000)
    ready(page, "head", "200/0/self/1")
    assert studio(page).locator("#attnlog").get_attribute("data-theme") == "dark"
    page.goto(address + given([ONE], {"budget": 17_000}))  # inputs, index and pictures of a step
    studio(page).get_by_text("do not fit the panel's budget").wait_for(timeout=60_000)
    studio(page).get_by_text("The weights of step 300 are not in this page.").first.wait_for()


def test_nothing_that_was_logged_is_changed(comet: Loopback) -> None:
    api = comet_ml.APIExperiment(previous_experiment=ONE, cache=False)
    for asset in api.get_asset_list():
        metadata = comet.of(ONE)[asset["fileName"]].metadata
        data = api.get_asset(asset["assetId"], return_type="binary")
        assert hashlib.sha256(data).hexdigest() == metadata["sha256"]
