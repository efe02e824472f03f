"""The memory of what a tracker has received, kept in the run folder so that nothing is delivered twice after a restart."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from attnlog.delivery.tracker import Entry, Tracker

_WRITER = re.compile(r"manifest-(?P<manifest>[a-z0-9-]+)\.jsonl|step-[0-9]+/(?P<asset>[a-z0-9-]+)-[0-9]+/")


@dataclass(frozen=True)
class Remembered:
    """A tracker's run that a run folder was delivered to, or was to be, as far as its files say."""

    tracker: str
    run: str | None
    #: Whose files went there, or were to go: names of manifests.
    manifests: frozenset[str]


class Arrived:
    """What arrived at one tracker, as lines of ``delivered-<tracker>-<writer>.jsonl``; one writer appends to its own file only.

    Before the arrivals a line says which tracker, and which of its runs, so that a delivery of which nothing arrived can be
    finished, too. In memory is only what earlier writers delivered: a run may have any number of files.
    """

    def __init__(self, directory: Path, tracker: Tracker) -> None:
        self._directory = directory
        self._tracker = tracker
        self._slug = _slug(tracker.name)
        self._waiting: dict[tuple[str, str], str] = {}  # what arrived, until its line is written
        self._run = self._run_now
        self.known = False  # whether this run folder was going there before
        self._begun: float | None = None  # when that was begun, for who only finishes it
        self._file: Path | None = None
        self._manifests: set[str] = set()  # of writers whose files go there
        self._said: dict[str, Any] | None = None
        self._before = self._read()

    def has(self, entry: Entry) -> bool:
        """Whether exactly these bytes arrived under this path before this delivery began, or `again` was called."""
        return (entry.path, entry.sha256) in self._before or (entry.path, entry.sha256) in self._waiting

    def expect(self, entries: Sequence[Entry], *, at_once: bool) -> None:
        """Learn whose entries come, and remember where they are to be delivered: at once, or only with the first that arrives."""
        for entry in entries:
            self._find(entry)
        if at_once:
            self._begun = None
            self._write()

    def add(self, entry: Entry) -> None:
        """Remember an arrival; a line that cannot be written costs a second delivery some day, nothing more."""
        record = {"path": entry.path, "bytes": entry.bytes, "sha256": entry.sha256, "destination": self._destination}
        self._waiting[entry.path, entry.sha256] = json.dumps(record) + "\n"
        self._find(entry)
        self._write()

    def note(self) -> None:
        """Remember a run that the tracker has begun meanwhile, before anything has arrived there."""
        if self._run_now != self._run:
            self._write()

    def again(self) -> None:
        """Read what arrived meanwhile."""
        self._before = self._read()

    @property
    def _run_now(self) -> str | None:
        run = getattr(self._tracker, "run", None)
        return run if isinstance(run, str) else None

    @property
    def _destination(self) -> str:
        # Where exactly: a run resumed into another experiment has to be delivered there again. Known late by a tracker that
        # begins a run of its own.
        return str(getattr(self._tracker, "destination", None) or getattr(self._tracker, "run", None) or "")

    def _find(self, entry: Entry) -> None:
        found = _WRITER.match(entry.path)
        if entry.kind == "manifest":
            self._manifests.add(entry.path)
        if self._file is None and found:
            writer = found["manifest"] or found["asset"]
            self._file = self._directory / f"delivered-{self._slug}-{writer}.jsonl"

    def _write(self) -> None:
        if self._file is None:
            return
        said = {
            "tracker": self._tracker.name,
            "run": self._run_now,
            "destination": self._destination,
            "manifests": sorted(self._manifests),
        }
        head = [] if said == self._said else [json.dumps({**said, "time": self._begun or time.time()}) + "\n"]
        if not (head or self._waiting):
            return
        try:
            with self._file.open("a", encoding="utf-8") as out:
                out.writelines([*head, *self._waiting.values()])
        except OSError:
            return
        self._said, self._run = said, self._run_now
        self._waiting.clear()

    def _read(self) -> set[tuple[str, str]]:
        known, here = set(), self._destination
        for file in sorted(self._directory.glob(f"delivered-{self._slug}-*.jsonl")):
            tracker = None  # of two names one may begin like the other, so that the file's own is not enough
            for record in _records(file):
                tracker = record.get("tracker", tracker)
                if tracker != self._tracker.name or record.get("destination") != here:
                    continue
                self.known = True
                if isinstance(record.get("time"), (int, float)):
                    self._begun = float(record["time"])
                if "path" in record:
                    known.add((str(record["path"]), str(record.get("sha256"))))
        return known


def remembered(directory: Path) -> list[Remembered]:
    """The trackers' runs that a run folder was delivered to; of each tracker the one that was last begun comes last."""
    found: dict[tuple[str, str | None], tuple[float, set[str]]] = {}
    for file in sorted(directory.glob("delivered-*.jsonl")):
        heads = [record for record in _records(file) if isinstance(record.get("tracker"), str)]
        # What was to go to a run that was still to be begun has gone there once it was.
        begun = {record["tracker"] for record in heads if isinstance(record.get("run"), str)}
        for record in heads:
            name, run = record["tracker"], record.get("run")
            if not isinstance(run, str):
                if name in begun:
                    continue
                run = None
            said = record.get("time")
            when = float(said) if isinstance(said, (int, float)) else file.stat().st_mtime
            last, manifests = found.get((name, run), (when, set()))
            named = record.get("manifests")
            if not isinstance(named, list):  # an earlier version's line: whose file it is
                named = [f"manifest-{file.stem.removeprefix(f'delivered-{_slug(name)}-')}.jsonl"]
            found[name, run] = max(when, last), manifests | {str(one) for one in named}
    ordered = sorted(found.items(), key=lambda item: item[1][0])
    return [Remembered(name, run, frozenset(manifests)) for (name, run), (_, manifests) in ordered]


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
