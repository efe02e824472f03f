"""What a person chooses in a Comet panel's drop-downs is what is drawn: the numbers on the screen are those that Python reads."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import attnlog
from attnlog_integrations.comet.panel import write_panel
from tests.integrations.comet_host import host_page
from tests.integrations.files import files, small_run
from tests.integrations.screen import shows

INSPECT = "AttnlogStudio.inspect(document.getElementById('attnlog'))"
PAIR = Path(__file__).parents[1] / "golden" / "pair"
WIDE, NARROW = {"width": 1400, "height": 900}, {"width": 400, "height": 600}


@pytest.fixture(scope="module")
def panel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_panel(tmp_path_factory.mktemp("panel") / "panel.zip")


@pytest.fixture
def page(browser: Any) -> Iterator[Any]:
    opened = browser.new_page(viewport=NARROW)
    yield opened
    opened.close()


def assets(folder: Path) -> dict[str, bytes]:
    """The run's files as they are named in Comet."""
    return {f"attnlog/{path}": data for path, data in files(folder).items()}


def choose(page: Any, control: str, **option: Any) -> None:
    page.get_by_label(control, exact=True).select_option(**option)


def weights(folder: Path, step: int, input: int = 0) -> Any:
    return attnlog.open(folder).read(step=step, input=input).weights("self", 0)


def drawn(page: Any, key: str) -> None:
    page.locator(f'[data-view="head"][data-ready="{key}"]').wait_for(timeout=60_000)


def is_shown(page: Any, wanted: Any) -> None:
    """The weights of each head that the head view draws."""
    for head, expected in enumerate(wanted):
        np.testing.assert_allclose(page.evaluate(f"{INSPECT}.head.weights({head})"), expected.ravel(), atol=1e-6)


def picture(page: Any) -> str:
    return str(page.locator('[data-view="head"] canvas').first.evaluate("canvas => canvas.toDataURL()"))


def test_input_and_recorded_step_are_chosen_by_their_drop_downs(panel: Path, page: Any, tmp_path: Path) -> None:
    folder = small_run(tmp_path / "run")
    with host_page(panel, {"one": assets(folder)}) as address:
        page.goto(address)
        shows(page, ("head",))
        drawn(page, "300/0/self/0")
        is_shown(page, weights(folder, 300, 0))
        pictures = [picture(page)]
        choose(page, "input", index=1)
        drawn(page, "300/1/self/0")
        is_shown(page, weights(folder, 300, 1))
        pictures.append(picture(page))
        choose(page, "recorded step", label="100")
        drawn(page, "100/1/self/0")
        is_shown(page, weights(folder, 100, 1))
        pictures.append(picture(page))
        assert len(set(pictures)) == 3


def test_the_pair_filter_shows_one_text_looking_at_the_other(panel: Path, page: Any) -> None:
    with host_page(panel, {"one": assets(PAIR)}) as address:
        page.goto(address)
        shows(page, ("head",))
        tokens = {side: page.locator(f".tokens-{side} .tok-text") for side in ("left", "right")}
        every = tokens["left"].all_inner_texts()
        assert tokens["right"].all_inner_texts() == every
        before = picture(page)
        choose(page, "pair filter", label="A → B")
        page.wait_for_function(f"{INSPECT}.state.pair === 'ab'")
        first, second = tokens["left"].all_inner_texts(), tokens["right"].all_inner_texts()
        assert first + second == every
        assert picture(page) != before
        choose(page, "pair filter", label="B → A")
        page.wait_for_function(f"{INSPECT}.state.pair === 'ba'")
        assert (tokens["left"].all_inner_texts(), tokens["right"].all_inner_texts()) == (second, first)


def test_the_difference_of_two_experiments_is_that_of_numpy(panel: Path, page: Any, tmp_path: Path) -> None:
    folders = small_run(tmp_path / "one"), small_run(tmp_path / "two", scale=3.0)
    a, b = (weights(folder, 300) for folder in folders)
    assert np.abs(b - a).max() > 0.1
    page.set_viewport_size(WIDE)
    with host_page(panel, {"one": assets(folders[0]), "two": assets(folders[1])}) as address:
        page.goto(address)
        shows(page, ("head",))
        choose(page, "compare with another", label="experiment")
        page.get_by_role("group", name="side drawn").get_by_text("B − A").click()
        page.get_by_text("B: experiment two, step 300").wait_for()
        page.wait_for_function(f"{INSPECT}.head.signed")
        is_shown(page, b - a)
