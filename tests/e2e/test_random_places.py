"""At two hundred random places of real runs what a cell and a token say is what the Python reader reads."""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import attnlog
from attnlog.errors import NotRecordedError
from tests.browser.pages import GOLDEN, until
from tests.browser.test_embedded import inspect

if TYPE_CHECKING:
    from playwright.sync_api import Page

PLACES = 200
RUNS = ("decoder", "pair", "sequence", "long")


def places() -> list[tuple[str, int, int, str, int]]:
    """Every step, input, kind and layer of the golden runs whose weights were written."""
    found = []
    for run in RUNS:
        saved = attnlog.open(GOLDEN / run)
        for step in saved.steps:
            for input, kind, layer in sorted({key[:3] for key in saved.read(step=step).rows()}):
                with suppress(NotRecordedError):
                    dense(run, step, input, kind, layer)
                    found.append((run, step, input, kind, layer))
    return found


def dense(run: str, step: int, input: int, kind: str, layer: int) -> Any:
    """Weights as Python reads them; NaN where a long input does not store them."""
    weights = attnlog.open(GOLDEN / run).read(step=step, input=input).weights(kind, layer)
    return weights if isinstance(weights, np.ndarray) else np.stack([weights.dense(n) for n in range(len(weights.heads))])


def test_the_value_pointed_at_is_the_one_recorded(serving: Callable[..., str], page: Page) -> None:
    draw = random.Random(0)
    address = serving(*(GOLDEN / run for run in RUNS))
    chosen = places()
    looks = [chosen[draw.randrange(len(chosen))] for _ in range(25)]
    page.goto(address)
    page.wait_for_selector('[data-attnlog-state="ready"]')
    checked = 0
    for run, step, input, kind, layer in looks:
        recorded = dense(run, step, input, kind, layer)
        head = draw.randrange(len(recorded))
        name = attnlog.open(GOLDEN / run).read(step=step, input=input).find(kind, layer).heads[head]
        page.evaluate(f"location.hash = '#view=head&run={run}&step={step}&input={input}&kind={kind}&layer={layer}&heads={name}'")
        page.wait_for_selector(f'[data-view="head"][data-ready="{step}/{input}/{kind}/{layer}"]')
        until(page, f"studio.run.id === '{run}'")
        page.wait_for_selector(f'[data-view="head"][data-ready="{step}/{input}/{kind}/{layer}"]')
        # Of long inputs only the rows near the window exist.
        page.evaluate("document.querySelector('.head-scroll').scrollTop = 0")
        page.wait_for_selector('.tokens-left .tok[data-row="0"]')
        rows = page.locator(".tokens-left .tok").count()
        for _ in range(PLACES // len(looks)):
            row = draw.randrange(min(rows, 12))
            page.hover(f'.tokens-left .tok[data-row="{row}"]')
            shown = page.locator(".tokens-right .tok").evaluate_all(
                "all => Object.fromEntries(all.map((one) => [one.dataset.position, one.querySelector('.val')?.textContent ?? null]))"
            )
            key = draw.choice(sorted(shown))
            weight = recorded[head, row, int(key)]
            checked += 1
            if shown[key] is None:
                # Not stored, or too faint to be worth a number.
                assert np.isnan(weight) or weight < 0.0005
            elif shown[key] == "<.001":
                assert weight < 0.0005
            else:
                assert float(shown[key]) == pytest.approx(weight, abs=5.1e-3)
    assert checked == PLACES


def test_the_array_drawn_and_the_difference_are_exactly_those_of_python(serving: Callable[..., str], page: Page) -> None:
    draw = random.Random(1)
    page.goto(serving(GOLDEN / "decoder"))
    page.wait_for_selector('[data-attnlog-state="ready"]')
    steps = attnlog.open(GOLDEN / "decoder").steps
    for _ in range(8):
        a, b = draw.sample(steps, 2)
        layer, head = draw.randrange(2), draw.randrange(4)
        page.evaluate(f"location.hash = '#view=head&step={a}&layer={layer}&heads={head}&compare=step:{b}&side=diff'")
        until(page, f"studio.head.signed && studio.state.step === {a} && studio.state.compare.step === {b}")
        page.wait_for_selector(f'[data-view="head"][data-ready="{a}/0/self/{layer}"]')
        wanted = (dense("decoder", b, 0, "self", layer) - dense("decoder", a, 0, "self", layer))[head]
        until(page, f"studio.head.heads[0] === {head}")
        assert inspect(page, f"head.weights({head})") == pytest.approx(wanted.ravel(), abs=1e-6)
