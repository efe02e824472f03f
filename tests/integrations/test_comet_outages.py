"""A Comet that fails in every way that servers fail, by the real client: nothing counts before it is there, and `attnlog sync` makes
Comet's copy equal to the run folder, each asset there once."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import comet_ml
import numpy as np
import pytest
from click.testing import CliRunner

import attnlog.testing
from attnlog.boundary import Boundary
from attnlog.cli import main
from attnlog.delivery.queue import Delivery
from attnlog.delivery.tracker import Entry
from attnlog.errors import TrackerError
from attnlog_integrations.comet import experiments, source
from attnlog_integrations.comet.budget import Budget
from attnlog_integrations.comet.source import CometSource
from attnlog_integrations.comet.tracker import CometTracker
from tests.integrations.comet_loopback import Asset, Loopback, loopback
from tests.integrations.files import entries, files, small_run

FAULTS = ("500", "cut", "429", "lost", "lost-once")
KEY = "0123456789abcdef0123456789abcdef"


@pytest.fixture
def comet(monkeypatch: pytest.MonkeyPatch) -> Iterator[Loopback]:
    """The server; the client tries as often as always, without its pauses."""
    monkeypatch.setattr("comet_ml.connection.connection_upload.calculate_backoff_time", lambda **_: 0)
    monkeypatch.setenv("COMET_HTTP_SESSION_RETRY_BACKOFF_FACTOR", "0")
    monkeypatch.setattr("attnlog.delivery.lane.BACKOFF", (0.0,))
    with loopback() as server:
        for name, value in server.environment().items():
            monkeypatch.setenv(name, value)
        yield server
        server.fault = ""
        running = comet_ml.get_running_experiment()
        if running is not None:
            running.end()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return small_run(tmp_path / "run")


def delivered(folder: Path, tracker: CometTracker) -> tuple[int, int]:
    """Deliver, in a bounded number of tries; how many files the summary says are delivered, and how many are left."""
    delivery = Delivery(folder, [tracker], Boundary())
    delivery.offer(entries(folder))
    said = delivery.finish(wait=300).splitlines()[-1]
    found, left = re.search(r"comet: (\d+) files? delivered", said), re.search(r", (\d+) left \(\w+: ", said)
    assert found is not None, said
    return int(found[1]), int(left[1]) if left else 0


def is_whole(comet: Loopback, key: str, folder: Path) -> None:
    """Each asset is there once, byte for byte."""
    there = [asset for asset in comet.assets if asset.experiment == key]
    assert {asset.name: asset.data for asset in there} == {f"attnlog/{path}": data for path, data in files(folder).items()}
    assert len(there) == len(files(folder))


@pytest.mark.parametrize("fault", FAULTS)
def test_what_a_running_client_could_not_upload_is_not_counted_and_sync_delivers_it_once(
    fault: str, comet: Loopback, folder: Path, recwarn: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    if fault == "429":  # its client waits, and tries again as long as it is told to
        monkeypatch.setattr(experiments, "FLUSH", 2)
    experiment = comet_ml.start()
    tracker = CometTracker(folder)
    comet.fault = fault
    count, left = delivered(folder, tracker)
    assert comet.tried
    assert count + left == len(files(folder))
    if fault.startswith("lost"):
        # Comet has it all, and is asked. Its client may keep the last file for itself for a while, since the line looks broken.
        assert count >= len(files(folder)) - 1
        assert {f"attnlog/{path}" for path in files(folder) if path not in tracker.pending} <= comet.of(experiment.id).keys()
    else:
        assert (count, comet.of(experiment.id)) == (0, {})
        assert set(tracker.pending) == {path for path in files(folder) if path.endswith(".arrow")}
    comet.fault = ""
    experiment.end()
    result = CliRunner().invoke(main, ["sync", str(folder)])
    assert result.exit_code == 0, result.output
    is_whole(comet, experiment.id, folder)
    assert len([one for one in recwarn if issubclass(one.category, attnlog.AttnlogWarning)]) <= 1


@pytest.mark.parametrize("fault", FAULTS)
def test_what_comet_did_not_take_by_its_key_is_delivered_once_by_sync(fault: str, comet: Loopback, folder: Path, recwarn: Any) -> None:
    comet.fault = fault
    count, left = delivered(folder, CometTracker(folder, run=KEY))
    assert comet.tried
    # Where one answer is lost the client tries again by itself.
    assert (count, left) == ((len(files(folder)), 0) if fault == "lost-once" else (0, len(files(folder))))
    comet.fault = ""
    for _ in range(2):
        result = CliRunner().invoke(main, ["sync", str(folder)])
        assert result.exit_code == 0, result.output
    is_whole(comet, KEY, folder)


def put_all(tracker: CometTracker, all: list[Entry], folder: Path) -> None:
    for entry in all:
        tracker.put(entry, folder / entry.path)


def test_what_got_lost_on_the_way_is_handed_over_again_before_the_manifest_that_names_it(comet: Loopback, folder: Path) -> None:
    experiment = comet_ml.start()
    tracker = CometTracker(folder)
    *assets, manifest = entries(folder)
    comet.fault = "500"
    put_all(tracker, assets, folder)
    with pytest.raises(TrackerError, match=f"Comet has not taken {len(assets)} files that its client was handed"):
        tracker.put(manifest, folder / manifest.path)
    # Of all that is missing one was handed over again, to see whether Comet takes anything.
    assert sorted(comet.tried.values()) == [4] * (len(assets) - 1) + [8]
    comet.fault = ""
    tracker.put(manifest, folder / manifest.path)
    assert not tracker.pending
    is_whole(comet, experiment.id, folder)
    assert comet.assets[-1].name == f"attnlog/{manifest.path}"
    tracker.close()


def test_one_file_that_comet_does_not_take_stays_pending_and_does_not_keep_the_rest_back(comet: Loopback, folder: Path) -> None:
    experiment = comet_ml.start()
    tracker = CometTracker(folder)
    *assets, manifest = sorted(entries(folder), key=lambda one: (one.kind == "manifest", one.step or 0))
    [bad] = [one for one in assets if one.step == 100 and one.kind == "vectors"]
    comet.refused = f"attnlog/{bad.path}"
    put_all(tracker, [one for one in assets if one.step != 300], folder)
    with pytest.raises(TrackerError, match=f"Comet has not taken 1 file .*{bad.path}"):
        tracker.put(manifest, folder / manifest.path)
    # Nothing told until now whether the file or Comet is at fault; what is taken since tells.
    put_all(tracker, [one for one in assets if one.step == 300], folder)
    tracker.put(manifest, folder / manifest.path)
    tracker.close()
    assert set(tracker.pending) == {bad.path}
    assert comet.of(experiment.id).keys() == {f"attnlog/{path}" for path in files(folder)} - {f"attnlog/{bad.path}"}


def test_a_copy_as_text_is_waited_for_too(comet: Loopback, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ATTNLOG_COMET_TWIN", "1")
    comet_ml.start()
    tracker = CometTracker(folder)
    index = next(one for one in entries(folder) if one.kind == "index")
    comet.refused = ".json"
    tracker.put(index, folder / index.path)
    tracker.flush()
    assert set(tracker.pending) == {index.path}
    comet.refused = "…"
    tracker.flush()
    assert not tracker.pending
    assert {asset.name for asset in comet.assets} == {f"attnlog/{index.path}", f"attnlog/{index.path}.json"}


def test_where_comet_may_not_be_read_the_client_is_believed(comet: Loopback, folder: Path) -> None:
    comet_ml.start()
    tracker = CometTracker(folder)
    comet.refuse = 403
    assert tracker.holds() is None
    assert delivered(folder, tracker) == (len(files(folder)), 0)
    comet.refuse = 0


@pytest.mark.parametrize("refuse", [500, 403])
def test_what_comet_says_of_a_moment_is_not_taken_for_an_arrival(refuse: int, comet: Loopback, folder: Path) -> None:
    """It fails, or something in between refuses what was allowed before."""
    comet_ml.start()
    tracker = CometTracker(folder)
    inputs, index = (next(one for one in entries(folder) if one.kind == kind) for kind in ("inputs", "index"))
    tracker.put(inputs, folder / inputs.path)
    tracker.flush()
    assert not tracker.pending
    comet.fault, comet.refuse = "500", refuse
    tracker.put(index, folder / index.path)
    tracker.flush()
    assert set(tracker.pending) == {index.path}
    comet.fault, comet.refuse = "", 0


def test_a_budget_counts_from_what_is_there_and_from_nothing_else(comet: Loopback, folder: Path) -> None:
    comet_ml.start()
    tracker = CometTracker(folder)
    index = next(one for one in entries(folder) if one.kind == "index")
    comet.refuse = 500
    with pytest.raises(TrackerError):
        tracker.put(index, folder / index.path)
    comet.refuse = 0
    tracker.put(index, folder / index.path)
    tracker.close()


def test_a_large_file_that_comet_never_takes_is_tried_a_few_times_and_the_step_is_there_without_it(
    comet: Loopback, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, recwarn: Any
) -> None:
    monkeypatch.setattr("attnlog.delivery.lane.PERIOD", 0.2)
    experiment = comet_ml.start()
    comet.refused = "/attention.arrow"
    with attnlog.Run(tmp_path / "run", tracker="comet") as run:
        run.log(attnlog.from_tensors([np.full((1, 2, 2), 0.5, "f4")], ["a", "b"]), step=0)
        while not any("manifest-" in name for name in comet.of(experiment.id)):
            time.sleep(0.02)
        tries = sum(count for name, count in comet.tried.items() if "/attention.arrow" in name)
        run.flush()
        assert run._delivery.left == 1
    # Handed over three times, of which the client makes four tries each.
    assert tries <= 12
    assert sum(count for name, count in comet.tried.items() if "/attention.arrow" in name) == tries
    comet.refused = "…"
    experiment.end()
    result = CliRunner().invoke(main, ["sync", str(tmp_path / "run")])
    assert result.exit_code == 0, result.output
    is_whole(comet, experiment.id, tmp_path / "run")


def test_while_comet_takes_nothing_its_client_is_handed_nothing_more(comet: Loopback, folder: Path) -> None:
    comet_ml.start()
    tracker = CometTracker(folder)
    *assets, manifest = entries(folder)
    comet.fault = "500"
    put_all(tracker, assets[:2], folder)
    with pytest.raises(TrackerError, match="has not taken 2 files"):
        tracker.put(manifest, folder / manifest.path)
    for entry in assets[2:]:
        with pytest.raises(TrackerError, match="has not taken 2 files"):
            tracker.put(entry, folder / entry.path)
    assert set(tracker.pending) == {entry.path for entry in assets[:2]}
    comet.fault = ""
    put_all(tracker, [*assets[2:], manifest], folder)
    assert not tracker.pending


def test_an_offline_experiment_has_nothing_pending(comet: Loopback, folder: Path, tmp_path: Path) -> None:
    experiment = comet_ml.OfflineExperiment(offline_directory=str(tmp_path / "archives"))
    tracker = CometTracker(folder)
    put_all(tracker, entries(folder), folder)
    assert not tracker.pending
    tracker.close()
    experiment.end()


class Hanging:
    """An experiment of Comet's client whose flush does not come back until it is let go; the real one does so for minutes."""

    id, alive = "hanging", True

    def __init__(self) -> None:
        self.let_go, self.flushes = threading.Event(), 0

    def flush(self, timeout: int) -> bool:
        self.flushes += 1
        return self.let_go.wait()


