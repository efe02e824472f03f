"""Bringing a run into a folder: whole, verified, only what is missing, and never into another run's folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import fsspec
import pytest
from click.testing import CliRunner

import attnlog
from attnlog.cli import main
from attnlog.errors import ArgumentError, RunError, RunNotFoundError
from attnlog.store.fetch import fetch
from attnlog.store.source import FolderSource, Range
from attnlog.testing import small_run


class Counted(FolderSource):
    """A run folder that notes what is asked of it."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.asked: list[str] = []

    def get(self, path: str, range: Range | None = None) -> bytes:
        self.asked.append(path)
        return super().get(path, range)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return small_run(tmp_path / "run")


def tree(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def test_a_run_is_fetched_byte_by_byte(folder: Path, tmp_path: Path) -> None:
    told = fetch(FolderSource(folder), tmp_path / "here")
    assert tree(tmp_path / "here") == tree(folder)
    assert (told.files, told.there, told.failed) == (len(tree(folder)), 0, {})


def test_only_what_is_missing_is_fetched(folder: Path, tmp_path: Path) -> None:
    here = tmp_path / "here"
    fetch(FolderSource(folder), here)
    gone, cut = [path for path in tree(here) if path.endswith("pictures.arrow")]
    (here / gone).unlink()
    (here / cut).write_bytes(b"half")
    source = Counted(folder)
    told = fetch(source, here)
    assert {path for path in source.asked if path.endswith(".arrow")} == {gone, cut}
    assert told.files == 2
    assert tree(here) == tree(folder)


def test_a_run_that_went_on_meanwhile_is_fetched_further(folder: Path, tmp_path: Path) -> None:
    here = tmp_path / "here"
    manifest = next(folder.glob("manifest-*.jsonl"))
    whole = manifest.read_bytes()
    manifest.write_bytes(b"".join(whole.splitlines(keepends=True)[:2]))
    fetch(FolderSource(folder), here)
    assert list(attnlog.open(here).steps) == [1]
    manifest.write_bytes(whole)
    fetch(FolderSource(folder), here)
    assert list(attnlog.open(here).steps) == [1, 2]


def test_what_is_damaged_or_missing_at_the_source_is_told_and_the_rest_comes(folder: Path, tmp_path: Path) -> None:
    gone, bad = [path for path in tree(folder) if path.endswith("pictures.arrow")]
    (folder / gone).unlink()
    (folder / bad).write_bytes((folder / bad).read_bytes()[:-1] + b"x")
    result = CliRunner().invoke(main, ["fetch", str(folder), str(tmp_path / "here")])
    assert result.exit_code == 1
    assert f"left out: {gone}: " in result.stderr and "is not in" in result.stderr
    assert f"left out: {bad}: " in result.stderr and "was changed after it was written" in result.stderr
    assert attnlog.open(tmp_path / "here").read(1).weights("self", 0).shape == (2, 4, 4)


def test_a_disk_that_is_full_is_said_and_what_came_before_counts(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write, written = Path.write_bytes, []

    def full(self: Path, data: bytes) -> int:
        if len(written) == 3:
            raise OSError(28, "No space left on device")
        written.append(self)
        return write(self, data)

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(RunError, match="cannot be fetched into .*No space left on device.*run it again"):
        fetch(FolderSource(folder), tmp_path / "here")
    monkeypatch.undo()
    told = fetch(FolderSource(folder), tmp_path / "here")
    assert told.there == 3
    assert tree(tmp_path / "here") == tree(folder)


def test_another_runs_folder_is_refused(folder: Path, tmp_path: Path) -> None:
    other = small_run(tmp_path / "other")
    before = tree(other)
    with pytest.raises(ArgumentError, match="holds another run than .*: name an empty folder"):
        fetch(FolderSource(folder), other)
    assert tree(other) == before


def test_where_there_is_no_run_nothing_is_made(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(RunNotFoundError):
        fetch(FolderSource(tmp_path / "empty"), tmp_path / "here")
    assert not (tmp_path / "here").exists()


def test_the_command_fetches_a_url_and_says_how_to_look(folder: Path, tmp_path: Path) -> None:
    memory: Any = fsspec.filesystem("memory")
    for path, data in tree(folder).items():
        memory.pipe_file(f"/bucket/run/{path}", data)
    result = CliRunner().invoke(main, ["fetch", "memory://bucket/run", str(tmp_path / "here")])
    assert result.exit_code == 0, result.output
    assert f"attnlog view {tmp_path / 'here'}" in result.output
    assert tree(tmp_path / "here") == tree(folder)
