"""The index assets of one writer become one."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

import pyarrow as pa

from attnlog.format.encode import Asset, encode
from attnlog.format.schema import INDEXES, METRIC_COLUMNS


def numbered(index: pa.Table | None, n: int, step: int) -> pa.Table:
    """Take the columns of a roll-up out of a checked index (or out of a part of a roll-up): those of no places, after `n` and `step`."""
    count = 0 if index is None else index.num_rows
    columns = [pa.array([n] * count, pa.uint32()), pa.array([step] * count, pa.uint64())]
    for column in METRIC_COLUMNS:
        known = index is not None and column.name in index.schema.names
        columns.append(index.column(column.name).combine_chunks() if index is not None and known else pa.nulls(count, column.type))
    return pa.table(columns, schema=pa.schema(INDEXES))


def roll_up(name: str, indexes: Iterable[tuple[int, int, pa.Table]]) -> Asset:
    """Encode the index rows of several commits, without the places of their batches.

    Args:
        name: of the asset.
        indexes: for each commit its number, its step and its checked index.
    """
    tables = (numbered(index, n, step) for n, step, index in indexes)
    return encode(name, "indexes", ({c: table.column(c).combine_chunks() for c in table.schema.names} for table in tables))


def indexes_from(found: pa.Table) -> dict[tuple[int, int], pa.Table]:
    """Split a roll-up into the index rows, without places, of each of its commits: (n, step) → rows."""
    where = list(zip(found.column("n").to_pylist(), found.column("step").to_pylist(), strict=True))
    cuts = [0, *(i for i in range(1, len(where)) if where[i] != where[i - 1]), len(where)]
    plain = found.drop_columns(["n", "step"])
    return {where[a]: plain.slice(a, b - a) for a, b in pairwise(cuts) if b > a}
