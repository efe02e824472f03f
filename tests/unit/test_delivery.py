"""The delivery queue: order, retries, what it remembers, and that nobody waits for it."""

from __future__ import annotations

import asyncio
import hashlib
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from attnlog.boundary import AttnlogWarning, Boundary
from attnlog.delivery import backlog, lane
from attnlog.delivery.arrived import Arrived
from attnlog.delivery.lane import Lane
from attnlog.delivery.local import LocalTracker
from attnlog.delivery.queue import Delivery
from attnlog.delivery.redact import redact
from attnlog.delivery.tracker import Entry


class Memory:
    """A tracker that keeps what it gets, and fails when told to."""

    name = "memory"

    def __init__(self, fails: Callable[[Entry, int], bool] = lambda entry, tries: False) -> None:
        self.fails = fails
        self.tries: list[str] = []
        self.got: dict[str, bytes] = {}
        self.order: list[str] = []
        self.refreshed = 0
        self.closed = 0

    def put(self, entry: Entry, file: Path) -> None:
        self.tries.append(entry.path)
        if self.fails(entry, self.tries.count(entry.path)):
            raise ConnectionError("nobody there")
        data = file.read_bytes()
        assert hashlib.sha256(data).hexdigest() == entry.sha256
        assert len(data) == entry.bytes
        self.got[entry.path] = data
        self.order.append(entry.path)

    def refresh(self, run: Path) -> None:
        self.refreshed += 1

    def where(self) -> str | None:
        return "in memory"

    def close(self) -> None:
        self.closed += 1


@pytest.fixture(autouse=True)
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    """No waiting between tries."""
    monkeypatch.setattr(lane, "BACKOFF", (0.0, 0.0))


def asset(folder: Path, path: str, data: bytes = b"data") -> Entry:
    file = folder / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(data)
    return Entry(path=path, kind="index", bytes=len(data), sha256=hashlib.sha256(data).hexdigest())


def manifest(folder: Path, *lines: str) -> Entry:
    file = folder / "manifest-w.jsonl"
    with file.open("a") as out:
        out.writelines(f"{line}\n" for line in lines)
    data = file.read_bytes()
    return Entry(path=file.name, kind="manifest", bytes=len(data), sha256=hashlib.sha256(data).hexdigest())


def step(number: int) -> str:
    return f"step-{number:08d}/w-{number}/index.arrow"


def test_a_manifest_arrives_after_the_assets_it_names(tmp_path: Path) -> None:
    tracker = Memory()
    delivery = Delivery(tmp_path, [tracker], Boundary())
    delivery.offer([asset(tmp_path, step(1)), asset(tmp_path, step(2)), manifest(tmp_path, "one", "two")])
    delivery.finish(30)
    assert tracker.order == [step(1), step(2), "manifest-w.jsonl"]


def test_a_manifest_that_grew_meanwhile_is_delivered_as_it_was_offered(tmp_path: Path) -> None:
    tracker = Memory()
    offered = manifest(tmp_path, "one")
    manifest(tmp_path, "two")
    delivery = Delivery(tmp_path, [tracker], Boundary())
    delivery.offer([offered])
    delivery.finish(30)
    assert tracker.got["manifest-w.jsonl"] == b"one\n"


def test_manifests_are_replaced_at_a_bounded_rate_and_at_the_end(tmp_path: Path) -> None:
    tracker = Memory()
    delivery = Delivery(tmp_path, [tracker], Boundary())
    for number in range(20):
        delivery.offer([asset(tmp_path, step(number)), manifest(tmp_path, str(number))])
    delivery.finish(30)
    assert tracker.got["manifest-w.jsonl"] == (tmp_path / "manifest-w.jsonl").read_bytes()
    assert tracker.tries.count("manifest-w.jsonl") <= 2
    assert tracker.refreshed <= 2


def test_offering_does_not_wait_for_a_tracker_that_hangs(tmp_path: Path) -> None:
    hanging, released = threading.Event(), threading.Event()

    def hang(entry: Entry, tries: int) -> bool:
        hanging.set()
        return not released.wait(60)

    slow, other = Memory(hang), Memory()
    other.name = "other"
    delivery = Delivery(tmp_path, [slow, other], Boundary())
    delivery.offer([asset(tmp_path, step(1)), manifest(tmp_path, "one")])
    assert hanging.wait(60)
    delivery.offer([asset(tmp_path, step(2)), manifest(tmp_path, "two")])
    summary = delivery.finish(0.5)
    released.set()
    assert len(other.got) == 3  # a tracker that hangs does not hold up another
    assert "memory: 0 files delivered, 3 left, because the time was over; everything is safe in" in summary


