"""Index rows out of the roll-ups that writers left when they ended."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from attnlog.errors import AttnlogError
from attnlog.format import read
from attnlog.store.manifest import Manifest
from attnlog.store.source import Source


def rolled_up(source: Source, manifests: Iterable[Manifest]) -> dict[tuple[str, int, int], Any]:
    """Read the roll-ups there are: (writer, n, step) → index rows without places.

    One that is missing or damaged is passed over: every commit has an index of its own.
    """
    found: dict[tuple[str, int, int], Any] = {}
    for manifest in manifests:
        if manifest.roll_up is None:
            continue
        record = manifest.roll_up.asset
        try:
            data = source.get(record.path, (0, min(record.bytes, read.MAX_BYTES) + 1))
            data = read.verify(data, name=record.path, length=record.bytes, digest=record.sha256, decoded=record.decoded)
            table = read.table(data, "indexes", record.path, decoded=record.decoded, rows=record.rows)
        except AttnlogError:
            continue
        found |= {(manifest.writer, n, step): rows for (n, step), rows in read.indexes_from(table).items()}
    return found
