"""Head metrics as numbers of a step: what can be asked for, what they are, and that a tracker is given them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import attnlog
from attnlog.delivery.entries import run_entries
from attnlog.errors import ArgumentError
from attnlog.metrics import METRICS
from attnlog.record import Axis, Capture, Input, Layer
from attnlog.reported import NAMES, scalars_of, wanted


def layer(number: int, kind: str = "self", input: int = 0, **metrics: list[float]) -> Layer:
    heads = tuple(range(len(next(iter(metrics.values())))))
    found = {name: np.array(values, np.float32) for name, values in metrics.items()}
    weights = np.full((len(heads), 1, 1), 1, np.float32)
    return Layer(input=input, kind=kind, layer=number, heads=heads, groups=heads, shape=(1, 1), weights=weights, metrics=found)


def capture(*layers: Layer) -> Capture:
    inputs = tuple(Input({"self": Axis(tokens=("a",))}) for _ in range(1 + max(one.input for one in layers)))
    return Capture(inputs, layers)


def test_a_metric_is_its_mean_and_maximum_over_heads() -> None:
    found = scalars_of(capture(layer(0, induction=[0.25, 0.75]), layer(1, induction=[0.5, 0.5])), wanted("induction"))
    assert found == {"attention/induction/mean": 0.5, "attention/induction/max": 0.75}


def test_one_head_is_named_by_layer_and_head() -> None:
    found = scalars_of(capture(layer(0, first=[0.25, 0.75]), layer(3, first=[0.5, 1.0])), wanted(["first@3.1", "first@0.0"]))
    assert found == {"attention/first/3.1": 1.0, "attention/first/0.0": 0.25}


def test_of_several_inputs_the_mean_of_those_for_which_a_head_is_defined_counts() -> None:
    found = scalars_of(capture(layer(0, entropy=[1.0, np.nan]), layer(0, input=1, entropy=[3.0, 5.0])), wanted("entropy"))
    assert found == {"attention/entropy/mean": 3.5, "attention/entropy/max": 5.0}


def test_what_is_defined_nowhere_or_was_not_recorded_is_left_out() -> None:
    assert scalars_of(capture(layer(0, induction=[np.nan])), wanted(["induction", "entropy", "induction@7.0"])) == {}


def test_other_kinds_than_self_attention_are_named() -> None:
    found = scalars_of(capture(layer(0, entropy=[1.0]), layer(0, kind="cross", entropy=[2.0])), wanted("entropy@0.0"))
    assert found == {"attention/entropy/0.0": 1.0, "attention/cross/entropy/0.0": 2.0}


@pytest.mark.parametrize("bad", ["inductoin", "induction@2", "induction@a.b", 3, ["entropy", ""]])
def test_what_is_no_head_metric_is_refused_by_name_before_anything_is_written(bad: object, tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match="it takes head metrics .*'induction'"):
        attnlog.Run(tmp_path / "run", scalars=bad)  # type: ignore[arg-type]
    assert not (tmp_path / "run").exists()


def test_names_are_those_of_the_head_metrics() -> None:
    assert tuple(METRICS) == NAMES


def test_a_tracker_is_given_them_with_the_index_of_the_step_once(tmp_path: Path) -> None:
    with (
        pytest.warns(attnlog.AttnlogWarning, match="reached the budget"),
        attnlog.Run(tmp_path / "run", scalars="induction", budget=1) as run,
    ):
        for step in (1, 2):
            run.log(capture(layer(0, induction=[step / 4])), step=step)
    said = [(entry.step, dict(entry.scalars)) for entry in run_entries(tmp_path / "run") if entry.scalars]
    assert said == [(step, {"attention/induction/mean": step / 4, "attention/induction/max": step / 4}) for step in (1, 2)]
    assert all(entry.kind == "index" and entry.time for entry in run_entries(tmp_path / "run") if entry.scalars)


def test_what_has_no_number_is_said_once(tmp_path: Path) -> None:
    no = "no number for scalars 'entropy@7.0' at step 1"
    with pytest.warns(attnlog.AttnlogWarning, match=no) as said, attnlog.Run(tmp_path / "run", scalars=["entropy@7.0"]) as run:
        for step in (1, 2):
            run.log(capture(layer(0, entropy=[1.0])), step=step)
    assert len(said) == 1
