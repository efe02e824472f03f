"""Thinning a run out: which steps stay, and how the others go without a reader or a running writer ever missing a file."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from attnlog.errors import ArgumentError, RunError
from attnlog.store.change import refusal, remove, rewrite
from attnlog.store.manifest import PATH, Commit, Manifest, line, parse
from attnlog.store.open import SavedRun

_COMMIT = re.compile(r"step-[0-9]+/([a-z0-9][a-z0-9-]*)-([0-9]+)/[^/]+")
Marks = Sequence[Mapping[str, Any]]  # the lines that prunes left in a manifest; readers pass over lines of their type


@dataclass(frozen=True)
class Plan:
    """What a prune would do."""

    place: str
    staying: tuple[int, ...]
    going: tuple[int, ...]
    superseded: int  # commits that a newer one of the same step replaced
    commits: frozenset[tuple[str, int]]  # (writer, n) of all that go
    files: tuple[str, ...]
    left: int  # of the files: how many an earlier prune, that was interrupted, left behind
    bytes: int  # of the files whose size a manifest says: those that were left are not among them

    @property
    def empty(self) -> bool:
        """Whether there is nothing to do."""
        return not (self.commits or self.files)


def plan(run: SavedRun, *, keep_every: int | None = None, keep_last: int = 1, keep: Collection[int] = ()) -> Plan:
    """Decide what goes. The first step and the last always stay; commits that a newer one of their step replaced always go.

    Args:
        run: what to thin out.
        keep_every: of so many training steps, counted from 0, the first that was recorded stays.
        keep_last: so many of the last steps stay.
        keep: steps that stay in any case.

    Raises:
        ArgumentError: a number below 1.
        NotRecordedError: a step that is to stay was never recorded.
    """
    for name, value in (("keep_every", keep_every), ("keep_last", keep_last)):
        if value is not None and value < 1:
            raise ArgumentError(f"{name} is {value}; it is a whole number from 1")
    for step in keep:
        run.commit(step)
    staying = _staying(run.steps, keep_every, keep_last, keep)
    counting = {(commit.writer, commit.n) for commit in map(run.commit, staying)}
    commits = [commit for manifest in run.manifests for commit in manifest.commits]
    gone = {(commit.writer, commit.n): commit for commit in commits if (commit.writer, commit.n) not in counting}
    files, left = _files(run, gone)
    sizes = {record.path: record.bytes for commit in gone.values() for record in (commit.inputs, *commit.assets)}
    return Plan(
        place=run.source.place,
        staying=staying,
        going=tuple(step for step in run.steps if step not in staying),
        superseded=sum(1 for commit in gone.values() if run.commit(commit.step) is not commit),
        commits=frozenset(gone),
        files=files,
        left=left,
        bytes=sum(sizes.get(path, 0) for path in files),
    )


def carry_out(run: SavedRun, planned: Plan) -> None:
    """Do what was planned: first the manifests name less, then the files go.

    Whoever is interrupted between leaves only files that no manifest names; the next prune removes them.

    Raises:
        RunError: the place cannot be changed; the message says what to do instead.
    """
    if (why := refusal(run.source)) is not None:
        raise RunError(f"{run.source.place} cannot be pruned: {why}")
    for manifest in run.manifests:
        going = {n for writer, n in planned.commits if writer == manifest.writer}
        if going:
            name = f"manifest-{manifest.writer}.jsonl"
            rewrite(run.source, name, lambda data, name=name, going=going: without(name, data, going))  # type: ignore[misc]
    run.reload()
    # A writer that runs may have named one of them again: inputs come back.
    named = _named(run.manifests, {})
    remove(run.source, [path for path in planned.files if path not in named])


def without(name: str, data: bytes, going: Collection[int]) -> bytes:
    """Return a manifest without the lines of some commits, and with one line that says which commits prunes took out of it.

    Raises:
        AssetSchemaError: it is no manifest.
    """
    parse(name, data)
    *lines, unfinished = data.split(b"\n")
    marks, kept = [], []
    for raw in lines:
        said = json.loads(raw)
        if said["type"] == "pruned":
            marks.append(said)
        elif not (said["type"] in ("commit", "update") and said.get("n") in going):
            kept.append(raw + b"\n")
    mark: dict[str, Any] = {"type": "pruned", "commits": sorted({*going, *_pruned(marks)})}
    return b"".join([*kept, line(mark)]) + unfinished


def _staying(steps: Sequence[int], keep_every: int | None, keep_last: int, keep: Collection[int]) -> tuple[int, ...]:
    chosen = {*steps[:1], *steps[-keep_last:], *keep}
    if keep_every is not None:
        spans: set[int] = set()
        for step in steps:
            if step // keep_every not in spans:
                spans.add(step // keep_every)
                chosen.add(step)
    return tuple(sorted(chosen))


def _files(run: SavedRun, gone: Mapping[tuple[str, int], Commit]) -> tuple[tuple[str, ...], int]:
    """The files that go, and how many of them an earlier prune left: nothing that a line names which stays, nothing of anybody else."""
    named = _named(run.manifests, gone)
    marks = {manifest.writer: _marks(run, manifest) for manifest in run.manifests}
    before = {(writer, n) for writer, said in marks.items() for n in _pruned(said)}
    going, left = [], 0
    for path in run.source.list():
        if path in named or not PATH.fullmatch(path):
            continue
        found = _COMMIT.fullmatch(path)
        whose = (found[1], int(found[2])) if found else None
        # Inputs stay: they are small, and a writer that runs, here or in a tracker, may be about to name them again.
        if whose in gone or whose in before:
            going.append(path)
            left += whose in before
    return tuple(going), left


def _named(manifests: Iterable[Manifest], gone: Mapping[tuple[str, int], Commit]) -> set[str]:
    """Every file that lines name which stay."""
    found: set[str] = set()
    for manifest in manifests:
        if manifest.roll_up is not None:
            found.add(manifest.roll_up.asset.path)
        for commit in manifest.commits:
            if (commit.writer, commit.n) not in gone:
                found.update(record.path for record in (commit.inputs, *commit.assets))
    return found


def _marks(run: SavedRun, manifest: Manifest) -> Marks:
    lines = run.source.get(f"manifest-{manifest.writer}.jsonl").split(b"\n")[:-1]
    return [said for raw in lines if b'"pruned"' in raw and (said := json.loads(raw))["type"] == "pruned"]


def _pruned(marks: Marks) -> set[int]:
    return {n for said in marks for n in said.get("commits") or () if isinstance(n, int)}
