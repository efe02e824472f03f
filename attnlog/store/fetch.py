"""Brings a run from wherever it lies into a folder of this machine: assets first, each verified, then the manifest that names them."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from attnlog.errors import ArgumentError, AttnlogError, RunError, RunNotFoundError
from attnlog.format.encode import sha256
from attnlog.format.read import verify
from attnlog.store.folder import prepare
from attnlog.store.lock import locked
from attnlog.store.manifest import NAME, AssetRecord, Manifest, parse
from attnlog.store.source import Source, check_path, manifests_in


@dataclass
class Fetched:
    """What came, what was there already, and what could not be had: path → why."""

    files: int = 0
    bytes: int = 0
    there: int = 0
    failed: dict[str, str] = field(default_factory=dict)


def fetch(source: Source, directory: str | os.PathLike[str], *, advance: Callable[[int], None] = lambda total: None) -> Fetched:
    """Copy a run into a folder; one that has part of it gets the rest.

    What is missing or damaged at the source is left out and told; its manifest comes all the same, so that the rest can be read.

    Args:
        source: where the run lies.
        directory: the folder; made if it is not there.
        advance: called after each file with the number of all.

    Raises:
        RunNotFoundError: there is no run at the source.
        ArgumentError: the folder holds another run.
        RunError: the folder cannot be written; what came before stays, and counts when it is fetched again.
    """
    try:
        return _fetched(source, directory, advance)
    except OSError as error:
        if isinstance(error, AttnlogError):
            raise
        remedy = "make room or name another folder, and run it again"
        raise RunError(f"{source.place} cannot be fetched into {directory} ({error}): {remedy}") from None


def _fetched(source: Source, directory: str | os.PathLike[str], advance: Callable[[int], None]) -> Fetched:
    found = {name: source.get(name) for name in manifests_in(source)}
    if not found:
        raise RunNotFoundError(f"there is no run at {source.place}: no manifest-….jsonl")
    manifests = [parse(name, data) for name, data in found.items()]
    folder = prepare(directory)
    _check_same_run(folder, source.place, found)
    records = {record.path: record for manifest in manifests for record in _records(manifest)}
    total, told = len(records) + len(found), Fetched()
    for record in records.values():
        _fetch(source, folder, record, told)
        advance(total)
    for name, data in found.items():
        with locked(folder / name):
            known = (folder / name).read_bytes() if (folder / name).exists() else b""
            if len(known) < len(data):
                _place(folder / name, data)
                told.files, told.bytes = told.files + 1, told.bytes + len(data)
            else:
                told.there += 1
        advance(total)
    return told


def _records(manifest: Manifest) -> list[AssetRecord]:
    named = [record for commit in manifest.commits for record in (commit.inputs, *commit.assets)]
    return [*named, manifest.roll_up.asset] if manifest.roll_up is not None else named


def _check_same_run(folder: Path, place: str, found: dict[str, bytes]) -> None:
    """Refuse to mix two runs in one folder: manifests that both have must be one the beginning of the other."""
    here = {name for name in os.listdir(folder) if NAME.fullmatch(name)}
    for name in here & found.keys():
        shorter, longer = sorted((found[name], (folder / name).read_bytes()), key=len)
        if not longer.startswith(shorter):
            raise ArgumentError(f"{folder / name} is not what {place} has under this name (one of them was pruned?): name an empty folder")
    if here and not here & found.keys():
        raise ArgumentError(f"{folder} holds another run than {place}: name an empty folder")


def _fetch(source: Source, folder: Path, record: AssetRecord, told: Fetched) -> None:
    file = folder / check_path(record.path)
    if file.is_file() and file.stat().st_size == record.bytes and sha256(file.read_bytes()) == record.sha256:
        told.there += 1
        return
    try:
        data = verify(source.get(record.path), name=record.path, length=record.bytes, digest=record.sha256, decoded=record.decoded)
    except AttnlogError as error:
        told.failed[record.path] = str(error)
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    _place(file, data)
    told.files, told.bytes = told.files + 1, told.bytes + len(data)


def _place(file: Path, data: bytes) -> None:
    """Write a file whole or not at all."""
    draft = file.with_name(f".{file.name}.fetched")
    try:
        draft.write_bytes(data)
        os.replace(draft, file)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
