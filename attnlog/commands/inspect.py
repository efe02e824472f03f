"""``attnlog inspect``: what is in a run, a step, or one asset."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from attnlog.commands.ls import step as said_of
from attnlog.commands.ls import summary
from attnlog.commands.output import counted, listed, moment, number, print_json, print_table, safe, size, spans
from attnlog.errors import ArgumentError, AssetSchemaError, AssetTooLarge, NotRecordedError
from attnlog.store.manifest import AssetRecord, Commit
from attnlog.store.open import SavedRun, SavedStep, open_run


def inspect(place: str, *, step: int | None, asset: str | None, as_json: bool) -> int:
    """Say what is in a run, in one of its steps, or in one asset; return the exit status."""
    if place.endswith(".arrow") and Path(place).is_file():
        if step is not None or asset is not None:
            raise ArgumentError("--step and --asset choose inside a run; one .arrow file is given")
        said, tell = file_said(Path(place)), _print_asset
    else:
        with open_run(place) as run:
            if asset is not None:
                said, tell = asset_said(run, step, asset), _print_asset
            elif step is not None:
                said, tell = step_said(run, step), _print_step
            else:
                said, tell = run_said(run), _print_run
    (print_json if as_json else tell)(said)
    return 0


def run_said(run: SavedRun) -> dict[str, Any]:
    """Say what a run holds: who wrote it, its assets by kind, and its last step."""
    said = {key: value for key, value in summary(run).items() if key != "commits"}
    records = {record.path: record for commit in _commits(run) for record in (commit.inputs, *commit.assets)}
    records |= {m.roll_up.asset.path: m.roll_up.asset for m in run.manifests if m.roll_up is not None}
    said["assets"] = _by_kind(records.values())
    said["writers"] = [
        {
            "writer": manifest.writer,
            "format": manifest.header.get("attnlog"),
            "time": manifest.header.get("time"),
            "commits": len(manifest.commits),
            "model": manifest.header.get("model"),
            "versions": manifest.header.get("versions"),
            "config": manifest.header.get("config"),
        }
        for manifest in run.manifests
    ]
    said["superseded"] = len(_commits(run)) - len(run.steps)
    said["last_step"] = step_said(run, run.steps[-1]) if run.steps else None
    return said


def step_said(run: SavedRun, step: int) -> dict[str, Any]:
    """Say what a step holds: its files, and of each kind of attention layers, heads and shapes."""
    commit = run.commit(step)
    said = {"place": run.source.place, **said_of(commit)}
    said["assets"] = [_record_said(record) for record in (commit.inputs, *commit.assets)]
    opened = SavedStep(run.source, commit)
    said["inputs"] = [
        {"input": n, "axes": {name: {"tokens": len(axis.tokens), "cut": axis.cut} for name, axis in one.axes.items()}}
        for n, one in enumerate(opened.inputs)
    ]
    said["attention"] = _attention(opened)
    said["missing"] = [str(missing) for missing in commit.missing]
    return said


def asset_said(run: SavedRun, step: int | None, name: str) -> dict[str, Any]:
    """Say what one asset holds. Every check is run on it first.

    Raises:
        NotRecordedError: no asset of the step (default: the last), nor of the run, has this name.
    """
    from attnlog.format import read

    record = _find(run, step, name)
    data = run.source.get(record.path, (0, min(record.bytes, read.MAX_BYTES) + 1))
    read.check_asset(
        data, kind=record.kind, name=record.path, length=record.bytes, digest=record.sha256, decoded=record.decoded, rows=record.rows
    )
    return {**_record_said(record), **_columns(data, record.path)}


def file_said(file: Path) -> dict[str, Any]:
    """Say what one Arrow file holds. Without a manifest there is no digest to hold it to; everything else is checked.

    Raises:
        AssetTooLarge, AssetSchemaError, AssetVersionError, AssetValueError: it is no good asset.
    """
    from attnlog.format import read
    from attnlog.format.schema import COLUMNS

    if file.stat().st_size > read.MAX_BYTES:
        raise AssetTooLarge(f"{file} has {file.stat().st_size} bytes; this reader takes {read.MAX_BYTES}")
    data = file.read_bytes()
    columns = _columns(data, str(file))
    kind = columns["metadata"].get("attnlog.kind", "")
    if kind not in COLUMNS:
        raise AssetSchemaError(f"{file} is an Arrow file, but its attnlog.kind is {kind!r}; known are {', '.join(COLUMNS)}")
    found = read.table(data, kind, str(file), decoded=read.MAX_DECODED)
    return {"path": str(file), "kind": kind, "rows": found.num_rows, "bytes": len(data), "decoded": found.nbytes, "sha256": None, **columns}


def _columns(data: bytes, name: str) -> dict[str, Any]:
    """Read the schema of an Arrow file and count its batches; nothing is inflated."""
    import pyarrow as pa

    try:
        with pa.ipc.open_file(pa.py_buffer(data)) as file:
            schema, batches = file.schema, file.num_record_batches
    except (pa.ArrowException, OSError, ValueError) as error:
        raise AssetSchemaError(f"{name} is not a readable Arrow file: {error}") from error
    metadata = {k.decode("utf-8", "replace"): v.decode("utf-8", "replace") for k, v in (schema.metadata or {}).items()}
    return {
        "batches": batches,
        "precision": metadata.get("attnlog.precision"),
        "columns": [{"name": field.name, "type": str(field.type), "nullable": field.nullable} for field in schema],
        "metadata": metadata,
    }


def _find(run: SavedRun, step: int | None, name: str) -> AssetRecord:
    commits = [run.commit(step)] if step is not None else list(reversed([run.commit(n) for n in run.steps]))
    records = [record for commit in commits for record in (*commit.assets, commit.inputs)]
    if step is None:
        records += [m.roll_up.asset for m in run.manifests if m.roll_up is not None]
    for record in records:
        if name in (record.path, record.path.rsplit("/", 1)[-1], record.path.rsplit("/", 1)[-1].removesuffix(".arrow")):
            return record
    known = [record.path.rsplit("/", 1)[-1] for record in records]
    where = f"step {step}" if step is not None else "this run"
    raise NotRecordedError(f"{where} has no asset {name!r}; it has {listed(list(dict.fromkeys(known)))}")


def _commits(run: SavedRun) -> list[Commit]:
    return [commit for manifest in run.manifests for commit in manifest.commits]


def _by_kind(records: Iterable[AssetRecord]) -> dict[str, dict[str, int]]:
    found: dict[str, Counter[str]] = {}
    for record in records:
        found.setdefault(record.kind, Counter()).update(files=1, rows=record.rows, bytes=record.bytes, decoded=record.decoded)
    return {kind: dict(found[kind]) for kind in sorted(found)}


def _record_said(record: AssetRecord) -> dict[str, Any]:
    return {name: getattr(record, name) for name in ("path", "kind", "rows", "bytes", "decoded", "sha256")}


def _attention(step: SavedStep) -> list[dict[str, Any]]:
    """Of each kind of attention: layers, heads, key groups, shapes, taps, and where its weights and vectors are."""
    kinds: dict[str, list[Sequence[Mapping[str, Any]]]] = {}
    for (_, kind, _, _), rows in step.rows().items():
        kinds.setdefault(kind, []).append(rows)
    said = []
    for kind, layers in kinds.items():
        ones = [rows[0] for rows in layers]
        stored = {place: sum(one.get(f"{place}_path") is not None for one in ones) for place in ("attention", "sparse", "vectors")}
        said.append(
            {
                "kind": kind,
                "inputs": sorted({one["input"] for one in ones}),
                "layers": sorted({one["layer"] for one in ones}),
                "calls": max(one["call"] for one in ones) + 1,
                "heads": sorted({len(rows) for rows in layers}),
                "groups": sorted({len({row["group"] for row in rows}) for rows in layers}),
                "shapes": sorted({(one["queries"], one["keys"]) for one in ones}),
                "taps": sorted({one["tap"] for one in ones}),
                "batches": len(ones),
                "stored": stored,
            }
        )
    return said


# For people.


def _print_run(said: dict[str, Any]) -> None:
    steps = said["steps"]
    click.echo(f"{safe(said['name'])} ({safe(said['place'])})")
    facts = [
        ("model", safe(said["model"] or "-")),
        ("steps", f"{steps['count']}" + (f", {steps['first']} to {steps['last']}" if steps["count"] else "")),
        ("written", f"{moment(said['written'])} UTC, by {counted(len(said['writers']), 'writer')}"),
        ("size", size(said["bytes"])),
    ]
    if said["superseded"]:
        facts.append(("superseded", f"{counted(said['superseded'], 'commit')} that a newer one of the same step replaced"))
    _print_facts(facts)
    for writer in said["writers"]:
        versions = writer["versions"] if isinstance(writer["versions"], dict) else {}
        told = ", ".join(f"{safe(name)} {safe(version)}" for name, version in versions.items())
        click.echo(f"  writer {safe(writer['writer'])}: {counted(writer['commits'], 'commit')}" + (f"; {told}" if told else ""))
    click.echo("assets")
    rows = ((kind, a["files"], a["rows"], size(a["bytes"]), size(a["decoded"])) for kind, a in said["assets"].items())
    print_table(("  kind", "files", "rows", "size", "decoded"), ((f"  {row[0]}", *row[1:]) for row in rows), right=(1, 2, 3, 4))
    if said["last_step"] is not None:
        click.echo(f"step {said['last_step']['step']}")
        _print_attention(said["last_step"])


def _print_step(said: dict[str, Any]) -> None:
    click.echo(f"step {said['step']} of {safe(said['place'])}")
    metrics = ", ".join(f"{safe(name)} {number(value)}" for name, value in said["metrics"].items())
    facts = [
        ("epoch", number(said["epoch"])),
        ("loss", number(said["loss"])),
        ("metrics", metrics or "-"),
        ("checkpoint", safe(said["checkpoint"] or "-")),
        ("precision", safe(said["precision"])),
        ("complete", "yes" if said["complete"] else "no: the budget was used up, and only what is small was written"),
        ("written", f"{moment(said['time'])} UTC by {said['writer']}, commit {said['n']}"),
    ]
    _print_facts(facts)
    rows = ((f"  {a['path'].rsplit('/', 1)[-1]}", a["kind"], a["rows"], size(a["bytes"]), size(a["decoded"])) for a in said["assets"])
    click.echo("assets")
    print_table(("  file", "kind", "rows", "size", "decoded"), rows, right=(2, 3, 4))
    _print_attention(said)


def _print_attention(said: dict[str, Any]) -> None:
    for one in said["inputs"]:
        axes = ", ".join(
            f"{safe(name)} {counted(axis['tokens'], 'token')}" + (f" ({axis['cut']} cut)" if axis["cut"] else "")
            for name, axis in one["axes"].items()
        )
        click.echo(f"  input {one['input']}: {axes}")
    for kind in said["attention"]:
        heads, groups = spans(kind["heads"]), spans(kind["groups"])
        shapes = listed([f"{q} × {k}" for q, k in kind["shapes"]], 4)
        stored = ", ".join(_stored(place, count, kind["batches"]) for place, count in kind["stored"].items() if count)
        click.echo(
            f"  {safe(kind['kind'])}: {counted(len(kind['layers']), 'layer')} ({spans(kind['layers'])}) × {heads} heads"
            + (f" in {groups} key groups" if groups != heads else "")
            + f", queries × keys {shapes}, by {', '.join(map(safe, kind['taps']))}; {stored or 'index and pictures only'}"
        )
    for sentence in said["missing"]:
        click.echo(f"  missing: {safe(sentence)}")


def _stored(place: str, count: int, batches: int) -> str:
    what = {"attention": "weights", "sparse": "sparse weights", "vectors": "vectors"}[place]
    return what if count == batches else f"{what} of {count} of {batches} batches"


def _print_asset(said: dict[str, Any]) -> None:
    click.echo(f"{safe(said['path'])}: {safe(said['kind'])}")
    facts = [
        ("size", f"{size(said['bytes'])}, {size(said['decoded'])} decoded"),
        ("rows", f"{said['rows']} in {counted(said['batches'], 'batch', 'batches')}"),
        ("precision", safe(said["precision"] or "-")),
        ("sha256", said["sha256"] or "not known: no manifest was given"),
    ]
    _print_facts(facts)
    print_table(("  column", "type", ""), ((f"  {c['name']}", c["type"], "may be null" if c["nullable"] else "") for c in said["columns"]))


def _print_facts(facts: Sequence[tuple[str, str]]) -> None:
    longest = max(len(name) for name, _ in facts)
    for name, value in facts:
        click.echo(f"  {name:<{longest}}  {value}")
