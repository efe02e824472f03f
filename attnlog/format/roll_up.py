"""The index assets of one writer become one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import pyarrow as pa

from attnlog.format.encode import Asset, encode
from attnlog.format.schema import METRIC_COLUMNS


def roll_up(name: str, indexes: Iterable[tuple[int, int, pa.Table]]) -> Asset:
    """Encode the index rows of several commits, without the places of their batches.

    Args:
        name: of the asset.
        indexes: for each commit its number, its step and its checked index.
    """

    def batches() -> Iterator[dict[str, Any]]:
        for n, step, index in indexes:
            columns: dict[str, Any] = {"n": [n] * index.num_rows, "step": [step] * index.num_rows}
            for column in METRIC_COLUMNS:
                known = column.name in index.schema.names
                columns[column.name] = index.column(column.name).combine_chunks() if known else pa.nulls(index.num_rows, column.type)
            yield columns

    return encode(name, "indexes", batches())
