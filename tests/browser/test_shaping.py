"""Words, means, normalised rows, thresholds: the viewer computes what Python does, and what it saves is what it shows."""

from __future__ import annotations

import csv
import xml.etree.ElementTree as ET
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import attnlog
from attnlog.words import words_of
from tests.browser.pages import GOLDEN, embedded, uniform, until, written
from tests.browser.test_embedded import inspect, ready, text

if TYPE_CHECKING:
    from playwright.sync_api import Page

Show = Callable[..., None]
Pages = Callable[..., "Page"]

# Texts with what makes words hard: sub-words, punctuation, scripts without spaces, characters of two code units, special tokens.
SENTENCES = {
    "wordpiece": ["[CLS]", "un", "##believ", "##able", "cat", "##s", "!", "[SEP]"],
    "bytes": ["Ġthe", "Ġun", "do", "ing", ".", "Ċ", "Next", "Ġline"],
    "pieces": ["▁Hel", "lo", "▁wor", "ld", "▁", "日", "本", "語"],
    "ends": ["low</w>", "er", "ing</w>", "x"],
    "goes on": ["inter@@", "nation@@", "al", "law"],
}


def capture(tokens: list[str], **axis: Any) -> Any:
    """A capture of random weights, rows summing to 1."""
    draw = np.random.default_rng(len(tokens))
    raw = draw.random((3, len(tokens), len(tokens))).astype("f4")
    made = attnlog.from_tensors([raw / raw.sum(-1, keepdims=True)] * 2, tokens)
    known = made.inputs[0].axes["self"]
    return replace(made, inputs=(replace(made.inputs[0], axes={"self": replace(known, **axis)}),))


def shown(page: Page, head: int) -> np.ndarray[Any, Any]:
    queries, keys = len(inspect(page, "head.items.query")), len(inspect(page, "head.items.key"))
    return np.array(inspect(page, f"head.weights({head})"), dtype=float).reshape(queries, keys)


@pytest.mark.parametrize("name", SENTENCES)
def test_words_and_weights_between_them_are_those_of_python(page: Page, show: Show, tmp_path: Path, name: str) -> None:
    tokens = SENTENCES[name]
    special = tuple(token.startswith("[") for token in tokens)
    made = capture(tokens, special=special)
    run = written(tmp_path / "words", [made], "f32")
    show(page, embedded(run), "#weights.words=1&layer=1")
    ready(page, head="0/0/self/1")
    assert inspect(page, "head.items.query") == [word.text for word in words_of(made.inputs[0].axes["self"])]
    wanted = attnlog.open(run).read().weights("self", 1, words=True)
    for head in range(3):
        assert shown(page, head) == pytest.approx(wanted[head], abs=1e-6)


def test_words_by_character_ranges_count_characters_as_python_does(page: Page, show: Show, tmp_path: Path) -> None:
    source = "Ünder 👩‍🔬 labs, 日本 can't"
    tokens, starts, ends = [], [], []
    for start, end in [(0, 2), (2, 5), (6, 7), (7, 9), (10, 14), (14, 15), (16, 17), (17, 18), (19, 22), (22, 24)]:
        tokens.append(source[start:end])
        starts.append(start)
        ends.append(end)
    made = capture(tokens, text=source, starts=tuple(starts), ends=tuple(ends))
    show(page, embedded(written(tmp_path / "ranges", [made], "f32")), "#weights.words=1")
    ready(page, head="0/0/self/0")
    assert inspect(page, "head.items.key") == [word.text for word in words_of(made.inputs[0].axes["self"])]


def test_a_mean_is_that_of_the_chosen_heads(page: Page, show: Show) -> None:
    show(page, embedded("decoder"), "#layer=1&heads=0,2,3&weights.mean=1")
    ready(page, head="200/0/self/1")
    wanted = attnlog.open(GOLDEN / "decoder").read(step=200).weights("self", 1)[[0, 2, 3]].mean(axis=0)
    assert inspect(page, "head.heads") == [-1]
    assert shown(page, -1) == pytest.approx(wanted, abs=1e-6)


def test_special_tokens_are_left_out_and_rows_normalised(page: Page, show: Show, tmp_path: Path) -> None:
    made = capture(SENTENCES["wordpiece"], special=tuple(token.startswith("[") for token in SENTENCES["wordpiece"]))
    show(page, embedded(written(tmp_path / "special", [made], "f32")), "#weights.special=0&weights.norm=1&heads=1")
    ready(page, head="0/0/self/0")
    wanted = made.weights("self", 0)[1][1:-1, 1:-1]
    assert inspect(page, "head.queries") == list(range(1, 7))
    assert shown(page, 1) == pytest.approx(wanted / wanted.sum(-1, keepdims=True), abs=1e-6)
    page.click('button:has-text("special")')
    page.wait_for_function("!location.hash.includes('weights.special')")
    assert len(inspect(page, "head.queries")) == 8


