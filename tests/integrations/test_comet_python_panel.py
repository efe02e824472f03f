"""The Python panel in a real Streamlit, over what the real client logged to a loopback server, in Chromium."""

from __future__ import annotations

import ast
import hashlib
import json
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import comet_ml
import numpy as np
import pytest

import attnlog
from attnlog.boundary import Boundary
from attnlog.delivery.queue import Delivery
from attnlog_integrations.comet.panel import python_code
from attnlog_integrations.comet.python_panel import Experiment, Kept, remembered
from attnlog_integrations.comet.tracker import CometTracker
from tests.integrations.comet_loopback import Loopback, loopback
from tests.integrations.comet_python_host import given, python_host
from tests.integrations.files import entries, small_run
from tests.integrations.screen import shows

ONE, TWO, EMPTY, BAD, FRESH = "1" * 32, "2" * 32, "3" * 32, "4" * 32, "5" * 32
INSPECT = "AttnlogStudio.inspect(document.getElementById('attnlog'))"
#: What somebody may call an experiment.
NAME = "![x](http://127.0.0.1:9/x.png) *x*"


@pytest.fixture(scope="module")
def comet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Loopback]:
    """Two experiments with a run each, one with none, and one of which an asset was damaged."""
    with loopback() as server, pytest.MonkeyPatch.context() as patch:
        for name, value in server.environment().items():
            patch.setenv(name, value)
        folder = small_run(tmp_path_factory.mktemp("run") / "run")
        server.names[BAD] = NAME
        other = small_run(tmp_path_factory.mktemp("other") / "run", scale=3.0)
        for key, run in {ONE: folder, TWO: other, BAD: folder, FRESH: folder}.items():
            delivery = Delivery(run, [CometTracker(run, run=key)], Boundary())
            delivery.offer(entries(run))
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
    studio(page).get_by_text("The data of this step are not in this page.").first.wait_for()
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
    frame = page.locator("iframe").last.element_handle().content_frame()
    frame.wait_for_function(f"{INSPECT}.head.signed")
    read: list[Any] = [attnlog.open(f"comet:{key}").read(step=300, input=0).weights("self", 0) for key in (ONE, TWO)]
    a, b = read
    for head in range(len(a)):
        np.testing.assert_allclose(frame.evaluate(f"{INSPECT}.head.weights({head})"), (b - a)[head].ravel(), atol=1e-6)
    assert np.abs(b - a).max() > 0.1


def test_what_cannot_be_shown_is_told(address: str, page: Any) -> None:
    page.goto(address + given([]))
    page.get_by_text("No experiment is chosen").wait_for(timeout=60_000)
    page.goto(address + given([EMPTY]))
    page.get_by_text("None of the 1 chosen experiments has attention").wait_for(timeout=60_000)
    page.goto(address + given([BAD]))
    page.get_by_text("is not as it was logged").wait_for(timeout=60_000)
    alert = page.get_by_test_id("stAlert")
    assert f"of {NAME} is not as it was logged" in alert.inner_text()
    assert alert.locator("img, em").count() == 0
    studio(page).get_by_text("The weights of step 300 are not in this page.").first.wait_for()


def test_options_say_where_it_begins_and_what_a_page_may_carry(address: str, page: Any) -> None:
    page.goto(address + given([ONE], {"step": 200, "layer": 1, "heads": [1], "theme": "dark", "height": 600}))
    page.locator("iframe").wait_for(timeout=60_000)
    ready(page, "head", "200/0/self/1")
    assert studio(page).locator("#attnlog").get_attribute("data-theme") == "dark"
    page.goto(address + given([ONE], {"step": "200", "budget": "30MB"}))
    ready(page, "head", "200/0/self")
    assert not page.get_by_test_id("stAlert").is_visible()
    page.goto(address + given([ONE], {"step": "last", "height": "tall", "budget": "30 apples", "view": "matrix"}))
    ready(page, "matrix", "300/0/self")
    said = page.get_by_test_id("stAlert").inner_text()
    assert 'step is "last", and may be: a step\'s number' in said
    assert 'height is "tall", and may be: a number of pixels, such as 820' in said
    assert 'budget is "30 apples", and may be: a size, such as 30MB' in said
    page.goto(address + given([ONE], {"budget": 17_000}))  # inputs, index and pictures of a step
    studio(page).get_by_text("do not fit the panel's budget").wait_for(timeout=60_000)
    studio(page).get_by_text("The weights of step 300 are not in this page.").first.wait_for()


