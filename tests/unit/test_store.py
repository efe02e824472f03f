"""The run folder: commits appear whole or not at all, and writers never meet."""

from __future__ import annotations

import json
import multiprocessing
import os

import numpy as np
import pytest

import attnlog
from attnlog.errors import ArgumentError, RunError
from attnlog.format.write import write_assets
from attnlog.store import folder
from attnlog.store.folder import Writer
from attnlog.store.open import open_run


def capture(value=0.5):
    return attnlog.from_tensors([np.full((1, 2, 2), value)], ["a", "b"])


def test_a_commit_is_read_back_with_all_that_was_said(tmp_path):
    with attnlog.Run(tmp_path / "run", name="mine") as run:
        run.log(capture(), step=100, epoch=1.5, checkpoint="out/checkpoint-100", loss=2.0, metrics={"eval_loss": 2.5, "text": "x"})
    saved = attnlog.open(tmp_path / "run")
    commit = saved.commit(100)
    assert saved.name == "mine"
    assert (commit.epoch, commit.checkpoint, commit.loss, commit.metrics) == (1.5, "out/checkpoint-100", 2.0, {"eval_loss": 2.5})
    assert saved.read().inputs[0].tokens() == ("a", "b")


def test_the_newest_commit_of_a_step_wins(tmp_path):
    with attnlog.Run(tmp_path / "run") as run:
        run.log(capture(0.25), step=5)
        run.log(capture(0.5), step=5)
    saved = attnlog.open(tmp_path / "run")
    assert saved.steps == (5,)
    np.testing.assert_allclose(saved.read(5).weights("self", 0), 0.5, atol=4e-3)
    assert len(list((tmp_path / "run").glob("step-*/*"))) == 2


def test_a_second_writer_adds_to_the_run(tmp_path):
    for step in (1, 2):
        with attnlog.Run(tmp_path / "run") as run:
            run.log(capture(), step=step)
    saved = attnlog.open(tmp_path / "run")
    assert saved.steps == (1, 2)
    assert len(saved.manifests) == 2
    assert len(list((tmp_path / "run").glob("inputs-*.arrow"))) == 1  # the same inputs are kept once


def write_some(directory, start):
    writer = Writer(directory)
    for n in range(10):
        writer.commit(write_assets(capture()), step=start * n)


def test_two_processes_write_one_run_at_once(tmp_path):
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=write_some, args=(tmp_path / "run", start)) for start in (1, 2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0]
    saved = open_run(tmp_path / "run")
    assert sum(len(m.commits) for m in saved.manifests) == 20
    for step in saved.steps:
        assert saved.read(step).weights("self", 0).shape == (1, 2, 2)


def test_metrics_and_checkpoint_that_come_later_join_their_step(tmp_path):
    with attnlog.Run(tmp_path / "run") as run:
        run.log(capture(), step=5, metrics={"eval_loss": 1.0})
        run.amend(5, checkpoint="out/checkpoint-5", metrics={"eval_accuracy": 0.5})
        run.amend(6, metrics={"nobody": 1.0})  # a step that was never logged
    commit = attnlog.open(tmp_path / "run").commit(5)
    assert commit.checkpoint == "out/checkpoint-5"
    assert commit.metrics == {"eval_loss": 1.0, "eval_accuracy": 0.5}


@pytest.mark.parametrize("moment", ["write", "rename", "manifest"])
def test_a_commit_that_fails_half_way_does_not_exist(tmp_path, moment, monkeypatch):
    writer = Writer(tmp_path / "run")
    writer.commit(write_assets(capture()), step=1)

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        if moment == "write":
            patch.setattr(folder, "_write", full)
        elif moment == "rename":
            patch.setattr(folder.Path, "rename", full)
        else:
            patch.setattr(
                os,
                "fsync",
                lambda handle, fsync=os.fsync: full() if os.readlink(f"/proc/self/fd/{handle}").endswith(".jsonl") else fsync(handle),
            )
        with pytest.raises(OSError, match="No space left"):
            writer.commit(write_assets(capture()), step=2)
    assert open_run(tmp_path / "run").steps == (1,)
    writer.commit(write_assets(capture()), step=3)
    saved = open_run(tmp_path / "run")
    assert saved.steps == (1, 3)
    assert saved.read(3).weights("self", 0).shape == (1, 2, 2)


def test_a_run_folder_that_is_a_file_is_refused(tmp_path):
    (tmp_path / "run").write_text("x")
    with pytest.raises(RunError, match="is a file"):
        attnlog.Run(tmp_path / "run")