def test_a_file_that_fails_once_is_tried_again(tmp_path: Path) -> None:
    tracker = Memory(lambda entry, tries: tries == 1)
    delivery = Delivery(tmp_path, [tracker], Boundary())
    delivery.offer([asset(tmp_path, step(1)), manifest(tmp_path, "one")])
    assert delivery.finish(30).splitlines()[-1] == "memory: 2 files delivered (in memory)"


def test_one_refused_file_keeps_neither_the_others_nor_their_manifest(tmp_path: Path, recwarn: Any) -> None:
    tracker = Memory(lambda entry, tries: entry.path == step(1))
    delivery = Delivery(tmp_path, [tracker], Boundary())
    for number in range(4):
        delivery.offer([asset(tmp_path, step(number)), manifest(tmp_path, str(number))])
    summary = delivery.finish(30)
    assert set(tracker.got) == {step(0), step(2), step(3), "manifest-w.jsonl"}
    assert "memory: 4 files delivered (in memory), 1 left" in summary
    assert len([w for w in recwarn if w.category is AttnlogWarning]) == 1


def test_a_file_that_is_refused_last_does_not_hide_its_manifest(tmp_path: Path, recwarn: Any) -> None:
    tracker = Memory(lambda entry, tries: entry.path == step(2))
    delivery = Delivery(tmp_path, [tracker], Boundary())
    delivery.offer([asset(tmp_path, step(1)), asset(tmp_path, step(2)), manifest(tmp_path, "one")])
    assert not delivery.flush(30)  # not everything arrived
    summary = delivery.finish(30)
    assert set(tracker.got) == {step(1), "manifest-w.jsonl"}
    assert "2 files delivered (in memory), 1 left (ConnectionError: nobody there)" in summary


def test_what_is_offered_while_the_folder_is_read_is_not_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backlog, "LONGEST", 1)
    kept = backlog.Backlog(tmp_path, Arrived(tmp_path, Memory()))
    first, second = asset(tmp_path, step(1)), asset(tmp_path, step(2))
    kept.offer([first])
    kept.offer([second])
    assert kept.behind
    kept.begin_refill()
    kept.offer([asset(tmp_path, step(3))])  # its line was written after the manifest was read
    kept.take_back([second])
    assert kept.behind
    assert kept.left


def test_trackers_whose_names_begin_alike_remember_apart(tmp_path: Path) -> None:
    for name in ("lake-backup", "lake"):
        tracker = Memory()
        tracker.name = name
        delivery = Delivery(tmp_path, [tracker], Boundary())
        delivery.offer([asset(tmp_path, step(1))])
        delivery.finish(30)
        assert step(1) in tracker.got


def test_a_tracker_delivers_what_it_kept_for_the_end_when_somebody_waits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hurried, hurry = threading.Event(), Lane.hurry
    monkeypatch.setattr(Lane, "hurry", lambda self: (hurry(self), hurried.set()))
    tracker = Memory(lambda entry, tries: not hurried.wait())
    asked: list[int] = []
    tracker.flush = lambda: asked.append(len(tracker.order))  # type: ignore[attr-defined]  # an optional part of the contract
    delivery = Delivery(tmp_path, [tracker], Boundary())
    delivery.offer([asset(tmp_path, step(1)), manifest(tmp_path, "one")])
    delivery.flush(30)
    assert asked[0] == 1  # after the assets, before the manifest
    delivery.finish(30)


def test_a_dead_tracker_is_not_hammered_and_warns_once(tmp_path: Path, recwarn: Any) -> None:
    tracker = Memory(lambda entry, tries: True)
    delivery = Delivery(tmp_path, [tracker], Boundary())
    for number in range(50):
        delivery.offer([asset(tmp_path, step(number)), manifest(tmp_path, str(number))])
    summary = delivery.finish(30)
    assert len(tracker.tries) <= 12
    assert "51 left (ConnectionError: nobody there)" in summary
    assert len([w for w in recwarn if w.category is AttnlogWarning]) == 1