def test_a_flush_that_hangs_is_waited_for_and_none_begins_beside_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(experiments, "FLUSH", 0)
    monkeypatch.setattr(experiments, "_BEYOND", 0.01)
    client = Hanging()
    running = experiments.Running(client)
    for _ in range(5):
        with pytest.raises(TrackerError, match="did not upload within 0 s"):
            running.arrive()
    assert client.flushes == 1
    client.let_go.set()
    monkeypatch.setattr(experiments, "_BEYOND", 60)
    running.arrive()
    assert client.flushes == 2  # the first says nothing of what was handed over since it began


def test_while_comet_answers_nothing_a_few_questions_wait_and_no_more(comet: Loopback, monkeypatch: pytest.MonkeyPatch) -> None:
    asked, let_go = [], threading.Event()
    found = CometSource(KEY)

    def silent(**_: object) -> list[Asset]:
        asked.append(1)
        let_go.wait()
        return []

    monkeypatch.setattr(found._experiment, "get_asset_list", silent)
    monkeypatch.setattr(source, "PATIENCE", 0.01)
    for _ in range(10):
        with pytest.raises(TrackerError, match=f"Comet at {comet.address} cannot be read .*unanswered|no answer within"):
            found.assets()
    assert len(asked) == source.UNANSWERED
    let_go.set()
    for thread in [one for one in threading.enumerate() if one.name == "attnlog-comet"]:
        thread.join()
    monkeypatch.setattr(source, "PATIENCE", 60.0)
    assert found.assets() == []
    found.close()


