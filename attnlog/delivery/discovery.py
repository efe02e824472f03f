"""From names to trackers, through the entry-point group ``attnlog.trackers``; looks at what is active without importing it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from importlib.metadata import EntryPoint, entry_points
from inspect import signature
from pathlib import Path

from attnlog.boundary import Boundary
from attnlog.delivery.local import LocalTracker
from attnlog.delivery.redact import describe
from attnlog.delivery.tracker import Tracker
from attnlog.errors import ArgumentError, AttnlogError, MissingExtraError, TrackerError

GROUP = "attnlog.trackers"
#: What transformers calls an integration in ``report_to``, where that is not the tracker's own name.
REPORT_TO = {"comet_ml": "comet"}

#: A class makes a tracker for each run, as an entry point does; an object serves one run, which closes it.
Named = str | Tracker | type[Tracker]


_SAFE = "The run folder on this machine is written all the same."


def known_trackers() -> dict[str, EntryPoint]:
    """Every tracker that an installed distribution offers, by name, none of them loaded."""
    return {entry.name: entry for entry in entry_points(group=GROUP)}


def check_names(names: Named | Sequence[Named]) -> tuple[Named, ...]:
    """Return the trackers asked for as a tuple, without loading any.

    Raises:
        ArgumentError: a name is unknown, or something is neither a name nor a tracker.
    """
    asked = tuple(names) if isinstance(names, Iterable) and not isinstance(names, (str, Tracker)) else (names,)
    known = known_trackers()
    for name in asked:
        if isinstance(name, str):
            tracker, colon, run = name.partition(":")
            if tracker not in known and name != "auto":
                offered = ", ".join(map(repr, sorted({"auto", *known})))
                raise ArgumentError(f"there is no tracker named {tracker!r}; known trackers: {offered}")
            if colon and not run:
                raise ArgumentError(f"{name!r} names no run: say {tracker!r}, or {tracker + ':RUN'!r} for one that exists")
        elif not isinstance(name, (type, Tracker)):  # what a class makes is looked at when it is made
            raise ArgumentError(f"a tracker is a name or an object with name, put, refresh, where and close, not {type(name).__name__}")
    return asked


def find_trackers(
    names: Named | Sequence[Named],
    directory: Path,
    *,
    report_to: Sequence[str] | None = None,
    boundary: Boundary | None = None,
) -> list[Tracker]:
    """Make the trackers of a run, the local one first. Call it on the thread that trains: what is active may be known only there.

    Args:
        names: ``"auto"``, names of trackers (``"mlflow"``, or ``"mlflow:RUN_ID"`` for a run that exists), trackers, or a mixture.
        directory: the run folder.
        report_to: what a Trainer's arguments say; read for ``"auto"`` only.
        boundary: given inside a training: a tracker that cannot be had becomes one warning. None: it is raised.

    Raises:
        ArgumentError: a name is unknown; the message lists the known ones.
        MissingExtraError: the tracker's package is not installed.
        TrackerError: the tracker cannot be used as things are, for instance because no experiment is running.
    """
    found: list[Tracker] = [LocalTracker(directory)]
    names_left: list[Named] = []
    with _guard(boundary, "use the trackers that were asked for"):
        names_left = list(check_names(names))
    if "auto" in names_left:
        position = names_left.index("auto")
        names_left[position : position + 1] = _automatic(report_to or ())
    seen = {"local"}
    for name in names_left:
        if isinstance(name, type):
            with _guard(boundary, f"deliver to {name.__name__}", _SAFE):
                found.append(_made(name.__name__, name, directory, ""))
        elif not isinstance(name, str):
            if not isinstance(name, LocalTracker):
                found.append(name)
        elif name not in seen:
            seen.add(name)
            tracker, _, run = name.partition(":")
            with _guard(boundary, f"deliver to {tracker}", _SAFE):
                found.append(_make(tracker, directory, run))
    return found


def _automatic(report_to: Sequence[str]) -> list[str]:
    """What ``report_to`` says and what is active, among the trackers that are installed."""
    known = known_trackers()
    wanted = [REPORT_TO.get(name, name) for name in report_to]
    wanted += [name for name, active in ACTIVE.items() if active()]
    return [name for name in dict.fromkeys(wanted) if name in known]


def _mlflow_active() -> bool:
    mlflow = sys.modules.get("mlflow")
    active = getattr(mlflow, "active_run", None)
    return active is not None and active() is not None


def _comet_active() -> bool:
    comet = sys.modules.get("comet_ml")
    running = getattr(comet, "get_running_experiment", None)
    experiment = running() if running is not None else None
    # Comet goes on naming the last experiment after its end.
    return bool(experiment is not None and experiment.alive)


#: Whether a tracker is active, asked only of a package that somebody imported already: importing mlflow or comet_ml costs seconds.
ACTIVE: dict[str, Callable[[], bool]] = {"mlflow": _mlflow_active, "comet": _comet_active}


def _make(name: str, directory: Path, run: str) -> Tracker:
    try:
        factory = known_trackers()[name].load()
        return _made(name, factory, directory, run)
    except ModuleNotFoundError as error:
        if isinstance(error, AttnlogError):
            raise
        package = (error.name or name).partition(".")[0]
        raise MissingExtraError(package, name, f"the tracker {name!r}") from error


def _made(name: str, factory: Callable[..., object], directory: Path, run: str) -> Tracker:
    if run and not any(p.name == "run" or p.kind is p.VAR_KEYWORD for p in signature(factory).parameters.values()):
        raise ArgumentError(f"the tracker {name!r} cannot be told which run to write to: say {name!r}, and it finds the one that is active")
    try:
        tracker = factory(directory, run=run) if run else factory(directory)
    except (AttnlogError, ModuleNotFoundError):
        raise
    except Exception as error:
        # Said in our words: a tracker's own error can name an address with a password in it.
        raise TrackerError(f"the tracker {name!r} cannot be used: {describe(error)}") from None
    if not isinstance(tracker, Tracker):
        raise ArgumentError(f"the tracker {name!r} made a {type(tracker).__name__}, which lacks part of attnlog.delivery.tracker.Tracker")
    return tracker


def _guard(boundary: Boundary | None, doing: str, remedy: str = "") -> AbstractContextManager[None]:
    return boundary.guard(doing, remedy) if boundary is not None else nullcontext()