def test_a_tracker_that_comes_back_gets_everything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lane, "COOLDOWN", 0.01)
    down = {"down": True}
    failed = threading.Event()

    def fails(entry: Entry, tries: int) -> bool:
        if len(tracker.tries) >= 6:  # two files in vain: the tracker counts as down
            failed.set()
        return down["down"]

    tracker = Memory(fails)
    delivery = Delivery(tmp_path, [tracker], Boundary())
    with pytest.warns(AttnlogWarning, match="deliver to memory"):
        delivery.offer([asset(tmp_path, step(number)) for number in range(5)] + [manifest(tmp_path, "all")])
        assert failed.wait(60)
        down["down"] = False
        while len(tracker.got) < 6:
            pass
    assert delivery.finish(30).splitlines()[-1] == "memory: 6 files delivered (in memory)"
    assert tracker.order[-1] == "manifest-w.jsonl"


def test_what_arrived_is_not_delivered_again_after_a_restart(tmp_path: Path) -> None:
    entries = [asset(tmp_path, step(1)), manifest(tmp_path, "one")]
    first, second = Memory(), Memory()
    for tracker in (first, second):
        delivery = Delivery(tmp_path, [tracker], Boundary())
        delivery.offer(entries)
        delivery.finish(30)
    assert second.order == ["manifest-w.jsonl"]
    assert (tmp_path / "delivered-memory-w.jsonl").exists()


def test_what_arrived_in_another_place_is_delivered_here(tmp_path: Path) -> None:
    entries = [asset(tmp_path, step(1)), manifest(tmp_path, "one")]
    for place in ("run-1", "run-2"):
        tracker = Memory()
        tracker.destination = place  # type: ignore[attr-defined]
        delivery = Delivery(tmp_path, [tracker], Boundary())
        delivery.offer(entries)
        delivery.finish(30)
        assert step(1) in tracker.got


def test_a_file_that_is_gone_is_no_fault_of_the_tracker(tmp_path: Path) -> None:
    entry = asset(tmp_path, step(1))
    (tmp_path / step(1)).unlink()
    tracker = Memory()
    delivery = Delivery(tmp_path, [tracker], Boundary())
    delivery.offer([entry, manifest(tmp_path, "one")])
    assert "memory: 1 file delivered (in memory), 1 no longer in the run folder" in delivery.finish(30)
    assert delivery.left == 0  # nobody can deliver it
    assert tracker.tries == ["manifest-w.jsonl"]


@pytest.mark.parametrize("kind", [SystemExit, asyncio.CancelledError, KeyboardInterrupt])
def test_whatever_a_tracker_raises_the_rest_is_delivered(kind: type[BaseException], tmp_path: Path, recwarn: Any) -> None:
    class Leaves(Memory):
        def put(self, entry: Entry, file: Path) -> None:
            if entry.path == step(1):
                raise kind("https://me:pass-word@host/x")
            super().put(entry, file)

    tracker = Leaves()
    delivery = Delivery(tmp_path, [tracker], Boundary())
    for number in range(4):
        delivery.offer([asset(tmp_path, step(number)), manifest(tmp_path, str(number))])
    assert "4 files delivered (in memory), 1 left" in delivery.finish(30)
    assert tracker.closed == 1
    assert "pass-word" not in "".join(str(w.message) for w in recwarn)


def test_a_run_folder_that_cannot_be_read_for_a_moment_ends_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tracker = Memory()
    is_file, stale = Path.is_file, [OSError(116, "Stale file handle")]

    def once(self: Path) -> bool:
        if self.name == "index.arrow" and stale:
            raise stale.pop()
        return is_file(self)

    monkeypatch.setattr(Path, "is_file", once)
    delivery = Delivery(tmp_path, [tracker], Boundary())
    delivery.offer([asset(tmp_path, step(1)), asset(tmp_path, step(2)), manifest(tmp_path, "one")])
    assert "memory: 3 files delivered" in delivery.finish(30)


