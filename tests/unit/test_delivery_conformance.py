"""The conformance suite for tracker authors: a good tracker passes, and one that breaks a promise fails the test of that promise."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import pytest

from attnlog.delivery.entries import run_entries
from attnlog.delivery.local import LocalTracker
from attnlog.delivery.tracker import Entry, Tracker
from attnlog.testing import ConformanceError, TrackerConformance, check_tracker, promises, small_run

#: What is on the shelf of each run, whichever object put it there.
SHELVES: dict[Path, list[tuple[str, bytes]]] = {}


class Shelf:
    """A good tracker: keeps bytes by path, and charts."""

    name = "shelf"

    def __init__(self, directory: Path) -> None:
        self.kept: list[tuple[str, bytes]] = SHELVES.setdefault(directory, [])
        self.charts: dict[str, set[tuple[int, float]]] = {}

    def put(self, entry: Entry, file: Path) -> None:
        self.keep(entry, file.read_bytes())
        for name, value in entry.scalars.items():
            self.charts.setdefault(name, set()).add((entry.step or 0, value))

    def keep(self, entry: Entry, data: bytes) -> None:
        path = f"attnlog/{entry.path}"
        self.kept[:] = [(name, kept) for name, kept in self.kept if name != path] + [(path, data)]

    def holds(self) -> dict[str, int]:
        return {path.removeprefix("attnlog/"): len(data) for path, data in self.kept}

    def refresh(self, run: Path) -> None: ...
    def where(self) -> str | None:
        return "on the shelf"

    def close(self) -> None: ...


class OnShelves(TrackerConformance):
    """How a shelf is tested."""

    kind: type[Shelf] = Shelf
    shelf: Shelf

    def make(self, directory: Path) -> Tracker:
        self.shelf = self.kind(directory)
        return self.shelf

    def read_back(self, path: str) -> bytes | None:
        return dict(self.shelf.kept).get(path)

    def listed(self) -> Sequence[str]:
        return [path for path, _ in self.shelf.kept]

    def points(self, name: str) -> Sequence[tuple[int, float]]:
        return list(self.shelf.charts.get(name, ()))


class TestAGoodTracker(OnShelves):
    """Every promise is kept."""


class TestTheRunFolder(TrackerConformance):
    """The local tracker: what it has is the folder itself."""

    def make(self, directory: Path) -> Tracker:
        self.directory = directory
        return LocalTracker(directory)

    def read_back(self, path: str) -> bytes | None:
        file = self.directory / path.removeprefix("attnlog/")
        return file.read_bytes() if file.is_file() else None


class ReadsLater(Shelf):
    """Breaks: what is put may be gone when put returns."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.late: list[tuple[Entry, Path]] = []

    def put(self, entry: Entry, file: Path) -> None:
        file.stat()
        self.late.append((entry, file))

    def close(self) -> None:
        for entry, file in self.late:
            if file.exists():
                super().put(entry, file)


class KeepsTheFirstManifest(Shelf):
    """Breaks: a longer manifest replaces the shorter."""

    def keep(self, entry: Entry, data: bytes) -> None:
        if entry.kind != "manifest" or f"attnlog/{entry.path}" not in dict(self.kept):
            super().keep(entry, data)


class BoundToItsThread(Shelf):
    """Breaks: it is made on one thread and used on another."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.thread = threading.current_thread()

    def put(self, entry: Entry, file: Path) -> None:
        if threading.current_thread() is not self.thread:
            raise RuntimeError("used on another thread than it was made on")
        super().put(entry, file)


class SwallowsFailures(Shelf):
    """Breaks: what could not be delivered is said by an exception."""

    def put(self, entry: Entry, file: Path) -> None:
        with suppress(OSError):
            super().put(entry, file)


class MovesTheFile(Shelf):
    """Breaks: the run folder is the user's."""

    def put(self, entry: Entry, file: Path) -> None:
        super().put(entry, file)
        if entry.kind == "pictures":
            file.unlink()


class AppendsAgain(Shelf):
    """Breaks: what is put again is there once."""

    def keep(self, entry: Entry, data: bytes) -> None:
        if entry.kind == "manifest":
            super().keep(entry, data)
        else:
            self.kept.append((f"attnlog/{entry.path}", data))


class CountsAgain(Shelf):
    """Breaks: numbers that are put again make no second point."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.charts = defaultdict(list)  # type: ignore[assignment]  # a list takes a point twice, which is the fault

    def put(self, entry: Entry, file: Path) -> None:
        self.keep(entry, file.read_bytes())
        for name, value in entry.scalars.items():
            self.charts[name].append((entry.step, value))  # type: ignore[attr-defined]  # as above


class ClaimsEverything(Shelf):
    """Breaks: what it says it holds it holds."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.directory = directory

    def holds(self) -> dict[str, int]:
        return {entry.path: entry.bytes for entry in run_entries(self.directory)}


