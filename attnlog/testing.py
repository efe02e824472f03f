"""For authors of trackers: the contract as a test class to inherit, so that a tracker is tested as attnlog's own are."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attnlog.errors import AttnlogError

if TYPE_CHECKING:
    from attnlog.delivery.tracker import Entry, Tracker

ROOT = "attnlog/"


class ConformanceError(AttnlogError, AssertionError):
    """A tracker does not keep the contract; the message says which part of it."""


class TrackerConformance:
    """The contract of `attnlog.delivery.tracker.Tracker`, a test for each promise.

    Inherit it in a test module of your own, and say how your tracker is made and how a test reads what it delivered::

        class TestMyTracker(TrackerConformance):
            def make(self, directory):
                return MyTracker(directory)

            def read_back(self, path):
                return my_server.bytes_of(path)  # None when it has nothing there

    Fixtures of yours that a test needs (a server, an active run) are best made ``autouse``. Each test makes one tracker.
    """

    def make(self, directory: Path) -> Tracker:
        """Make the tracker for a run folder, as its entry point does."""
        raise NotImplementedError("say how the tracker is made: def make(self, directory)")

    def read_back(self, path: str) -> bytes | None:
        """Return what the tracked system has under a path that begins with ``attnlog/``, or None; asked after ``close()``."""
        raise NotImplementedError("say how a test reads what was delivered: def read_back(self, path)")

    def listed(self) -> Sequence[str] | None:
        """Name everything that the tracked system has under ``attnlog/``, what is there twice twice; None: it cannot say."""
        return None

    def points(self, name: str) -> Sequence[tuple[int, float]] | None:
        """Return step and value of every point of one of the tracked system's own charts; None: it has none."""
        return None

    def test_it_has_a_name_and_every_method(self, tmp_path: Path) -> None:
        """It can be used at all; nothing need be put before it is closed."""
        from attnlog.delivery.tracker import Tracker

        tracker = self.make(small_run(tmp_path / "run"))
        _check(isinstance(tracker, Tracker), "it lacks one of name, put, refresh, where, close")
        _check(isinstance(tracker.name, str) and bool(tracker.name), "its name is not a text")
        where: Any = tracker.where()
        _check(where is None or isinstance(where, str), "where() gives neither a text nor None")
        on_thread(tracker.close)

    def test_every_file_comes_back_byte_by_byte(self, tmp_path: Path) -> None:
        """It is made on the thread that trains and used on another; what it is given may be gone when ``put`` returns."""
        folder = small_run(tmp_path / "run")
        tracker = self.make(folder)
        entries = _entries(folder)

        def deliver() -> None:
            for entry in entries:
                with _copy(folder / entry.path) as copy:
                    tracker.put(entry, copy)
            tracker.refresh(folder)
            where: Any = tracker.where()
            _check(where is None or isinstance(where, str), "where() gives neither a text nor None")
            tracker.close()

        on_thread(deliver)
        pending = getattr(tracker, "pending", ())
        for entry in entries:
            self._is_back(entry.path, (folder / entry.path).read_bytes())
            _check(entry.path not in pending, f"{entry.path} is still pending after close(): attnlog would count it as left")
        self._is_listed_once([entry.path for entry in entries])

    def test_it_leaves_the_files_of_the_run_alone(self, tmp_path: Path) -> None:
        """The run folder is the user's: ``put`` neither changes, moves nor removes what it is given."""
        folder = small_run(tmp_path / "run")
        before = _bytes(folder)
        self._deliver(folder)
        now = _bytes(folder)
        for path, data in before.items():
            _check(now.get(path) == data, f"put or refresh changed or removed {path} of the run folder")
        _check(set(now) == set(before), f"it wrote into the run folder: {', '.join(sorted(set(now) - set(before)))}")

    def test_a_longer_manifest_replaces_the_shorter(self, tmp_path: Path) -> None:
        """A manifest grows while a training runs, and is put again."""
        folder = small_run(tmp_path / "run")
        tracker = self.make(folder)
        manifest = next(entry for entry in _entries(folder) if entry.kind == "manifest")
        whole = (folder / manifest.path).read_bytes()
        first = whole[: whole.index(b"\n") + 1]

        def deliver() -> None:
            for data in (first, whole):
                (folder / manifest.path).write_bytes(data)
                tracker.put(_described(manifest, data), folder / manifest.path)
            tracker.close()

        on_thread(deliver)
        _check(self.read_back(ROOT + manifest.path) != first, "the longer manifest did not replace the first")
        self._is_back(manifest.path, whole)
        self._is_listed_once([manifest.path])

    def test_a_failure_is_raised_and_the_next_try_succeeds(self, tmp_path: Path) -> None:
        """What ``put`` could not deliver it says by an exception, whatever kind; the queue tries again."""
        folder = small_run(tmp_path / "run")
        tracker = self.make(folder)
        entry = next(entry for entry in _entries(folder) if entry.kind == "index")
        raised: list[Exception] = []

        def deliver() -> None:
            try:
                tracker.put(entry, tmp_path / "not there.arrow")
            except Exception as error:
                raised.append(error)
            tracker.put(entry, folder / entry.path)
            tracker.close()

        on_thread(deliver)
        _check(bool(raised), "put returned as if it had delivered a file that is not there: attnlog would count it as arrived")
        self._is_back(entry.path, (folder / entry.path).read_bytes())

    def test_what_is_put_again_is_there_once(self, tmp_path: Path) -> None:
        """After a lost answer the queue puts a file again that did arrive; its numbers make no second point."""
        folder = small_run(tmp_path / "run")
        tracker = self.make(folder)
        entries = [entry for entry in _entries(folder) if entry.kind == "index"]

        def deliver() -> None:
            for entry in (*entries, *entries):
                tracker.put(entry, folder / entry.path)
            tracker.close()

        on_thread(deliver)
        for entry in entries:
            self._is_back(entry.path, (folder / entry.path).read_bytes())
        self._is_listed_once([entry.path for entry in entries])
        self._has_points(entries)

    def test_what_it_says_it_holds_it_holds(self, tmp_path: Path) -> None:
        """``holds()``, if it is there, names what another machine need not deliver again."""
        folder = small_run(tmp_path / "run")
        entries = _entries(folder)
        # Another object is asked, as on another machine.
        tracker, other = self.make(folder), self.make(folder)
        said: list[Mapping[str, int] | None] = []
        last = next(entry for entry in reversed(entries) if entry.kind != "manifest")

        def deliver() -> None:
            for entry in entries:
                if entry is not last:
                    tracker.put(entry, folder / entry.path)
            flush: Callable[[], None] | None = getattr(tracker, "flush", None)
            if flush is not None:
                flush()
            # A manifest again, before which everything that was handed over has arrived.
            manifest = next(entry for entry in entries if entry.kind == "manifest")
            tracker.put(manifest, folder / manifest.path)
            ask: Callable[[], Mapping[str, int] | None] | None = getattr(other, "holds", None)
            said.append(None if ask is None else ask())
            other.close()
            tracker.close()

        on_thread(deliver)
        if said[0] is None:
            return
        _check(last.path not in said[0], f"holds() names {last.path}, which was never put: it would never be delivered")
        for entry in entries:
            if entry is not last and entry.kind != "manifest":
                size = said[0].get(entry.path)
                _check(size == entry.bytes, f"holds() says {size} bytes of {entry.path}, which has {entry.bytes}")

    # What tests have in common.

    def _deliver(self, folder: Path) -> None:
        tracker = self.make(folder)

        def deliver() -> None:
            for entry in _entries(folder):
                tracker.put(entry, folder / entry.path)
            tracker.refresh(folder)
            tracker.close()

        on_thread(deliver)

    def _is_back(self, path: str, expected: bytes) -> None:
        found = self.read_back(ROOT + path)
        _check(found is not None, f"{ROOT}{path} is not there after close()")
        _check(found == expected, f"{ROOT}{path}: other bytes came back than were put")

    def _is_listed_once(self, paths: Sequence[str]) -> None:
        listed = self.listed()
        if listed is not None:
            for path in paths:
                count = listed.count(ROOT + path)
                _check(count == 1, f"{ROOT}{path} is there {count} times")

    def _has_points(self, entries: Sequence[Entry]) -> None:
        for name in {name for entry in entries for name in entry.scalars}:
            found = self.points(name)
            if found is not None:
                expected = [(entry.step, entry.scalars[name]) for entry in entries]
                _check(sorted(found) == expected, f"the chart {name} has the points {sorted(found)} instead of {expected}")


