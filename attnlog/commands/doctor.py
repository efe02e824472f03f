"""``attnlog doctor``: what is installed, what is configured, and whether that works."""

from __future__ import annotations

import os
import platform
import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from importlib import metadata, resources
from pathlib import Path

import click

from attnlog.commands import reach
from attnlog.commands.output import print_json, safe, size
from attnlog.errors import AttnlogError

#: What each extra brings.
EXTRAS = {
    "transformers": ("torch", "transformers", "accelerate"),
    "mlflow": ("mlflow",),
    "comet": ("comet_ml",),
    "notebook": ("anywidget",),
    "saliency": ("captum",),
}
_NEEDED = ("pyarrow", "numpy", "click", "fsspec", "rich", "starlette", "uvicorn")
#: Below so many bytes free, the next steps may not fit.
LEAST_FREE = 200_000_000
#: Seconds that a run elsewhere may take to open, its tracker's package to import included.
_READING = 90.0
OK, ABSENT, PROBLEM = "ok", "absent", "problem"


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

    what: str
    state: str  # ok; absent: not installed or not configured, which is no fault; problem
    detail: str


def doctor(place: str | None, *, as_json: bool) -> int:
    """Look at everything; return the exit status: 1 when something that is needed or configured does not work."""
    found = [*_versions(), *_viewer(), *_trackers(), *_place(place)]
    if as_json:
        print_json({"findings": [asdict(one) for one in found], "problems": sum(one.state == PROBLEM for one in found)})
    else:
        longest = max(len(one.what) for one in found)
        for one in found:
            mark = {OK: "ok", ABSENT: "-", PROBLEM: "!!"}[one.state]
            click.echo(f"{mark:<3} {safe(one.what):<{longest}}  {safe(one.detail)}")
    return int(any(one.state == PROBLEM for one in found))


def _versions() -> Iterator[Finding]:
    from attnlog import __version__

    yield Finding("Python", OK if (3, 11) <= sys.version_info < (3, 15) else PROBLEM, f"{platform.python_version()} ({platform.system()})")
    yield Finding("attnlog", OK, __version__)
    asked = _asked()
    for package in _NEEDED:
        yield _package(package, asked, None)
    for extra, packages in EXTRAS.items():
        for package in packages:
            yield _package(package, asked, extra)


def _package(package: str, asked: dict[str, str], extra: str | None) -> Finding:
    # From the package's metadata: importing comet_ml or torch to ask takes ten seconds.
    remedy = f"pip install 'attnlog[{extra}]'" if extra else "pip install attnlog"
    try:
        version = metadata.version(package)
    except metadata.PackageNotFoundError:
        return Finding(package, ABSENT if extra else PROBLEM, f"not installed: {remedy}")
    if _fits(version, asked.get(_plain(package), "")) is False:
        return Finding(package, PROBLEM, f"{version}, but attnlog needs {asked[_plain(package)]}: {remedy} --upgrade")
    return Finding(package, OK, version)


def _plain(package: str) -> str:
    return re.sub(r"[-_.]+", "-", package).lower()


def _asked() -> dict[str, str]:
    """What versions attnlog asks for, by package."""
    try:
        lines = metadata.requires("attnlog") or []
    except metadata.PackageNotFoundError:
        return {}
    found = (re.match(r"([A-Za-z0-9._-]+)(?:\[[^]]*\])?\s*([^;]*)", line) for line in lines)
    return {_plain(match[1]): match[2].strip() for match in found if match and match[2].strip()}


def _fits(version: str, asked: str) -> bool | None:
    try:
        from packaging.specifiers import SpecifierSet

        return SpecifierSet(asked).contains(version, prereleases=True)
    except Exception:
        return None  # nobody to ask, or nothing to compare


def _viewer() -> Iterator[Finding]:
    studio = resources.files("attnlog.view").joinpath("static", "studio.js")
    if studio.is_file():
        yield Finding("viewer", OK, "part of this installation; it opens in any browser, and needs no node and no Chromium")
    else:
        yield Finding("viewer", PROBLEM, "it is missing: install a released attnlog, or build it in panels/ (npm ci && npm run build)")


