"""Finishing what an outage or a crash left: once, from any machine, to where the run was delivered before."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import pytest
from click.testing import CliRunner

from attnlog.boundary import Boundary
from attnlog.cli import main
from attnlog.delivery import discovery, lane
from attnlog.delivery.discovery import find_trackers
from attnlog.delivery.entries import run_entries
from attnlog.delivery.queue import Delivery
from attnlog.delivery.sync import sync
from attnlog.delivery.tracker import Entry
from attnlog.errors import ArgumentError, RunNotFoundError, TrackerError
from attnlog.run import Run
from attnlog.testing import small_run

#: What the system behind the trackers of these tests has: run → path → bytes; and every put, in order.
Shelves = dict[str, dict[str, bytes]]


class Board:
    """A tracker with runs, one of which may be active; it can be down after so many files."""

    name = "board"
    shelves: ClassVar[Shelves] = {}
    puts: ClassVar[list[str]] = []
    active: str | None = None
    dies_after: int | None = None

    def __init__(self, directory: Path, *, run: str | None = None) -> None:
        self.run = run or self.active
        if self.run is None:
            raise TrackerError("no run is active on the board")

    @property
    def destination(self) -> str:
        return f"board {self.run}"

    def put(self, entry: Entry, file: Path) -> None:
        if self.dies_after is not None and len(self.puts) >= self.dies_after:
            raise ConnectionError("down")
        assert self.run is not None
        self.puts.append(entry.path)
        self.shelves.setdefault(self.run, {})[entry.path] = file.read_bytes()

    def holds(self) -> dict[str, int]:
        return {path: len(data) for path, data in self.shelves.get(self.run or "", {}).items()}

    def refresh(self, run: Path) -> None: ...
    def where(self) -> str | None:
        return None

    def close(self) -> None: ...


@pytest.fixture(autouse=True)
def board(monkeypatch: pytest.MonkeyPatch) -> type[Board]:
    """An empty board, offered by an entry point as a plugin offers its tracker."""

    class Entry:
        name = "board"
        load = staticmethod(lambda: Board)

    known = discovery.known_trackers()
    monkeypatch.setattr(discovery, "known_trackers", lambda: {**known, "board": Entry()})
    monkeypatch.setattr(lane, "BACKOFF", (0.0, 0.0))
    for name, value in {"shelves": {}, "puts": [], "active": None, "dies_after": None}.items():
        monkeypatch.setattr(Board, name, value)
    return Board


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return small_run(tmp_path / "run")


def tree(folder: Path) -> dict[str, bytes]:
    return {entry.path: (folder / entry.path).read_bytes() for entry in run_entries(folder)}


def outage(folder: Path, board: type[Board], after: int) -> None:
    """A training's delivery to the run "seven", during which the board goes down after so many files."""
    board.dies_after = after
    delivery = Delivery(folder, find_trackers("board:seven", folder), Boundary())
    with pytest.warns(UserWarning, match="deliver to board"):
        delivery.offer(run_entries(folder))
        delivery.finish(30)
    assert delivery.left
    board.dies_after = None


@pytest.mark.parametrize("after", [0, 1, 4])
def test_what_an_outage_left_is_delivered_to_the_same_run_once(after: int, folder: Path, board: type[Board]) -> None:
    outage(folder, board, after)
    assert " left" not in sync(folder)  # it remembers where to
    assert board.shelves == {"seven": tree(folder)}
    assets = [path for path in board.puts if path.endswith(".arrow")]
    assert sorted(assets) == sorted(path for path in tree(folder) if path.endswith(".arrow"))


def test_what_another_machine_delivered_is_not_delivered_again(folder: Path, board: type[Board], tmp_path: Path) -> None:
    outage(folder, board, 4)
    there = tmp_path / "there" / "run"
    shutil.copytree(folder, there, ignore=shutil.ignore_patterns("delivered-*"))
    summary = sync(there, "board:seven")
    assert board.shelves["seven"] == tree(folder)
    assert len([path for path in board.puts if path.endswith(".arrow")]) == len([path for path in tree(folder) if path.endswith(".arrow")])
    assert ", 4 there before" in summary


def test_what_was_deleted_there_is_delivered_again(folder: Path, board: type[Board]) -> None:
    sync(folder, "board:seven")
    gone = next(path for path in board.shelves["seven"] if path.endswith("pictures.arrow"))
    del board.shelves["seven"][gone]
    sync(folder)
    assert board.shelves["seven"] == tree(folder)


def test_the_run_that_is_active_comes_before_the_one_remembered(folder: Path, board: type[Board]) -> None:
    outage(folder, board, 0)
    board.active = "eight"
    sync(folder, "board")
    assert set(board.shelves) == {"eight"}


