"""One tracker's lane of the delivery queue: order, retries, what arrived; everything that calls the tracker runs here."""

from __future__ import annotations

import hashlib
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Container, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from attnlog.boundary import Boundary, strict
from attnlog.delivery import discovery
from attnlog.delivery.arrived import Arrived
from attnlog.delivery.backlog import Backlog
from attnlog.delivery.redact import describe
from attnlog.delivery.tracker import Entry, Tracker
from attnlog.errors import TrackerError
from attnlog.store.manifest import NAME

#: A manifest is replaced, and what is derived from a run remade, at most this often (seconds), and at the end.
PERIOD = 30.0
#: After a refresh that took long, as over a slow line, the next waits this many times as long.
RESPITE = 10
#: Seconds to wait before each further try of one file.
BACKOFF: tuple[float, ...] = (0.5, 2.0)
#: So many files in a row that failed mean that the tracker is down, not that a file is bad.
DOWN_AFTER = 2
#: A tracker that is down is asked again, once, after this many seconds, and then after twice as many.
COOLDOWN, LONGEST_COOLDOWN = 30.0, 300.0


class Lane:
    """Delivers to one tracker in the order offered: a manifest never before the assets it names."""

    def __init__(self, directory: Path, tracker: Tracker, boundary: Boundary, *, ask: bool = False) -> None:
        """Make a lane; with `ask`, the tracker is asked first what it has, and that is not delivered again."""
        self.tracker = tracker
        self.directory = directory
        self.error: BaseException | None = None  # the first one, for strict mode
        self.arrived = 0  # files, manifests each time they came
        self._boundary = boundary
        self._arrived = Arrived(directory, tracker)
        self._backlog = Backlog(directory, self._arrived)
        self._ask = ask
        self._there: Mapping[str, int] | None = None  # what the tracker said it has
        self._at_work: Entry | None = None  # on its way right now
        self._failed: deque[Entry] = deque()  # tried in vain; tried again before the next manifest
        self._doubtful: list[Entry] = []  # failed again, which may be the file's fault or the tracker's
        self._held: dict[str, Entry] = {}  # newest manifests, waiting for their period
        self._refused: dict[str, str] = {}  # path → why
        self._handed: dict[str, Entry] = {}  # taken by a tracker that uploads by itself, and not known to have arrived
        self._gone = 0  # files that are no longer in the run folder, so that nobody can deliver them
        self._delivered = 0  # assets, in this delivery
        self._found = 0  # assets that had arrived before
        self._manifests: set[str] = set()
        self._known: set[str] = set()  # manifests that were there before
        self._settled = -PERIOD  # when manifests were last delivered
        self._unseen = False  # something arrived since the last refresh
        self._refresh_from = 0.0
        self._misses = 0
        self._missing: str | None = None  # the path that failed last
        self._down: float | None = None  # while the tracker is down: how long to leave it alone
        self._last_error = self._last_refusal = ""
        self._where: str | None = None
        self._wake = threading.Condition()
        self._finishing = self._abandoned = False
        self._asked = self._answered = 0  # how often somebody flushed, and how many of them wait no longer
        self._over = False  # the thread delivers nothing more
        self._thread: threading.Thread | None = None

    # Called from the threads that write and train.

    def expect(self, entries: Sequence[Entry]) -> None:
        """Remember where to, before anything is offered."""
        with self._wake:
            if self._thread is None:  # at once, before anything can hang; but what a person named by mistake is not remembered
                self._arrived.expect(entries, at_once=not self._ask)

    def offer(self, entries: Sequence[Entry]) -> None:
        """Queue entries; returns at once."""
        self.expect(entries)
        with self._wake:
            self._backlog.offer(entries)
            self._start()
            self._wake.notify_all()

    def hurry(self) -> None:
        """Ask the lane to deliver its manifests as soon as what comes before them is through, not when their period is over."""
        with self._wake:
            # A tracker that is down is asked again when its time comes, not whenever somebody hurries.
            if self._thread is not None and not (self._finishing or self._over) and self._down is None:
                self._asked += 1
            self._wake.notify_all()

    def settled(self, seconds: float) -> bool:
        """Wait, at most so long, until `hurry` is done; False when something is left."""
        with self._wake:
            self._wake.wait_for(lambda: self._answered >= self._asked, seconds)
            self._answered = self._asked
            tried = self._failed or self._doubtful or self._refused
            return not (self._backlog or self._at_work or tried or self._held or self._handed)

    def finish(self) -> None:
        """Ask the lane to deliver what is left and to release the tracker."""
        with self._wake:
            # An interpreter that is going down starts no threads any more, and there may be nothing to do.
            with suppress(RuntimeError):
                self._start()
            self._finishing = True
            self._wake.notify_all()

    def join(self, seconds: float) -> None:
        """Wait at most so long; what is not delivered by then stays in the run folder."""
        if self._thread is not None:
            self._thread.join(seconds)
        self._abandoned = True

    @property
    def left(self) -> int:
        """How many files have not arrived."""
        with self._wake:
            at_work = () if self._at_work is None else (self._at_work,)
            waiting = self._backlog.paths() | {e.path for e in (*at_work, *self._failed, *self._doubtful, *self._held.values())}
            return len(waiting | self._refused.keys() | self._handed.keys()) + self._backlog.left

    def summary(self) -> str:
        """One line for the user: how much arrived, where, and what became of the rest."""
        left = self.left
        reason = self._last_error or next(iter(self._refused.values()), "")
        count = self._delivered + len(self._manifests)
        done = f"{self.tracker.name}: {count} file{'' if count == 1 else 's'} delivered"
        if before := self._found + len(self._known):
            done += f", {before} there before"
        if self._where:
            done += f" ({self._where})"
        if self._gone:
            done += f", {self._gone} no longer in the run folder"
        if not left and self._thread is not None and self._thread.is_alive():
            return f"{done}, still working when the time was over; everything is safe in {self.directory}"
        if left:
            why = f" ({reason})" if reason else ", because the time was over"
            later = ", and attnlog sync delivers it" if self.tracker.name in discovery.known_trackers() else ""
            return f"{done}, {left} left{why}; everything is safe in {self.directory}{later}"
        return done

    # The lane's own thread.

    def _start(self) -> None:
        if self._thread is None:
            thread = threading.Thread(target=self._live, name=f"attnlog-{self.tracker.name}", daemon=True)
            thread.start()
            self._thread = thread

    def _live(self) -> None:
        try:
            if self._look_there():
                self._work()
        # Whatever it is, SystemExit of a tracker's library too: threading would print it, secrets and all, and nobody would be told.
        except BaseException as error:
            self._last_error = describe(error)
            self._report("go on delivering to", error)
        self._over = True
        self._let_go()
        self._look()
        self._guarded("release", self.tracker.close)
        self._confirm()

    def _work(self) -> None:
        while not self._abandoned:
            with self._wake:
                self._wake.wait_for(self._has_work, self._until_due())
                asked = self._asked
                entry = self._at_work = self._backlog.next()
                behind = entry is None and self._backlog.behind
                last = self._finishing and not self._backlog
                flushing = self._answered < asked and not self._backlog
            if behind and not self._failed:
                if self._refill():
                    continue
                break
            if entry is not None:
                self._take(entry)
            if last or flushing or behind or self._due():
                self._settle(force=last or flushing)
            if flushing or self._down is not None:
                self._let_go(asked)
            if self._down is None:
                if last:
                    break
            elif not self._cool_down():
                break

    def _has_work(self) -> bool:
        return bool(self._backlog) or self._finishing or self._answered < self._asked or self._due()

    def _let_go(self, asked: int | None = None) -> None:
        """Whoever flushed by then, or has at all, waits no longer: everything arrived, or the tracker is down."""
        with self._wake:
            self._answered = max(self._answered, self._asked if asked is None else asked)
            self._wake.notify_all()

    def _refill(self) -> bool:
        """Queue again what was left to the run folder; where that cannot be read, wait. False when there is no time left."""
        with self._wake:
            self._backlog.begin_refill()
        try:
            left_out = self._left_out()
            found = self._backlog.refill(lambda path: path in left_out or path in self._handed)
        except Exception as error:
            self._last_error = describe(error)
            self._report("read what is to be delivered to", error)
            self._let_go()
            self._down, down = PERIOD, self._down
            try:
                return self._cool_down()
            finally:
                self._down = down
        with self._wake:
            self._backlog.take_back(found)
        return True

    def _look_there(self) -> bool:
        """Ask the tracker what it has, where it can say so; False when it does not answer.

        Nothing is delivered then: what another machine delivered would come a second time.
        """
        ask: Callable[[], Mapping[str, int] | None] | None = getattr(self.tracker, "holds", None)
        if not self._ask or ask is None:
            return True
        for pause in (*BACKOFF, None):
            try:
                self._there = ask()
                break
            except BaseException as error:
                if pause is None:
                    self._last_error = describe(error)
                    self._report("look what is in", error)
                    return False
                time.sleep(pause)
        return self._is_this_run()

    def _is_this_run(self) -> bool:
        """Whether what is there is of this run folder; two runs in one place could not be told apart again."""
        there = {path for path in self._there or () if NAME.fullmatch(path)}
        if not there or self._arrived.known or there & self._backlog.paths():
            return True
        self._last_error = f"another run was delivered there before ({min(there)}): name an empty one"
        self._report("deliver to", TrackerError(self._last_error))
        return False

    def _is_there(self, entry: Entry) -> bool:
        # What the tracker says itself counts more than what is remembered: somebody may have deleted there.
        return self._arrived.has(entry) if self._there is None else self._there.get(entry.path) == entry.bytes

    def _take(self, entry: Entry) -> None:
        if entry.kind == "manifest":
            self._held[entry.path] = entry
        elif self._is_there(entry):
            self._found += 1
        elif not self._deliver(entry):
            self._failed.append(entry)
        self._at_work = None

    def _settle(self, *, force: bool) -> None:
        """Try once more what failed, then deliver manifests, then let the tracker remake what it derives from the run.

        With `force`, at the end of a training or when somebody waits, a tracker first delivers what it kept for the end.
        """
        some, alone = False, not self._held
        while self._failed:
            entry = self._at_work = self._failed[0]
            self._failed.popleft()
            if self._deliver(entry):
                some = True
                continue
            self._doubtful.append(entry)
            if self._down is not None:
                break
        flush: Callable[[], None] | None = getattr(self.tracker, "flush", None)
        if force and flush is not None and self._down is None:
            self._guarded("deliver the last step to", flush)
            self._confirm()
        for path, entry in list(self._held.items()) if self._down is None or not self._doubtful else ():
            some = self._deliver(entry)
            self._settled = time.monotonic()
            if not some:
                break
            del self._held[path]
        if force and flush is not None and self._handed and self._down is None:
            self._guarded("deliver the last step to", flush)
            self._confirm()
        if some or (alone and self._down is None):
            # Refused twice while others arrive, or with nothing to tell by: what comes next tells, and the run folder knows them.
            # Their manifest goes without them: better one gap than nothing to see.
            self._refused |= {entry.path: self._last_refusal for entry in self._doubtful}
        else:
            self._failed.extendleft(reversed(self._doubtful))
        self._doubtful.clear()
        self._at_work = None
        if self._down is not None:
            return
        if self._unseen and not self._held and (force or time.monotonic() >= self._refresh_from):
            began = time.monotonic()
            self._unseen = not self._guarded("refresh the view in", lambda: self.tracker.refresh(self.directory))
            self._settled = time.monotonic()
            self._refresh_from = self._settled + RESPITE * (self._settled - began)

    def _deliver(self, entry: Entry) -> bool:
        """Put one file, in a few tries; a tracker that is down gets a single one."""
        pauses = BACKOFF if self._down is None else ()
        for pause in (*pauses, None):
            try:
                if not (self.directory / entry.path).is_file():
                    self._gone += 1
                    self._refused.pop(entry.path, None)
                    return True  # nothing that another try or another tracker could change
                put = self._put(entry)
            except BaseException as error:
                self._arrived.note()  # a tracker that has begun a run of its own has one now, whatever came after
                if pause is not None and not self._abandoned:
                    time.sleep(pause)
                    continue
                self._missed(entry, error)
                return False
            self._unseen = True
            self._misses, self._missing, self._down, self._last_error = 0, None, None, ""
            if entry.path in self._left_out():
                self._refused.pop(entry.path, None)
            elif entry.path in self._pending():
                with self._wake:
                    self._handed[entry.path] = put
                    self._refused.pop(entry.path, None)
            else:
                self._count(put)
            if entry.kind == "manifest":
                self._confirm()
            return True
        return False

    def _count(self, put: Entry) -> None:
        """One file arrived."""
        self._arrived.add(put)
        self.arrived += 1
        if put.kind == "manifest" and self._there is not None and self._there.get(put.path) == put.bytes:
            self._known.add(put.path)  # put again all the same: one that was pruned can have grown to the same length
        elif put.kind == "manifest":
            self._manifests.add(put.path)
        else:
            self._delivered += 1
        self._refused.pop(put.path, None)

    def _confirm(self) -> None:
        """Count what a tracker that uploads by itself has uploaded meanwhile."""
        if self._handed:
            pending = self._pending()
            for path in [path for path in self._handed if path not in pending]:
                self._count(self._handed[path])
                with self._wake:
                    del self._handed[path]

    def _pending(self) -> Container[str]:
        """What the tracker took and has not uploaded yet."""
        try:
            found: Container[str] = getattr(self.tracker, "pending", ())
        except Exception as error:
            self._report("ask what is on its way to", error)
            return self._handed
        return found

    def _left_out(self) -> Container[str]:
        # What a tracker chose to leave out has not arrived: another budget may let it through.
        try:
            found: Container[str] = getattr(self.tracker, "left_out", ())
        except Exception as error:
            self._report("ask what was left out by", error)
            return ()
        return found

    def _put(self, entry: Entry) -> Entry:
        """Put one file, and return what was put."""
        file = self.directory / entry.path
        if entry.kind != "manifest":
            self.tracker.put(entry, file)
            return entry
        # A manifest grows meanwhile: deliver it as it was when it was offered, or it would name assets still to come.
        with file.open("rb") as source:
            data = source.read(entry.bytes)
        data = data[: data.rfind(b"\n") + 1]
        with tempfile.TemporaryDirectory(prefix="attnlog-") as folder:
            copy = Path(folder, file.name)
            copy.write_bytes(data)
            put = replace(entry, bytes=len(data), sha256=hashlib.sha256(data).hexdigest())
            self.tracker.put(put, copy)
        return put

    def _missed(self, entry: Entry, error: BaseException) -> None:
        # One file that fails twice says nothing of the tracker.
        self._misses += entry.path != self._missing
        self._missing = entry.path
        self._last_error = self._last_refusal = describe(error)
        if self._down is not None:
            self._down = min(2 * self._down, LONGEST_COOLDOWN)
        elif self._misses >= DOWN_AFTER:
            self._down = COOLDOWN
        self._report("deliver to", error)

    def _cool_down(self) -> bool:
        """Leave a tracker that is down alone; False when there is no time left to ask it again."""
        with self._wake:
            if self._finishing:
                return False
            self._wake.wait_for(lambda: self._finishing, self._down)
        return True

    def _due(self) -> bool:
        return bool(self._held) and time.monotonic() - self._settled >= PERIOD

    def _until_due(self) -> float | None:
        return max(0.0, self._settled + PERIOD - time.monotonic()) if self._held else None

    def _look(self) -> None:
        def ask() -> None:
            self._where = self.tracker.where()

        self._guarded("find the run in", ask)

    def _guarded(self, doing: str, action: Callable[[], None]) -> bool:
        try:
            action()
        except BaseException as error:
            self._report(doing, error)
            return False
        return True

    def _report(self, doing: str, error: BaseException) -> None:
        """Warn once; in strict mode keep the error for whoever waits for the end, since nobody hears a thread."""
        if strict():
            self.error = self.error or error
            return
        message = f"attnlog could not {doing} {self.tracker.name}: {describe(error)}.{'' if self._ask else ' Training goes on.'}"
        self._boundary.warn(f"{doing} {self.tracker.name}", f"{message} Everything is safe in {self.directory}.")