def test_numbers_that_comet_has_are_not_logged_again_by_another_process(comet: Loopback, tmp_path: Path, recwarn: Any) -> None:
    folder = attnlog.testing.small_run(tmp_path / "run")
    comet.refused = "index.arrow"
    delivered(folder, CometTracker(folder, run=KEY))
    name = "attention/entropy/mean"
    first = comet.points(KEY, name)
    comet.refused = "…"
    assert CliRunner().invoke(main, ["sync", str(folder)]).exit_code == 0
    assert [step for step, _ in comet.points(KEY, name)] == [1, 2]
    assert comet.points(KEY, name)[: len(first)] == first


def test_of_several_assets_of_one_name_the_newest_is_what_is_there(comet: Loopback) -> None:
    for id, size, when in (("a", 100, 2), ("b", 7, 1)):
        comet.assets.append(Asset(id, KEY, "attnlog/inputs-0.arrow", bytes(size), {}, None, when))
    tracker = CometTracker(Path("nowhere"), run=KEY)
    assert tracker.holds() == {"inputs-0.arrow": 100}
    tracker.close()


def test_room_that_was_used_at_the_end_of_a_training_is_used() -> None:
    made, spent = Budget(100, None), 0
    made.begin({})
    for step in range(1, 21):
        entry = Entry(path=f"step-{step:08}/w-0/attention.arrow", kind="attention", bytes=30, sha256="0", step=step)
        late = [entry] if made.admits(entry, Path(__file__)) else []
        # Somebody waits after every step, as between trainings in one process.
        for one in late or [found for found, _ in made.late()]:
            made.spend(one.bytes)
            spent += one.bytes
    assert spent == 90


def test_copies_as_text_that_are_there_count_against_the_budget(comet: Loopback, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ATTNLOG_COMET_TWIN", "1")
    delivered(folder, CometTracker(folder, run=KEY))
    there = sum(len(asset.data) for asset in comet.assets)
    # A step more fits only if the copies are forgotten.
    monkeypatch.setenv("ATTNLOG_COMET_BUDGET", str(there + 1000))
    tracker = CometTracker(folder, run=KEY)
    more = Entry(path="step-00000400/w-0/attention.arrow", kind="attention", bytes=9000, sha256="0", step=400)
    (folder / "step-00000400" / "w-0").mkdir(parents=True)
    (folder / more.path).write_bytes(bytes(9000))
    tracker.put(more, folder / more.path)
    assert more.path in tracker.left_out
    tracker.close()
