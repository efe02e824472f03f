"""What is to be delivered, from what was written: a commit's assets and a writer's manifest as entries."""

from __future__ import annotations

import hashlib
from collections.abc import Container
from pathlib import Path

from attnlog.delivery.tracker import Entry
from attnlog.store.manifest import AssetRecord, Commit, parse
from attnlog.store.open import check_run


def asset_entry(record: AssetRecord, commit: Commit | None = None) -> Entry:
    """Describe one asset; an inputs asset belongs to the first step that used it, a roll-up to none, the others to theirs."""
    return Entry(
        path=record.path,
        kind=record.kind,
        bytes=record.bytes,
        sha256=record.sha256,
        step=commit.step if commit else None,
        epoch=commit.epoch if commit else None,
        checkpoint=commit.checkpoint if commit else None,
        metrics=commit.metrics if commit else {},
        scalars=commit.scalars if commit and record.kind == "index" else {},
        time=commit.time if commit else None,
    )


def manifest_entry(manifest: Path) -> Entry:
    """Describe a manifest as it is now; it may grow, and is delivered again then.

    Its digest is left open until it is delivered: it is offered at every step, and the manifest of a long run has megabytes.
    """
    return Entry(path=manifest.name, kind="manifest", bytes=manifest.stat().st_size, sha256="")


def run_entries(directory: Path, manifests: Container[str] | None = None) -> list[Entry]:
    """Everything that a run folder's manifests name, in the order they name it, each manifest after what it names.

    Args:
        directory: the run folder.
        manifests: names of those that count; None: all.

    Raises:
        RunNotFoundError: there is no run.
        AssetSchemaError: a manifest is damaged.
    """
    entries: dict[str, Entry] = {}
    for name in check_run(directory):
        if manifests is not None and name not in manifests:
            continue
        # What is parsed is what is described: a training may append meanwhile.
        data = (directory / name).read_bytes()
        data = data[: data.rfind(b"\n") + 1]
        manifest = parse(name, data)
        for commit in manifest.commits:
            for record in (commit.inputs, *commit.assets):
                entries.setdefault(record.path, asset_entry(record, commit))
        if manifest.roll_up is not None:
            entries[manifest.roll_up.asset.path] = asset_entry(manifest.roll_up.asset)
        entries[name] = Entry(path=name, kind="manifest", bytes=len(data), sha256=hashlib.sha256(data).hexdigest())
    return list(entries.values())