def check_tracker(
    factory: Callable[[Path], Tracker],
    read_back: Callable[[str], bytes | None] | None = None,
    *,
    listed: Callable[[], Sequence[str] | None] | None = None,
    points: Callable[[str], Sequence[tuple[int, float]] | None] | None = None,
) -> None:
    """Run every test of `TrackerConformance` on a tracker, without a test runner.

    Args:
        factory: makes the tracker from the path of a run folder; called once for each test.
        read_back: as `TrackerConformance.read_back`; without it only the calls are checked, not what arrived.
        listed: as `TrackerConformance.listed`; without it nothing is said of files that are there twice.
        points: as `TrackerConformance.points`; without it nothing is said of the tracked system's charts.

    Raises:
        ConformanceError: the tracker does not keep the contract.
    """

    class Suite(TrackerConformance):
        def make(self, directory: Path) -> Tracker:
            return factory(directory)

        def read_back(self, path: str) -> bytes | None:
            return read_back(path) if read_back is not None else None

        def listed(self) -> Sequence[str] | None:
            return listed() if listed is not None else None

        def points(self, name: str) -> Sequence[tuple[int, float]] | None:
            return points(name) if points is not None else None

        def _is_back(self, path: str, expected: bytes) -> None:
            if read_back is not None:
                super()._is_back(path, expected)

    for name in promises():
        with tempfile.TemporaryDirectory(prefix="attnlog-") as scratch:
            getattr(Suite(), name)(Path(scratch))


