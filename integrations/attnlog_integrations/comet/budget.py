"""How much of a run goes to a Comet experiment: what is large is left out above a budget, what is small never is."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath

from attnlog.delivery.tracker import Entry
from attnlog.errors import ArgumentError
from attnlog.sizes import format_size, parse_size

#: Bytes that attnlog may log to one experiment, and the number of assets; ``none``: without a limit.
BUDGET, ASSETS = "ATTNLOG_COMET_BUDGET", "ATTNLOG_COMET_ASSETS"
#: Comet documents no limit for either, but storage is what its plans are sold by, and pages list every asset.
DEFAULT_BUDGET, DEFAULT_ASSETS = 2_000_000_000, 10_000

#: Small, and without them a run cannot be read or its steps not be told apart.
ALWAYS = frozenset({"manifest", "inputs", "index", "indexes", "pictures"})


class Budget:
    """Decides step by step, in their order, without knowing how many are still to come.

    Room for one more step is kept free until the end: the last step is what people open first, so it goes whole like the first.
    """

    def __init__(self, limit: int | None, most: int | None) -> None:
        self.limit, self.most = limit, most
        self.left: dict[str, int] = {}  # path → bytes of what was left out
        self._spent = self._assets = 0
        self._some = False  # a large asset is there
        self._step: int | None = None  # the step that large assets came from last, whether it goes there, and their sizes
        self._admitted = True
        self._sizes: dict[str, int] = {}
        self._largest = self._kept = 0  # bytes of the largest step so far, and room that was kept free
        self._waiting: dict[str, tuple[Entry, Path]] = {}  # large assets of the newest step, should it be the last

    def begin(self, holds: Mapping[str, int]) -> None:
        """Count what the experiment has already, copies as text too."""
        self._spent, self._assets = sum(holds.values()), len(holds)
        self._some = any("/" in path and PurePosixPath(path).name.partition(".")[0] not in ALWAYS for path in holds)

    def admits(self, entry: Entry, file: Path) -> bool:
        """Whether to log this asset now; those of the newest step that are not are remembered for the end."""
        if entry.kind in ALWAYS:
            return True
        begins = entry.step != self._step
        if begins:
            self._step, self._sizes, self._waiting = entry.step, {}, {}
        self._sizes[entry.path] = entry.bytes
        self._largest = max(self._largest, sum(self._sizes.values()))
        if begins:
            # The first step needs room for itself; a later one for itself and for the last, each as large as any yet.
            self._admitted = self._fits(2 * self._largest if self._some else entry.bytes)
            if self._some and self._fits(self._largest):
                self._kept = self._largest
            self._some = self._some or self._admitted
        # A step has more than one large asset, and not all of them were known when it was let in.
        if self._admitted and self._fits(entry.bytes):
            return True
        self._waiting[entry.path] = entry, file
        self.left[entry.path] = entry.bytes
        return False

    def spend(self, size: int) -> None:
        """Count an asset that was logged."""
        self._spent += size
        self._assets += 1

    def late(self) -> Iterator[tuple[Entry, Path]]:
        """Give what was left out of the last step and fits into the room kept for it."""
        for entry, file in self._fitting():
            yield entry, file
            # Now it is logged, and the room that was kept is that much smaller; what failed is still left out.
            self._kept = max(0, self._kept - entry.bytes)
            self.left.pop(entry.path, None)
            self._waiting.pop(entry.path, None)

    def said(self) -> str:
        """In words what is left out, or nothing."""
        coming = {entry.path for entry, _ in self._fitting()}
        left = {path: size for path, size in self.left.items() if path not in coming}
        if not left:
            return ""
        return f"{len(left)} assets ({format_size(sum(left.values()))}) left out above {self.named()}"

    def named(self) -> str:
        """The limit that was reached, with the variable that sets it."""
        if self.most is not None and self._assets >= self.most:
            return f"{ASSETS}={self.most}"
        return f"{BUDGET}={format_size(self.limit or 0)}"

    def _fits(self, size: int) -> bool:
        fits = self.limit is None or self._spent + size <= self.limit
        return fits and (self.most is None or self._assets < self.most)

    def _fitting(self) -> list[tuple[Entry, Path]]:
        """What waits, where all of it fits: half a step shows little."""
        size = sum(entry.bytes for entry, _ in self._waiting.values())
        if not self._fits(size) and size > self._kept:
            return []
        return [(entry, file) for entry, file in self._waiting.values() if file.is_file()]


def budget() -> Budget:
    """Make the budget that the environment asks for.

    Raises:
        ArgumentError: a variable says no size, or no number.
    """
    size, count = os.environ.get(BUDGET, "").strip(), os.environ.get(ASSETS, "").strip()
    try:
        limit = DEFAULT_BUDGET if not size else None if size.lower() == "none" else parse_size(size)
    except ArgumentError as error:
        raise ArgumentError(f"{BUDGET}: {error}, or 'none'") from None
    if count and count.lower() != "none" and not (count.isascii() and count.isdigit() and int(count)):
        raise ArgumentError(f"{ASSETS}: {count!r} is not a number of assets above 0, nor 'none'")
    most = DEFAULT_ASSETS if not count else None if count.lower() == "none" else int(count)
    return Budget(limit, most)