def test_a_threshold_hides_exactly_what_is_below_it(page: Page, show: Show) -> None:
    show(page, embedded("decoder"), "#layer=1&weights.least=0.2")
    ready(page, head="200/0/self/1")
    wanted = attnlog.open(GOLDEN / "decoder").read(step=200).weights("self", 1)
    assert inspect(page, "head.faintest") == 0.2
    assert inspect(page, "head.lines") == int((wanted >= np.float32(0.2)).sum())
    page.click(".top-weights summary")
    page.wait_for_selector(".top-weights tbody tr")
    rows = [one.split() for one in page.locator(".top-weights tbody tr").all_inner_texts()]
    assert rows
    assert all(float(one[-1]) >= 0.2 - 5e-3 for one in rows)
    page.hover('.tokens-left .tok[data-row="6"]')
    told = {int(one.get_attribute("data-position") or 0) for one in page.locator(".tokens-right .tok.has-value").all()}
    assert told == set(np.flatnonzero((wanted[:, 6] >= 0.2).any(axis=0)).tolist())


def test_what_needs_every_weight_is_refused_with_the_reason_where_some_are_not_stored(page: Page, show: Show) -> None:
    show(page, embedded("long"), "#weights.words=1&weights.mean=1")
    ready(page, head="100/0/self/0")
    for name in ("words", "normalise", "mean"):
        button = page.locator(f'[data-view="head"] .view-controls button:has-text("{name}")')
        assert button.is_disabled()
        assert "only the greatest of each row are stored" in (button.get_attribute("title") or "")
    assert len(inspect(page, "head.queries")) == 300


def test_a_search_finds_tokens_far_away(page: Page, show: Show) -> None:
    show(page, embedded("long"), "#heads=0")
    ready(page, head="100/0/self/0")
    tokens = inspect(page, "head.items.query")
    wanted = [n for n, token in enumerate(tokens) if tokens[250] in token]
    page.keyboard.press("/")
    page.keyboard.type(tokens[250])
    for place in wanted[:3]:
        assert inspect(page, "head.pointing.at") == place
        assert page.locator(f'.tokens-left .tok[data-row="{place}"].is-found').is_visible()
        page.keyboard.press("Enter")
    assert f"of {len(wanted)}" in text(page, '[data-view="head"] .search')
    page.keyboard.press("Escape")
    page.keyboard.type("no such token anywhere")
    assert "none" in text(page, '[data-view="head"] .search')


SNIPPETS = [
    ("decoder", "#layer=1&heads=1,3"),
    ("decoder", "#layer=1&heads=0,2&weights.mean=1"),
    ("decoder", "#layer=0&step=0&compare=step:200&heads=2"),
    ("pair", "#pair=ab&weights.norm=1"),
    ("sequence", "#kind=cross&layer=1&weights.words=1"),
]


