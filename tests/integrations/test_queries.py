"""The queries of the guide run as they stand there, and answer what they say they answer."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import attnlog
from attnlog.store.open import SavedRun

ROOT = Path(__file__).parent.parent.parent
GUIDE = (ROOT / "docs/guides/queries.md").read_text(encoding="utf-8")


def attention(step: int, *, tokens: int, seed: int) -> attnlog.Capture:
    """Attention that sharpens with the steps, each head at its own rate, layer 1's head 2 on the token before."""
    rng = np.random.default_rng(seed)
    layers = []
    for layer in range(3):
        scores = rng.normal(size=(4, tokens, tokens)) * (1 + step / 100 * rng.uniform(0, 1, size=(4, 1, 1)))
        if layer == 1:
            scores[2] += 0.02 * step * (np.eye(tokens, k=-1))
        scores = np.where(np.tri(tokens) > 0, scores, -np.inf)
        powers = np.exp(scores - scores.max(-1, keepdims=True))
        layers.append(powers / powers.sum(-1, keepdims=True))
    return attnlog.from_tensors(layers, [f"t{n}" for n in range(tokens)])


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Two runs, and every name that the guide's Python defines when it is run from the folder that holds them."""
    folder = tmp_path_factory.mktemp("queries")
    for name, seed in (("a", 1), ("b", 2)):
        with attnlog.Run(folder / "runs" / name, dense_tokens=512 if name == "a" else 64) as run:
            for step in (0, 200, 400):
                run.log(attention(step, tokens=24 if name == "a" else 100, seed=seed), step=step)
                run.flush()
    with attnlog.Run(folder / "runs" / "a") as resumed:  # says step 400 again: only the newer one counts
        resumed.log(attention(600, tokens=24, seed=1), step=400)
    names: dict[str, Any] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        # The whole page at once, as a reader would paste it: later blocks use what earlier ones define.
        exec(compile("\n".join(re.findall(r"```python\n(.*?)```", GUIDE, re.DOTALL)), "queries.md", "exec"), names)
        for query in ("ten", "over_runs", "learned", "kept"):
            names[query] = names[query].fetchall()
    names["folder"] = folder
    return names


def change(saved: SavedRun, first: int, last: int) -> dict[tuple[int, str, int, int], float]:
    """Change of entropy of each head, by attnlog's own reader."""
    tables = [
        {(r["input"], r["kind"], r["layer"], r["head"]): r["entropy"] for r in saved.read(s).index().to_pylist()} for s in (first, last)
    ]
    return {head: tables[1][head] - tables[0][head] for head in tables[0]}


def test_the_ten_heads_that_changed_most_are_the_same_by_every_way(said: dict[str, Any]) -> None:
    changes = change(attnlog.open(said["folder"] / "runs/a"), 0, 400)
    expected = sorted(changes, key=lambda head: -abs(changes[head]))[:10]
    assert [row[:4] for row in said["ten"]] == expected
    found = said["most"].to_pylist()
    assert [(r["input"], r["kind"], r["layer"], r["head"]) for r in found] == expected
    for row, head in zip(found, expected, strict=True):
        assert row["change"] == pytest.approx(changes[head], rel=1e-6)


def test_over_many_runs_the_heads_that_changed_most_are_found(said: dict[str, Any]) -> None:
    changes = {
        (name, *head): value for name in "ab" for head, value in change(attnlog.open(said["folder"] / "runs" / name), 0, 400).items()
    }
    expected = sorted(changes, key=lambda head: -abs(changes[head]))[:10]
    assert [row[:5] for row in said["over_runs"]] == expected


def test_the_roll_up_answers_when_a_head_was_learned(said: dict[str, Any]) -> None:
    assert ("a", "self", 1, 2, 400) in said["learned"]


def test_weights_come_out_as_they_went_in(said: dict[str, Any]) -> None:
    own = attnlog.open(said["folder"] / "runs/a")
    step = said["asset"].parent.name  # which of the two commits of the step the guide's example found does not matter
    assert said["weights"].shape == (24, 24)
    assert step
    np.testing.assert_allclose(said["weights"].sum(axis=1), 1, atol=0.05)
    assert own.steps == (0, 200, 400)
    assert said["strongest"]["greatest weight"].max() <= 1


def test_kept_weights_of_long_inputs_are_unnested(said: dict[str, Any]) -> None:
    found = attnlog.open(said["folder"] / "runs/b").read(0).weights("self", 0)
    keys, weights = found.row(0, 0)
    assert said["kept"][0][2] == keys[0]
    assert said["kept"][0][3] == pytest.approx(weights[0], abs=1e-6)


def test_arrow_js_reads_an_asset(said: dict[str, Any], tmp_path: Path) -> None:
    (script,) = re.findall(r"```js\n(.*?)```", GUIDE, re.DOTALL)
    program = ROOT / "panels" / "node_modules" / ".queries.mjs"  # where node finds its packages
    program.write_text(script)
    try:
        out = subprocess.run(["node", str(program), str(said["folder"] / said["asset"])], capture_output=True, text=True)
    finally:
        program.unlink()
    assert out.returncode == 0, out.stderr
    assert "layer 0 head 0: 24 × 24, first weight 1.000" in out.stdout
