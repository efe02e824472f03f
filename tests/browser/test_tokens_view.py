"""The tokens view: saliency, predictions, hidden states and value-weighted attention, as the Python reader gives them."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import attnlog
from attnlog.capture.tensors import from_tensors
from attnlog.outputs import Loss, SaliencyMap
from attnlog.record import Axis, Capture, Input
from tests.browser.pages import embedded, uniform, written
from tests.browser.test_embedded import inspect, ready, text
from tests.conftest import build

if TYPE_CHECKING:
    from playwright.sync_api import Page

Show = Callable[..., None]
Pages = Callable[..., "Page"]
TEXTS = ["the cat sat on the mat and the cat saw the dog", "the nurse said that he was tired of the cat"]
EVERYTHING = ("attention", "vectors", "values", "states", "saliency", "predictions")
VIEW = '[data-view="tokens"]'


@pytest.fixture(scope="module")
def decoder(tmp_path_factory: pytest.TempPathFactory, plain_tokenizer: Any) -> Path:
    """A GPT-2 of two layers, with everything recorded."""
    capture = attnlog.capture(build("gpt2"), TEXTS, tokenizer=plain_tokenizer, record=EVERYTHING)
    return written(tmp_path_factory.mktemp("runs") / "decoder", [capture], precision="f32")


@pytest.fixture(scope="module")
def masked(tmp_path_factory: pytest.TempPathFactory, tokenizer: Any) -> Path:
    """A BERT, whose inputs begin and end with special tokens."""
    capture = attnlog.capture(build("bert"), TEXTS, tokenizer=tokenizer, record=EVERYTHING)
    return written(tmp_path_factory.mktemp("runs") / "masked", [capture], precision="f32")


@pytest.fixture(scope="module")
def sequence(tmp_path_factory: pytest.TempPathFactory, tokenizer: Any) -> Path:
    """A BART: an encoder's and a decoder's axis."""
    pair = [("the cat sat on the mat", "the dog was tired")]
    capture = attnlog.capture(build("bart"), pair, tokenizer=tokenizer, record=EVERYTHING)
    return written(tmp_path_factory.mktemp("runs") / "sequence", [capture], precision="f32")


def near(values: np.ndarray) -> Any:
    """What the page must hold: the same numbers, None where there is none."""
    return [None if value != value else pytest.approx(float(value), abs=1e-6, rel=1e-6) for value in np.asarray(values).reshape(-1)]


def choose(page: Page, label: str, value: str) -> None:
    page.locator(VIEW).get_by_label(label, exact=True).select_option(value)


@pytest.mark.parametrize("method", ["gradient", "gradient_x_input", "integrated_gradients"])
def test_saliency_is_what_was_recorded_and_says_of_what(page: Page, show: Show, decoder: Path, method: str) -> None:
    wanted = attnlog.open(decoder).read().saliency(method)
    show(page, embedded(decoder))
    ready(page, tokens="0/0/self/0")
    choose(page, "saliency method", method)
    ready(page, tokens="0/0/self/0")
    assert inspect(page, "tokens.saliency.method") == method
    assert inspect(page, "tokens.saliency.values") == near(wanted.values)
    said = text(page, f"{VIEW} .section-note")
    assert wanted.target in said
    assert ("sum off by" in said) == (wanted.error is not None)
    assert f"tokens.method={method}" in page.evaluate("location.hash")


def test_rows_can_be_ordered_by_size(page: Page, show: Show, decoder: Path) -> None:
    values = attnlog.open(decoder).read().saliency("gradient_x_input").values
    show(page, embedded(decoder), "#tokens.method=gradient_x_input&tokens.sort=size")
    ready(page, tokens="0/0/self/0")
    assert inspect(page, "tokens.saliency.rows") == np.argsort(-abs(values), kind="stable").tolist()


def test_a_click_and_keys_choose_the_token_of_all_views(page: Page, show: Show, decoder: Path) -> None:
    show(page, embedded(decoder))
    ready(page, tokens="0/0/self/0", neuron="0/0/self/0")
    assert inspect(page, "tokens.token") == len(TEXTS[0].split()) - 1
    page.click(f'{VIEW} .shaded[data-at="4"]')
    assert inspect(page, "tokens.token") == inspect(page, "neuron.query") == 4
    page.locator(f"{VIEW} .token-text").first.focus()
    page.keyboard.press("ArrowRight")
    assert inspect(page, "neuron.query") == 5
    page.keyboard.press("Home")
    assert inspect(page, "neuron.query") == 0
    assert inspect(page, "state.layer") == 0, "arrows move tokens here, not layers"
    chosen = page.get_attribute(f"{VIEW} .token-text", "aria-activedescendant")
    assert page.get_attribute(f"#{chosen}", "aria-selected") == "true"


def test_statistics_of_the_chosen_token_over_the_layers(page: Page, show: Show, decoder: Path) -> None:
    states = attnlog.open(decoder).read(input=1).states()
    show(page, embedded(decoder), "#input=1&query=3&tokens.show=states&tokens.statistic=cosine&layer=1")
    ready(page, tokens="0/1/self/1")
    found = inspect(page, "tokens.states")
    assert found["layers"] == [0, 1, 2]
    assert found["values"] == near(states["cosine"][:, 3])
    assert found["shaded"] == near(states["cosine"][2])
    assert found["now"] == 2
    choose(page, "statistic of hidden states", "std")
    assert inspect(page, "tokens.states.values") == near(states["std"][:, 3])
    rows = page.locator(f"{VIEW} .row-table [data-row]")
    assert rows.count() == 3
    assert page.locator(f"{VIEW} svg.states-chart").get_attribute("aria-label")


def test_weights_times_values_are_those_of_the_reader(page: Page, show: Show, decoder: Path) -> None:
    step = attnlog.open(decoder).read()
    show(page, embedded(decoder), "#layer=1&heads=2&query=7&tokens.show=values")
    ready(page, tokens="0/0/self/1")
    assert inspect(page, "tokens.values.weights") == near(step.weights("self", 1)[2, 7])
    assert inspect(page, "tokens.values.products") == near(step.value_weighted("self", 1)[2, 7])
    assert "Kobayashi" in text(page, f"{VIEW} .section-note")


def test_predictions_and_losses_of_each_token(page: Page, show: Show, decoder: Path) -> None:
    step = attnlog.open(decoder).read()
    (wanted,) = step.predictions()
    show(page, embedded(decoder), "#query=2&tokens.show=predictions")
    ready(page, tokens="0/0/self/0")
    assert inspect(page, "tokens.predictions.probabilities") == near(wanted.probabilities)
    assert inspect(page, "tokens.predictions.loss") == near(step.losses())
    first = page.locator(f"{VIEW} .is-apart [data-row]").first.inner_text()
    label, probability = next(wanted.top(2))
    assert label in first
    assert f"{probability:.3f}" in first


def test_special_tokens_are_not_chosen_by_themselves_and_stand_dim(page: Page, show: Show, masked: Path) -> None:
    show(page, embedded(masked))
    ready(page, tokens="0/0/self/0")
    tokens = attnlog.open(masked).read().inputs[0].tokens()
    assert tokens[-1] == "[SEP]"
    assert inspect(page, "tokens.token") == len(tokens) - 2
    assert page.locator(f"{VIEW} .shaded.is-special").all_inner_texts() == ["[CLS]", "[SEP]"]


def test_an_input_of_two_axes_lets_one_be_chosen(page: Page, show: Show, sequence: Path) -> None:
    step = attnlog.open(sequence).read()
    show(page, embedded(sequence), "#kind=cross&tokens.method=gradient")
    ready(page, tokens="0/0/cross/0")
    assert inspect(page, "tokens.axis") == "decoder"
    assert inspect(page, "tokens.saliency.values") == near(step.saliency("gradient", "decoder").values)
    choose(page, "axis of the tokens view", "encoder")
    assert inspect(page, "tokens.saliency.values") == near(step.saliency("gradient", "encoder").values)
    query = inspect(page, "neuron.query")
    page.click(f'{VIEW} .shaded[data-at="1"]')
    assert inspect(page, "tokens.token") == 1
    assert inspect(page, "neuron.query") == query, "a token of another axis is no query"


def test_alone_it_shows_everything_at_once(page: Page, show: Show, decoder: Path) -> None:
    show(page, embedded(decoder))
    page.click('[data-open-view="tokens"]')
    ready(page, tokens="0/0/self/0")
    assert page.locator(f"{VIEW} .tokens-section:visible").count() == 4
    found = inspect(page, "tokens")
    assert {"saliency", "predictions", "states", "values"} <= set(found)
    assert all(found[name] for name in ("saliency", "predictions", "states", "values"))


SNIPPETS = {
    "saliency": "tokens.saliency.values",
    "states": "tokens.states.values",
    "values": "tokens.values.products",
}


@pytest.mark.parametrize("section", [*SNIPPETS, "predictions"])
def test_what_is_taken_away_is_what_is_shown(page: Page, show: Show, decoder: Path, section: str, monkeypatch: pytest.MonkeyPatch) -> None:
    show(page, embedded(decoder), f"#layer=1&heads=3&query=6&tokens.show={section}")
    ready(page, tokens="0/0/self/1")
    monkeypatch.chdir(decoder.parent)
    names: dict[str, Any] = {}
    taken = inspect(page, "tokens.taken()")
    exec(taken["python"], names)
    found = names["found"]
    if section == "predictions":
        assert taken["columns"][:4] == ["position", "token", "answer 1", "probability 1"]
        assert [label for label, _ in found] == inspect(page, "tokens.predictions.labels.slice(6 * 5, 6 * 5 + 5)")
    else:
        assert inspect(page, SNIPPETS[section]) == near(found)
    picture = taken["svg"]
    assert picture.startswith("<svg")
    assert "class=" not in picture
    assert "style=" not in picture
    assert "mat" in picture


def test_tables_are_copied_as_text(new_page: Pages, show: Show, decoder: Path) -> None:
    page = new_page(permissions=["clipboard-read", "clipboard-write"])
    show(page, embedded(decoder), "#tokens.method=gradient")
    ready(page, tokens="0/0/self/0")
    page.click(f"{VIEW} .copy:visible")
    page.wait_for_selector(f'{VIEW} .copy:has-text("copied")')
    lines = page.evaluate("navigator.clipboard.readText()").splitlines()
    values = attnlog.open(decoder).read().saliency("gradient").values
    assert lines[0].split("\t") == ["position", "token", "gradient"]
    assert [line.split("\t")[1] for line in lines[1:]] == TEXTS[0].split()
    assert [float(line.split("\t")[2]) for line in lines[1:]] == pytest.approx(values.tolist(), rel=1e-6)


def test_tables_are_copied_where_there_is_no_clipboard(page: Page, show: Show, decoder: Path) -> None:
    page.add_init_script("Object.defineProperty(navigator, 'clipboard', { value: undefined })")
    show(page, embedded(decoder))
    ready(page, tokens="0/0/self/0")
    page.evaluate("document.addEventListener('copy', () => { window.copied = document.activeElement.value; })")
    page.click(f"{VIEW} .copy:visible")
    assert page.evaluate("window.copied").startswith("position\ttoken\t")


@pytest.mark.parametrize("section", ["saliency", "states", "predictions"])
def test_what_was_not_recorded_is_said_with_the_remedy(page: Page, show: Show, tmp_path: Path, section: str) -> None:
    show(page, embedded(written(tmp_path / "plain", [uniform(["a", "b", "c"])])), f"#tokens.show={section}")
    ready(page, tokens="0/0/self/0")
    said = text(page, f'{VIEW} [data-section="{section}"]')
    assert "not recorded" in said
    assert f'"{section}")' in said
    assert inspect(page, f"tokens.{section}") is None
    assert inspect(page, "tokens.taken()") is None
    assert page.locator(f"{VIEW} .shaded:visible").count() == 0


def test_without_anything_else_it_shows_weights_and_says_what_they_lack(page: Page, show: Show, tmp_path: Path) -> None:
    show(page, embedded(written(tmp_path / "plain", [uniform(["a", "b", "c"])])))
    ready(page, tokens="0/0/self/0")
    assert inspect(page, "tokens.show") == "values"
    assert inspect(page, "tokens.values.norms") is None
    assert '"values"' in text(page, f"{VIEW} .section-note:visible")


def test_options_that_are_none_fall_back(page: Page, show: Show, decoder: Path) -> None:
    show(page, embedded(decoder), "#tokens.show=xx&tokens.method=%3Cb%3E&tokens.axis=nowhere&tokens.token=-1&tokens.sort=x&query=99999")
    ready(page, tokens="0/0/self/0")
    assert inspect(page, "tokens.show") == "saliency"
    assert inspect(page, "tokens.axis") == "self"
    assert inspect(page, "tokens.token") == len(TEXTS[0].split()) - 1


def test_a_damaged_asset_is_named_and_others_are_shown(page: Page, show: Show, decoder: Path) -> None:
    def damage(path: str, data: bytes) -> bytes:
        if not path.endswith("outputs.arrow"):
            return data
        middle = len(data) // 2
        return data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]

    show(page, embedded(decoder, change=damage))
    ready(page, tokens="0/0/self/0")
    said = text(page, f'{VIEW} [data-section="saliency"]')
    assert "AssetDigestMismatch" in said
    assert "outputs.arrow" in said
    choose(page, "what the tokens view shows", "states")
    ready(page, tokens="0/0/self/0")
    assert inspect(page, "tokens.states.layers") == [0, 1, 2]


def beside(tokens: list[str], **axis: Any) -> Capture:
    """Saliency and losses of made-up tokens, whose weights are all alike."""
    plain = from_tensors([np.full((1, len(tokens), len(tokens)), 1 / len(tokens), dtype="f4")], tokens)
    values = np.linspace(-1, 1, len(tokens), dtype="f4")
    outputs = (
        SaliencyMap(input=0, axis="self", method="gradient_x_input", values=values, target="loss"),
        Loss(input=0, axis="self", task="next", values=abs(values)),
    )
    return replace(plain, inputs=(Input({"self": Axis(tokens=tuple(tokens), **axis)}),), outputs=outputs)


def test_thousands_of_tokens_make_only_those_in_sight(page: Page, show: Show, tmp_path: Path) -> None:
    run = written(tmp_path / "long", [beside([f"Ġt{n}" for n in range(1500)])])
    show(page, embedded(run), "#query=700")
    ready(page, tokens="0/0/self/0")
    assert page.locator(f"{VIEW} .shaded").count() < 300
    assert page.locator(f'{VIEW} .shaded[data-at="700"]').count() == 1
    assert page.locator(f"{VIEW} [data-row]").count() < 60
    assert len(inspect(page, "tokens.saliency.values")) == 1500
    page.evaluate(f"document.querySelector('{VIEW} .tokens-section:not([hidden])').scrollTop = 20000")
    page.wait_for_selector(f'{VIEW} [data-row="900"]', state="attached")


def test_hostile_tokens_are_text_and_hold_the_page_together(new_page: Pages, show: Show, tmp_path: Path) -> None:
    page = new_page(400, 800)
    tokens = ["</script><img src=x onerror=alert(1)>", "x" * 9000, "\u202egnp", "", " ", "\n", "🙂", "שלום", "a\tb"]
    show(page, embedded(written(tmp_path / "odd", [beside(tokens)])), "#view=tokens")
    ready(page, tokens="0/0/self/0")
    assert page.locator("#attnlog img").count() == 0
    assert page.locator(f"{VIEW} .shaded").count() == len(tokens)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_a_text_from_the_right_is_read_from_the_right(page: Page, show: Show, tmp_path: Path) -> None:
    words = "הספר הזה מדבר על שפה".split()
    run = written(tmp_path / "hebrew", [beside(["[CLS]", *words], text=" ".join(words), special=(True, *[False] * len(words)))])
    show(page, embedded(run))
    ready(page, tokens="0/0/self/0")
    left = [page.locator(f'{VIEW} .shaded[data-at="{n}"]').bounding_box()["x"] for n in range(4)]  # type: ignore[index]
    assert left == sorted(left, reverse=True)
    page.locator(f"{VIEW} .token-text").first.focus()
    page.keyboard.press("Home")
    page.keyboard.press("ArrowLeft")
    assert inspect(page, "tokens.token") == 1


def test_generated_tokens_are_marked(page: Page, show: Show, tmp_path: Path) -> None:
    run = written(tmp_path / "made", [beside(["a", "b", "c", "d"], generated=(False, False, True, True))])
    show(page, embedded(run))
    ready(page, tokens="0/0/self/0")
    assert page.locator(f"{VIEW} .shaded.is-generated").all_inner_texts() == ["c", "d"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_on_shades_can_be_read(new_page: Pages, show: Show, tmp_path: Path, scheme: str) -> None:
    """At least 4.5 : 1 between ink and the shade under it, for every strength (WCAG 2.2, 1.4.3)."""
    page = new_page(color_scheme=scheme)
    tokens = [f"t{n}" for n in range(60)]
    show(page, embedded(written(tmp_path / "shades", [beside(tokens, special=tuple(n % 2 == 0 for n in range(60)))])))
    ready(page, tokens="0/0/self/0")
    colours = page.evaluate(
        """() => [...document.querySelectorAll('[data-view="tokens"] .shaded')].map((e) =>
          [getComputedStyle(e.querySelector('.tok-text')).color, getComputedStyle(e).backgroundColor,
           getComputedStyle(e.closest('.view')).backgroundColor])"""
    )
    assert min(contrast(*one) for one in colours) >= 4.5


def contrast(ink: str, shade: str, page: str) -> float:
    """Contrast of ink on a shade that lies on the page."""

    def parts(text: str) -> list[float]:
        numbers = [float(one) for one in re.findall(r"-?[\d.]+(?:e-?\d+)?", text.removeprefix("color(srgb"))]
        scale = 1 if text.startswith("color(srgb") else 255
        return [numbers[0] / scale, numbers[1] / scale, numbers[2] / scale, numbers[3] if len(numbers) > 3 else 1.0]

    def light(colour: list[float]) -> float:
        red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in colour)
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    *over, alpha = parts(shade)
    under = parts(page)[:3]
    mixed = [a * alpha + b * (1 - alpha) for a, b in zip(over, under, strict=True)]
    one, other = sorted((light(parts(ink)[:3]), light(mixed)))
    return (other + 0.05) / (one + 0.05)
