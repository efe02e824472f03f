"""The conformance suite for tracker authors, and finishing an unfinished delivery."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from attnlog.delivery.entries import run_entries
from attnlog.delivery.local import LocalTracker
from attnlog.delivery.sync import sync
from attnlog.delivery.tracker import Entry
from attnlog.errors import RunNotFoundError
from attnlog.testing import ConformanceError, check_tracker, small_run


class Shelf:
    """A good tracker: keeps bytes by path."""

    name = "shelf"

    def __init__(self, directory: Path) -> None:
        self.kept: dict[str, bytes] = {}
        self.puts: list[str] = []

    def put(self, entry: Entry, file: Path) -> None:
        self.puts.append(entry.path)
        self.kept[f"attnlog/{entry.path}"] = file.read_bytes()

    def refresh(self, run: Path) -> None: ...
    def where(self) -> str | None:
        return "on the shelf"

    def close(self) -> None: ...


def test_a_tracker_that_keeps_the_contract_passes(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    check_tracker(lambda directory: shelf, shelf.kept.get)
    check_tracker(LocalTracker)


def test_a_tracker_that_reads_later_is_found_out(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    late: list[tuple[str, Path]] = []
    shelf.put = lambda entry, file: late.append((f"attnlog/{entry.path}", file))  # type: ignore[method-assign]

    def close() -> None:
        shelf.kept.update({path: file.read_bytes() for path, file in late if file.exists()})

    shelf.close = close  # type: ignore[method-assign]
    with pytest.raises(ConformanceError, match="is not there after close"):
        check_tracker(lambda directory: shelf, shelf.kept.get)


def test_a_tracker_that_keeps_the_first_manifest_is_found_out(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    shelf.put = lambda entry, file: shelf.kept.setdefault(f"attnlog/{entry.path}", file.read_bytes())  # type: ignore[method-assign, func-returns-value, assignment, return-value]
    with pytest.raises(ConformanceError, match="the longer manifest did not replace the first"):
        check_tracker(lambda directory: shelf, shelf.kept.get)


def test_a_tracker_bound_to_the_thread_that_made_it_is_found_out(tmp_path: Path) -> None:
    class Bound(Shelf):
        def __init__(self, directory: Path) -> None:
            super().__init__(directory)
            self.thread = threading.current_thread()

        def put(self, entry: Entry, file: Path) -> None:
            if threading.current_thread() is not self.thread:
                raise RuntimeError("another thread")

    with pytest.raises(RuntimeError, match="another thread"):
        check_tracker(Bound)


def test_a_thing_without_the_methods_is_found_out() -> None:
    with pytest.raises(ConformanceError, match="lacks one of"):
        check_tracker(lambda directory: object())  # type: ignore[arg-type, return-value]


def test_a_run_is_offered_whole_with_its_manifest_last(tmp_path: Path) -> None:
    folder = small_run(tmp_path / "run")
    offered = run_entries(folder)
    on_disk = {str(p.relative_to(folder)) for p in folder.rglob("*") if p.suffix in (".arrow", ".jsonl")}
    assert {entry.path for entry in offered} == on_disk
    assert offered[-1].kind == "manifest"
    assert {entry.step for entry in offered if entry.kind == "index"} == {1, 2}


def test_syncing_delivers_the_rest_once(tmp_path: Path) -> None:
    folder = small_run(tmp_path / "run")
    first = Shelf(folder)
    down = Shelf(folder)
    down.put = lambda entry, file: (_ for _ in ()).throw(OSError("down"))  # type: ignore[method-assign]
    with pytest.warns(UserWarning, match="deliver to shelf"):
        assert " left (OSError: down)" in sync(folder, down)
    assert " left" not in sync(folder, first)
    again = Shelf(folder)
    sync(folder, again)
    assert set(first.puts) == {entry.path for entry in run_entries(folder)}
    assert [path for path in again.puts if path.endswith(".arrow")] == []


def test_syncing_what_is_no_run_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(RunNotFoundError):
        sync(tmp_path, "local")
