"""The memory of what a tracker has received, kept in the run folder so that nothing is delivered twice after a restart."""

from __future__ import annotations

import json
import re
from pathlib import Path

from attnlog.delivery.tracker import Entry, Tracker

_WRITER = re.compile(r"manifest-(?P<manifest>[a-z0-9-]+)\.jsonl|step-[0-9]+/(?P<asset>[a-z0-9-]+)-[0-9]+/")


class Arrived:
    """What arrived at one tracker, as lines of ``delivered-<tracker>-<writer>.jsonl``; one writer appends to its own file only."""

    def __init__(self, directory: Path, tracker: Tracker) -> None:
        self._directory = directory
        self._tracker = re.sub(r"[^a-z0-9]+", "-", tracker.name.lower()).strip("-") or "tracker"
        # Where exactly: a run resumed into another experiment has to be delivered there again.
        self._destination = str(getattr(tracker, "destination", ""))
        self._waiting: list[str] = []
        self._file: Path | None = None
        self._known = self._read()

    def has(self, entry: Entry) -> bool:
        """Whether exactly these bytes arrived under this path."""
        return (entry.path, entry.sha256) in self._known

    def add(self, entry: Entry) -> None:
        """Remember an arrival; a line that cannot be written costs a second delivery some day, nothing more."""
        self._known.add((entry.path, entry.sha256))
        record = {"path": entry.path, "bytes": entry.bytes, "sha256": entry.sha256, "destination": self._destination}
        self._waiting.append(json.dumps(record) + "\n")
        found = _WRITER.match(entry.path)
        if self._file is None and found:
            writer = found["manifest"] or found["asset"]
            self._file = self._directory / f"delivered-{self._tracker}-{writer}.jsonl"
        if self._file is None:
            return
        try:
            with self._file.open("a", encoding="utf-8") as out:
                out.writelines(self._waiting)
        except OSError:
            return
        self._waiting.clear()

    def _read(self) -> set[tuple[str, str]]:
        known = set()
        for file in sorted(self._directory.glob(f"delivered-{self._tracker}-*.jsonl")):
            try:
                lines = file.read_text(encoding="utf-8").splitlines()
            except (OSError, UnicodeDecodeError):
                continue
            for line in lines:
                try:
                    record = json.loads(line)
                    if record["destination"] == self._destination:
                        known.add((str(record["path"]), str(record["sha256"])))
                except (ValueError, KeyError, TypeError):
                    continue  # a line cut off by a crash
        return known