def test_a_lane_that_breaks_down_says_so_and_nobody_waits_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tracker = Memory()

    def breaks(self: Lane, entry: Entry) -> None:
        raise RuntimeError("a fault of ours")

    monkeypatch.setattr(Lane, "_take", breaks)
    delivery = Delivery(tmp_path, [tracker], Boundary())
    with pytest.warns(AttnlogWarning, match="could not go on delivering to memory: RuntimeError: a fault of ours"):
        delivery.offer([asset(tmp_path, step(1)), asset(tmp_path, step(2))])
        assert not delivery.flush(3600)
        assert "2 left (RuntimeError: a fault of ours)" in delivery.finish(3600)
    assert tracker.closed == 1


def test_what_a_client_uploads_by_itself_counts_when_it_arrived(tmp_path: Path) -> None:
    class Client(Memory):
        """Takes everything at once; what came before a manifest has arrived when the manifest is taken, if its line works."""

        works = False

        def __init__(self) -> None:
            super().__init__()
            self.pending: set[str] = set()

        def put(self, entry: Entry, file: Path) -> None:
            if entry.kind == "manifest":
                self.flush()
            super().put(entry, file)
            self.pending.add(entry.path)

        def flush(self) -> None:
            if self.pending and not self.works:
                raise ConnectionError("not uploaded")
            self.pending.clear()

        def close(self) -> None:
            self.flush()

    tracker = Client()
    delivery = Delivery(tmp_path, [tracker], Boundary())
    with pytest.warns(AttnlogWarning, match="not uploaded"):
        delivery.offer([asset(tmp_path, step(1)), manifest(tmp_path, "one")])
        assert not delivery.flush(3600)
    assert delivery.left == 2
    assert "index.arrow" not in (tmp_path / "delivered-memory-w.jsonl").read_text()
    tracker.works = True
    delivery.offer([asset(tmp_path, step(2)), manifest(tmp_path, "two")])
    assert delivery.flush(3600)
    assert "memory: 3 files delivered" in delivery.finish(30)
    assert "index.arrow" in (tmp_path / "delivered-memory-w.jsonl").read_text()


def test_who_waits_at_the_end_of_a_training_and_again_of_the_program_waits_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ATTNLOG_EXIT_WAIT", "0.5")
    released, waits = threading.Event(), []
    join = Lane.join
    monkeypatch.setattr(Lane, "join", lambda self, seconds: (waits.append(seconds), join(self, seconds)))
    delivery = Delivery(tmp_path, [Memory(lambda entry, tries: not released.wait(60))], Boundary())
    delivery.offer([asset(tmp_path, step(1))])
    assert not delivery.flush()
    delivery.finish()
    released.set()
    assert waits == [0.0]


def test_a_tracker_that_hangs_takes_none_of_the_time_that_another_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ATTNLOG_EXIT_WAIT", "1")
    released = threading.Event()
    slow, other = Memory(lambda entry, tries: not released.wait(60)), Memory()
    other.name = "other"
    delivery = Delivery(tmp_path, [slow, other], Boundary())
    delivery.offer([asset(tmp_path, step(1)), manifest(tmp_path, "one")])
    assert not delivery.flush()
    waits: dict[str, float] = {}
    join = Lane.join
    monkeypatch.setattr(Lane, "join", lambda self, seconds: (waits.update({self.tracker.name: seconds}), join(self, seconds)))
    delivery.offer([asset(tmp_path, step(2)), manifest(tmp_path, "two")])
    delivery.finish()
    released.set()
    assert waits["memory"] == 0.0
    assert waits["other"] > 0.5
    assert step(2) in other.got


def test_who_flushes_after_one_who_gave_up_waits_for_what_came_between(tmp_path: Path) -> None:
    settling, on = threading.Event(), threading.Event()

    class Slow(Memory):
        def refresh(self, run: Path) -> None:
            settling.set()
            on.wait()

    tracker = Slow()
    delivery = Delivery(tmp_path, [tracker], Boundary())
    delivery.offer([asset(tmp_path, step(1)), manifest(tmp_path, "one")])
    assert settling.wait(60)
    delivery.flush(0.01)
    delivery.offer([asset(tmp_path, step(2)), manifest(tmp_path, "two")])
    flushed: list[bool] = []
    waiting = threading.Thread(target=lambda: flushed.append(delivery.flush(3600)))
    waiting.start()
    while delivery._lanes[0]._asked < 2:
        pass
    on.set()
    waiting.join()
    assert flushed == [True]
    assert step(2) in tracker.got
    delivery.finish(30)


