"""Prune: what would go is said first; what goes is gone for readers before its files are; nobody else's file goes."""

from __future__ import annotations

import json
import os
import shutil
import threading
from pathlib import Path

import fsspec
import numpy as np
import pytest

import attnlog
from attnlog.errors import ArgumentError, NotRecordedError, RunError
from attnlog.format.write import write_assets
from attnlog.store import change
from attnlog.store.folder import Writer
from attnlog.store.prune import carry_out, plan, without
from tests.unit.test_commands import GOLDEN, read, run


def capture(value=0.5, tokens=("a", "b")):
    return attnlog.from_tensors([np.full((1, len(tokens), len(tokens)), value)], list(tokens))


def written(folder, steps, **more):
    writer = Writer(folder)
    for step in steps:
        writer.commit(write_assets(capture(**more)), step=step)
    return writer


def tree(folder):
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def planned(folder, **more):
    with attnlog.open(folder) as opened:
        return plan(opened, **more)


@pytest.fixture
def folder(tmp_path):
    written(tmp_path / "run", range(0, 1100, 100))
    return tmp_path / "run"


@pytest.mark.parametrize(
    ("asked", "stay"),
    [
        ({"keep_every": 500}, (0, 500, 1000)),
        ({"keep_every": 300}, (0, 300, 600, 900, 1000)),
        ({"keep_last": 3}, (0, 800, 900, 1000)),
        ({"keep_every": 500, "keep_last": 2, "keep": [100]}, (0, 100, 500, 900, 1000)),
        ({"keep_every": 10**9}, (0, 1000)),
        ({"keep_every": 1}, tuple(range(0, 1100, 100))),
    ],
)
def test_the_first_step_the_last_and_those_asked_for_stay(folder, asked, stay):
    assert planned(folder, **asked).staying == stay


def test_of_steps_that_lie_anyhow_the_first_of_every_span_stays(tmp_path):
    written(tmp_path / "run", (37, 487, 974, 1461, 1948, 2100))
    assert planned(tmp_path / "run", keep_every=1000).staying == (37, 1461, 2100)


def test_nothing_is_changed_before_it_is_asked_for(folder):
    before = tree(folder)
    out, _ = run("prune", folder, "--keep-every", 500)
    assert "stay  3 steps: 0, 500, 1000" in out
    assert "go    8 steps: 100, 200, 300, 400, 600, 700, 800, 900" in out
    assert "nothing was changed: add --yes" in out
    assert tree(folder) == before
    said = read("prune", folder, "--keep-every", 500)
    assert said["go"] == [100, 200, 300, 400, 600, 700, 800, 900]
    assert said["bytes"] == sum(len(data) for path, data in before.items() if path in said["files"]) > 0
    assert not said["done"]


def test_what_stays_is_as_it_was_and_what_goes_is_gone(folder):
    before = tree(folder)
    said = read("prune", folder, "--keep-every", 500, "--yes")
    assert said["done"]
    after = tree(folder)
    assert {path: data for path, data in before.items() if path in after and path.endswith(".arrow")} == {
        path: data for path, data in after.items() if path.endswith(".arrow")
    }
    assert sorted(before.keys() - after.keys()) == sorted(said["files"])
    assert sorted(entry.name for entry in folder.glob("step-*")) == ["step-00000000", "step-00000500", "step-00001000"]
    assert attnlog.open(folder).steps == (0, 500, 1000)
    verdict = read("verify", folder)
    assert (verdict["status"], verdict["orphans"]) == ("good", [])
    out, _ = run("prune", folder, "--keep-every", 500, "--yes")
    assert "there is nothing to prune" in out


def test_lines_that_stay_are_not_touched_and_updates_go_with_their_commit(tmp_path):
    writer = written(tmp_path / "run", (0, 1, 2))
    writer.update(1, metrics={"eval_loss": 1.0})
    writer.update(2, metrics={"eval_loss": 0.5})
    lines = writer.manifest.read_bytes().splitlines(keepends=True)
    unknown = b'{"type": "note", "n": 1, "of": "somebody else"}\n'
    writer.manifest.write_bytes(b"".join([*lines, unknown, b'{"type": "unfini']))
    os.chmod(writer.manifest, 0o640)
    run("prune", tmp_path / "run", "--keep-last", 1, "--yes")
    kept = writer.manifest.read_bytes().splitlines(keepends=True)
    assert kept[:-2] == [lines[0], lines[1], lines[3], lines[5], unknown]
    assert json.loads(kept[-2])["commits"] == [1]
    assert kept[-1] == b'{"type": "unfini'
    assert writer.manifest.stat().st_mode & 0o777 == 0o640