def promises() -> list[str]:
    """Name the tests of `TrackerConformance`."""
    return [name for name in vars(TrackerConformance) if name.startswith("test_")]


def small_run(folder: Path) -> Path:
    """Write a run of two steps with random weights and one head metric as a number; needs neither torch nor a model."""
    import numpy as np

    from attnlog.metrics import head_metrics
    from attnlog.record import Axis, Capture, Input, Layer
    from attnlog.run import Run

    random = np.random.default_rng(0)
    axis = Axis(tokens=("one", "two", "three", "four"))
    shape = (len(axis.tokens), len(axis.tokens))
    with Run(folder, name="conformance", scalars="entropy") as run:
        for step in (1, 2):
            weights = random.dirichlet(np.ones(shape[1]), size=(2, shape[0])).astype(np.float32)
            metrics = head_metrics(weights, axis, axis, aligned=True)
            layer = Layer(input=0, kind="self", layer=0, heads=(0, 1), groups=(0, 1), shape=shape, weights=weights, metrics=metrics)
            run.log(Capture((Input({"self": axis}),), (layer,)), step=step, metrics={"eval_loss": 2.0 / step})
    return folder


def on_thread(work: Callable[[], None]) -> None:
    """Do something on a thread of its own, as delivery does, and raise here what it raises there."""
    failures: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=run, name="attnlog-delivery")
    thread.start()
    thread.join()
    if failures:
        raise failures[0]


def _entries(folder: Path) -> list[Entry]:
    from attnlog.delivery.entries import run_entries

    return run_entries(folder)


def _described(manifest: Entry, data: bytes) -> Entry:
    import hashlib

    return replace(manifest, bytes=len(data), sha256=hashlib.sha256(data).hexdigest())


def _bytes(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file()}


@contextmanager
def _copy(file: Path) -> Iterator[Path]:
    """A copy that is gone afterwards: whoever reads later, reads nothing."""
    with tempfile.TemporaryDirectory(prefix="attnlog-") as scratch:
        copy = Path(scratch, file.name)
        copy.write_bytes(file.read_bytes())
        yield copy


def _check(kept: bool, otherwise: str) -> None:
    if not kept:
        raise ConformanceError(f"the tracker does not keep the contract: {otherwise}; see attnlog.delivery.tracker.Tracker")
