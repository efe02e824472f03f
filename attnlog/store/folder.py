"""Writing a run folder: each commit appears whole or not at all, and no two writers share a file."""

from __future__ import annotations

import os
import shutil
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import replace
from io import FileIO
from pathlib import Path
from typing import Any

from attnlog.errors import RunError
from attnlog.format.encode import Asset
from attnlog.format.write import Assets
from attnlog.record import Missing
from attnlog.store.lock import locked
from attnlog.store.manifest import VERSION, AssetRecord, Commit, RollUp, line, parse

RECENT = 64  # commits that are remembered
ROLLED = 256_000_000  # indexes that decode to more bytes than this together are not rolled up


def new_writer_id() -> str:
    """Name a writer so that names sort by time and two processes never share one."""
    # os.urandom, not random: a training's random numbers are not ours to draw.
    return time.strftime("%Y%m%dt%H%M%S", time.gmtime()) + "-" + os.urandom(4).hex()


def prepare(directory: str | os.PathLike[str]) -> Path:
    """Make a run folder.

    Raises:
        RunError: it is a file, or cannot be written.
    """
    path = Path(directory)
    if path.exists() and not path.is_dir():
        raise RunError(f"the run folder {path} is a file: name a folder, or remove the file")
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(f"the run folder {path} cannot be made: {error}") from error
    if not os.access(path, os.W_OK | os.X_OK):
        raise RunError(f"the run folder {path} cannot be written: give it write permission or name another")
    return path


