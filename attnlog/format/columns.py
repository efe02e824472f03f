"""Columns of a decoded table as numpy arrays, and the checks that several kinds of assets share."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from attnlog.errors import AssetSchemaError

MOST = 1.001  # a weight or probability; rounding takes a softmax a little above 1
LEAST = -0.001  # a metric; rounding takes an entropy a little below 0
_LONG = pa.int64()
_FILE = re.compile(r"[a-z0-9-]+\.arrow")


def lists(found: pa.Table, column: str) -> tuple[NDArray[np.int64], Any]:
    """Take a list column as offsets (int64, from 0, one more than rows) and items."""
    taken = found.column(column).combine_chunks()
    offsets = taken.offsets.to_numpy().astype(np.int64)
    return offsets - offsets[0], taken.values.slice(offsets[0], offsets[-1] - offsets[0]).to_numpy(zero_copy_only=False)


def numbers(found: pa.Table, column: str) -> Any:
    """Take a column of whole numbers as int64."""
    return found.column(column).cast(_LONG).to_numpy()


def sized(found: pa.Table, name: str, column: str, lengths: Any) -> Any:
    """Take the items of a list column, whose lists must be this long.

    Raises:
        AssetSchemaError: they are not.
    """
    offsets, values = lists(found, column)
    if not np.array_equal(np.diff(offsets), lengths):
        raise AssetSchemaError(f"{name}: lists of column {column} are not as long as their shape says")
    return values


def area(found: pa.Table, rows: str, columns: str) -> Any:
    """Multiply two columns of whole numbers."""
    # Both are below 2³², so that their product fits only because a list is shorter than 2³¹.
    return np.minimum(numbers(found, rows), 1 << 31) * np.minimum(numbers(found, columns), 1 << 31)


def all_finite(found: pa.Table, column: str, *, least: float = -np.inf) -> bool:
    """Whether a column holds finite numbers, none below `least`, where it is not null."""
    values = found.column(column).drop_null().to_numpy()
    return bool(np.isfinite(values).all() and (values >= least).all())


def once(found: pa.Table, name: str, columns: tuple[str, ...], what: str = "a head") -> None:
    """Check that no two rows are about the same thing.

    Raises:
        AssetSchemaError: two are.
    """
    keys = found.select(list(columns))
    if keys.group_by(list(columns), use_threads=False).aggregate([]).num_rows != found.num_rows:
        raise AssetSchemaError(f"{name} holds {what} twice")


def check_place(found: pa.Table, name: str, place: str) -> None:
    """Check the columns that say where batches lie in another asset of the commit.

    Raises:
        AssetSchemaError: some are there without the others, or name a file that no commit has.
    """
    paths = found.column(f"{place}_path")
    for part in ("offset", "length", "sha256"):
        known = f"{place}_{part}" in found.schema.names
        if not known or found.column(f"{place}_{part}").is_null() != paths.is_null():
            raise AssetSchemaError(f"{name} does not say where in its {place} asset a batch lies")
    for path in paths.unique().drop_null().to_pylist():
        if not _FILE.fullmatch(path):
            raise AssetSchemaError(f"{name} names the file {path[:80]!r}, which is none of a commit")
