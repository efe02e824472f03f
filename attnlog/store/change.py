"""Changing a run where it lies: a manifest is replaced whole or not at all, and files go one by one."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Protocol, runtime_checkable

from attnlog.errors import RunError
from attnlog.store.lock import locked
from attnlog.store.source import FolderSource, FsspecSource, Source

_DRAFT = re.compile(r"\.manifest-[a-z0-9-]+\.jsonl\.pruned")
Edit = Callable[[bytes], bytes]


@runtime_checkable
class Changeable(Protocol):
    """What a source offers besides reading where files can be replaced and deleted."""

    def replace(self, path: str, data: bytes) -> None:
        """Put a file in the place of another."""

    def remove(self, paths: Sequence[str]) -> None:
        """Delete files; one that is gone already is no error."""


def refusal(source: Source) -> str | None:
    """Say why nothing can be changed where a run lies, and what to do instead; None: it can."""
    if isinstance(source, FolderSource):
        writable = os.access(source.directory, os.W_OK | os.X_OK)
        return None if writable else "the folder cannot be written: give it write permission"
    if isinstance(source, FsspecSource):
        return None
    ask: Callable[[], str | None] | None = getattr(source, "refusal", None)
    if ask is not None and (why := ask()) is not None:
        return why
    return None if isinstance(source, Changeable) else "it can be read only: prune the run where it was written, and deliver it again"


def caution(source: Source) -> str | None:
    """Say what a person should know before something is changed where a run lies, or None."""
    if isinstance(source, FsspecSource):
        return "there are no locks at a URL: nobody should be writing to this run"
    ask: Callable[[], str | None] | None = getattr(source, "caution", None)
    return ask() if ask is not None else None


def rewrite(source: Source, name: str, edit: Edit) -> None:
    """Replace a manifest by what `edit` makes of it. A running writer's line is either in what is edited, or appended afterwards.

    Raises:
        RunError: it cannot be replaced, or grew meanwhile where there are no locks; then nothing was changed.
    """
    if isinstance(source, FolderSource):
        _rewrite_file(source.directory / name, edit)
        return
    before = source.get(name)
    after = edit(before)
    if source.get(name) != before:
        raise RunError(f"{name} in {source.place} grew meanwhile: change it when nobody writes to it")
    if isinstance(source, FsspecSource):
        _at_url(source, name, lambda where: source.files.pipe_file(where, after))
    elif isinstance(source, Changeable):
        source.replace(name, after)


def remove(source: Source, paths: Sequence[str]) -> None:
    """Delete files of a run, and in a folder also the folders that are empty then.

    Raises:
        RunError: one cannot be deleted.
    """
    if isinstance(source, FolderSource):
        _remove_files(source.directory, paths)
    elif isinstance(source, FsspecSource):
        for path in paths:
            with suppress(FileNotFoundError):
                _at_url(source, path, source.files.rm_file)
    elif isinstance(source, Changeable):
        source.remove(paths)


def _rewrite_file(file: Path, edit: Edit) -> None:
    draft = file.with_name(f".{file.name}.pruned")
    try:
        if not file.is_file():
            raise RunError(f"{file} is no longer there; nothing was changed")
        with locked(file) as held:
            before = file.read_bytes()
            try:
                with open(draft, "wb") as out:
                    out.write(edit(before))
                    out.flush()
                    os.fsync(out.fileno())
                os.chmod(draft, file.stat().st_mode & 0o777)
                # Where there are no locks, this is the last moment to see that somebody writes.
                if not held and file.read_bytes() != before:
                    raise RunError(f"{file} grew meanwhile, and there are no locks here: change it when nobody writes to it")
                os.replace(draft, file)
            finally:
                draft.unlink(missing_ok=True)
            _sync(file.parent)
    except OSError as error:
        raise RunError(f"{file} cannot be replaced: {error.strerror or error}; nothing of it was changed") from error


def _remove_files(directory: Path, paths: Iterable[str]) -> None:
    folders: set[Path] = set()
    try:
        for file in (directory / path for path in paths):
            file.unlink(missing_ok=True)
            folders |= {folder for folder in file.parents if directory in folder.parents}
        for folder in sorted(folders, key=lambda one: -len(one.parts)):
            with suppress(OSError):  # not empty: something else lies there
                folder.rmdir()
        for draft in directory.iterdir():  # of somebody who was interrupted
            if _DRAFT.fullmatch(draft.name):
                draft.unlink(missing_ok=True)
    except OSError as error:
        raise RunError(f"{error.filename} cannot be removed: {error.strerror}; no manifest names it any more, so prune again") from error


def _at_url(source: FsspecSource, path: str, change: Callable[[str], object]) -> None:
    from attnlog.delivery.redact import describe

    try:
        change(f"{source.root}/{path}")
    except FileNotFoundError:
        raise
    except NotImplementedError:
        raise RunError(f"{source.place} can be read only: prune the run where it was written, and copy it there again") from None
    except Exception as error:
        raise RunError(f"{source.place}/{path} cannot be changed: {describe(error)}") from None


def _sync(folder: Path) -> None:
    """Make a rename durable where the system can (not on Windows)."""
    if hasattr(os, "O_DIRECTORY"):
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