@pytest.mark.parametrize(("run", "address"), SNIPPETS)
def test_copied_python_gets_the_array_on_screen(page: Page, show: Show, run: str, address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    show(page, embedded(run), address)
    page.wait_for_selector('[data-view="head"][data-ready]')
    until(page, "!location.hash.includes('compare') || studio.head.signed")
    page.evaluate("navigator.clipboard.writeText = async (text) => { window.copied = text }")
    page.click('[data-view="head"] .take > summary')
    page.click('[data-view="head"] .take-item:has-text("Python")')
    page.wait_for_function("window.copied")
    code = page.evaluate("window.copied")
    monkeypatch.chdir(GOLDEN)
    found: dict[str, Any] = {}
    exec(code, found)
    heads = inspect(page, "head.heads")
    got = found["weights"] if found["weights"].ndim == 3 else found["weights"][None]
    assert len(got) == len(heads)
    for array, head in zip(got, heads, strict=True):
        assert shown(page, head) == pytest.approx(array, abs=1e-6)


def test_saved_numbers_and_pictures_are_those_on_screen(page: Page, show: Show, tmp_path: Path) -> None:
    show(page, embedded("decoder"), "#layer=1&heads=1&weights.least=0.1")
    ready(page, head="200/0/self/1")
    wanted = attnlog.open(GOLDEN / "decoder").read(step=200).weights("self", 1)[1]
    files = {}
    for name in ("CSV", "SVG", "PNG"):
        page.click('[data-view="head"] .take > summary')
        with page.expect_download() as saved:
            page.click(f'[data-view="head"] .take-item:has-text("{name}")')
        files[name] = tmp_path / saved.value.suggested_filename
        saved.value.save_as(files[name])
    with files["CSV"].open(newline="") as opened:
        rows = list(csv.DictReader(opened))
    assert len(rows) == int((wanted >= np.float32(0.1)).sum())
    for row in rows:
        assert float(row["weight"]) == pytest.approx(wanted[int(row["query"]), int(row["key"])], abs=1e-6)
    svg = ET.parse(files["SVG"]).getroot()
    names = [one.tag.split("}")[1] for one in svg.iter()]
    assert names.count("path") == len(rows)
    assert names.count("text") == 26 + 1  # and the caption
    assert "image" not in names
    assert "layer 1, heads 1, step 200" in (svg.findtext("{http://www.w3.org/2000/svg}title") or "")
    assert files["PNG"].read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"


def test_the_table_holds_the_numbers_of_the_picture(page: Page, show: Show, tmp_path: Path) -> None:
    show(page, embedded(written(tmp_path / "few", [uniform(["a", "b"], heads=1)], "f32")))
    ready(page, head="0/0/self/0")
    page.click('[data-view="head"] .take > summary')
    page.click('[data-view="head"] .take-item:has-text("table")')
    rows = page.locator(".take-dialog tbody tr").all_inner_texts()
    assert [one.split() for one in rows] == [["0", str(i), "ab"[i], str(j), "ab"[j], "0.5000"] for i in (0, 1) for j in (0, 1)]


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("view", ["head", "matrix"])
def test_saved_pictures_of_all_views_share_caption_paper_and_ink(new_page: Pages, show: Show, view: str, theme: str) -> None:
    page = new_page(color_scheme=theme)
    show(page, embedded("decoder"), f"#layer=1&heads=1&view={view}")
    names = (view, "model", "neuron", "timeline", "tokens")
    ready(page, **{view: "200/0/self/1"}, model="200/0/self/-", neuron="200/0/self/1", timeline="200/0/self/1", tokens="200/0/self/1")
    paper, ink = page.evaluate(
        "['--panel', '--ink'].map(name => getComputedStyle(document.querySelector('.attnlog')).getPropertyValue(name).trim())"
    )
    for name in names:
        taken = inspect(page, f"{name}.taken()")
        picture = ET.fromstring(taken["svg"])
        space = "{http://www.w3.org/2000/svg}"
        caption = picture.find(f"{space}g[1]/{space}g")
        assert picture.findtext(f"{space}title") == taken["title"]
        assert picture.find(f"{space}rect").get("fill") == paper  # type: ignore[union-attr]
        assert caption is not None
        assert " ".join(one.text or "" for one in caption) == taken["title"]
        assert {one.get("fill") for one in caption} == {ink}


def test_copied_python_of_a_long_input_has_nan_where_nothing_is_stored(page: Page, show: Show, monkeypatch: pytest.MonkeyPatch) -> None:
    show(page, embedded("long"), "#heads=1")
    ready(page, head="100/0/self/0")
    code = inspect(page, "head.taken().python")
    monkeypatch.chdir(GOLDEN)
    found: dict[str, Any] = {}
    exec(code, found)
    kept = inspect(page, "head.weights(1)")
    weights = found["weights"][0]
    assert (~np.isnan(weights)).sum(axis=1).tolist() == kept["counts"]
    assert weights[~np.isnan(weights)] == pytest.approx(np.array(kept["weights"]), abs=1e-6)


def test_python_normalises_before_it_takes_the_tokens_that_both_have(
    page: Page, show: Show, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b = capture(["a", "b", "c"]), capture(["a", "x", "c", "y"])
    layers = (*a.layers, *(replace(one, input=1) for one in b.layers))
    run = written(tmp_path / "sides", [replace(a, inputs=(*a.inputs, *b.inputs), layers=layers)], "f32")
    show(page, embedded(run), "#heads=1&weights.norm=1&compare=input:1")
    page.wait_for_selector('[data-view="head"][data-ready]')
    until(page, "studio.head.signed")
    monkeypatch.chdir(tmp_path)
    found: dict[str, Any] = {}
    exec(inspect(page, "head.taken().python"), found)
    drawn = shown(page, 1)
    both = [n for n, text in enumerate(inspect(page, "head.items.query")) if text in ("a", "c")]
    assert drawn[np.ix_(both, both)] == pytest.approx(found["weights"][0], abs=1e-6)