def _trackers() -> Iterator[Finding]:
    yield from _mlflow()
    yield from _comet()
    from attnlog.delivery.discovery import known_trackers
    from attnlog.store.source import known_sources

    yield Finding(
        "trackers", OK, f"delivers to {', '.join(sorted(known_trackers()))}; reads from {', '.join(sorted(known_sources())) or 'none'}"
    )


def _mlflow() -> Iterator[Finding]:
    uri = os.environ.get("MLFLOW_TRACKING_URI")
    if not uri:
        yield Finding("MLflow", ABSENT, "MLFLOW_TRACKING_URI is not set: MLflow would keep runs in this folder")
        return
    if not _installed("mlflow"):
        yield Finding("MLflow", PROBLEM, "MLFLOW_TRACKING_URI is set, but mlflow is not installed: pip install 'attnlog[mlflow]'")
    yield _tried("MLflow", lambda: reach.mlflow(uri))


def _comet() -> Iterator[Finding]:
    key, address = reach.comet_key()
    if key is None:
        yield Finding("Comet", ABSENT, "no API key: neither COMET_API_KEY nor a .comet.config has one")
        return
    if not _installed("comet_ml"):
        yield Finding("Comet", PROBLEM, "an API key is set, but comet_ml is not installed: pip install 'attnlog[comet]'")
    yield _tried("Comet", lambda: reach.comet(key, address))


def _installed(package: str) -> bool:
    try:
        metadata.version(package)
    except metadata.PackageNotFoundError:
        return False
    return True


def _tried(what: str, check: Callable[[], str], seconds: float = reach.PATIENCE) -> Finding:
    try:
        return Finding(what, OK, reach.within(check, seconds))
    except reach.Unreachable as error:
        return Finding(what, PROBLEM, str(error))


def _place(place: str | None) -> Iterator[Finding]:
    from attnlog.store.source import local_folder

    folder = Path() if place is None else local_folder(place)
    if folder is not None:
        yield from _folder(folder)
    elif place is not None:
        yield _read(place)


def _read(place: str) -> Finding:
    from attnlog.store.open import open_run

    def read() -> str:
        with open_run(place) as run:
            return f"{run.source.place}: {len(run.steps)} steps can be read"

    return _tried("run", read, _READING)


def _folder(folder: Path) -> Iterator[Finding]:
    from attnlog.store.lock import locked

    there = next((one for one in (folder.absolute(), *folder.absolute().parents) if one.exists()), folder)
    note = "" if there == folder.absolute() else f" (of {folder}, which is not there yet)"
    if not there.is_dir():
        yield Finding("run folder", PROBLEM, f"{there} is a file: name a folder")
        return
    try:
        # Really written, since permissions alone do not tell of a disk that is full or mounted to be read.
        with tempfile.NamedTemporaryFile(dir=there, prefix=".attnlog-doctor-") as made:
            made.write(b"attnlog")
            made.flush()
            with locked(made.name) as held:
                locks = held
    except (OSError, AttnlogError) as error:
        yield Finding("run folder", PROBLEM, f"{there} cannot be written{note}: {getattr(error, 'strerror', None) or error}")
        return
    yield Finding("run folder", OK, f"{there} can be written{note}")
    if not locks:
        yield Finding("locks", ABSENT, "this file system has none: prune a run only when nobody writes to it")
    yield _free(folder, there)


def _free(folder: Path, there: Path) -> Finding:
    free = shutil.disk_usage(there).free
    detail = f"{size(free)} free"
    step = _step_size(folder)
    if step:
        detail += f", room for {free // step} more steps like the last ({size(step)})"
    if free < max(LEAST_FREE, 2 * (step or 0)):
        return Finding("disk", PROBLEM, f"{detail}: make room, or thin runs out with attnlog prune")
    return Finding("disk", OK, detail)


def _step_size(folder: Path) -> int | None:
    from attnlog.store.open import open_run

    try:
        run = open_run(folder)
        return sum(record.bytes for record in run.commit(run.steps[-1]).assets) if run.steps else None
    except AttnlogError:
        return None