class RemembersOnly(Shelf):
    """Breaks: what it holds is what the tracked system has, not what this object put."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.own: dict[str, int] = {}

    def put(self, entry: Entry, file: Path) -> None:
        super().put(entry, file)
        self.own[entry.path] = entry.bytes

    def holds(self) -> dict[str, int]:
        return self.own


class DecodesAsText(Shelf):
    """Breaks: bytes come back as they were."""

    def keep(self, entry: Entry, data: bytes) -> None:
        super().keep(entry, data.decode("utf-8", "replace").encode())


class NeedsSomethingToClose(Shelf):
    """Breaks: it can be closed though nothing was put."""

    def close(self) -> None:
        self.kept[0]


class PendsForEver(Shelf):
    """Breaks: what was put has arrived when it is closed."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.pending: set[str] = set()

    def put(self, entry: Entry, file: Path) -> None:
        super().put(entry, file)
        self.pending.add(entry.path)


@pytest.mark.parametrize(
    ("broken", "promise", "message"),
    [
        (PendsForEver, "every_file_comes_back", "is still pending after close"),
        (ReadsLater, "every_file_comes_back", "is not there after close"),
        (KeepsTheFirstManifest, "longer_manifest", "the longer manifest did not replace the first"),
        (BoundToItsThread, "every_file_comes_back", "another thread"),
        (SwallowsFailures, "failure_is_raised", "would count it as arrived"),
        (MovesTheFile, "leaves_the_files", "put or refresh changed or removed"),
        (AppendsAgain, "put_again_is_there_once", "is there 2 times"),
        (CountsAgain, "put_again_is_there_once", "the chart attention/entropy/m.* has the points"),
        (ClaimsEverything, "says_it_holds", "which was never put"),
        (RemembersOnly, "says_it_holds", "holds\\(\\) says None bytes of"),
        (DecodesAsText, "every_file_comes_back", "other bytes came back than were put"),
        (NeedsSomethingToClose, "has_a_name", "list index out of range"),
    ],
)
def test_a_broken_tracker_fails_the_test_of_the_promise_it_breaks(broken: type[Shelf], promise: str, message: str, tmp_path: Path) -> None:
    class Suite(OnShelves):
        kind = broken

    failed: dict[str, str] = {}
    for number, name in enumerate(promises()):
        folder = tmp_path / str(number)
        folder.mkdir()
        try:
            getattr(Suite(), name)(folder)
        except Exception as error:
            failed[name] = str(error)
    [name] = [name for name in failed if promise in name]
    assert re.search(message, failed[name])
    # The others pass, unless nothing can come back at all.
    assert len(failed) == 1 or broken in (ReadsLater, BoundToItsThread, DecodesAsText)


def test_a_thing_without_the_methods_is_found_out(tmp_path: Path) -> None:
    with pytest.raises(ConformanceError, match="lacks one of"):
        check_tracker(lambda directory: object())  # type: ignore[arg-type, return-value]  # the fault that is tested


def test_without_a_test_runner_as_much_is_checked_as_is_given() -> None:
    made: list[AppendsAgain] = []

    def factory(directory: Path) -> AppendsAgain:
        made.append(AppendsAgain(directory))
        return made[-1]

    def read_back(path: str) -> bytes | None:
        return dict(made[-1].kept).get(path)

    check_tracker(factory)
    check_tracker(factory, read_back)  # nobody could tell
    with pytest.raises(ConformanceError, match="is there [0-9]+ times"):
        check_tracker(factory, read_back, listed=lambda: [path for path, _ in made[-1].kept])


def test_the_class_runs_as_a_test_module_of_somebody_elses(tmp_path: Path) -> None:
    (tmp_path / "test_theirs.py").write_text(
        "from attnlog.testing import TrackerConformance\n"
        "from attnlog.delivery.local import LocalTracker\n"
        "class TestTheirs(TrackerConformance):\n"
        "    def make(self, directory):\n"
        "        self.directory = directory\n"
        "        return LocalTracker(directory)\n"
        "    def read_back(self, path):\n"
        "        return (self.directory / path.removeprefix('attnlog/')).read_bytes()\n"
    )
    ran = subprocess.run([sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)], capture_output=True, text=True)
    assert f"{len(promises())} passed" in ran.stdout, ran.stdout + ran.stderr


def test_a_run_is_offered_whole_with_its_manifest_last(tmp_path: Path) -> None:
    folder = small_run(tmp_path / "run")
    offered = run_entries(folder)
    on_disk = {str(p.relative_to(folder)) for p in folder.rglob("*") if p.suffix in (".arrow", ".jsonl")}
    assert {entry.path for entry in offered} == on_disk
    assert offered[-1].kind == "manifest"
    assert {entry.step for entry in offered if entry.kind == "index"} == {1, 2}