def test_commits_that_a_newer_one_of_their_step_replaced_go_too(tmp_path):
    writer = written(tmp_path / "run", (0, 1, 1, 2))
    found = planned(tmp_path / "run", keep_every=1)
    assert (found.going, found.superseded, found.commits) == ((), 1, {(writer.id, 1)})
    run("prune", tmp_path / "run", "--keep-every", 1, "--yes")
    assert read("verify", tmp_path / "run")["commits"] == 3


def test_inputs_stay_for_a_running_writer_may_be_about_to_name_them_again(tmp_path):
    written(tmp_path / "run", (0,))
    written(tmp_path / "run", (1, 2), tokens=("x", "y"))
    written(tmp_path / "run", (4,))
    inputs = sorted({attnlog.open(tmp_path / "run").commit(step).inputs.path for step in (0, 1, 2, 4)})
    assert len(inputs) == 2
    found = planned(tmp_path / "run", keep_last=1)
    assert found.going == (1, 2)
    run("prune", tmp_path / "run", "--keep-last", 1, "--yes")
    with attnlog.open(tmp_path / "run") as opened:
        assert opened.steps == (0, 4)
        assert plan(opened, keep_last=1).empty
    assert sorted(file.name for file in (tmp_path / "run").glob("inputs-*")) == inputs
    assert read("verify", tmp_path / "run")["status"] == "good"


def test_a_prune_that_is_interrupted_leaves_a_whole_run_and_the_next_one_ends_it(folder, monkeypatch):
    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, attnlog.open(folder) as opened:
        patch.setattr("attnlog.store.prune.remove", killed)
        with pytest.raises(KeyboardInterrupt):
            carry_out(opened, plan(opened, keep_every=500))
    assert attnlog.open(folder).steps == (0, 500, 1000)
    left = read("verify", folder)
    assert (left["status"], len(left["orphans"])) == ("good", 8 * 3)
    # What is being written at this moment looks much the same, and is nobody's to remove.
    writer = attnlog.open(folder).manifests[0].writer
    fresh = folder / f"step-00001100/{writer}-11"
    fresh.mkdir(parents=True)
    (fresh / "index.arrow").write_bytes(b"x")
    out, _ = run("prune", folder, "--keep-every", 500)
    assert "24 of them were left by a prune that was interrupted" in out
    run("prune", folder, "--keep-every", 500, "--yes")
    assert read("verify", folder)["orphans"] == [f"step-00001100/{writer}-11/index.arrow"]


@pytest.mark.parametrize("moment", ["write", "fsync", "replace"])
def test_a_manifest_that_cannot_be_replaced_is_as_it_was(folder, moment, monkeypatch):
    before = tree(folder)

    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        if moment == "write":
            patch.setattr("attnlog.store.prune.without", full)
        else:
            patch.setattr(change.os, moment, full)
        _, error = run("prune", folder, "--keep-every", 500, "--yes", status=1)
    assert "cannot be replaced: No space left on device; nothing of it was changed" in error
    assert tree(folder) == before


def test_a_draft_that_a_killed_prune_left_goes_with_the_next(folder):
    name = next(folder.glob("manifest-*")).name
    (folder / f".{name}.pruned").write_text("half")
    run("prune", folder, "--keep-every", 500, "--yes")
    assert not list(folder.glob(".*"))


def test_a_line_that_comes_after_the_plan_stays(folder):
    with attnlog.open(folder) as opened:
        found = plan(opened, keep_every=500)
        written(folder, (1100,))
        carry_out(opened, found)
        assert opened.steps == (0, 500, 1000, 1100)


def test_beside_a_training_that_writes_no_step_is_lost(tmp_path):
    folder = tmp_path / "run"
    done = threading.Event()
    logged = []

    def train():
        writer = Writer(folder)
        for step in range(150):
            writer.commit(write_assets(capture()), step=step)
            writer.update(step, metrics={"eval_loss": float(step)})
            logged.append(step)
        done.set()

    thread = threading.Thread(target=train)
    thread.start()
    seen = set()
    while not done.is_set():
        if len(logged) > 3:
            with attnlog.open(folder) as opened:
                found = plan(opened, keep_every=10)
                seen |= set(found.going)
                carry_out(opened, found)
    thread.join()
    saved = attnlog.open(folder)
    assert set(range(150)) - set(saved.steps) == seen  # only what was planned is gone
    assert len(seen) > 20
    assert all(saved.commit(step).metrics == {"eval_loss": float(step)} for step in saved.steps)
    verdict = read("verify", folder)
    assert (verdict["status"], verdict["orphans"]) == ("good", [])


