"""``attnlog ls``: which runs there are, and which steps they have."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import click

from attnlog.commands.output import moment, number, print_json, print_table, safe, size
from attnlog.errors import AttnlogError, RunNotFoundError
from attnlog.store.manifest import Commit
from attnlog.store.open import SavedRun, open_run
from attnlog.store.source import FolderSource, FsspecSource, Source, manifests_in, open_source


def ls(places: Sequence[str], *, steps: bool, as_json: bool) -> int:
    """List runs; return the exit status: 1 when a place could not be read."""
    found: list[dict[str, Any]] = []
    for place in places:
        try:
            found.extend(_summary(source) for source in runs_at(place))
        except AttnlogError as error:
            found.append(_failed(place, error))
    if as_json:
        print_json({"runs": found if steps else [{k: v for k, v in run.items() if k != "commits"} for run in found]})
    else:
        _print(found, steps)
    return int(any("error" in run for run in found))


def runs_at(place: str) -> Iterator[Source]:
    """Find the run at a place, or the runs one folder below it.

    Raises:
        RunNotFoundError: there is none.
    """
    source = open_source(place)
    if manifests_in(source):
        yield source
        return
    inside = source.inside() if isinstance(source, (FolderSource, FsspecSource)) else []
    if not inside:
        source.close()
        raise RunNotFoundError(f"there is no run at {source.place}: no manifest-….jsonl there, nor one folder below")
    yield from inside


def _failed(place: str, error: AttnlogError) -> dict[str, Any]:
    return {"place": place, "error": type(error).__name__, "message": str(error)}


def _summary(source: Source) -> dict[str, Any]:
    try:
        with open_run(source) as run:
            return summary(run)
    except AttnlogError as error:
        return _failed(source.place, error)


def summary(run: SavedRun) -> dict[str, Any]:
    """Say of a run what its manifests say, and how many inputs it has."""
    commits = [commit for manifest in run.manifests for commit in manifest.commits]
    files = {record.path: record.bytes for commit in commits for record in (commit.inputs, *commit.assets)}
    files |= {m.roll_up.asset.path: m.roll_up.asset.bytes for m in run.manifests if m.roll_up is not None}
    return {
        "place": run.source.place,
        "name": run.name,
        "model": model_of(run),
        "steps": {"count": len(run.steps), "first": run.steps[0] if run.steps else None, "last": run.steps[-1] if run.steps else None},
        "inputs": _inputs(run),
        "writers": len(run.manifests),
        "bytes": sum(files.values()),
        "written": max((commit.time for commit in commits), default=None),
        "commits": [step(run.commit(number)) for number in run.steps],
    }


def step(commit: Commit) -> dict[str, Any]:
    """Say of a step what its manifest line says."""
    return {
        "step": commit.step,
        "epoch": commit.epoch,
        "loss": commit.loss,
        "metrics": dict(commit.metrics),
        "precision": commit.precision,
        "complete": commit.complete,
        "bytes": sum(record.bytes for record in commit.assets),
        "checkpoint": commit.checkpoint,
        "time": commit.time,
        "writer": commit.writer,
        "n": commit.n,
    }


def model_of(run: SavedRun) -> str | None:
    """Name the model as its last writer did: by its name, else by its class."""
    for manifest in reversed(run.manifests):
        model = manifest.header.get("model")
        if isinstance(model, dict) and (model.get("name") or model.get("class")):
            return str(model.get("name") or model["class"])
    return None


def _inputs(run: SavedRun) -> int | None:
    try:
        return len(run.read().inputs)
    except AttnlogError:
        return None  # what is wrong with it, verify says


def _print(found: Sequence[dict[str, Any]], steps: bool) -> None:
    good = [run for run in found if "error" not in run]
    if steps:
        for run in good:
            click.echo(f"{safe(run['name'])} ({safe(run['place'])})")
            print_table(
                ("step", "epoch", "loss", "metrics", "precision", "complete", "size", "checkpoint"),
                (_step_row(commit) for commit in run["commits"]),
                right=(0, 1, 2, 6),
            )
    elif good:
        print_table(
            ("run", "model", "steps", "first - last", "inputs", "writers", "size", "last written (UTC)", "place"),
            (_row(run) for run in good),
            right=(2, 4, 5, 6),
        )
    for run in found:
        if "error" in run:
            where = "" if run["place"] in run["message"] else f" ({safe(run['place'])})"
            click.echo(f"attnlog: {run['error']}: {safe(run['message'])}{where}", err=True)


def _row(run: dict[str, Any]) -> tuple[object, ...]:
    steps = run["steps"]
    ends = f"{steps['first']} - {steps['last']}" if steps["count"] else None
    return (
        run["name"],
        run["model"],
        steps["count"],
        ends,
        run["inputs"],
        run["writers"],
        size(run["bytes"]),
        moment(run["written"]),
        run["place"],
    )


def _step_row(commit: dict[str, Any]) -> tuple[object, ...]:
    metrics = ", ".join(f"{name} {number(value)}" for name, value in commit["metrics"].items())
    return (
        commit["step"],
        number(commit["epoch"]),
        number(commit["loss"]),
        metrics or None,
        commit["precision"],
        "yes" if commit["complete"] else "no: index and pictures only",
        size(commit["bytes"]),
        commit["checkpoint"],
    )
