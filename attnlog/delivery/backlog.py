"""What one tracker has yet to receive: a short queue in memory, and beyond it the run folder, which knows everything."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path

from attnlog.delivery.arrived import Arrived
from attnlog.delivery.entries import run_entries
from attnlog.delivery.tracker import Entry

#: More entries are not kept in memory: a tracker that is down for a night must not make a training's memory grow.
LONGEST = 1000


class Backlog:
    """Entries in the order offered. Its methods are called under the lane's lock, except `refill`."""

    def __init__(self, directory: Path, arrived: Arrived) -> None:
        self._directory = directory
        self._arrived = arrived
        self._queue: deque[Entry] = deque()
        self._manifests: set[str] = set()  # of writers that offer here: what others deliver is theirs
        self.behind = False  # whether more was offered than is in memory
        self.left = 0  # how many files, at least, are only in the run folder
        self._refilled: set[str] = set()
        self._meanwhile = 0  # what was offered while the folder was read, which may have been too late to be found there

    def __bool__(self) -> bool:
        return bool(self._queue) or self.behind

    def paths(self) -> set[str]:
        """What is in memory."""
        return {entry.path for entry in self._queue}

    def offer(self, entries: Sequence[Entry]) -> None:
        """Add entries, a commit's or a whole run's."""
        self._manifests.update(entry.path for entry in entries if entry.kind == "manifest")
        new = [entry for entry in entries if entry.kind == "manifest" or entry.path not in self._refilled]
        # Once something is left to the folder, so is what comes after: a manifest must not pass assets that it names.
        if self.behind or len(self._queue) + len(new) > max(LONGEST, len(entries)):
            self.behind = True
            self.left += sum(entry.kind != "manifest" for entry in new)
            self._meanwhile += len(new)
        else:
            self._queue.extend(new)

    def next(self) -> Entry | None:
        """Take the oldest entry; None when there is none in memory."""
        return self._queue.popleft() if self._queue else None

    def begin_refill(self) -> None:
        """Begin to look for what `refill` may miss."""
        self._meanwhile = 0

    def refill(self, besides: Callable[[str], bool]) -> Sequence[Entry]:
        """Read from the run folder what did not arrive yet, besides some paths; to be handed to `take_back`. Without the lock.

        Files that were deleted meanwhile, to make room for instance, are passed over: nobody can deliver them.

        Raises:
            AttnlogError, OSError: a manifest cannot be read.
        """
        self._arrived.again()
        entries = run_entries(self._directory, self._manifests)

        def to_come(entry: Entry) -> bool:
            return not besides(entry.path) and not self._arrived.has(entry) and (self._directory / entry.path).is_file()

        return [entry for entry in entries if entry.kind == "manifest" or to_come(entry)]

    def take_back(self, entries: Sequence[Entry]) -> None:
        """Queue the first of what `refill` found; what is more, or came meanwhile, stays left to the folder."""
        queued, rest = entries[:LONGEST], entries[LONGEST:]
        self.behind = bool(rest) or self._meanwhile > 0
        self.left = sum(entry.kind != "manifest" for entry in rest) + self._meanwhile
        # What was committed while the folder was read may be offered a moment later.
        self._refilled = {entry.path for entry in queued}
        self._queue.extend(queued)