def test_a_tracker_that_cannot_say_what_it_has_gets_what_the_folder_does_not_remember(
    folder: Path, board: type[Board], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(Board, "holds")
    outage(folder, board, 4)
    before = len(board.puts)
    sync(folder)
    assert board.shelves["seven"] == tree(folder)
    assert len(board.puts) - before == len(tree(folder)) - 4


def test_a_crash_within_a_line_of_the_memory_costs_one_file(folder: Path, board: type[Board]) -> None:
    sync(folder, "board:seven")
    [memory] = folder.glob("delivered-board-*.jsonl")
    memory.write_bytes(memory.read_bytes()[:-20])
    sync(folder)
    assert board.shelves["seven"] == tree(folder)


def test_a_tracker_that_is_down_for_long_is_caught_up_from_the_run_folder(
    tmp_path: Path, board: type[Board], monkeypatch: pytest.MonkeyPatch, recwarn: Any
) -> None:
    from attnlog.delivery import backlog

    monkeypatch.setattr(backlog, "LONGEST", 5)
    monkeypatch.setattr(lane, "COOLDOWN", 0.05)
    board.dies_after = 0
    with Run(tmp_path / "run", tracker="board:seven") as run:
        capture = _capture()
        for step in range(20):
            run.log(capture, step=step)
            _wait(lambda: not run._work)
        assert len(run._delivery._lanes[0]._backlog.paths()) <= 5
        board.dies_after = None
        _wait(lambda: run.flush(1))  # it is asked again when its time comes
        assert run._delivery.left == 0
    assert board.shelves["seven"] == tree(tmp_path / "run")
    assets = [path for path in board.puts if path.endswith(".arrow")]
    assert len(assets) == len(set(assets))


def test_one_refused_file_does_not_hold_up_what_is_caught_up(
    tmp_path: Path, board: type[Board], monkeypatch: pytest.MonkeyPatch, recwarn: Any
) -> None:
    from attnlog.delivery import backlog

    monkeypatch.setattr(backlog, "LONGEST", 5)
    refused: list[str] = []
    put = Board.put

    def picky(self: Board, entry: Entry, file: Path) -> None:
        if entry.kind == "pictures" and entry.step == 3:
            refused.append(entry.path)
            raise ValueError("413: too large")
        put(self, entry, file)

    monkeypatch.setattr(Board, "put", picky)
    with Run(tmp_path / "run", tracker="board:seven") as run:
        for step in range(20):
            run.log(_capture(), step=step)
            _wait(lambda: not run._work)
    whole = tree(tmp_path / "run")
    [path] = set(refused)
    assert board.shelves["seven"] == {name: data for name, data in whole.items() if name != path}
    assert run._delivery.left == 1


def test_a_tracker_that_does_not_say_what_it_has_at_first_is_asked_again(folder: Path, board: type[Board], monkeypatch: Any) -> None:
    sync(folder, "board:seven")
    for file in folder.glob("delivered-*"):
        file.unlink()  # as on another machine
    before, holds, asked = len(board.puts), Board.holds, []

    def fails_once(self: Board) -> dict[str, int]:
        asked.append(self.run)
        if len(asked) == 1:
            raise ConnectionError("503")
        return holds(self)

    monkeypatch.setattr(Board, "holds", fails_once)
    sync(folder, "board:seven")
    assert [path for path in board.puts[before:] if path.endswith(".arrow")] == []


def test_nothing_is_delivered_to_a_tracker_that_does_not_say_what_it_has(folder: Path, board: type[Board], monkeypatch: Any) -> None:
    sync(folder, "board:seven")
    for file in folder.glob("delivered-*"):
        file.unlink()
    before = len(board.puts)

    def fails(self: Board) -> dict[str, int]:
        raise ConnectionError("503")

    monkeypatch.setattr(Board, "holds", fails)
    result = CliRunner().invoke(main, ["sync", str(folder), "--tracker", "board:seven"])
    assert result.exit_code == 1
    assert "attnlog: attnlog could not look what is in board: ConnectionError: 503" in result.stderr
    assert ".py" not in result.stderr  # no line of code, as Python's own way of warning has
    assert f"0 files delivered, {len(tree(folder))} left (ConnectionError: 503)" in result.output
    assert len(board.puts) == before


def test_a_place_that_holds_another_run_is_refused(folder: Path, board: type[Board], tmp_path: Path) -> None:
    sync(folder, "board:seven")
    other = small_run(tmp_path / "other")
    before = dict(board.shelves["seven"])
    result = CliRunner().invoke(main, ["sync", str(other), "--tracker", "board:seven"])
    assert result.exit_code == 1
    assert "another run was delivered there before (manifest-" in result.stderr
    assert board.shelves["seven"] == before
    # What a training delivers of itself, as one that was resumed elsewhere, goes on.
    outage(other, board, 0)
    assert " left" not in sync(other)
    assert board.shelves["seven"] == {**before, **tree(other)}


def test_what_is_all_there_is_said_to_be(folder: Path, board: type[Board]) -> None:
    sync(folder, "board:seven")
    assert sync(folder).splitlines()[-1] == f"board: 0 files delivered, {len(tree(folder))} there before"


def test_each_run_that_a_folder_went_to_gets_what_was_logged_to_it(tmp_path: Path, board: type[Board], recwarn: Any) -> None:
    """A training that was resumed into another run of the tracker; both were down."""
    folder = tmp_path / "run"
    board.dies_after = 0
    written = []
    for place in ("first", "second"):
        with Run(folder, tracker=f"board:{place}") as run:
            run.log(_capture(), step=len(written))
        written.append({path for path in tree(folder) if not any(path in before for before in written)})
    board.dies_after = None
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy, copy_function=shutil.copyfile)  # times of files are lost
    assert " left" not in sync(copy)
    assert set(board.shelves) == {"first", "second"}
    assert set(board.shelves["first"]) == written[0]
    shared = {path for path in written[0] if path.startswith("inputs-")}
    assert set(board.shelves["second"]) == written[1] | shared
    sync(copy, "board")  # by its name alone: the last, and everything
    assert set(board.shelves["second"]) == set(tree(copy))