def test_a_tracker_is_released_once_even_if_nothing_was_offered(tmp_path: Path) -> None:
    tracker = Memory()
    delivery = Delivery(tmp_path, [tracker], Boundary())
    assert delivery.finish(30) == delivery.finish(30)
    assert tracker.closed == 1


def test_flushing_delivers_the_manifest_now_and_leaves_the_tracker_open(tmp_path: Path) -> None:
    tracker = Memory()
    delivery = Delivery(tmp_path, [tracker], Boundary())
    for number in range(3):
        delivery.offer([asset(tmp_path, step(number)), manifest(tmp_path, str(number))])
        delivery.flush(30)
        assert tracker.got["manifest-w.jsonl"] == (tmp_path / "manifest-w.jsonl").read_bytes()
    assert tracker.closed == 0
    delivery.finish(30)


def test_the_local_folder_needs_no_delivery(tmp_path: Path) -> None:
    delivery = Delivery(tmp_path, [LocalTracker(tmp_path)], Boundary())
    delivery.offer([asset(tmp_path, step(1))])
    assert delivery.finish(30) == f"local: attnlog view {tmp_path}"


def test_secrets_are_kept_out_of_what_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, recwarn: Any) -> None:
    monkeypatch.setenv("COMET_API_KEY", "k3y-k3y-k3y")

    class Leaky(Memory):
        def put(self, entry: Entry, file: Path) -> None:
            raise ConnectionError("PUT https://me:pass-word@host/x?key=k3y-k3y-k3y refused")

    delivery = Delivery(tmp_path, [Leaky()], Boundary())
    delivery.offer([asset(tmp_path, step(1))])
    said = delivery.finish(30) + "".join(str(w.message) for w in recwarn)
    assert "https://host/x?key=<COMET_API_KEY> refused" in said
    assert "pass-word" not in said and "k3y-k3y" not in said


def test_the_wait_at_the_end_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    from attnlog.delivery.queue import exit_wait

    monkeypatch.setenv("ATTNLOG_EXIT_WAIT", "2.5")
    assert exit_wait() == 2.5
    monkeypatch.setenv("ATTNLOG_EXIT_WAIT", "soon")
    with pytest.warns(AttnlogWarning, match="ATTNLOG_EXIT_WAIT is 'soon', which is no number of seconds: 60 count"):
        assert exit_wait() == 60.0


@pytest.mark.parametrize(
    "said",
    [
        "PUT http://user:p@ss-word@host/x failed",
        "postgresql://user:p/ss-word@host/db",
        "user:p-ss-word@host.name/db is not there",
        "http://host/x?api_key=sp-ss-word&b=1",
        "403 for url: https://host/x?X-Amz-Signature=p-ss-word&X-Amz-Credential=p-ss-word&X-Amz-Date=1",
        "https://host/x?sv=1&sig=p-ss-word",
        "mssql:///?odbc_connect=host%3BPWD%3Dp-ss-word",
        "host said: Authorization: Bearer p-ss-word",
        "host said: Authorization: Basic UDpw-ss-word=",
        "host said: Authorization: Basic dXNlcjpwss-wordYXNz",
        "https://host/x?authorization=p-ss-word;accessKeyId=p-ss-word",
        "host: {'api_key': 'p-ss-word'}",
        "Invalid header value b'file-ss-word\\n'",
    ],
)
def test_whatever_shape_a_secret_has_it_is_not_said(said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_API_KEY", "file-ss-word\n")
    assert "ss-word" not in redact(said)
    assert "host" in redact(said) or "SOME_API_KEY" in redact(said) or "odbc_connect" in redact(said)


@pytest.mark.parametrize(
    "said",
    [
        "API request to http://127.0.0.1:5000/api/2.0/mlflow/runs/get?run_id=4&path=a/b failed",
        "basic authentication is on, and the bearer of it unknown: HTTP Basic Authentication required",
        "http://host:5000/team@corp/mlflow and https://h:8443/users/bob@example.com/runs",
        "https://host/x?author=Bob&tokenizer=bpe says {'keyword': 'x', 'tokenizer_class': 'y'}",
        "sqlite:////tmp/a@b/mlflow.db is locked",
        "experiment https://www.comet.com/team/project/abc at 12:30",
    ],
)
def test_what_is_no_secret_is_said(said: str) -> None:
    assert redact(said) == said
