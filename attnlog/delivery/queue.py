"""The delivery queue: takes what a run committed to every tracker in the background, so that training never waits for one."""

from __future__ import annotations

import os
import threading
import time
import warnings
from collections.abc import Sequence
from pathlib import Path

from attnlog.boundary import AttnlogWarning, Boundary, strict
from attnlog.delivery.lane import Lane
from attnlog.delivery.local import LocalTracker
from attnlog.delivery.redact import describe
from attnlog.delivery.tracker import Entry, Tracker
from attnlog.errors import TrackerError

EXIT_WAIT = "ATTNLOG_EXIT_WAIT"
DEFAULT_EXIT_WAIT = 60.0


class Delivery:
    """Delivers entries of one run folder to its trackers, each from a daemon thread of its own.

    One thread per tracker, because a server that hangs must not hold up another tracker.
    """

    def __init__(self, directory: Path, trackers: Sequence[Tracker], boundary: Boundary, *, ask: bool = False) -> None:
        """Make a delivery; nothing happens before something is offered.

        Args:
            directory: the run folder.
            trackers: where to.
            boundary: hears of failures.
            ask: whether each tracker is asked first what it has of the run already, which is then not delivered again.
        """
        self.directory = Path(directory)
        self.trackers = tuple(trackers)
        self._lanes = [Lane(self.directory, tracker, boundary, ask=ask) for tracker in trackers if not isinstance(tracker, LocalTracker)]
        self._finished: str | None = None
        self._in_vain: dict[Lane, float] = {}  # seconds waited for what has not arrived
        self._arrived: dict[Lane, int] = {}  # files, when somebody waited last

    def offer(self, entries: Sequence[Entry], to: Tracker | None = None) -> None:
        """Queue files of the run folder for delivery, to all trackers or to one; returns at once.

        Assets come before the manifest that names them.
        """
        for lane in self._lanes:
            if to is None or lane.tracker is to:
                lane.offer(entries)

    def expect(self, entries: Sequence[Entry]) -> None:
        """Remember where files will go that are offered later, in case the process ends before."""
        for lane in self._lanes:
            lane.expect(entries)

    def flush(self, wait: float | None = None, *, since: float | None = None) -> bool:
        """Deliver what was offered so far, manifests included, within a bounded time; the trackers stay open.

        Args:
            wait: seconds to wait at most; None: what is left of ``ATTNLOG_EXIT_WAIT``, or of 60.
            since: the moment, by ``time.monotonic()``, from which these seconds count; default: now.

        Returns:
            Whether everything arrived.
        """
        begun = time.monotonic() if since is None else since
        for lane in self._lanes:
            lane.hurry()
        arrived = [lane.settled(self._left_of(lane, wait, begun)) for lane in self._lanes]
        self._count(begun)
        return all(arrived)

    @property
    def left(self) -> int:
        """How many files have not arrived, of all trackers together."""
        return sum(lane.left for lane in self._lanes)

    def finish(self, wait: float | None = None) -> str:
        """Deliver what is left within a bounded time and release the trackers.

        Args:
            wait: seconds to wait at most; None: what is left of ``ATTNLOG_EXIT_WAIT``, or of 60.

        Returns:
            One line per tracker: what was delivered, what was left, and where it is to be found.

        Raises:
            TrackerError: in strict mode (``ATTNLOG_STRICT=1``), when a tracker failed.
        """
        if self._finished is not None:
            return self._finished
        begun = time.monotonic()
        for lane in self._lanes:
            lane.finish()
        for lane in self._lanes:
            lane.join(self._left_of(lane, wait, begun))
        self._count(begun)
        errors = [lane.error for lane in self._lanes if lane.error is not None]
        if errors and strict():
            raise TrackerError(f"{describe(errors[0])}; everything is safe in {self.directory}") from None
        lines = [lane.summary() for lane in self._lanes]
        local = next((t for t in self.trackers if isinstance(t, LocalTracker)), None) or LocalTracker(self.directory)
        self._finished = "\n".join([f"local: {local.where()}", *lines])
        return self._finished

    def _left_of(self, lane: Lane, wait: float | None, begun: float) -> float:
        """Seconds that are left to wait for a tracker.

        Who waits at the end of a training and at once again at the end of the program waits ``ATTNLOG_EXIT_WAIT`` once, not twice, for
        a tracker that did nothing meanwhile; for the others it does not count.
        """
        if lane.arrived > self._arrived.get(lane, 0):
            self._in_vain[lane] = 0.0
        most = max(0.0, exit_wait() - self._in_vain.get(lane, 0.0)) if wait is None else wait
        return max(0.0, begun + min(most, threading.TIMEOUT_MAX) - time.monotonic())

    def _count(self, begun: float) -> None:
        waited = time.monotonic() - begun
        for lane in self._lanes:
            self._in_vain[lane] = self._in_vain.get(lane, 0.0) + waited if lane.left else 0.0
            self._arrived[lane] = lane.arrived


def exit_wait() -> float:
    """Seconds that the end of a training may wait for trackers: ``ATTNLOG_EXIT_WAIT``, or 60."""
    try:
        return max(0.0, float(os.environ.get(EXIT_WAIT, DEFAULT_EXIT_WAIT)))
    except ValueError:
        message = f"{EXIT_WAIT} is {os.environ[EXIT_WAIT]!r}, which is no number of seconds: {DEFAULT_EXIT_WAIT:.0f} count"
        warnings.warn(message, AttnlogWarning, stacklevel=2)
        return DEFAULT_EXIT_WAIT
