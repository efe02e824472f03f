"""``attnlog verify``: is everything there that the manifests name, and is it what was written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

import click

from attnlog.commands.output import counted, listed, print_json, progress, safe, size
from attnlog.errors import AssetSchemaError, AttnlogError, RunNotFoundError, TrackerError
from attnlog.format import read
from attnlog.format.schema import PLACES
from attnlog.store.manifest import NAME, AssetRecord, Commit, Manifest, parse
from attnlog.store.open import SavedStep
from attnlog.store.source import Range, Source, open_source

GOOD, DAMAGED, UNREADABLE = 0, 1, 2
#: What lies beside the assets by right, and is named by no manifest.
_BESIDE = ("delivered-*.jsonl", "viewer.html", "*.arrow.json")


@dataclass
class Verdict:
    """What was found in a run."""

    place: str
    manifests: int = 0
    commits: int = 0
    assets: int = 0
    layers: int = 0
    bytes: int = 0
    damaged: list[dict[str, str]] = field(default_factory=list)
    orphans: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def damage(self, path: str, error: Exception) -> None:
        """Note something that is not as it was written, once: inputs that are gone are missed by every step."""
        if any(one["message"] == str(error) for one in self.damaged):
            return
        self.damaged.append({"path": path, "error": type(error).__name__, "message": str(error)})


def verify(place: str, *, as_json: bool) -> int:
    """Verify a run and say what was found; return the exit status."""
    try:
        source = open_source(place)
        try:
            verdict = examine(source, quiet=as_json)
        finally:
            source.close()
    except AttnlogError as error:
        if as_json:
            print_json({"place": place, "status": "unreadable", "error": type(error).__name__, "message": str(error)})
        else:
            click.echo(f"attnlog: {type(error).__name__}: {safe(error)}", err=True)
        return UNREADABLE
    if as_json:
        print_json({"status": "damaged" if verdict.damaged else "good", **vars(verdict)})
    else:
        _print(verdict)
    return DAMAGED if verdict.damaged else GOOD


def examine(source: Source, *, quiet: bool = True) -> Verdict:
    """Read everything that a run's manifests name, whole and by layers, and run every check on it.

    Raises:
        RunNotFoundError: there is no run.
        RunError, TrackerError: the place cannot be read.
    """
    verdict = Verdict(source.place)
    files = source.list()
    manifests = []
    for name in (name for name in files if NAME.fullmatch(name)):
        verdict.manifests += 1
        try:
            manifests.append(parse(name, data := source.get(name)))
            if not data.endswith(b"\n"):
                what = "ends in an unfinished line: its writer was cut off there, or the file was" if data else "is empty"
                verdict.notes.append(f"{name} {what}")
        except TrackerError:
            raise
        except AttnlogError as error:
            verdict.damage(name, error)
    if not verdict.manifests:
        raise RunNotFoundError(f"there is no manifest in {source.place}, so it is not a run")
    shared, commits = _named(manifests)
    with progress("verifying", len(shared) + sum(len(commit.assets) for commit in commits), quiet=quiet) as advance:
        for record in shared:
            _whole(source, record, verdict)
            advance()
        for commit in commits:
            verdict.commits += 1
            _commit(source, commit, verdict, advance)
    named = {record.path for record in shared} | {record.path for commit in commits for record in commit.assets}
    if len(manifests) == verdict.manifests:  # what a damaged manifest names nobody knows
        verdict.orphans = [path for path in files if path not in named and not NAME.fullmatch(path) and not _beside(path)]
    return verdict


def _beside(path: str) -> bool:
    return any(fnmatchcase(path.rsplit("/", 1)[-1], pattern) for pattern in _BESIDE)


def _named(manifests: Sequence[Manifest]) -> tuple[list[AssetRecord], list[Commit]]:
    """What several commits share (inputs, roll-ups), each once, and the commits."""
    commits = [commit for manifest in manifests for commit in manifest.commits]
    shared = dict.fromkeys(commit.inputs for commit in commits)
    shared |= dict.fromkeys(manifest.roll_up.asset for manifest in manifests if manifest.roll_up is not None)
    return list(shared), commits


def _whole(source: Source, record: AssetRecord, verdict: Verdict) -> bytes | None:
    """Check one asset whole; give its bytes if they are good."""
    verdict.assets += 1
    verdict.bytes += record.bytes
    try:
        data = source.get(record.path, (0, min(record.bytes, read.MAX_BYTES) + 1))
        read.check_asset(
            data, kind=record.kind, name=record.path, length=record.bytes, digest=record.sha256, decoded=record.decoded, rows=record.rows
        )
    except TrackerError:
        raise
    except AttnlogError as error:
        verdict.damage(record.path, error)
        return None
    return data


class _InHand:
    """Gives parts of the asset that is in hand, as the place it came from would: each layer is verified without fetching it again."""

    def __init__(self, source: Source) -> None:
        self.place, self._source = source.place, source
        self.path, self.data = "", b""

    def list(self, *, deep: bool = True) -> Any:
        return self._source.list(deep=deep)

    def get(self, path: str, range: Range | None = None) -> bytes:
        if path != self.path:
            return self._source.get(path, range)
        return self.data if range is None else self.data[range[0] : range[0] + range[1]]

    def close(self) -> None:
        """Nothing is held."""


def _commit(source: Source, commit: Commit, verdict: Verdict, advance: Any) -> None:
    hand = _InHand(source)
    step = SavedStep(hand, commit)
    layers: list[Sequence[Mapping[str, Any]]] = []
    index = commit.asset("index")
    if index is None:
        verdict.damage(f"step {commit.step}", AssetSchemaError(f"the manifest of {commit.writer} names no index for step {commit.step}"))
    elif (data := _whole(source, index, verdict)) is not None:
        hand.path, hand.data = index.path, data
        try:
            layers = list(step.rows().values())
            _check_places(layers, commit)
        except AttnlogError as error:
            verdict.damage(index.path, error)
    advance()
    for record in commit.assets:
        if record is index:
            continue
        data = _whole(source, record, verdict)
        if data is not None and record.kind in PLACES:
            hand.path, hand.data = record.path, data
            _layers(step, record, layers, verdict)
        elif data is not None and record.kind in ("states", "hidden", "outputs"):
            hand.path, hand.data = record.path, data
            _beside_attention(step, record, verdict)
        advance()


def _check_places(layers: Sequence[Sequence[Mapping[str, Any]]], commit: Commit) -> None:
    """Check that the heads of a layer lie in one batch, in an asset that the manifest names."""
    known = {(record.kind, record.path.rsplit("/", 1)[-1]) for record in commit.assets}
    for rows in layers:
        for place in PLACES:
            where = {tuple(row.get(f"{place}_{part}") for part in ("path", "offset", "length", "sha256")) for row in rows}
            name = rows[0].get(f"{place}_path")
            if len(where) > 1:
                raise AssetSchemaError(f"the index of step {commit.step} says of one layer's heads that they lie in several batches")
            if name is not None and (place, name) not in known:
                raise AssetSchemaError(f"the index of step {commit.step} names {name!r}, which its manifest does not")


def _layers(step: SavedStep, record: AssetRecord, layers: Sequence[Sequence[Mapping[str, Any]]], verdict: Verdict) -> None:
    """Read every layer of an asset as a viewer does: by the place that the index names."""
    what = "vectors" if record.kind == "vectors" else "weights"
    for rows in layers:
        if rows[0].get(f"{record.kind}_path") == record.path.rsplit("/", 1)[-1]:
            verdict.layers += 1
            try:
                step.read_layer(rows, what)
            except AttnlogError as error:
                verdict.damage(record.path, error)
                return  # one name for a file is enough


def _beside_attention(step: SavedStep, record: AssetRecord, verdict: Verdict) -> None:
    """Read hidden states, their statistics and the model's outputs as `SavedStep` does, each layer's states by its place."""
    name = record.path.rsplit("/", 1)[-1]
    known = {other.path.rsplit("/", 1)[-1] for other in step.commit.assets if other.kind == "hidden"}
    try:
        if record.kind == "outputs":
            step.all_outputs()
            return
        for one, place in step.all_places():
            if record.kind == "hidden" and place["hidden_path"] == name:
                verdict.layers += 1
                step.with_values(one)
            elif place["hidden_path"] is not None and place["hidden_path"] not in known:
                raise AssetSchemaError(f"the states of step {step.commit.step} name {place['hidden_path']!r}, which its manifest does not")
    except TrackerError:
        raise
    except AttnlogError as error:
        verdict.damage(record.path, error)


def _print(verdict: Verdict) -> None:
    counts = [
        counted(verdict.manifests, "manifest"),
        counted(verdict.commits, "commit"),
        f"{counted(verdict.assets, 'asset')} ({size(verdict.bytes)})",
        f"{counted(verdict.layers, 'layer')} read by themselves",
    ]
    outcome = f"{len(verdict.damaged)} damaged" if verdict.damaged else "all good"
    click.echo(f"{safe(verdict.place)}: {', '.join(counts)}: {outcome}")
    for one in verdict.damaged:
        click.echo(f"  {safe(one['path'])}  {one['error']}: {safe(one['message'])}")
    for note in verdict.notes:
        click.echo(f"note: {safe(note)}")
    if verdict.orphans:
        click.echo(f"note: {counted(len(verdict.orphans), 'file')} that no manifest names, so that nobody reads: {listed(verdict.orphans)}")
