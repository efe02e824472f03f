"""Delivery to Weights & Biases by the real client, offline: what its run folder holds is what ``wandb sync`` uploads."""

from __future__ import annotations

import json
import struct
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import wandb

import attnlog
import attnlog.testing
from attnlog.delivery.discovery import find_trackers
from attnlog.delivery.sync import sync
from attnlog.delivery.tracker import Tracker
from attnlog.errors import TrackerError
from attnlog.testing import TrackerConformance
from attnlog_integrations.wandb.tracker import WandbTracker
from tests.integrations.files import entries, files, small_run


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """An offline run."""
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    made = wandb.init(project="attention", dir=str(tmp_path / "theirs"), settings=wandb.Settings(console="off"))
    yield made
    made.finish()


def delivered(run: Any) -> dict[str, bytes]:
    """What lies in the folder of the W&B run."""
    top = Path(run.dir)
    return {file.relative_to(top).as_posix(): file.read_bytes() for file in (top / "attnlog").rglob("*") if file.is_file()}


def records(file: Path) -> Iterator[Any]:
    """Records of the file that ``wandb sync`` uploads: a log of LevelDB's format after seven bytes of W&B's."""
    from wandb.proto import wandb_internal_pb2

    data, at, begun = file.read_bytes(), 7, b""
    while at + 7 <= len(data):
        room = 32768 - at % 32768
        if room < 7:
            at += room
            continue
        length, part = struct.unpack_from("<HB", data, at + 4)
        begun += data[at + 7 : at + 7 + length]
        at += 7 + length
        if part in (1, 4):  # whole, or the last part
            record = wandb_internal_pb2.Record()
            record.ParseFromString(begun)
            yield record
            begun = b""


def charted(run: Any, name: str) -> list[tuple[int, float]]:
    """Every point of a chart of a run that has ended; its file is whole when the process that writes it has ended, too."""
    wandb.teardown()
    [file] = Path(run.dir).parent.glob("*.wandb")
    points = []
    for record in records(file):
        if record.WhichOneof("record_type") == "history":
            row = {item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in record.history.item}
            if name in row:
                points.append((row["attention/step"], row[name]))
    return points


class TestWandbTracker(TrackerConformance):
    """The contract, as every tracker keeps it."""

    @pytest.fixture(autouse=True)
    def _active(self, run: Any) -> None:
        self.active = run

    def make(self, directory: Path) -> Tracker:
        return WandbTracker(directory)

    def read_back(self, path: str) -> bytes | None:
        return delivered(self.active).get(path)

    def listed(self) -> Sequence[str]:
        return list(delivered(self.active))

    def points(self, name: str) -> Sequence[tuple[int, float]]:
        self.active.finish()
        return charted(self.active, name)


def test_a_run_is_delivered_and_the_summary_says_how_to_upload_it(tmp_path: Path, run: Any) -> None:
    folder = small_run(tmp_path / "run")
    summary = sync(folder, "wandb")
    assert delivered(run) == {f"attnlog/{path}": data for path, data in files(folder).items()}
    assert f"wandb sync {Path(run.dir).parent}" in summary


def test_what_lies_there_is_a_run_folder(tmp_path: Path, run: Any) -> None:
    folder = small_run(tmp_path / "run")
    tracker = WandbTracker(folder)
    for entry in entries(folder):
        tracker.put(entry, folder / entry.path)
    assert list(attnlog.open(Path(run.dir, "attnlog")).steps) == [100, 200, 300]


def test_the_users_own_step_stays_where_it_was(tmp_path: Path, run: Any) -> None:
    folder = attnlog.testing.small_run(tmp_path / "run")  # with head metrics as numbers
    run.log({"loss": 1.0}, step=10)
    sync(folder, "wandb")
    run.log({"loss": 0.5}, step=12)
    run.finish()
    assert [step for step, _ in charted(run, "attention/entropy/mean")] == [1, 2]
    [file] = Path(run.dir).parent.glob("*.wandb")
    rows = [record.history for record in records(file) if record.WhichOneof("record_type") == "history"]
    losses = {row.step.num: json.loads(item.value_json) for row in rows for item in row.item if "loss" in (item.key, *item.nested_key)}
    assert losses == {10: 1.0, 12: 0.5}


def test_a_run_that_is_resumed_is_not_given_again_what_it_was_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    folder = attnlog.testing.small_run(tmp_path / "run")
    points = []
    for turn in ("first", "again"):
        started = wandb.init(
            project="attention", id="one", resume="allow", dir=str(tmp_path / turn), settings=wandb.Settings(console="off")
        )
        with caplog.at_level("INFO", logger="attnlog"):
            summary = sync(folder, "wandb")
        started.finish()
        points += charted(started, "attention/entropy/mean")
    assert len(points) == 2
    assert {path for path in delivered(started) if path.endswith(".arrow")} == set()
    assert f"{len([path for path in files(folder) if path.endswith('.arrow')])} there before" in summary


def test_without_an_active_run_the_error_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(TrackerError, match=r"no Weights & Biases run is active.*wandb\.init\(\)"):
        find_trackers("wandb", tmp_path)


def test_a_run_that_ended_takes_nothing_and_the_error_says_so(tmp_path: Path, run: Any) -> None:
    folder = small_run(tmp_path / "run")
    tracker = WandbTracker(folder)
    run.finish()
    entry = entries(folder)[0]
    with pytest.raises(TrackerError, match=f"ended before {entry.path} was handed to it"):
        tracker.put(entry, folder / entry.path)


def test_a_package_that_nobody_imported_is_not_imported_to_look(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "wandb")
    with pytest.raises(TrackerError, match="no Weights & Biases run is active"):
        WandbTracker(tmp_path)
    assert "wandb" not in sys.modules