def test_another_choice_reads_what_is_new_and_no_index_that_a_roll_up_holds(address: str, page: Any, comet: Loopback) -> None:
    page.goto(address + given([FRESH]))
    page.locator("iframe").wait_for(timeout=60_000)
    ready(page, "head", "300/0/self")
    before = comet.read.copy()
    choose(page, "step", "100")
    ready(page, "head", "100/0/self")
    read = comet.read - before
    assert read == dict.fromkeys([(FRESH, name) for name in comet.of(FRESH) if "step-00000100" in name], 1)
    assert not [name for key, name in comet.read if key == FRESH and "step-00000200" in name]
    choose(page, "step", "300")
    ready(page, "head", "300/0/self")
    assert comet.read == before + read


def test_what_is_kept_for_the_next_choice_is_bounded_in_bytes() -> None:
    held, read = Kept(100), []

    def get(asset: str) -> bytes:
        return held.get(asset, lambda: read.append(asset) or bytes(30))  # type: ignore[func-returns-value]

    for _ in range(2):
        for asset in ("a", "b", "c"):
            get(asset)
    assert (read, held.bytes) == (["a", "b", "c"], 90)
    get("a")
    get("d")  # b was asked for longest ago
    get("a")
    assert (read, held.bytes) == (["a", "b", "c", "d"], 90)
    get("b")
    assert read[-1] == "b"
    held.get("large", lambda: bytes(101))
    assert held.bytes == 0


class Logged:
    """An experiment with one manifest, as Comet's client gives it."""

    id, name = ONE, "one"

    def __init__(self, *lines: Any) -> None:
        self._text = "".join(json.dumps(line) + "\n" for line in lines)

    def get_asset_list(self) -> list[dict[str, Any]]:
        return [{"fileName": "attnlog/manifest-w.jsonl", "assetId": "m", "createdAt": 1}]

    def get_asset(self, _asset: str, return_type: str) -> bytes:
        assert return_type == "binary"
        return self._text.encode()


def commit(n: Any, step: int) -> dict[str, Any]:
    return {"type": "commit", "n": n, "step": step, "time": 1.0, "assets": [{"kind": "index", "path": f"step-{step}/w-0/index.arrow"}]}


@pytest.mark.parametrize("bad", [[1], {"a": 1}, "1", None, True, 1.5])
def test_a_line_whose_number_is_none_leaves_the_others_readable(bad: Any) -> None:
    def plain(**_said: Any) -> Any:
        return lambda function: function

    st = SimpleNamespace(cache_data=plain, cache_resource=plain)
    roll_up = {"type": "indexes", "asset": {"path": "indexes-w-1.arrow"}, "commits": [0, 1, bad]}
    opened = Experiment(st, Logged(commit(0, 100), commit(1, 200), commit(bad, 300), roll_up)).open()
    assert {100, 200} <= set(opened.commits)
    assert [paths for _, paths in opened.roll_ups] == [{"step-100/w-0/index.arrow", "step-200/w-0/index.arrow"}]


def test_panels_of_other_experiments_do_not_share_what_was_chosen() -> None:
    assert remembered([ONE, TWO]) == remembered([TWO, ONE]) != remembered([ONE])


def test_nothing_that_was_logged_is_changed(comet: Loopback) -> None:
    api = comet_ml.APIExperiment(previous_experiment=ONE, cache=False)
    for asset in api.get_asset_list():
        metadata = comet.of(ONE)[asset["fileName"]].metadata
        data = api.get_asset(asset["assetId"], return_type="binary")
        assert hashlib.sha256(data).hexdigest() == metadata["sha256"]