def test_a_sync_to_another_run_that_broke_off_is_finished_with_everything(tmp_path: Path, board: type[Board], recwarn: Any) -> None:
    folder = tmp_path / "run"
    for step in range(2):  # the second goes on in the same run
        with Run(folder, tracker="board:old") as run:
            run.log(_capture(), step=step)
    board.dies_after = len(board.puts) + 4
    assert " left" in sync(folder, "board:new")
    board.dies_after = None
    assert " left" not in sync(folder)
    assert board.shelves == {"old": tree(folder), "new": tree(folder)}


def test_where_a_step_goes_is_remembered_before_its_checkpoint_is_there(tmp_path: Path, board: type[Board]) -> None:
    folder = tmp_path / "run"
    run = Run(folder, tracker="board:seven")
    run.log(_capture(), step=0, settled=False)
    _wait(lambda: not run._work)
    copy = shutil.copytree(folder, tmp_path / "copy")  # what a process leaves that is killed now
    assert board.puts == []
    assert " left" not in sync(copy)
    assert board.shelves["seven"] == tree(copy)
    run.close()


def test_what_two_trackers_of_one_kind_missed_comes_to_both(tmp_path: Path, board: type[Board], recwarn: Any) -> None:
    board.dies_after = 0
    with Run(tmp_path / "run", tracker=["board:first", "board:second"]) as run:
        run.log(_capture(), step=0)
    board.dies_after = None
    sync(tmp_path / "run")
    assert board.shelves == {"first": tree(tmp_path / "run"), "second": tree(tmp_path / "run")}


def test_a_run_that_a_tracker_began_is_used_again_though_nothing_arrived(folder: Path, board: type[Board], monkeypatch: Any) -> None:
    begun: list[str] = []

    def starts(self: Board, directory: Path, *, run: str | None = None) -> None:
        self.run = run

    def put(self: Board, entry: Entry, file: Path) -> None:
        if self.run is None:
            begun.append(f"run {len(begun)}")
            self.run = begun[-1]
        if board.dies_after == 0:
            raise PermissionError("the store refuses")
        board.shelves.setdefault(self.run, {})[entry.path] = file.read_bytes()

    monkeypatch.setattr(Board, "__init__", starts)
    monkeypatch.setattr(Board, "put", put)
    board.dies_after = 0
    delivery = Delivery(folder, find_trackers("board", folder), Boundary())
    with pytest.warns(UserWarning, match="the store refuses"):
        delivery.offer(run_entries(folder))
        delivery.finish(30)
        sync(folder)
    board.dies_after = None
    sync(folder)
    assert board.shelves == {"run 0": tree(folder)}


def test_a_backlog_whose_files_were_deleted_does_not_hold_up_what_comes_after(
    tmp_path: Path, board: type[Board], monkeypatch: pytest.MonkeyPatch, recwarn: Any
) -> None:
    """While a tracker is down, somebody makes room."""
    from attnlog.delivery import backlog

    monkeypatch.setattr(backlog, "LONGEST", 5)
    monkeypatch.setattr(lane, "COOLDOWN", 0.05)
    board.dies_after = 0
    folder = tmp_path / "run"
    with Run(folder, tracker="board:seven") as run:
        for step in range(20):
            run.log(_capture(), step=step)
            _wait(lambda: not run._work)
        for step in range(10):
            shutil.rmtree(folder / f"step-{step:08d}")
        board.dies_after = None
        _wait(lambda: run.flush(1))
        run.log(_capture(), step=20)
    assert run._delivery.left == 0
    there = {path for path in board.shelves["seven"] if path.startswith("step-")}
    assert there == {str(file.relative_to(folder)) for file in folder.glob("step-*/*/*.arrow")}


