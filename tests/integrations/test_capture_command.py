"""Checkpoints that are there already become steps of a run, by one command that can be killed and given again."""

from __future__ import annotations

import gc
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

import attnlog
from attnlog.cli import main
from attnlog.commands import models
from attnlog.errors import NotRecordedError
from tests.conftest import build
from tests.whole import check_whole

ROOT = Path(__file__).parents[2]
TEXTS = ["the cat sat on the mat", "the nurse said that he was tired"]
GIVEN = ["--input", TEXTS[0], "--input", TEXTS[1]]


def run(*arguments: object, status: int = 0) -> Result:
    result = CliRunner().invoke(main, ["capture", *map(str, arguments)])
    assert result.exit_code == status, (result.output, result.exception)
    return result


def saved(folder: Path, tokenizer: Any, name: str = "bert", *, seed: int = 0, state: dict[str, Any] | None = None) -> Path:
    """A checkpoint as a Trainer leaves one."""
    import torch

    model: Any = build(name)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.05 * torch.randn(parameter.shape, generator=generator)
    model.save_pretrained(folder)
    if tokenizer is not None:
        tokenizer.save_pretrained(folder)
    if state is not None:
        (folder / "trainer_state.json").write_text(json.dumps(state))
    return folder


def state_of(step: int) -> dict[str, Any]:
    logs = [
        {"step": step - 5, "loss": 9.0, "epoch": 0.1},
        {"step": step, "loss": 2.5, "grad_norm": 1.0, "epoch": 0.5},
        {"step": step, "eval_loss": 2.25, "eval_accuracy": 0.5, "epoch": 0.5},
    ]
    return {"global_step": step, "epoch": 0.5, "log_history": logs}


