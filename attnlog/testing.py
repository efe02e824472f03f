"""For authors of trackers: one call that checks a tracker against the contract, for use in their own test suites."""

from __future__ import annotations

import hashlib
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from attnlog.delivery.tracker import Entry, Tracker
from attnlog.errors import AttnlogError

Factory = Callable[[Path], Tracker]
ReadBack = Callable[[str], bytes | None]


class ConformanceError(AttnlogError, AssertionError):
    """A tracker does not keep the contract; the message says which part of it."""


def check_tracker(factory: Factory, read_back: ReadBack | None = None) -> None:
    """Deliver a small run through a tracker as a training would, and check what the contract asks for.

    Args:
        factory: makes the tracker from the path of a run folder, as the entry point does.
        read_back: returns the bytes that the tracked system holds under ``attnlog/<path>``, or None when it holds nothing;
            it is given the path with ``attnlog/``. Without it only the calls are checked.

    Raises:
        ConformanceError: the tracker does not keep the contract.
    """
    with tempfile.TemporaryDirectory(prefix="attnlog-") as scratch:
        folder = small_run(Path(scratch, "run"))
        tracker = factory(folder)
        _check(isinstance(tracker, Tracker), "it lacks one of name, put, refresh, where, close")
        _check(isinstance(tracker.name, str) and bool(tracker.name), "its name is not a text")
        failures: list[BaseException] = []

        def work() -> None:
            try:
                _deliver(tracker, folder, read_back)
            except BaseException as error:
                failures.append(error)

        # As in a training: made on one thread, used on another.
        thread = threading.Thread(target=work, name="attnlog-delivery")
        thread.start()
        thread.join()
        if failures:
            raise failures[0]


def small_run(folder: Path) -> Path:
    """Write a run of two steps with random weights; needs neither torch nor a model."""
    import numpy as np

    from attnlog.record import Axis, Capture, Input, Layer
    from attnlog.run import Run

    random = np.random.default_rng(0)
    tokens = ("one", "two", "three", "four")
    with Run(folder, name="conformance") as run:
        for step in (1, 2):
            weights = random.dirichlet(np.ones(len(tokens)), size=(2, len(tokens))).astype(np.float32)
            shape = (len(tokens), len(tokens))
            layer = Layer(input=0, kind="self", layer=0, heads=(0, 1), groups=(0, 1), shape=shape, weights=weights)
            run.log(Capture((Input({"self": Axis(tokens=tokens)}),), (layer,)), step=step, metrics={"eval_loss": 2.0 / step})
    return folder


def entries_of(folder: Path) -> list[tuple[Entry, Path]]:
    """Everything a run delivers, manifests last."""
    from attnlog.delivery.entries import run_entries

    return [(entry, folder / entry.path) for entry in run_entries(folder)]


def _deliver(tracker: Tracker, folder: Path, read_back: ReadBack | None) -> None:
    delivered = entries_of(folder)
    for entry, file in delivered:
        before = file.read_bytes()
        # A copy that is gone afterwards: whoever reads later, reads nothing.
        with tempfile.TemporaryDirectory(prefix="attnlog-") as scratch:
            copy = Path(scratch, file.name)
            copy.write_bytes(before)
            tracker.put(entry, copy)
            _check(copy.is_file() and copy.read_bytes() == before, f"put changed or removed the file of {entry.path}")
    manifest, file = next((e, f) for e, f in reversed(delivered) if e.kind == "manifest")
    longer = file.read_bytes() + b'{"type": "note"}\n'
    with tempfile.TemporaryDirectory(prefix="attnlog-") as scratch:
        copy = Path(scratch, file.name)
        copy.write_bytes(longer)
        digest = hashlib.sha256(longer).hexdigest()
        tracker.put(Entry(path=manifest.path, kind="manifest", bytes=len(longer), sha256=digest), copy)
    tracker.refresh(folder)
    where = tracker.where()
    _check(where is None or isinstance(where, str), "where() gives neither a text nor None")
    tracker.close()
    if read_back is None:
        return
    for entry, file in delivered:
        expected = longer if entry.path == manifest.path else file.read_bytes()
        found: Any = read_back(f"attnlog/{entry.path}")
        _check(found is not None, f"attnlog/{entry.path} is not there after close()")
        what = "the longer manifest did not replace the first" if entry.kind == "manifest" else "other bytes came back than were put"
        _check(found == expected, f"attnlog/{entry.path}: {what}")


def _check(kept: bool, otherwise: str) -> None:
    if not kept:
        raise ConformanceError(f"the tracker does not keep the contract: {otherwise}; see attnlog.delivery.tracker.Tracker")
