"""A run being written: captures go in, a background thread commits them and hands them to delivery."""

from __future__ import annotations

import atexit
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from attnlog.boundary import Boundary
from attnlog.errors import ArgumentError
from attnlog.reported import scalars_of, wanted, without
from attnlog.say import say
from attnlog.scalars import finite_numbers, whole_number
from attnlog.sizes import format_size, parse_size

if TYPE_CHECKING:
    from attnlog.delivery.tracker import Entry, Tracker
    from attnlog.format.write import Assets
    from attnlog.record import Capture, Missing
    from attnlog.store.manifest import Commit

DENSE_TOKENS = 512  # here too, so that importing attnlog does not load numpy; a test holds it to attnlog.sparse's
QUEUED = 2  # captures that may wait to be written
PATIENCE = 1.0  # seconds that training waits for room in the queue before a capture is dropped
_SAFE = "What was written so far is safe in the run folder."


@dataclass(frozen=True)
class _Moment:
    """Where in a training a capture was made."""

    step: int
    epoch: float | None = None
    checkpoint: str | None = None
    loss: float | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)


class Run:
    """A run folder that captures are logged to, and the trackers it is delivered to.

    ``log`` and ``amend`` return at once: encoding, writing and delivery happen on background threads. A failure there becomes
    one warning, or an error from ``close`` with ``ATTNLOG_STRICT=1``.
    """

    def __init__(
        self,
        directory: str | os.PathLike[str],
        *,
        tracker: str | Tracker | type[Tracker] | Sequence[str | Tracker | type[Tracker]] = "local",
        precision: str = "u8",
        vector_precision: str = "f16",
        dense_tokens: int = DENSE_TOKENS,
        budget: int | str | None = None,
        scalars: str | Iterable[str] | None = None,
        name: str | None = None,
        report_to: Sequence[str] | None = None,
        model_info: Mapping[str, Any] | None = None,
        boundary: Boundary | None = None,
    ) -> None:
        """Open a run for writing; an existing folder gets another writer.

        Args:
            directory: the run folder.
            tracker: where it is delivered: ``"local"``, ``"mlflow"``, ``"comet"``, ``"auto"``, a plugin's name, a `Tracker` or
                the class of one, or several.
            precision: of the stored weights: ``u8``, ``f16`` or ``f32``.
            vector_precision: of the stored queries, keys and values: ``f16``, ``i8`` (one scale per token) or ``f32``.
            dense_tokens: of inputs longer than this the top keys of each query row are stored, and the mass left out.
            budget: bytes that the run may take, such as ``"1GB"``; beyond it only what is small is written (head
                metrics, pictures, statistics, predictions, saliency), and the last step whole.
            scalars: head metrics that the tracker gets as numbers of each step, for its charts: ``"induction"`` is its mean and maximum
                over heads, ``"induction@2.5"`` that of layer 2, head 5.
            name: shown for the run; default: the folder's name.
            report_to: for ``tracker="auto"``: what the Trainer reports to.
            model_info: what to say of the model, added to what captures say.
            boundary: guards what runs beside a training; default: one of its own.

        Raises:
            ArgumentError: a value that cannot be used.
            RunError: the folder is a file or cannot be written.
            MissingExtraError, TrackerError: a tracker cannot be used (with `boundary` given: a warning).
        """
        from attnlog.delivery.discovery import check_names, find_trackers
        from attnlog.delivery.queue import Delivery
        from attnlog.record import PRECISIONS, VECTOR_PRECISIONS
        from attnlog.store.folder import Writer

        if precision not in PRECISIONS:
            raise ArgumentError(f"precision is {precision!r}; it is one of {', '.join(PRECISIONS)}")
        if vector_precision not in VECTOR_PRECISIONS:
            raise ArgumentError(f"vector_precision is {vector_precision!r}; it is one of {', '.join(VECTOR_PRECISIONS)}")
        whole_number("dense_tokens", dense_tokens, 0)
        self._stored: dict[str, Any] = {"precision": precision, "vector_precision": vector_precision, "dense_tokens": dense_tokens}
        self._budget = parse_size(budget)
        self._scalars = wanted(scalars)
        self._precision = precision
        self._guarded = boundary is not None
        self.boundary = boundary or Boundary()
        header = {"run": name or Path(directory).resolve().name, "versions": _versions(), **(model_info or {})}
        if boundary is None:
            check_names(tracker)  # before a folder is made
        new = not Path(directory).exists()
        self._writer = Writer(directory, header)
        self.directory = self._writer.directory
        try:
            trackers = find_trackers(tracker, self.directory, report_to=report_to, boundary=boundary)
        except Exception:
            if new:
                with suppress(OSError):
                    self.directory.rmdir()
            raise
        self._delivery = Delivery(self.directory, trackers, self.boundary)
        self._spent = _written(self.directory) if self._budget is not None else 0
        self._delivered_inputs: set[str] = set()
        self._unwhole: tuple[Assets, tuple[Missing, ...], _Moment] | None = None
        self._held: Commit | None = None  # the newest commit, until its assets are handed to delivery
        self._work: deque[tuple[bool, Callable[[], None]]] = deque()
        self._turn = threading.Condition()
        self._closing = False
        self._process = os.getpid()
        self._error: BaseException | None = None
        self.dropped = 0
        self._thread: threading.Thread | None = None
        atexit.register(self.close)

    def __enter__(self) -> Self:
        """Use the run in a ``with`` block, which closes it."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the run."""
        self.close()

    def log(
        self,
        capture: Capture,
        *,
        step: int,
        epoch: float | None = None,
        checkpoint: str | os.PathLike[str] | None = None,
        loss: float | None = None,
        metrics: Mapping[str, float] | None = None,
        settled: bool = True,
    ) -> None:
        """Log a capture as a step of the run; returns at once.

        When two captures already wait to be written, training waits at most a second; then this one is dropped, counted and said.

        Args:
            capture: what was captured.
            step: the training step whose weights it shows.
            epoch: the epoch, whole or not.
            checkpoint: where these weights are saved.
            loss: of the training at this step.
            metrics: of an evaluation at this step.
            settled: False where `amend` will soon say more of this step, as its checkpoint: it is written at once and delivered after
                `settle`, the next step, `flush` or `close`, so that trackers get the assets with all that is said of them.

        Raises:
            ArgumentError: a step that is no whole number from 0, or a capture coarser than the run's precision.
        """
        from attnlog.format.write import check_precision

        if isinstance(step, bool) or not isinstance(step, int) or not 0 <= step < 1 << 53:
            raise ArgumentError(f"step is {step!r}; it is a whole number from 0 below 2^53")
        self._check_open(step)
        check_precision(capture, self._precision)
        said = finite_numbers({"epoch": epoch, "loss": loss})
        path = None if checkpoint is None else os.fspath(checkpoint)
        moment = _Moment(step, said.get("epoch"), path, said.get("loss"), finite_numbers(metrics))
        if not self._put(lambda: self._commit(capture, moment, settled), waits=True):
            self.dropped += 1
            self.boundary.warn(
                "keep up",
                f"attnlog dropped the capture of step {step}: writing is slower than logging. Log less often, or fewer layers or inputs.",
            )

    def amend(self, step: int, *, checkpoint: str | os.PathLike[str] | None = None, metrics: Mapping[str, float] | None = None) -> None:
        """Add a checkpoint or metrics to the commit of a step that was logged before; returns at once."""
        self._check_open(step)
        said = None if checkpoint is None else os.fspath(checkpoint)
        added = finite_numbers(metrics)
        if said is not None or added:
            self._put(lambda: self._update(step, said, added), waits=False)

    def settle(self) -> None:
        """Deliver the step that was logged as not settled; returns at once."""
        if self._thread is not None and os.getpid() == self._process and not self._closing:
            self._put(self._offer_held, waits=False)

    def flush(self, wait: float | None = None) -> bool:
        """Write what waits, the last step whole, and deliver it; the run stays open.

        Meant for the end of a training, not for every step: a step that the budget had thinned is written whole each time.

        Args:
            wait: seconds to wait at most; None: ``ATTNLOG_EXIT_WAIT``, or 60, of which what was waited in vain before counts.

        Returns:
            Whether everything was written and delivered.
        """
        from attnlog.delivery.queue import exit_wait

        if os.getpid() != self._process:
            return False  # a forked child has none of the threads
        begun = time.monotonic()
        if self._thread is not None and not self._closing:
            self._put(self._write_last, waits=False)
        with self._turn:
            written = self._turn.wait_for(lambda: not self._work, min(exit_wait() if wait is None else wait, threading.TIMEOUT_MAX))
        delivered = False
        with self.boundary.guard("deliver the run", _SAFE):
            delivered = self._delivery.flush(wait, since=begun)
        return written and delivered

    def close(self) -> None:
        """Write what waits, deliver for a bounded time (``ATTNLOG_EXIT_WAIT``), and say where the run is. Safe to call again."""
        atexit.unregister(self.close)
        if os.getpid() != self._process:
            return  # a forked child has none of the threads, and the parent closes
        with self._turn:
            if self._closing:
                return
            self._closing = True
            self._turn.notify_all()
        if self._thread is not None:
            self._thread.join()
        try:
            with self.boundary.guard("write the last step whole", _SAFE):
                self._write_last()
            with self.boundary.guard("roll up the indexes", _SAFE):
                self._roll_up()
        finally:
            with self.boundary.guard("finish delivery", _SAFE):
                told = self._delivery.finish().splitlines()
                if not self._writer.manifest.exists():
                    told = [f"nothing was recorded in {self.directory}"]
                for line in told:
                    say(line)
        if self._error is not None:
            error, self._error = self._error, None
            raise error

    def _check_open(self, step: int) -> None:
        if self._closing:
            raise ArgumentError(f"the run {self.directory} is closed: open it again to log step {step}")
        if os.getpid() != self._process:
            raise ArgumentError(f"the run {self.directory} was opened by another process: open it again in this one to log step {step}")

    def _put(self, work: Callable[[], None], *, waits: bool) -> bool:
        with self._turn:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="attnlog-writer", daemon=True)
                self._thread.start()
            if waits and not self._turn.wait_for(lambda: sum(w for w, _ in self._work) < QUEUED, PATIENCE):
                return False
            self._work.append((waits, work))
            self._turn.notify_all()
            return True

    def _run(self) -> None:
        while True:
            with self._turn:
                self._turn.wait_for(lambda: self._work or self._closing)
                if not self._work:
                    return
                # It stays in the queue until it is done: what is being written takes memory too.
                work = self._work[0][1]
            try:
                with self.boundary.guard(f"write to {self.directory}", _SAFE):
                    work()
            except Exception as error:  # strict mode: `close` raises it on the caller's thread
                self._error = self._error or error
            with self._turn:
                self._work.popleft()
                self._turn.notify_all()

    def _commit(self, capture: Capture, moment: _Moment, settled: bool) -> None:
        from attnlog.format.write import thin, write_assets

        for name in ("model", "config"):
            if getattr(capture, name):
                self._writer.header.setdefault(name, getattr(capture, name))
        assets = write_assets(capture, **self._stored)
        scalars = scalars_of(capture, self._scalars)
        for one in without(capture, self._scalars):
            self.boundary.warn(
                f"report {one}",
                f"attnlog has no number for scalars {str(one)!r} at step {moment.step}: no recorded head has this metric (induction needs "
                "an input in which a token repeats, separator one with special tokens), or the layer and head were not recorded.",
            )
        if self._budget is None or self._spent + assets.bytes <= self._budget:
            self._unwhole = None
            self._write(assets, capture.missing, moment, scalars=scalars, settled=settled)
            return
        self.boundary.warn(
            "stay within the budget",
            f"attnlog reached the budget of {format_size(self._budget)}: from step {moment.step} on only what is small is written "
            "(head metrics, pictures, statistics, predictions, saliency), and the last step whole. Raise budget=, or log fewer layers, "
            "inputs or steps.",
        )
        self._write(thin(assets), capture.missing, moment, scalars=scalars, complete=False, settled=settled)
        self._unwhole = assets, capture.missing, moment

    def _write_last(self) -> None:
        """Let the last step be delivered, and write it again, whole, if the budget thinned it."""
        self._offer_held()
        if self._unwhole is not None:
            (assets, missing, moment), self._unwhole = self._unwhole, None
            self._write(assets, missing, moment)  # its numbers are in the tracker's charts already

    def _write(
        self,
        assets: Assets,
        missing: tuple[Missing, ...],
        moment: _Moment,
        *,
        scalars: Mapping[str, float] | None = None,
        complete: bool = True,
        settled: bool = True,
    ) -> None:
        commit = self._writer.commit(
            assets,
            step=moment.step,
            epoch=moment.epoch,
            checkpoint=moment.checkpoint,
            loss=moment.loss,
            metrics=moment.metrics,
            scalars=scalars,
            precision=self._precision,
            complete=complete,
            missing=missing,
        )
        self._spent += assets.bytes
        try:
            self._offer_held()  # the one before
        finally:
            self._held = commit
        if settled:
            self._offer_held()
        else:
            self._delivery.expect(self._entries(commit))

    def _roll_up(self) -> None:
        """Write the index rows of all steps as one asset, for whoever reads the timeline of a run with many steps."""
        from attnlog.delivery.entries import asset_entry, manifest_entry

        record = self._writer.roll_up()
        if record is not None:
            self._delivery.offer([asset_entry(record), manifest_entry(self._writer.manifest)])

    def _update(self, step: int, checkpoint: str | None, metrics: Mapping[str, float]) -> None:
        if self._unwhole is not None and self._unwhole[2].step == step:
            assets, missing, moment = self._unwhole
            merged = {**moment.metrics, **metrics}
            self._unwhole = assets, missing, _Moment(step, moment.epoch, checkpoint or moment.checkpoint, moment.loss, merged)
        if not self._writer.update(step, checkpoint=checkpoint, metrics=metrics):
            return
        held = self._held
        if held is None:
            from attnlog.delivery.entries import manifest_entry

            self._delivery.offer([manifest_entry(self._writer.manifest)])
        elif held.step == step:  # the manifest goes after the assets that it names
            self._held = replace(held, checkpoint=checkpoint or held.checkpoint, metrics={**held.metrics, **metrics})

    def _offer_held(self) -> None:
        """Hand the newest commit to delivery, with what was said of it meanwhile."""
        commit, self._held = self._held, None
        if commit is None:
            return
        entries = self._entries(commit)
        self._delivered_inputs.add(commit.inputs.path)
        self._delivery.offer(entries)

    def _entries(self, commit: Commit) -> list[Entry]:
        """What a commit adds to what was delivered, its manifest last."""
        from attnlog.delivery.entries import asset_entry, manifest_entry

        records = list(commit.assets)
        if commit.inputs.path not in self._delivered_inputs:
            records.insert(0, commit.inputs)
        return [*(asset_entry(record, commit) for record in records), manifest_entry(self._writer.manifest)]


def _versions() -> dict[str, str]:
    """Versions of what is loaded already; nothing is imported to find out."""
    import platform
    import sys

    from attnlog import __version__

    found = {"attnlog": __version__, "python": platform.python_version()}
    for package in ("torch", "transformers", "pyarrow", "numpy", "mlflow", "comet_ml"):
        version = getattr(sys.modules.get(package), "__version__", None)
        if version is not None:
            found[package] = str(version)
    return found


def _written(directory: Path) -> int:
    return sum(file.stat().st_size for file in directory.glob("step-*/*/*.arrow"))
