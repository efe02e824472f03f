"""What AttentionCallback records beside attention in real trainings, and that the training does not feel it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

import attnlog
from attnlog.errors import ArgumentError, MissingExtraError
from attnlog_integrations.transformers import AttentionCallback
from attnlog_integrations.transformers.cost import step_cost
from tests.conftest import build
from tests.integrations.training import TEXTS, fingerprint, trainer

EVERYTHING = ("attention", "vectors", "values", "states", "hidden", "predictions", "saliency")


def train(folder: Path, callback: AttentionCallback, tokenizer: Any, **more: Any) -> Any:
    trained = trainer(folder, [callback], tokenizer=tokenizer, **more)
    trained.train()
    callback.close()
    return trained


def test_everything_is_recorded_at_every_evaluation(tmp_path: Path, tokenizer: Any) -> None:
    callback = AttentionCallback(
        TEXTS, directory=tmp_path / "runs", record=EVERYTHING, saliency=attnlog.Saliency(methods=("gradient", "integrated_gradients"))
    )
    train(tmp_path, callback, tokenizer)
    assert callback.directory is not None
    saved = attnlog.open(callback.directory)
    assert saved.steps == (2, 4)
    for step in saved.steps:
        for number in range(2):
            reading = saved.read(step, number)
            tokens = len(reading.inputs[number].tokens())
            assert reading.states()["norm"].shape == (3, tokens)
            assert reading.hidden("self", 2).shape == (tokens, 32)
            assert reading.predictions()[0].ids.shape == (tokens, 5)
            assert reading.saliency("integrated_gradients").values.shape == (tokens,)
    assert (saved.read(2).states()["norm"] != saved.read(4).states()["norm"]).any()


def test_statistics_alone_are_a_run_too(tmp_path: Path, tokenizer: Any) -> None:
    callback = AttentionCallback(TEXTS, directory=tmp_path / "runs", record="states", on="save")
    train(tmp_path, callback, tokenizer, model="llama")
    assert callback.directory is not None
    reading = attnlog.open(callback.directory).read()
    assert reading.layers == ()
    assert reading.states()["mean"].shape[0] == 3


def test_the_training_is_the_same_bit_for_bit(tmp_path: Path, tokenizer: Any) -> None:
    plain = trainer(tmp_path / "plain", [], tokenizer=tokenizer)
    plain.train()
    callback = AttentionCallback(TEXTS, directory=tmp_path / "runs", record=EVERYTHING)
    assert fingerprint(train(tmp_path / "watched", callback, tokenizer)) == fingerprint(plain)


def test_saliency_is_checked_when_the_callback_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ArgumentError, match="name 'saliency' in record"):
        AttentionCallback(TEXTS, saliency=attnlog.Saliency())
    with pytest.raises(ArgumentError, match=r"an attnlog\.Saliency"):
        AttentionCallback(TEXTS, record="saliency", saliency="gradient")  # type: ignore[arg-type]
    monkeypatch.setitem(sys.modules, "captum", None)
    with pytest.raises(MissingExtraError, match=r"attnlog\[saliency\]"):
        AttentionCallback(TEXTS, record="saliency")
    AttentionCallback(TEXTS, record="saliency", saliency=attnlog.Saliency(methods="gradient"))


@pytest.mark.parametrize("record", ["states", "hidden", "predictions", "saliency"])
@pytest.mark.parametrize("name", ["bert", "t5"])
def test_the_cost_that_is_told_is_about_what_is_written(record: str, name: str, tmp_path: Path) -> None:
    import torch

    model = build(name)
    ids = torch.randint(4, 60, (2, 100))
    given = {"input_ids": ids, "decoder_input_ids": ids} if name == "t5" else {"input_ids": ids}
    _, told = step_cost(
        model, [100, 100], precision="u8", vector_precision="f16", dense_tokens=512, record=(record,), layers=None, heads=None
    )
    capture = attnlog.capture(model, given, record=record)
    with attnlog.Run(tmp_path / "run") as run:
        run.log(capture, step=0)
    kinds = {"states": ("states",), "hidden": ("states", "hidden")}.get(record, ("outputs",))
    written = sum(a.bytes for a in attnlog.open(tmp_path / "run").read().commit.assets if a.kind in kinds)
    assert 0.3 < told / written < 3