def test_a_run_that_is_open_goes_on_and_ends_well_though_it_was_pruned(tmp_path, recwarn):
    with attnlog.Run(tmp_path / "run") as training:
        for step in range(6):
            training.log(capture(), step=step)
        assert training.flush()
        run("prune", tmp_path / "run", "--keep-last", 1, "--yes")
        for step in range(6, 9):
            training.log(capture(), step=step)
    # Only what spares readers time may be missing at the end: a roll-up of indexes that are gone.
    assert all("roll up" in str(w.message) for w in recwarn if issubclass(w.category, attnlog.AttnlogWarning))
    assert attnlog.open(tmp_path / "run").steps == (0, 5, 6, 7, 8)
    assert read("verify", tmp_path / "run")["status"] == "good"


def test_a_roll_up_may_stay(tmp_path):
    with attnlog.Run(tmp_path / "run") as training:
        for step in range(6):
            training.log(capture(), step=step)
    rolled = attnlog.open(tmp_path / "run").manifests[0].roll_up
    assert rolled is not None
    run("prune", tmp_path / "run", "--keep-last", 1, "--yes")
    saved = attnlog.open(tmp_path / "run")
    assert set(saved.heads().column("step").to_pylist()) == {0, 5}
    assert read("verify", tmp_path / "run")["orphans"] == []


def test_a_run_at_a_url_is_pruned(tmp_path, folder):
    files = fsspec.filesystem("memory")
    files.put(str(folder), "/pruned", recursive=True)
    try:
        out, _ = run("prune", "memory://pruned", "--keep-every", 500, "--yes")
        assert "note: there are no locks at a URL" in out
        assert read("verify", "memory://pruned")["commits"] == 3
        assert attnlog.open("memory://pruned").steps == (0, 500, 1000)
    finally:
        files.rm("/", recursive=True)


def test_at_a_url_a_manifest_that_grew_is_left_alone(folder, monkeypatch):
    files = fsspec.filesystem("memory")
    files.put(str(folder), "/pruned", recursive=True)
    try:
        opened = attnlog.open("memory://pruned")
        found = plan(opened, keep_every=500)
        get = opened.source.get
        grown = iter(range(100))
        monkeypatch.setattr(opened.source, "get", lambda path, range=None: get(path, range) + b" " * next(grown))
        with pytest.raises(RunError, match="grew meanwhile"):
            carry_out(opened, found)
        monkeypatch.undo()
        assert len(attnlog.open("memory://pruned").steps) == 11
    finally:
        files.rm("/", recursive=True)


def test_a_folder_that_cannot_be_written_is_said_to_be_so_before(folder, monkeypatch):
    monkeypatch.setattr(change.os, "access", lambda *_: False)
    out, _ = run("prune", folder, "--keep-every", 500)
    assert "this cannot be done here: the folder cannot be written" in out
    _, error = run("prune", folder, "--keep-every", 500, "--yes", status=1)
    assert "cannot be pruned: the folder cannot be written" in error


def test_what_is_asked_wrongly_is_refused(folder):
    _, error = run("prune", folder, "--yes", status=1)
    assert "say what is to stay" in error
    _, error = run("prune", folder, "--keep-every", 500, "--keep", 150, status=1)
    assert "step 150 was not recorded" in error
    run("prune", folder, "--keep-every", 0, status=2)
    with pytest.raises(ArgumentError, match="keep_last is 0"):
        planned(folder, keep_last=0)
    with pytest.raises(NotRecordedError):
        planned(folder, keep=[1])
    assert len(attnlog.open(folder).steps) == 11


def test_a_golden_run_is_pruned_without_a_change_to_what_stays(tmp_path):
    shutil.copytree(GOLDEN / "decoder", tmp_path / "run")
    before = attnlog.open(tmp_path / "run").read(200).weights("self", 1)
    run("prune", tmp_path / "run", "--keep-last", 1, "--yes")
    np.testing.assert_array_equal(attnlog.open(tmp_path / "run").read(200).weights("self", 1), before)
    assert (tmp_path / "run/expected.json").exists()


def test_a_mark_of_an_earlier_prune_is_merged(tmp_path):
    writer = written(tmp_path / "run", range(6))
    once = without(writer.manifest.name, writer.manifest.read_bytes(), {1, 5})
    twice = without(writer.manifest.name, once, {2})
    marks = [said for line in twice.splitlines() if (said := json.loads(line))["type"] == "pruned"]
    assert [mark["commits"] for mark in marks] == [[1, 2, 5]]


def test_a_manifest_that_is_gone_is_said_to_be_gone(folder):
    with attnlog.open(folder) as opened:
        found = plan(opened, keep_every=500)
        Path(next(folder.glob("manifest-*"))).unlink()
        with pytest.raises(RunError, match="no longer there"):
            carry_out(opened, found)
    assert not list(folder.glob("manifest-*"))