@pytest.mark.parametrize("bad", [{"precision": "u4"}, {"budget": "much"}, {"budget": 0}, {"tracker": "nobody"}])
def test_arguments_that_cannot_be_used_are_refused(tmp_path, bad):
    with pytest.raises(ArgumentError):
        attnlog.Run(tmp_path / "run", **bad)


@pytest.mark.parametrize("step", [-1, 1.5, "1", True, None])
def test_a_step_that_is_none_is_refused(tmp_path, step):
    with attnlog.Run(tmp_path / "run") as run, pytest.raises(ArgumentError, match="step is"):
        run.log(capture(), step=step)


def test_a_closed_run_takes_nothing(tmp_path):
    run = attnlog.Run(tmp_path / "run")
    run.close()
    run.close()
    with pytest.raises(ArgumentError, match="is closed"):
        run.log(capture(), step=1)


def test_beyond_the_budget_index_and_pictures_are_kept_and_the_last_step_whole(tmp_path):
    with attnlog.Run(tmp_path / "free") as run:
        run.log(capture(), step=0)
    one = sum(a.bytes for a in attnlog.open(tmp_path / "free").commit(0).assets)
    with pytest.warns(attnlog.AttnlogWarning, match="budget") as warned, attnlog.Run(tmp_path / "run", budget=int(2.5 * one)) as run:
        for step in range(6):
            run.log(capture(), step=step)
    saved = attnlog.open(tmp_path / "run")
    assert [saved.commit(step).complete for step in saved.steps] == [True, True, False, False, False, True]
    assert len([w for w in warned if "budget" in str(w.message)]) == 1
    assert saved.read(3).layers
    with pytest.raises(LookupError, match="budget"):
        saved.read(3).weights("self", 0)


def test_flushing_writes_what_waits_and_the_run_goes_on(tmp_path):
    with attnlog.Run(tmp_path / "run") as run:
        run.log(capture(), step=1)
        assert run.flush()
        assert attnlog.open(tmp_path / "run").steps == (1,)
        run.log(capture(), step=2)
    assert attnlog.open(tmp_path / "run").steps == (1, 2)


def test_flushing_writes_a_thinned_last_step_whole(tmp_path):
    with pytest.warns(attnlog.AttnlogWarning, match="budget"), attnlog.Run(tmp_path / "run", budget=1) as run:
        run.log(capture(), step=1)
        assert run.flush()
        assert attnlog.open(tmp_path / "run").commit(1).complete
        run.amend(1, metrics={"eval_loss": 1.0})
    commit = attnlog.open(tmp_path / "run").commit(1)
    assert commit.complete
    assert commit.metrics == {"eval_loss": 1.0}


