"""The memory of what a tracker has received, kept in the run folder so that nothing is delivered twice after a restart."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from attnlog.delivery.tracker import Entry, Tracker

_WRITER = re.compile(r"manifest-(?P<manifest>[a-z0-9-]+)\.jsonl|step-[0-9]+/(?P<asset>[a-z0-9-]+)-[0-9]+/")


@dataclass(frozen=True)
class Remembered:
    """A tracker that a run folder was delivered to, or was to be, as far as its files say."""

    tracker: str
    run: str | None


class Arrived:
    """What arrived at one tracker, as lines of ``delivered-<tracker>-<writer>.jsonl``; one writer appends to its own file only.

    Before the arrivals a line says which tracker, and which of its runs, so that a delivery of which nothing arrived can be
    finished, too. In memory is only what earlier writers delivered: a run may have any number of files.
    """

    def __init__(self, directory: Path, tracker: Tracker) -> None:
        self._directory = directory
        self._tracker = tracker
        self._slug = _slug(tracker.name)
        self._waiting: list[str] = []
        self._file: Path | None = None
        self._said: dict[str, Any] | None = None
        self._before = self._read()

    def has(self, entry: Entry) -> bool:
        """Whether exactly these bytes arrived under this path before this delivery began, or `again` was called."""
        return (entry.path, entry.sha256) in self._before

    def expect(self, entries: Sequence[Entry], *, at_once: bool) -> None:
        """Learn whose entries come, and remember where they are to be delivered: at once, or only with the first that arrives."""
        for entry in entries:
            self._find(entry)
        if at_once:
            self._write()

    def add(self, entry: Entry) -> None:
        """Remember an arrival; a line that cannot be written costs a second delivery some day, nothing more."""
        record = {"path": entry.path, "bytes": entry.bytes, "sha256": entry.sha256, "destination": self._destination}
        self._waiting.append(json.dumps(record) + "\n")
        self._find(entry)
        self._write()

    def again(self) -> None:
        """Read what arrived meanwhile."""
        self._before = self._read()

    @property
    def _destination(self) -> str:
        # Where exactly: a run resumed into another experiment has to be delivered there again. Known late by a tracker that
        # begins a run of its own.
        return str(getattr(self._tracker, "destination", None) or getattr(self._tracker, "run", None) or "")

    def _find(self, entry: Entry) -> None:
        found = _WRITER.match(entry.path)
        if self._file is None and found:
            writer = found["manifest"] or found["asset"]
            self._file = self._directory / f"delivered-{self._slug}-{writer}.jsonl"

    def _write(self) -> None:
        if self._file is None:
            return
        said = {"tracker": self._tracker.name, "run": getattr(self._tracker, "run", None), "destination": self._destination}
        head = [] if said == self._said else [json.dumps(said) + "\n"]
        if not (head or self._waiting):
            return
        try:
            with self._file.open("a", encoding="utf-8") as out:
                out.writelines([*head, *self._waiting])
        except OSError:
            return
        self._said = said
        self._waiting.clear()

    def _read(self) -> set[tuple[str, str]]:
        known, here = set(), self._destination
        for file in sorted(self._directory.glob(f"delivered-{self._slug}-*.jsonl")):
            tracker = None  # of two names one may begin like the other, so that the file's own is not enough
            for record in _records(file):
                tracker = record.get("tracker", tracker)
                if tracker == self._tracker.name and record.get("destination") == here and "path" in record:
                    known.add((str(record["path"]), str(record.get("sha256"))))
        return known


def remembered(directory: Path) -> list[Remembered]:
    """The trackers that a run folder was delivered to, each with the run that was last written to there."""
    found: dict[str, Remembered] = {}
    for file in sorted(directory.glob("delivered-*.jsonl"), key=lambda file: file.stat().st_mtime):
        for record in _records(file):
            name, run = record.get("tracker"), record.get("run")
            if isinstance(name, str):
                found[name] = Remembered(name, run if isinstance(run, str) else None)
    return list(found.values())


def _records(file: Path) -> Iterator[dict[str, Any]]:
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return
    for line in lines:
        try:
            record = json.loads(line)
        except ValueError:
            continue  # a line cut off by a crash
        if isinstance(record, dict):
            yield record


def _slug(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "tracker"