def test_a_memory_that_cannot_be_written_does_not_make_anything_come_twice(
    tmp_path: Path, board: type[Board], monkeypatch: pytest.MonkeyPatch, recwarn: Any
) -> None:
    from attnlog.delivery import backlog

    monkeypatch.setattr(backlog, "LONGEST", 5)
    open_file = Path.open

    def refuses(self: Path, *arguments: Any, **more: Any) -> Any:
        if self.name.startswith("delivered-") and arguments[:1] == ("a",):
            raise OSError(28, "No space left on device")
        return open_file(self, *arguments, **more)

    monkeypatch.setattr(Path, "open", refuses)
    with Run(tmp_path / "run", tracker="board:seven") as run:
        for step in range(20):
            run.log(_capture(), step=step)
            _wait(lambda: not run._work)
    assert board.shelves["seven"] == tree(tmp_path / "run")
    assets = [path for path in board.puts if path.endswith(".arrow")]
    assert len(assets) == len(set(assets))


def test_without_a_tracker_named_or_remembered_the_error_says_what_to_name(folder: Path) -> None:
    with pytest.raises(ArgumentError, match="does not remember a tracker: name one, such as --tracker mlflow:RUN_ID"):
        sync(folder)


def test_a_run_that_a_tracker_cannot_be_told_is_an_error(folder: Path) -> None:
    with pytest.raises(ArgumentError, match="'local' cannot be told which run"):
        sync(folder, "local:seven")
    with pytest.raises(ArgumentError, match="'board:' names no run"):
        sync(folder, "board:")


def test_syncing_what_is_no_run_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(RunNotFoundError):
        sync(tmp_path, "local")


def test_the_command_says_by_its_status_whether_everything_arrived(folder: Path, board: type[Board]) -> None:
    outage(folder, board, 2)
    good = CliRunner().invoke(main, ["sync", str(folder)])
    assert (good.exit_code, "2 there before" in good.output) == (0, True), good.output
    board.dies_after = 0
    board.shelves.clear()
    bad = CliRunner().invoke(main, ["sync", str(folder), "--tracker", "board:seven"])
    assert bad.exit_code == 1
    assert "could not deliver to board" in bad.stderr
    assert "left (ConnectionError: down)" in bad.output


def test_the_memory_names_tracker_run_and_files_and_nothing_else(folder: Path, board: type[Board]) -> None:
    sync(folder, "board:seven")
    [memory] = folder.glob("delivered-board-*.jsonl")
    lines = [json.loads(line) for line in memory.read_text().splitlines()]
    assert set(lines[0]) == {"tracker", "run", "destination", "manifests", "time"}
    assert lines[0]["manifests"] == [file.name for file in folder.glob("manifest-*")]
    assert (lines[0]["tracker"], lines[0]["run"], lines[0]["destination"]) == ("board", "seven", "board seven")
    assert {line["path"] for line in lines[1:]} == set(tree(folder))


def _capture() -> Any:
    import numpy as np

    from attnlog.record import Axis, Capture, Input, Layer

    weights = np.full((1, 2, 2), 0.5, np.float32)
    layer = Layer(input=0, kind="self", layer=0, heads=(0,), groups=(0,), shape=(2, 2), weights=weights)
    return Capture((Input({"self": Axis(tokens=("a", "b"))}),), (layer,))


def _wait(ready: Callable[[], bool]) -> None:
    import time

    while not ready():
        time.sleep(0.01)


def test_a_run_that_was_named_by_mistake_is_not_remembered(folder: Path, board: type[Board]) -> None:
    outage(folder, board, 2)
    board.dies_after = 0
    with pytest.warns(UserWarning, match="could not deliver to board"):
        sync(folder, "board:sevne")
    board.dies_after = None
    sync(folder)
    assert board.shelves == {"seven": tree(folder)}


def test_of_several_trackers_that_are_remembered_one_that_cannot_be_had_does_not_stop_the_others(folder: Path, board: type[Board]) -> None:
    outage(folder, board, 2)
    [memory] = folder.glob("delivered-board-*.jsonl")
    (folder / memory.name.replace("board", "gone")).write_text('{"tracker": "gone", "run": null, "destination": ""}\n')
    with pytest.warns(UserWarning, match="does not deliver to gone: there is no tracker named 'gone'"):
        sync(folder)
    assert board.shelves == {"seven": tree(folder)}
