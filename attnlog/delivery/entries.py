"""What is to be delivered, from what was written: a commit's assets and a writer's manifest as entries."""

from __future__ import annotations

import hashlib
from pathlib import Path

from attnlog.delivery.tracker import Entry
from attnlog.store.manifest import AssetRecord, Commit


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
    """Describe a manifest as it is now; it may grow, and is delivered again then."""
    data = manifest.read_bytes()
    return Entry(path=manifest.name, kind="manifest", bytes=len(data), sha256=hashlib.sha256(data).hexdigest())
