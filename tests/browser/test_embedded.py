"""One HTML file that carries a run: what it shows is what was recorded, wherever it is opened."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.browser.pages import GOLDEN, embedded, expected, manifests, sandboxed, uniform, written

if TYPE_CHECKING:
    from playwright.sync_api import Frame, Page

Show = Callable[..., None]
Pages = Callable[..., "Page"]


def ready(page: Page | Frame, **keys: str) -> None:
    """Wait until views have drawn what their keys say."""
    for view, key in keys.items():
        page.wait_for_selector(f'[data-view="{view}"][data-ready="{key}"]')


def inspect(page: Page | Frame, path: str) -> Any:
    """Numbers on screen, by a path into what the studio says of itself; typed arrays as lists."""
    script = f"""() => {{
      const found = AttnlogStudio.inspect(document.querySelector('[data-attnlog-state]')).{path};
      return JSON.stringify(found, (_, v) => ArrayBuffer.isView(v) ? Array.from(v, x => Number.isNaN(x) ? null : x)
        : Number.isNaN(v) ? null : v);
    }}"""
    return json.loads(page.evaluate(script) or "null")


def text(page: Page | Frame, selector: str) -> str:
    return page.locator(selector).first.inner_text()


def test_every_view_draws_the_newest_step(page: Page, show: Show) -> None:
    show(page, embedded("decoder"))
    ready(page, model="200/0/self/-", head="200/0/self/0", neuron="200/0/self/0", timeline="200/0/self/0")


@pytest.mark.parametrize("run", ["decoder", "pair", "sequence"])
def test_weights_on_screen_are_those_recorded(page: Page, show: Show, run: str) -> None:
    wanted = expected(run)
    step, content = list(wanted["steps"].items())[-1]
    show(page, embedded(run))
    for layer in content["layers"]:
        if layer["weights"] is None:
            continue
        page.evaluate(f"location.hash = '#kind={layer['kind']}&layer={layer['layer']}'")
        ready(page, head=f"{step}/{layer['input']}/{layer['kind']}/{layer['layer']}")
        size = layer["shape"][0] * layer["shape"][1]
        assert inspect(page, "head.shape") == layer["shape"]
        for number, head in enumerate(layer["heads"]):
            drawn = inspect(page, f"head.weights({head})")
            assert drawn == pytest.approx(layer["weights"][number * size : (number + 1) * size], abs=1e-6)


def test_tokens_on_screen_are_those_recorded(page: Page, show: Show) -> None:
    show(page, embedded("pair"))
    ready(page, head="0/0/self/0")
    tokens = expected("pair")["steps"]["0"]["inputs"][0]["self"]
    for side in ("left", "right"):
        assert page.locator(f".tokens-{side} .tok-text").all_inner_texts() == tokens


def test_neuron_view_computes_the_recorded_weights(page: Page, show: Show) -> None:
    show(page, embedded("decoder"), "#step=100&layer=0&heads=2&query=9")
    ready(page, neuron="100/0/self/0")
    layer = expected("decoder")["steps"]["100"]["layers"][0]
    count = layer["shape"][1]
    row = layer["weights"][2 * count * count + 9 * count :][:count]
    assert inspect(page, "neuron.head") == 2
    assert inspect(page, "neuron.group") == layer["groups"][2]
    assert inspect(page, "neuron.softmax") == pytest.approx(row, abs=6e-3)
    assert "Query head 2 reads key group 1" in text(page, '[data-view="neuron"]')


def test_timeline_holds_the_metrics_of_all_steps(page: Page, show: Show) -> None:
    wanted = expected("decoder")["steps"]
    show(page, embedded("decoder"), "#layer=1&heads=0,3&metric=entropy")
    ready(page, timeline="200/0/self/1")
    series = inspect(page, "timeline.series")
    assert [one["head"] for one in series] == [0, 3]
    for one in series:
        assert one["steps"] == [int(step) for step in wanted]
        recorded = [next(x for x in c["layers"] if x["layer"] == 1)["metrics"]["entropy"][one["head"]] for c in wanted.values()]
        assert one["values"] == pytest.approx(recorded, rel=1e-5)


def test_the_hash_holds_the_state_both_ways(page: Page, show: Show) -> None:
    show(page, embedded("decoder"), "#view=head&step=0&input=0&kind=self&layer=1&heads=1,2")
    ready(page, head="0/0/self/1")
    assert inspect(page, "head.heads") == [1, 2]
    page.keyboard.press("]")
    ready(page, head="100/0/self/1")
    assert "step=100" in page.evaluate("location.hash")
    page.evaluate("location.hash = '#view=head&step=200&layer=0&heads=3'")
    ready(page, head="200/0/self/0")
    assert inspect(page, "head.heads") == [3]


@pytest.mark.parametrize(
    "address", ["#step=abc&layer=-1&heads=x", "#view=nowhere&kind=%3Cb%3E&input=999&step=99999999999", "#%%%", "#run=../../x"]
)
def test_a_bad_hash_falls_back(page: Page, show: Show, address: str) -> None:
    show(page, embedded("decoder"), address)
    ready(page, head="200/0/self/0")


def test_chips_toggle_and_isolate(page: Page, show: Show) -> None:
    show(page, embedded("decoder"))
    ready(page, head="200/0/self/0")
    page.click('.chip[data-head="1"]')
    assert inspect(page, "head.heads") == [0, 2, 3]
    page.dblclick('.chip[data-head="2"]')
    assert inspect(page, "head.heads") == [2]
    page.dblclick('.chip[data-head="2"]')
    assert inspect(page, "head.heads") == [0, 1, 2, 3]


def test_keys_move_layers_heads_and_steps(page: Page, show: Show) -> None:
    show(page, embedded("decoder"))
    ready(page, head="200/0/self/0")
    page.keyboard.press("ArrowDown")
    ready(page, head="200/0/self/1")
    page.keyboard.press("ArrowRight")
    assert inspect(page, "head.heads") == [0]
    page.keyboard.press("[")
    ready(page, head="100/0/self/1", model="100/0/self/-", neuron="100/0/self/1", timeline="100/0/self/1")
    page.keyboard.press("?")
    page.wait_for_selector("dialog[open]")
    page.keyboard.press("Escape")
    page.wait_for_selector("dialog:not([open])", state="attached")


def test_pointing_at_a_token_shows_its_weights_beside_the_others(page: Page, show: Show) -> None:
    show(page, embedded("decoder"), "#step=0&heads=0")
    ready(page, head="0/0/self/0")
    page.hover('.tokens-left .tok[data-row="1"]')
    layer = expected("decoder")["steps"]["0"]["layers"][0]
    row = layer["weights"][layer["shape"][1] :][:2]
    shown = page.locator(".tokens-right .val").all_inner_texts()
    assert [float(one) for one in shown] == pytest.approx(row, abs=6e-3)


def test_choosing_a_query_token_moves_the_neuron_view(page: Page, show: Show) -> None:
    show(page, embedded("decoder"))
    ready(page, neuron="200/0/self/0")
    page.click('.tokens-left .tok[data-row="4"]')
    ready(page, neuron="200/0/self/0")
    assert inspect(page, "neuron.query") == 4
    assert "query=4" in page.evaluate("location.hash")


def test_a_thumbnail_opens_its_head(page: Page, show: Show) -> None:
    show(page, embedded("decoder"))
    ready(page, model="200/0/self/-")
    page.locator(".grid").focus()
    for key in ("ArrowRight", "ArrowDown", "ArrowRight", "ArrowRight", "Enter"):
        page.keyboard.press(key)
    ready(page, head="200/0/self/1")
    assert inspect(page, "head.heads") == [2]


def test_the_pair_filter_keeps_the_segments_asked_for(page: Page, show: Show) -> None:
    show(page, embedded("pair"))
    ready(page, head="0/0/self/0")
    page.select_option('[aria-label="pair filter"]', "ab")
    tokens = expected("pair")["steps"]["0"]["inputs"][0]["self"]
    assert page.locator(".tokens-left .tok-text").all_inner_texts() == tokens[:7]
    assert page.locator(".tokens-right .tok-text").all_inner_texts() == tokens[7:]


def test_kinds_of_unequal_depth_are_shown_as_they_are(page: Page, show: Show) -> None:
    show(page, embedded("sequence"))
    ready(page, model="0/0/encoder/-", head="0/0/encoder/0")
    assert "1 × 2" in text(page, '[data-view="model"] .panel-bar')
    page.click('.kinds button:has-text("cross")')
    ready(page, model="0/0/cross/-", head="0/0/cross/0")
    assert "2 × 2" in text(page, '[data-view="model"] .panel-bar')
    assert inspect(page, "head.shape") == [6, 40]
    page.select_option('[aria-label="layer"]', "1")
    ready(page, head="0/0/cross/1")


def test_what_was_not_recorded_is_said_with_its_reason(page: Page, show: Show) -> None:
    show(page, embedded("sequence"), "#kind=cross")
    ready(page, neuron="0/0/cross/0")
    assert "only weights were given" in text(page, '[data-view="neuron"]')
    page.click(".not-recorded summary")
    assert "queries and keys of cross: only weights were given" in text(page, ".not-recorded")


def test_steps_that_the_file_does_not_carry_are_said_and_stay_on_the_timeline(page: Page, show: Show) -> None:
    def carried(path: str, data: bytes) -> bytes | None:
        return data if "step-00000200" in path or path.startswith("inputs") or path.endswith("index.arrow") else None

    left_out = "6 of 13 assets are not in this file; to see everything: attnlog view runs/decoder"
    show(page, embedded("decoder", change=carried, left_out=left_out))
    ready(page, head="200/0/self/0", timeline="200/0/self/0")
    assert inspect(page, "timeline.series[0].steps") == [0, 100, 200]
    page.keyboard.press("[")
    ready(page, head="100/0/self/0", model="100/0/self/-", neuron="100/0/self/0")
    for view in ("head", "model", "neuron"):
        said = text(page, f'[data-view="{view}"]')
        assert "step 100" in said
        assert "attnlog view runs/decoder" in said
    page.keyboard.press("]")
    ready(page, head="200/0/self/0")
    assert page.locator('[data-view="head"] .notice').count() == 0


def test_a_damaged_asset_is_named_and_nothing_of_it_is_shown(page: Page, show: Show) -> None:
    def damage(path: str, data: bytes) -> bytes:
        if not path.endswith("-2/attention.arrow"):
            return data
        middle = len(data) // 2
        return data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]

    show(page, embedded("decoder", change=damage), "#layer=1")
    page.wait_for_selector('[data-view="head"][data-said]')
    said = text(page, '[data-view="head"]')
    assert "AssetDigestMismatch" in said
    assert "attention.arrow" in said
    assert "Copy the run again" in said
    ready(page, model="200/0/self/-", timeline="200/0/self/1")


def test_a_damaged_index_is_an_error_of_the_page_and_other_steps_still_open(page: Page, show: Show) -> None:
    def cut(path: str, data: bytes) -> bytes:
        return data[:-8] if path.endswith("-2/index.arrow") else data

    show(page, embedded("decoder", change=cut), state="error")
    assert "AssetTruncated" in text(page, "#attnlog")
    assert "index.arrow" in text(page, "#attnlog")
    page.evaluate("location.hash = '#step=100'")
    ready(page, head="100/0/self/0")


def test_a_run_without_commits_is_empty(page: Page, show: Show) -> None:
    only_writer = [{**one, "text": one["text"].split("\n")[0] + "\n"} for one in manifests(GOLDEN / "decoder")]
    show(page, embedded("decoder", texts=only_writer), state="empty")
    assert "Nothing has been recorded" in text(page, "#attnlog")


def test_a_later_format_is_refused_by_name(page: Page, show: Show) -> None:
    later = [{**one, "text": one["text"].replace('"attnlog":1', '"attnlog":2', 1)} for one in manifests(GOLDEN / "decoder")]
    assert later != manifests(GOLDEN / "decoder")
    show(page, embedded("decoder", texts=later), state="error")
    assert "AssetVersionError" in text(page, "#attnlog")
    assert "pip install -U attnlog" in text(page, "#attnlog")


HOSTILE = [
    "</script><img src=x onerror=alert(1)>",
    "<!--",
    "\u202egnp.exe",
    "a\0b",
    "🙂",
    "你好",
    "שלום",
    "x" * 10_000,
    "",
    " ",
    "\n",
    "\u200b",
    "{{7*7}}",
    "&lt;b&gt;",
]


def test_tokens_are_text_whatever_they_hold(page: Page, show: Show, tmp_path: Path) -> None:
    show(page, embedded(written(tmp_path / "hostile", [uniform(HOSTILE)])))
    ready(page, head="0/0/self/0", neuron="0/0/self/0")
    assert page.locator("#attnlog img").count() == 0
    shown = page.locator(".tokens-left .tok-text").all_inner_texts()
    assert shown[0].replace("·", " ") == HOSTILE[0]
    assert shown[2] == "‹U+202E›gnp.exe"
    assert shown[3] == "a␀b"
    assert shown[8:12] == ["∅", "·", "↵", "‹U+200B›"]
    assert len(shown[7]) < 200
    widths = page.evaluate("[...document.querySelectorAll('.tokens')].map(e => e.clientWidth)")
    assert max(widths) < 400
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.parametrize("width", [400, 1280])
def test_tokens_stay_text_in_every_view_table_and_file(new_page: Pages, show: Show, tmp_path: Path, width: int) -> None:
    page = new_page(width)
    page.on("dialog", lambda dialog: pytest.fail(f"a token ran: {dialog.message}"))
    run = written(tmp_path / "hostile", [uniform(HOSTILE), uniform(list(reversed(HOSTILE)))])
    show(page, embedded(run), "#view=head&heads=0")
    for view in ("model", "head", "matrix", "neuron", "timeline", "tokens"):
        for compared in ("", "&step=0&compare=step:100"):
            page.evaluate(f"location.hash = '#view={view}&heads=0{compared}'")
            page.wait_for_selector(f'[data-view="{view}"][data-ready]')
            assert page.locator("#attnlog img, #attnlog script").count() == 0
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), (view, compared)
    page.evaluate("location.hash = '#view=matrix&heads=0&compare='")
    page.wait_for_selector('[data-view="matrix"][data-ready]')
    for name in ("SVG", "CSV"):
        page.click('[data-view="matrix"] .take > summary')
        with page.expect_download() as saved:
            page.click(f'[data-view="matrix"] .take-item:has-text("{name}")')
        content = Path(saved.value.path()).read_text(encoding="utf-8")
        assert ("<img" in content) == (name == "CSV")
        if name == "SVG":
            assert {one.tag.split("}")[1] for one in ET.fromstring(content).iter()} <= {
                "svg",
                "title",
                "text",
                "g",
                "rect",
                "path",
                "image",
            }
    page.click('[data-view="matrix"] .take > summary')
    page.click('[data-view="matrix"] .take-item:has-text("table")')
    assert page.locator(".take-dialog tbody td").nth(2).inner_text().startswith("</script>")
    assert page.locator(".take-dialog img").count() == 0


def test_thousands_of_tokens_make_only_the_rows_in_sight(page: Page, show: Show, tmp_path: Path) -> None:
    run = written(tmp_path / "long", [uniform([f"t{i}" for i in range(1200)], heads=1)])
    show(page, embedded(run))
    ready(page, head="0/0/self/0")
    assert page.locator(".tokens-left .tok").count() < 100
    page.evaluate("document.querySelector('.head-scroll').scrollTop = 15000")
    page.wait_for_selector('.tokens-left .tok[data-row="800"]')
    assert page.evaluate("document.querySelectorAll('#attnlog *').length") < 3000


def test_a_narrow_page_shows_one_view_at_a_time(new_page: Pages, show: Show) -> None:
    page = new_page(400, 800)
    show(page, embedded("decoder"))
    for view, key in {"head": "0", "model": "-", "neuron": "0", "timeline": "0"}.items():
        page.click(f'[data-open-view="{view}"]')
        ready(page, **{view: f"200/0/self/{key}"})
        assert page.locator("[data-view]:visible").count() == 1
        assert f"view={view}" in page.evaluate("location.hash")
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_it_works_in_a_sandbox_with_an_origin_of_its_own(page: Page, show: Show, tmp_path: Path) -> None:
    file = tmp_path / "outer.html"
    file.write_text(sandboxed(embedded("decoder")), encoding="utf-8")
    page.goto(file.as_uri())
    page.wait_for_selector("iframe")
    frame = page.frames[1]
    frame.wait_for_selector('[data-attnlog-state="ready"]')
    ready(frame, model="200/0/self/-", head="200/0/self/0", neuron="200/0/self/0", timeline="200/0/self/0")
    frame.click('[aria-label="light or dark"]')
    frame.wait_for_selector('[data-theme="dark"]')


def test_where_workers_are_forbidden_it_decodes_by_itself(page: Page, show: Show, complaints: list[str]) -> None:
    policy = '<meta http-equiv="Content-Security-Policy" content="worker-src \'none\'">'
    show(page, embedded("decoder", head=policy))
    ready(page, head="200/0/self/0", timeline="200/0/self/0")
    assert all("worker" in one for one in complaints)
    complaints.clear()


def test_the_theme_follows_the_reader_and_can_be_changed(new_page: Pages, show: Show) -> None:
    page = new_page(color_scheme="dark")
    show(page, embedded("decoder"))
    ready(page, head="200/0/self/0")
    assert page.get_attribute("#attnlog", "data-theme") == "dark"
    page.click('[aria-label="light or dark"]')
    ready(page, head="200/0/self/0", model="200/0/self/-")
    assert page.get_attribute("#attnlog", "data-theme") == "light"


def test_the_strongest_weights_can_be_read_as_text(page: Page, show: Show) -> None:
    show(page, embedded("decoder"), "#heads=0")
    ready(page, head="200/0/self/0")
    page.click(".top-weights summary")
    page.wait_for_selector(".top-weights tbody tr")
    rows = page.locator(".top-weights tbody tr").all_inner_texts()
    assert rows[0].split()[-1] == "1.0"
    assert len(rows) == 24


def test_several_studios_live_in_one_page_and_leave_nothing_behind(page: Page, show: Show) -> None:
    show(page, embedded("decoder"))
    ready(page, head="200/0/self/0")
    page.evaluate(
        """() => {
          const other = document.createElement('div'); other.id = 'other'; other.style.width = '420px'; document.body.append(other);
          const bytes = (path) => {
            const text = atob(document.querySelector(`[data-attnlog-asset="${path}"]`).textContent);
            return Uint8Array.from(text, (c) => c.charCodeAt(0));
          };
          const host = JSON.parse(document.getElementById('attnlog-host').textContent);
          window.handle = AttnlogStudio.mount(other, {
            ranges: false,
            runs: async () => [{ id: 'a', name: 'first' }, { id: 'b', name: 'second' }],
            manifests: async () => host.manifests,
            get: async (run, path) => bytes(path),
          }, { state: '#run=b&step=100&view=head&layer=1' });
        }"""
    )
    page.wait_for_selector('#other [data-view="head"][data-ready="100/0/self/1"]')
    assert page.locator("#other [data-view]:visible").count() == 1
    assert page.evaluate("window.handle.state()").startswith("#view=head&run=b&step=100")
    page.select_option('#other [aria-label="run"]', "a")
    page.wait_for_selector('#other [data-view="head"][data-ready="200/0/self/1"]')
    page.evaluate("window.handle.destroy()")
    assert page.evaluate("document.getElementById('other').childElementCount") == 0
    assert page.get_attribute("#attnlog", "data-attnlog-state") == "ready"


def test_a_wide_page_shows_one_view_alone_and_all_again(page: Page, show: Show) -> None:
    show(page, embedded("decoder"))
    ready(page, head="200/0/self/0")
    for view, key in {"model": "200/0/self/-", "timeline": "200/0/self/0"}.items():
        page.click(f'[data-open-view="{view}"]')
        ready(page, **{view: key})
        assert page.locator("[data-view]:visible").count() == 1
        page.keyboard.press("Escape")
        ready(page, head="200/0/self/0", model="200/0/self/-", neuron="200/0/self/0", timeline="200/0/self/0")


def test_step_keys_work_while_the_slider_has_the_focus(page: Page, show: Show) -> None:
    show(page, embedded("decoder"), "#step=200")
    ready(page, head="200/0/self/0")
    page.locator(".step input").focus()
    page.keyboard.press("[")
    ready(page, head="100/0/self/0")


def test_what_an_address_asks_for_and_is_not_there_is_said(page: Page, show: Show) -> None:
    show(page, embedded("decoder"), "#view=head&run=nope&step=999&input=5&kind=self&layer=77")
    ready(page, head="200/0/self/1")
    said = text(page, ".address-said")
    assert said == "The address asks for run nope, step 999, input 5, layer 77, which is not here: the nearest is shown."
    page.keyboard.press("ArrowUp")
    ready(page, head="200/0/self/0")
    assert page.locator(".address-said").inner_text() == ""


def test_a_view_alone_stays_alone_in_its_address(new_page: Pages, show: Show) -> None:
    page = new_page()
    show(page, embedded("decoder"))
    ready(page, neuron="200/0/self/0")
    page.click('[data-view="neuron"] .expand')
    page.wait_for_selector("[data-alone]")
    address = page.evaluate("location.hash")
    again = new_page()
    show(again, embedded("decoder"), address)
    again.wait_for_selector("[data-alone]")
    assert again.locator("[data-view]:visible").count() == 1
    again.keyboard.press("Escape")
    again.wait_for_selector("[data-alone]", state="detached")
    assert "alone" not in again.evaluate("location.hash")
