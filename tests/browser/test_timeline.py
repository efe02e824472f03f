"""The timeline: heads and recorded numbers over the steps, all heads as heat, playing, and two steps to compare."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from tests.browser.pages import GOLDEN, embedded, expected, uniform, written
from tests.browser.test_embedded import inspect, ready, text

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import Page

Show = Callable[..., None]
Pages = Callable[..., "Page"]
HEAT = "#timeline.mode=heat&metric=entropy"


def entropies(run: str = "decoder") -> dict[tuple[int, int], list[float]]:
    """What was recorded of every head at every step, by layer and head."""
    found: dict[tuple[int, int], list[float]] = {}
    for content in expected(run)["steps"].values():
        for layer in content["layers"]:
            for number, head in enumerate(layer["heads"]):
                found.setdefault((layer["layer"], head), []).append(layer["metrics"]["entropy"][number])
    return found


def cell(page: Page, row: int, column: int, rows: int = 8, columns: int = 3) -> tuple[float, float]:
    """Where a cell of the heat stands in its grid."""
    box = page.locator(".heat-grid canvas").bounding_box()
    assert box is not None
    return box["x"] + (column + 0.5) * box["width"] / columns, box["y"] + (row + 0.5) * box["height"] / rows


def step_at(page: Page, share: float) -> tuple[float, float]:
    """A place of the chart, by its share of the way from the first step to the last."""
    box = page.locator(".chart").bounding_box()
    assert box is not None
    return box["x"] + 44 + share * (box["width"] - 44 - 48), box["y"] + box["height"] / 2


def test_heat_holds_all_heads_at_all_steps(page: Page, show: Show) -> None:
    show(page, embedded("decoder"), HEAT)
    ready(page, timeline="200/0/self/0")
    heat, wanted = inspect(page, "timeline.heat"), entropies()
    assert heat["steps"] == [0, 100, 200]
    assert [(one["layer"], one["head"]) for one in heat["heads"]] == sorted(wanted)
    for row, place in enumerate(sorted(wanted)):
        assert heat["values"][3 * row : 3 * row + 3] == pytest.approx(wanted[place], rel=1e-5)
    assert heat["most"] == pytest.approx(max(max(values) for values in wanted.values()), rel=1e-5)
    size = page.evaluate("(({width, height}) => [width, height])(document.querySelector('.heat-grid canvas'))")
    assert size == [3, 8]


def test_a_mode_that_is_none_falls_back_to_lines(page: Page, show: Show) -> None:
    show(page, embedded("decoder"), "#timeline.mode=spiral&timeline.beside=%3Cb%3E")
    ready(page, timeline="200/0/self/0")
    assert inspect(page, "timeline.mode") == "lines"
    assert inspect(page, "timeline.beside") == []


def test_pointing_at_heat_says_head_step_and_value_and_a_click_opens_them(page: Page, show: Show) -> None:
    show(page, embedded("decoder"), HEAT)
    ready(page, timeline="200/0/self/0")
    x, y = cell(page, 6, 1)
    page.mouse.move(x, y)
    said = f"layer 1, head 2, step 100: entropy {entropies()[1, 2][1]:.2f} bits"
    assert text(page, '[data-view="timeline"] .readout') == said
    assert text(page, '[data-view="timeline"] .hint') == said
    page.mouse.click(x, y)
    ready(page, head="100/0/self/1")
    assert inspect(page, "head.heads") == [2]


def test_heat_can_be_walked_by_keys(page: Page, show: Show) -> None:
    show(page, embedded("decoder"), f"{HEAT}&step=100")
    ready(page, timeline="100/0/self/0")
    grid = page.locator(".heat-grid")
    grid.focus()
    for key in ("ArrowDown", "ArrowDown", "ArrowRight"):
        page.keyboard.press(key)
    active = grid.get_attribute("aria-activedescendant")
    assert (page.get_attribute(f"#{active}", "aria-label") or "").startswith("layer 0, head 1, step 200: entropy ")
    assert page.get_attribute(f"#{active}", "aria-colindex") == "3"
    page.keyboard.press("Enter")
    ready(page, head="200/0/self/0")
    assert inspect(page, "head.heads") == [1]


def test_numbers_of_the_trainer_are_chosen_by_name(page: Page, show: Show) -> None:
    show(page, embedded("decoder"))
    ready(page, timeline="200/0/self/0")
    recorded = [
        {"name": "loss", "steps": [0, 100, 200], "values": [3, 2, 1]},
        {"name": "eval_loss", "steps": [0, 100, 200], "values": [2.5, 1.5, 0.5]},
    ]
    assert inspect(page, "timeline.beside") == recorded
    page.click('.beside button:has-text("eval accuracy")')
    page.click('.beside button:text-is("loss")')
    assert [one["name"] for one in inspect(page, "timeline.beside")] == ["eval_loss", "eval_accuracy"]
    assert "timeline.beside=eval_loss,eval_accuracy" in page.evaluate("location.hash")
    assert inspect(page, "timeline.beside[1]") == {"name": "eval_accuracy", "steps": [0], "values": [0.5]}
    page.click('.beside button:has-text("eval accuracy")')
    page.click('.beside button:text-is("loss")')
    assert "timeline.beside" not in page.evaluate("location.hash")


def test_the_best_step_is_said_in_words_and_opened(page: Page, show: Show) -> None:
    show(page, embedded("decoder"), "#step=0")
    ready(page, timeline="0/0/self/0")
    assert inspect(page, "timeline.best")["step"] == 200
    assert text(page, ".best-step") == "★ best: step 200, eval loss 0.50"
    assert page.locator(".chart .best-mark").count() == 1
    page.click(".best-step")
    ready(page, head="200/0/self/0")


def test_without_evaluations_no_step_is_best(page: Page, show: Show, tmp_path: Path) -> None:
    show(page, embedded(written(tmp_path / "plain", [uniform(["a", "b"]), uniform(["a", "b"])])))
    ready(page, timeline="100/0/self/0")
    assert inspect(page, "timeline.best") is None
    assert page.locator(".best-step").is_hidden()
    assert page.locator(".beside").is_hidden()


def test_one_step_is_said_and_has_no_controls(page: Page, show: Show) -> None:
    show(page, embedded("pair"), HEAT)
    ready(page, timeline="0/0/self/0")
    assert "is the only one recorded" in text(page, '[data-view="timeline"]')
    assert page.locator('[data-view="timeline"] .view-controls').is_hidden()
    assert inspect(page, "timeline.taken()") is None


def test_playing_goes_through_the_steps_and_stops_at_the_last(page: Page, show: Show) -> None:
    show(page, embedded("decoder"), "#step=0")
    ready(page, timeline="0/0/self/0", head="0/0/self/0")
    # A step is on screen for a moment only: what was drawn is noted in the page.
    page.evaluate(
        """() => {
          window.drawn = new Set();
          const look = () => {
            for (const view of ['head', 'model']) {
              const key = document.querySelector(`[data-view=${view}]`).dataset.ready;
              if (key) window.drawn.add(`${view} ${key.split('/')[0]}`);
            }
          };
          new MutationObserver(look).observe(document.querySelector('#attnlog'), {
            subtree: true, attributeFilter: ['data-ready'] });
        }"""
    )
    page.click(".play")
    assert inspect(page, "timeline.playing") is True
    assert text(page, ".play").endswith("pause")
    ready(page, head="200/0/self/0", model="200/0/self/-")
    assert {"head 100", "model 100", "head 200", "model 200"} <= set(page.evaluate("[...window.drawn]"))
    page.wait_for_function("document.querySelector('.play').textContent.endsWith('play')")
    assert inspect(page, "timeline.playing") is False
    page.locator(".chart").focus()
    page.keyboard.press("p")
    ready(page, head="0/0/self/0")
    page.keyboard.press("p")
    assert inspect(page, "timeline.playing") is False


def test_playing_waits_for_a_step_that_is_loading(page: Page, show: Show) -> None:
    """A host whose second step takes long: the third is not shown before it."""
    show(page, embedded("decoder"))
    ready(page, head="200/0/self/0")
    page.evaluate(
        """() => {
          const bytes = (path) => {
            const text = atob(document.querySelector(`[data-attnlog-asset="${path}"]`).textContent);
            return Uint8Array.from(text, (c) => c.charCodeAt(0));
          };
          const host = JSON.parse(document.getElementById('attnlog-host').textContent);
          document.getElementById('attnlog').remove();
          const other = document.body.appendChild(document.createElement('div'));
          const late = new Promise((resolve) => { window.arrive = resolve; });
          AttnlogStudio.mount(other, {
            ranges: false,
            runs: async () => [{ id: 'a', name: 'a' }],
            manifests: async () => host.manifests,
            get: async (run, path) => {
              if (path.endsWith('-1/pictures.arrow')) await late;
              return bytes(path);
            },
          }, { state: '#step=0' });
        }"""
    )
    ready(page, head="0/0/self/0", model="0/0/self/-")
    page.click(".play")
    ready(page, head="100/0/self/0")
    page.wait_for_timeout(1500)
    assert inspect(page, "state.step") == 100
    assert inspect(page, "timeline.playing") is True
    page.evaluate("window.arrive()")
    ready(page, model="200/0/self/-")


def test_dragging_with_shift_compares_two_steps(page: Page, show: Show) -> None:
    show(page, embedded("decoder"))
    ready(page, timeline="200/0/self/0")
    page.keyboard.down("Shift")
    page.mouse.move(*step_at(page, 0))
    page.mouse.down()
    page.mouse.move(*step_at(page, 0.3))
    page.mouse.move(*step_at(page, 0.5))
    assert inspect(page, "state.step") == 200, "nothing is fetched while the pointer is down"
    page.mouse.up()
    page.keyboard.up("Shift")
    page.wait_for_function("location.hash.includes('compare')")
    assert inspect(page, "state.step") == 0
    assert inspect(page, "state.compare") == {"run": None, "step": 100, "input": None}
    assert inspect(page, "state.side") == "diff"
    assert inspect(page, "timeline.compared") == 100
    assert page.locator(".chart-marks text").all_text_contents() == ["B", "A"]
    assert "compare=step:100" in page.evaluate("decodeURIComponent(location.hash)")


@pytest.mark.parametrize("address", ["#step=200", "#step=200&timeline.mode=heat"])
def test_steps_to_compare_are_chosen_without_a_pointer(page: Page, show: Show, address: str) -> None:
    show(page, embedded("decoder"), address)
    ready(page, timeline="200/0/self/0")
    page.locator(".chart, .heat-grid").focus()
    page.keyboard.press("Shift+ArrowLeft")
    assert inspect(page, "state.compare.step") == 100
    page.keyboard.press("Shift+ArrowLeft")
    assert inspect(page, "state.compare.step") == 0
    page.keyboard.press("Shift+End")
    assert inspect(page, "state.compare") is None, "a step is not compared with itself"
    assert inspect(page, "state.step") == 200


def test_moving_the_step_moves_marks_and_draws_no_line_again(page: Page, show: Show) -> None:
    show(page, embedded("decoder"))
    ready(page, timeline="200/0/self/0")
    page.evaluate("window.line = document.querySelector('.chart path')")
    page.mouse.move(*step_at(page, 0.2))
    page.locator(".chart").focus()
    page.keyboard.press("ArrowLeft")
    ready(page, timeline="100/0/self/0")
    assert page.evaluate("window.line.isConnected")
    assert page.get_attribute(".chart", "aria-valuenow") == "100"
    assert page.get_attribute(".chart-marks line", "data-step") == "100"


def test_heat_leaves_out_and_says_what_could_not_be_read(page: Page, show: Show) -> None:
    def carried(path: str, data: bytes) -> bytes | None:
        return None if path.endswith("-1/index.arrow") else data

    show(page, embedded("decoder", change=carried), HEAT)
    ready(page, timeline="200/0/self/0")
    assert "1 step could not be read and is left out of the heat." in text(page, '[data-view="timeline"]')
    values = inspect(page, "timeline.heat.values")
    assert [value is None for value in values] == [False, True, False] * 8
    page.mouse.move(*cell(page, 0, 1))
    assert text(page, '[data-view="timeline"] .readout') == "layer 0, head 0, step 100: entropy not known"


@pytest.mark.parametrize("address", ["#layer=1&heads=0,3&metric=entropy&timeline.beside=loss,eval_accuracy", HEAT])
def test_what_is_on_screen_can_be_taken_away(page: Page, show: Show, address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    show(page, embedded("decoder"), address)
    ready(page, timeline=f"200/0/self/{1 if 'layer=1' in address else 0}")
    taken = inspect(page, "timeline.taken()")
    wanted = entropies() if address == HEAT else {place: entropies()[place] for place in ((1, 0), (1, 3))}
    heads = [f"{layer}.{head}" for layer, head in sorted(wanted)]
    assert taken["columns"][: len(heads) + 1] == ["step", *heads]
    assert [row[0] for row in taken["rows"]] == [0, 100, 200]
    for column, place in enumerate(sorted(wanted)):
        assert [row[column + 1] for row in taken["rows"]] == pytest.approx(wanted[place], rel=1e-5)
    picture = ET.fromstring(taken["svg"])
    said = "".join(picture.itertext())
    assert taken["title"] in said
    assert not [one for one in picture.iter() if one.tag.endswith("style") or "var(" in str(one.attrib)]
    lines = [one for one in picture.iter() if one.tag.endswith(("}path", "}image"))]
    assert len(lines) == (1 if address == HEAT else 4)
    monkeypatch.chdir(GOLDEN)  # the snippet opens the run by its name
    assert_python_gives_it(taken["python"], wanted)


def assert_python_gives_it(python: str, wanted: dict[tuple[int, int], list[float]]) -> None:
    names: dict[str, Any] = {}
    exec(python, names)
    rows = names["series"].to_pylist()
    found: dict[tuple[int, int], list[float]] = {}
    for row in sorted(rows, key=lambda one: one["step"]):
        found.setdefault((row["layer"], row["head"]), []).append(row["entropy"])
    assert found.keys() == wanted.keys()
    for place, values in wanted.items():
        assert found[place] == pytest.approx(values, rel=1e-5)
    assert [one["loss"] for one in names["reported"]] == [3, 2, 1]


def test_a_narrow_page_shows_it_whole(new_page: Pages, show: Show) -> None:
    page = new_page(400, 800)
    show(page, embedded("decoder"), f"{HEAT}&view=timeline")
    ready(page, timeline="200/0/self/0")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert page.locator(".heat-grid canvas").bounding_box()["width"] > 250  # type: ignore[index]