@pytest.fixture
def out(tmp_path: Path, tokenizer: Any, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The output folder of a training: three checkpoints, a folder of something else, and a file."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "out"
    for step in (20, 100, 3):
        saved(folder / f"checkpoint-{step}", tokenizer, seed=step, state=state_of(step))
    (folder / "checkpoint-logs").mkdir()
    (folder / "checkpoint-note").write_text("a file")
    return folder


def _committed(folder: Path) -> bool:
    """Whether a commit's line stands whole behind the first, which says who writes."""
    return any(manifest.read_bytes().count(b"\n") > 1 for manifest in folder.glob("manifest-*.jsonl"))


def test_a_glob_of_checkpoints_becomes_a_run_in_the_order_of_steps(out: Path, tokenizer: Any) -> None:
    said = run(
        "out/checkpoint-*", *GIVEN, "--run", "runs/a", "--precision", "f32", "--record", "attention,vectors", "--record", "predictions"
    )
    lines = said.stdout.splitlines()
    assert [line.split()[1] for line in lines if line.startswith("step ")] == ["3", "20", "100"]
    assert "passed over, as they hold no model: out/checkpoint-logs" in said.stdout
    assert lines[-1] == "3 checkpoints recorded: runs/a"
    found = attnlog.open("runs/a")
    assert found.steps == (3, 20, 100)
    commit = found.commit(20)
    assert (commit.epoch, commit.loss, commit.checkpoint) == (0.5, 2.5, "out/checkpoint-20")
    assert dict(commit.metrics) == {"eval_loss": 2.25, "eval_accuracy": 0.5}
    assert found.manifests[0].header["model"]["class"] == "BertForMaskedLM"
    step = found.read(100)
    assert [one.axes["self"].text for one in step.inputs] == TEXTS
    assert step.predictions() is not None
    import transformers

    model = transformers.BertForMaskedLM.from_pretrained(out / "checkpoint-100")
    direct = attnlog.capture(model, TEXTS, tokenizer=tokenizer)
    for number in range(2):
        for layer in range(2):
            np.testing.assert_array_equal(step.weights("self", layer, input=number), direct.weights("self", layer, input=number))
    assert CliRunner().invoke(main, ["verify", "runs/a"]).exit_code == 0


def test_pairs_files_layers_and_heads(out: Path) -> None:
    Path("more.txt").write_text("the dog saw the cat\n\n  \nthe cat sat\n")
    Path("more.jsonl").write_text('"he was tired"\n["the cat", "the dog"]\n{"text": "the mat"}\n{"text": "a", "pair": "b"}\n')
    told = ["--input", TEXTS[0], "--pair", "the cat sat", "he was tired", "--inputs", "more.txt", "--inputs", "more.jsonl"]
    run(out / "checkpoint-3", *told, "--run", "runs/a", "--layers", "1", "--heads", "0,2-3", "--step", 7, "--max-tokens", 6)
    found = attnlog.open("runs/a")
    assert found.steps == (7,)
    step = found.read()
    texts = [(one.axes["self"].text, one.axes["self"].pair) for one in step.inputs]
    assert texts == [
        (TEXTS[0], None),
        ("the cat sat", "he was tired"),
        ("the dog saw the cat", None),
        ("the cat sat", None),
        ("he was tired", None),
        ("the cat", "the dog"),
        ("the mat", None),
        ("a", "b"),
    ]
    assert step.weights("self", 1).shape == (3, 6, 6)
    with pytest.raises(NotRecordedError):
        step.weights("self", 0)
    again = run(out / "checkpoint-3", *told, "--run", "runs/a", "--step", 7)
    assert "skipped" in again.stdout


def test_encoder_decoders_take_pairs_as_source_and_target_and_go_on(tmp_path: Path, plain_tokenizer: Any) -> None:
    folders = [saved(tmp_path / f"checkpoint-{n}", plain_tokenizer, "t5", seed=n) for n in (1, 2)]
    told = ["--input", "the cat sat", "--pair", "the cat sat", "the dog saw", "--run", tmp_path / "run"]
    run(folders[0], *told)
    assert attnlog.open(tmp_path / "run").read().weights("cross", 1).shape[0] == 4
    assert "1 checkpoint recorded, 1 skipped" in run(*folders, *told).stdout


def test_steps_come_from_the_name_the_state_or_the_order(tmp_path: Path, tokenizer: Any) -> None:
    first = saved(tmp_path / "base", tokenizer, seed=1)
    stated = saved(tmp_path / "middle", tokenizer, seed=2, state=state_of(40))
    last = saved(tmp_path / "final", tokenizer, seed=3)
    said = run(first, stated, last, *GIVEN, "--run", tmp_path / "run")
    assert attnlog.open(tmp_path / "run").steps == (0, 40, 41)
    assert f"step 0 is {first}, by its place in the list" in said.stdout
    assert f"step 41 is {last}, by its place in the list" in said.stdout
    run(first, last, *GIVEN, "--run", tmp_path / "other", "--step", 5, "--step", 6)
    assert attnlog.open(tmp_path / "other").steps == (5, 6)
    refused = run(first, last, *GIVEN, "--run", tmp_path / "third", "--step", 5, "--step", 5, status=1)
    assert "are both step 5" in refused.stderr


def test_a_killed_command_goes_on_where_it_was(out: Path) -> None:
    command = [sys.executable, "-m", "attnlog.cli", "capture", "out/checkpoint-*", *GIVEN, "--run", "runs/a"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(command, cwd=out.parent, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as begun:
        end = time.monotonic() + 120
        while not _committed(out.parent / "runs" / "a") and time.monotonic() < end and begun.poll() is None:
            time.sleep(0.002)
        begun.send_signal(signal.SIGKILL)
        begun.wait()
    held = attnlog.open("runs/a").steps
    assert held
    said = run("out/checkpoint-*", *GIVEN, "--run", "runs/a")
    assert said.stdout.count("skipped: it is in the run already") == len(held)
    assert attnlog.open("runs/a").steps == (3, 20, 100)
    check_whole(Path("runs/a"))
    before = sorted(Path("runs/a").rglob("*"))
    assert "0 checkpoints recorded, 3 skipped" in run(out / "checkpoint-*", *GIVEN, "--run", "runs/a").stdout
    assert sorted(Path("runs/a").rglob("*")) == before


def test_one_bad_checkpoint_is_told_and_the_others_are_recorded(out: Path) -> None:
    (out / "checkpoint-20" / "model.safetensors").write_bytes(b"cut off")
    (out / "checkpoint-50").mkdir()
    shutil.copytree(out / "checkpoint-3", out / "checkpoint-60")
    for file in (out / "checkpoint-60").glob("*token*"):
        file.unlink()
    (out / "checkpoint-70").mkdir()
    (out / "checkpoint-70" / "config.json").write_text("{")
    said = run("out/checkpoint-*", *GIVEN, "--run", "runs/a", status=1)
    assert attnlog.open("runs/a").steps == (3, 100)
    told = [line for line in said.stderr.splitlines() if "was not recorded" in line]
    assert len(told) == 4
    assert any("checkpoint-50 has no config.json" in line for line in told)
    assert any("checkpoint-60 has no tokenizer: name a folder or model that has one with --tokenizer" in line for line in told)
    assert "2 checkpoints recorded, 4 failed" in said.stdout
    mended = run(out / "checkpoint-60", *GIVEN, "--run", "runs/a", "--tokenizer", out / "checkpoint-3")
    assert "1 checkpoint recorded" in mended.stdout


def test_a_checkpoint_is_freed_before_the_next_is_loaded(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    load, living, most = models.load, [], 0

    def watched(*arguments: Any, **options: Any) -> Any:
        nonlocal most
        most = max(most, sum(one() is not None for one in living))
        model, lacking = load(*arguments, **options)
        living.append(weakref.ref(model))
        return model, lacking

    monkeypatch.setattr(models, "load", watched)
    run("out/checkpoint-*", *GIVEN, "--run", "runs/a")
    gc.collect()
    assert (len(living), most, sum(one() is not None for one in living)) == (3, 0, 0)


def test_two_models_are_two_runs_that_can_be_compared(out: Path, plain_tokenizer: Any) -> None:
    saved(Path("gpt/checkpoint-3"), plain_tokenizer, "gpt2")
    together = run("out/checkpoint-3", "gpt/checkpoint-3", *GIVEN, "--run", "runs/a", "--step", 1, "--step", 2, status=1)
    assert "GPT2LMHeadModel (gpt2) is not BertForMaskedLM (bert)" in together.stderr
    assert not Path("runs").exists()
    run("out/checkpoint-3", *GIVEN, "--run", "runs/a")
    refused = run("gpt/checkpoint-3", *GIVEN, "--run", "runs/a", "--step", 9, status=1)
    assert "capture the other to a --run folder of its own" in refused.stderr
    run("gpt/checkpoint-3", *GIVEN, "--run", "runs/b")
    one, other = (attnlog.open(f"runs/{name}").read() for name in "ab")
    assert [x.axes["self"].text for x in one.inputs] == [x.axes["self"].text for x in other.inputs]
    shapes = [np.asarray(step.weights("self", 1)).shape for step in (one, other)]
    assert shapes == [(4, 8, 8), (4, 6, 6)]


def test_weights_that_a_checkpoint_lacks_are_told(out: Path) -> None:
    said = run(out / "checkpoint-3", *GIVEN, "--run", "runs/a", "--class", "AutoModelForSequenceClassification")
    assert "not in the checkpoint and random: bert.pooler.dense.bias" in said.stdout
    assert attnlog.open("runs/a").manifests[0].header["model"]["class"] == "BertForSequenceClassification"


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        (["out/nothing-*", *GIVEN], "nothing matches out/nothing-*"),
        (["out/checkpoint-9", *GIVEN], "there is no checkpoint at out/checkpoint-9"),
        (["out/checkpoint-note", *GIVEN], "is a file: name the folder"),
        (["out/checkpoint-3"], 'no inputs: give --input "a text"'),
        (["out/checkpoint-3", "--input", " "], "input 0 is empty"),
        (["out/checkpoint-3", "--inputs", "none.txt"], "there is no file none.txt"),
        (["out/checkpoint-3", "--inputs", "bad.jsonl"], "bad.jsonl line 2 is no input"),
        (["out/checkpoint-3", *GIVEN, "--record", "attn"], "record has 'attn'; it takes any of attention"),
        (["out/checkpoint-3", *GIVEN, "--layers", "x"], "--layers is 'x'"),
        (["out/checkpoint-3", *GIVEN, "--tracker", "nobody"], "there is no tracker named 'nobody'"),
        (["out/checkpoint-3", *GIVEN, "--class", "BertForNothing"], "--class is 'BertForNothing'"),
        (["out/checkpoint-3", *GIVEN, "--device", "nowhere"], "--device is 'nowhere'"),
        (["out/checkpoint-3", *GIVEN, "--tokenizer", "gone/tokens"], "--tokenizer gone/tokens cannot be loaded"),
        (["out/checkpoint-*", *GIVEN, "--step", "1"], "--step is given 1 times for 3 checkpoints"),
        (["out/checkpoint-3", *GIVEN, "--run", "file"], "the run folder file is a file"),
    ],
)
def test_what_cannot_be_is_said_in_one_line_before_any_model_is_loaded(
    out: Path, arguments: list[str], wanted: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("file").write_text("")
    Path("bad.jsonl").write_text('"good"\n3\n')
    monkeypatch.setattr(models, "load", lambda *_, **__: pytest.fail("a model was loaded"))
    said = run(*([] if "--run" in arguments else ["--run", "runs/a"]), *arguments, status=1)
    [line] = [one for one in said.stderr.splitlines() if one.startswith("attnlog: ")]
    assert wanted in line
    assert not Path("runs").exists()


def test_texts_need_a_tokenizer_and_a_run_keeps_its_inputs_and_steps(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run("out/checkpoint-3", *GIVEN, "--run", "runs/a")
    monkeypatch.setattr(models, "load", lambda *_, **__: pytest.fail("a model was loaded"))
    others = run("out/checkpoint-20", "--input", "the dog", "--run", "runs/a", status=1)
    assert "holds other inputs" in others.stderr
    again = run("out/checkpoint-3", "--input", "the dog", "--run", "runs/a", status=1)  # nothing is left to do, and that is not said of it
    assert "holds other inputs" in again.stderr
    taken = run("out/checkpoint-20", *GIVEN, "--run", "runs/a", "--step", 3, status=1)
    assert "step 3 of runs/a was recorded of out/checkpoint-3" in taken.stderr
    for file in (out / "checkpoint-20").glob("*token*"):
        file.unlink()
    none = run("out/checkpoint-20", *GIVEN, "--run", "runs/a", status=1)
    assert "out/checkpoint-20 has no tokenizer, which texts need" in none.stderr


def test_a_layer_that_the_model_lacks_ends_the_command(out: Path) -> None:
    said = run("out/checkpoint-*", *GIVEN, "--run", "runs/a", "--layers", "7", status=1)
    assert said.stderr.count("LayerError") == 1
    assert "this model has layers 0 to 1" in said.stderr


def test_without_transformers_the_pip_line_is_named(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    said = run("out/checkpoint-3", *GIVEN, "--run", "runs/a", status=1)
    assert "attnlog capture needs transformers, which is not installed: pip install 'attnlog[transformers]'" in said.stderr