class Writer:
    """One process's part of a run folder: its manifest and its commits."""

    def __init__(self, directory: str | os.PathLike[str], header: Mapping[str, Any] | None = None) -> None:
        """Begin to write; nothing appears in the folder before the first commit."""
        self.directory = prepare(directory)
        self.id = new_writer_id()
        self.header = dict(header or {})
        self.manifest = self.directory / f"manifest-{self.id}.jsonl"
        # Of the commits only the newest: a run may have any number of steps, and the manifest knows them all.
        self._recent: deque[Commit] = deque(maxlen=RECENT)
        self._next = 0

    def commit(
        self,
        assets: Assets,
        *,
        step: int,
        epoch: float | None = None,
        checkpoint: str | None = None,
        loss: float | None = None,
        metrics: Mapping[str, float] | None = None,
        scalars: Mapping[str, float] | None = None,
        precision: str = "u8",
        complete: bool = True,
        missing: tuple[Missing, ...] = (),
    ) -> Commit:
        """Write one commit: files, sync, rename, then the line that makes it exist."""
        n = self._next
        self._next += 1  # also when this one fails: its folder may be there already
        folder = f"step-{step:08d}/{self.id}-{n}"
        inputs = self._inputs(assets)
        final = self.directory / folder
        draft = final.with_name(final.name + ".tmp")
        draft.mkdir(parents=True)
        try:
            _write({draft / asset.name: asset.data for asset in assets.step})
            _sync(draft)
            draft.rename(final)
        except BaseException:
            shutil.rmtree(draft, ignore_errors=True)
            raise
        _sync(final.parent)
        _sync(self.directory)
        commit = Commit(
            writer=self.id,
            n=n,
            step=step,
            epoch=epoch,
            checkpoint=checkpoint,
            loss=loss,
            metrics=dict(metrics or {}),
            scalars=dict(scalars or {}),
            time=time.time(),
            precision=precision,
            complete=complete,
            inputs=inputs,
            assets=tuple(AssetRecord.of(asset, f"{folder}/{asset.name}") for asset in assets.step),
            missing=missing,
        )
        # Pruning meanwhile may have taken the inputs for nobody's.
        self._append(commit.to_json(), before=lambda: self._inputs(assets))
        self._recent.append(commit)
        return commit

    def update(self, step: int, *, checkpoint: str | None = None, metrics: Mapping[str, float] | None = None) -> bool:
        """Add a checkpoint or metrics to this writer's newest commit of a step; False when it made none."""
        commit = next((c for c in reversed(self._recent) if c.step == step), None) or self._older(step)
        if commit is None:
            return False
        said = replace(commit, metrics=dict(metrics or {})).to_json()
        self._append({"type": "update", "n": commit.n, "checkpoint": checkpoint, "metrics": said["metrics"]})
        return True

    def roll_up(self) -> AssetRecord | None:
        """Write the index rows of all commits as one asset, so that a timeline is one read.

        Returns:
            What was written; None where there is little to gain, or where it cannot be written: nothing is lost by that.
        """
        from attnlog.format.read import table, verify
        from attnlog.format.roll_up import roll_up

        indexes = ((commit, commit.asset("index")) for commit in self._written())
        # Of commits that were pruned meanwhile the files are gone.
        found = [(c, r) for c, r in indexes if r is not None and r.rows and (self.directory / r.path).exists()]
        if len(found) < 2 or sum(record.decoded for _, record in found) > ROLLED:
            return None

        def tables() -> Iterator[tuple[int, int, Any]]:
            for commit, record in found:
                data = (self.directory / record.path).read_bytes()
                data = verify(data, name=record.path, length=record.bytes, digest=record.sha256, decoded=record.decoded)
                yield commit.n, commit.step, table(data, "index", record.path, decoded=record.decoded, rows=record.rows)

        try:
            asset = roll_up(f"indexes-{self.id}.arrow", tables())
            self._place(asset)
            said = RollUp(AssetRecord.of(asset, asset.name), tuple(commit.n for commit, _ in found))
            self._append(said.to_json())
        except OSError:  # a disk that is full was told of when a commit failed
            return None
        return said.asset

    def _older(self, step: int) -> Commit | None:
        """Find the writer's newest commit of a step in its manifest."""
        return next((commit for commit in reversed(self._written()) if commit.step == step), None)

    def _written(self) -> tuple[Commit, ...]:
        """Every commit of this writer that there still is."""
        return parse(self.manifest.name, self.manifest.read_bytes()).commits if self.manifest.exists() else ()

    def _inputs(self, assets: Assets) -> AssetRecord:
        if not (self.directory / assets.inputs.name).exists():
            self._place(assets.inputs)
        return AssetRecord.of(assets.inputs, assets.inputs.name)

    def _place(self, asset: Asset) -> None:
        """Write a file of the run folder itself, whole or not at all."""
        draft = self.directory / f".{asset.name}.{self.id}"
        try:
            _write({draft: asset.data})
            os.replace(draft, self.directory / asset.name)
        except BaseException:
            draft.unlink(missing_ok=True)
            raise
        _sync(self.directory)

    def _append(self, said: Mapping[str, Any], before: Callable[[], object] = lambda: None) -> None:
        lines = line(said)
        with locked(self.manifest), open(self.manifest, "ab") as file:
            before()
            start = file.tell()
            if start == 0:
                lines = line({**self.header, "type": "writer", "attnlog": VERSION, "writer": self.id, "time": time.time()}) + lines
            try:
                file.write(lines)
                file.flush()
                os.fsync(file.fileno())
            except OSError:
                # A half-written line (disk full) would swallow the next one.
                file.truncate(start)
                raise


def _write(files: Mapping[Path, bytes]) -> None:
    """Write new files and make them durable; all are written before the first is synced, which then does most for the others."""
    with ExitStack() as opened:
        handles = []
        for path, data in files.items():
            handles.append(file := opened.enter_context(open(path, "xb", buffering=0)))
            _write_all(file, data)
        for file in handles:
            os.fsync(file.fileno())


def _write_all(file: FileIO, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[file.write(rest) :]


def _sync(folder: Path) -> None:
    """Make renames in a folder durable where the system can (not on Windows)."""
    if hasattr(os, "O_DIRECTORY"):
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