def test_a_write_that_fails_warns_once_and_logging_goes_on(tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch, pytest.warns(attnlog.AttnlogWarning, match="No space left") as warned:
        patch.setattr(folder, "_write", full)
        with attnlog.Run(tmp_path / "run") as run:
            for step in range(3):
                run.log(capture(), step=step)
    assert len(warned) == 1


def test_strict_mode_raises_on_close(tmp_path, monkeypatch):
    monkeypatch.setenv("ATTNLOG_STRICT", "1")
    monkeypatch.setattr(folder, "_write", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    run = attnlog.Run(tmp_path / "run")
    run.log(capture(), step=1)
    with pytest.raises(OSError, match="No space left"):
        run.close()


def test_when_writing_cannot_keep_up_a_capture_is_dropped_counted_and_said(tmp_path, monkeypatch):
    import threading

    from attnlog import run as running

    go = threading.Event()
    monkeypatch.setattr(running, "PATIENCE", 0.05)
    monkeypatch.setattr(running.Run, "_commit", lambda *_: go.wait())
    with attnlog.Run(tmp_path / "run") as run:
        with pytest.warns(attnlog.AttnlogWarning, match="dropped the capture of step 2"):
            for step in range(3):
                run.log(capture(), step=step)
        assert run.dropped == 1
        go.set()


def test_the_manifest_says_who_wrote(tmp_path):
    with attnlog.Run(tmp_path / "run", model_info={"model": {"name": "m"}}) as run:
        run.log(capture(), step=0)
    header = json.loads(next((tmp_path / "run").glob("manifest-*")).read_text().splitlines()[0])
    assert header["type"] == "writer"
    assert header["attnlog"] == 1
    assert header["model"]["name"] == "m"
    assert header["versions"]["attnlog"] == attnlog.__version__


@pytest.mark.parametrize("kind", ["numpy", "torch", "infinite"])
def test_losses_come_as_whatever_number_a_loop_has(tmp_path, kind):
    import torch

    loss = {"numpy": np.float32(2.5), "torch": torch.tensor(2.5), "infinite": float("inf")}[kind]
    with attnlog.Run(tmp_path / "run") as run:
        run.log(capture(), step=1, loss=loss, epoch=np.float64(0.5))
    commit = attnlog.open(tmp_path / "run").commit(1)
    assert (commit.loss, commit.epoch) == (None if kind == "infinite" else 2.5, 0.5)


def test_a_disk_that_was_full_once_does_not_stop_what_comes_later(tmp_path, monkeypatch):
    import errno

    fsync, failures = os.fsync, iter([True, False, False, False, False, False, True])

    def sometimes_full(handle):
        if next(failures, False):
            raise OSError(errno.ENOSPC, "No space left on device")
        fsync(handle)

    monkeypatch.setattr(os, "fsync", sometimes_full)
    writer = Writer(tmp_path / "run", {"run": "mine"})
    failed = 0
    for step in range(5):
        try:
            writer.commit(write_assets(capture()), step=step)
        except OSError:
            failed += 1
    assert failed == 2
    saved = open_run(tmp_path / "run")
    assert len(saved.steps) == 3
    assert saved.manifests[0].header["run"] == "mine"  # the first line is there, whichever append was the first
    assert not list((tmp_path / "run").glob(".*"))


def test_what_json_cannot_say_is_null_and_stops_no_commit(tmp_path):
    odd = attnlog.Capture(capture().inputs, capture().layers, config={"limit": float("inf"), "path": tmp_path})
    with attnlog.Run(tmp_path / "run") as run:
        run.log(odd, step=1)
    assert attnlog.open(tmp_path / "run").manifests[0].header["config"]["limit"] is None


def test_half_a_surrogate_pair_in_a_token_stops_no_commit(tmp_path):
    with attnlog.Run(tmp_path / "run") as run:
        run.log(attnlog.from_tensors([np.full((1, 2, 2), 0.5)], ["a", "\ud83d"]), step=1)
    assert attnlog.open(tmp_path / "run").read().inputs[0].tokens() == ("a", "?")


def test_a_closed_run_takes_no_amendment(tmp_path):
    run = attnlog.Run(tmp_path / "run")
    run.log(capture(), step=1)
    run.close()
    with pytest.raises(ArgumentError, match="is closed"):
        run.amend(1, metrics={"eval_loss": 1.0})


def test_a_forked_child_neither_writes_nor_closes(tmp_path):
    run = attnlog.Run(tmp_path / "run")
    run.log(capture(), step=1)
    assert run.flush()
    child = os.fork()
    if child == 0:
        try:
            run.log(capture(), step=2)
        except ArgumentError:
            run.close()
            os._exit(0)
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    run.log(capture(), step=3)
    run.close()
    assert attnlog.open(tmp_path / "run").steps == (1, 3)


def test_a_run_that_recorded_nothing_says_so_instead_of_where_to_look(tmp_path, caplog):
    caplog.set_level("INFO", logger="attnlog")
    attnlog.Run(tmp_path / "run").close()
    assert [record.message for record in caplog.records] == [f"nothing was recorded in {tmp_path / 'run'}"]


def test_a_step_that_no_reader_could_read_is_refused(tmp_path):
    with attnlog.Run(tmp_path / "run") as run, pytest.raises(ArgumentError, match="below 2"):
        run.log(capture(), step=1 << 53)


def test_a_tracker_that_is_not_known_leaves_no_folder_behind(tmp_path):
    with pytest.raises(ArgumentError, match="wandbb"):
        attnlog.Run(tmp_path / "run", tracker="wandbb")
    assert not (tmp_path / "run").exists()


def test_a_run_whose_tracker_cannot_be_had_leaves_no_folder_behind(tmp_path):
    from attnlog.errors import TrackerError

    class Refuses:
        name = "refuses"

        def __init__(self, directory):
            raise TrackerError("no run is active")

    with pytest.raises(TrackerError):
        attnlog.Run(tmp_path / "run", tracker=Refuses)
    assert not (tmp_path / "run").exists()
    (tmp_path / "there").mkdir()
    with pytest.raises(TrackerError):
        attnlog.Run(tmp_path / "there", tracker=Refuses)
    assert (tmp_path / "there").exists()
