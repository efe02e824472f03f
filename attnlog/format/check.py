"""What a decoded table must be: metadata, columns, types, the lengths of its lists, and numbers that can be."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from attnlog.errors import AssetSchemaError, AssetValueError, AssetVersionError
from attnlog.format.schema import COLUMNS, ELEMENTS, MAY_BE_ABSENT, PLACES, VERSION, items, schema
from attnlog.metrics import METRICS
from attnlog.record import Array

_MOST = 1.001  # a weight; rounding takes a softmax a little above 1
_LEAST = -0.001  # a metric; rounding takes an entropy a little below 0
_LONG = pa.int64()
_FILE = re.compile(r"[a-z0-9-]+\.arrow")


def check_table(found: pa.Table, kind: str, name: str) -> pa.Table:
    """Check metadata and columns, and leave unknown columns out: nothing of them is ever looked at.

    Raises:
        AssetVersionError: a later version of the format.
        AssetSchemaError: no asset, or another kind, or a column is missing, doubled, of another type, or has nulls.
    """
    metadata = {key.decode("utf-8", "replace"): value.decode("utf-8", "replace") for key, value in (found.schema.metadata or {}).items()}
    version = metadata.get("attnlog.format", "")
    if not (version.isascii() and version.isdigit() and len(version) < 10):
        raise AssetSchemaError(f"{name} is an Arrow file but not an attnlog asset: it has no attnlog.format")
    if int(version) > VERSION:
        raise AssetVersionError(f"{name} has format version {version}; this attnlog reads {VERSION}: update attnlog")
    if metadata.get("attnlog.kind") != kind:
        raise AssetSchemaError(f"{name} says it is {metadata.get('attnlog.kind', 'nothing')!r}, expected {kind!r}")
    known = schema(kind, _precision(found, kind, name, metadata))
    for column in known:
        count = found.schema.names.count(column.name)
        if count == 0 and column.name in MAY_BE_ABSENT.get(kind, ()):
            continue
        if count != 1:
            raise AssetSchemaError(f"{name} has {count} columns {column.name!r}, expected one")
        actual = found.schema.field(column.name).type
        if not _alike(actual, column.type):
            raise AssetSchemaError(f"{name} has column {column.name} of type {actual}, expected {column.type}")
        if not column.nullable and found.column(column.name).null_count:
            raise AssetSchemaError(f"{name} has nulls in column {column.name}")
        if pa.types.is_list(column.type) and any(chunk.values.null_count for chunk in found.column(column.name).chunks):
            raise AssetSchemaError(f"{name} has nulls in lists of column {column.name}")
    return found.select([column for column in known.names if column in found.schema.names])


def _alike(actual: pa.DataType, expected: pa.DataType) -> bool:
    """Whether types are the same, whatever is said of a list's items beside their type: that none is null is looked up."""
    if pa.types.is_list(actual) and pa.types.is_list(expected):
        return bool(actual.value_type == expected.value_type)
    return bool(actual == expected)


def _precision(found: pa.Table, kind: str, name: str, metadata: dict[str, str]) -> str | None:
    if kind not in ("attention", "sparse", "vectors", "pictures"):
        return None
    said = metadata.get("attnlog.precision")
    if said is None and kind == "vectors":  # the oldest assets say it by the type alone
        wide = "values" in found.schema.names and found.schema.field("values").type == items(pa.float32())
        said = "f32" if wide else "f16"
    known = {"pictures": ("u8",), "vectors": tuple(ELEMENTS)}.get(kind, ("u8", "f16", "f32"))
    if said not in known:
        raise AssetSchemaError(f"{name} has precision {said!r}; known are {', '.join(known)}")
    return said


def check_shapes(found: pa.Table, kind: str, name: str) -> None:
    """Check that lists are as long as their shape columns say, and that numbers can be.

    Raises:
        AssetSchemaError: a list of another length, a head twice, keys out of order.
        AssetValueError: weights outside [0, 1], or numbers that are not finite.
    """
    if found.num_rows:
        _CHECKS[kind](found, name)


def lists(found: pa.Table, column: str) -> tuple[NDArray[np.int64], Any]:
    """Take a list column as offsets (int64, from 0, one more than rows) and items."""
    taken = found.column(column).combine_chunks()
    offsets = taken.offsets.to_numpy().astype(np.int64)
    return offsets - offsets[0], taken.values.slice(offsets[0], offsets[-1] - offsets[0]).to_numpy(zero_copy_only=False)


def _numbers(found: pa.Table, column: str) -> Any:
    return found.column(column).cast(_LONG).to_numpy()


def _sized(found: pa.Table, name: str, column: str, lengths: Any) -> Any:
    offsets, values = lists(found, column)
    if not np.array_equal(np.diff(offsets), lengths):
        raise AssetSchemaError(f"{name}: lists of column {column} are not as long as their shape says")
    return values


def _area(found: pa.Table, rows: str, columns: str) -> Any:
    # Both are below 2³², so that their product fits only because a list is shorter than 2³¹.
    return np.minimum(_numbers(found, rows), 1 << 31) * np.minimum(_numbers(found, columns), 1 << 31)


def _weights(found: pa.Table, name: str, values: Array) -> None:
    if values.dtype != np.uint8 and values.size and not (values.min() >= 0 and values.max() <= _MOST):
        raise AssetValueError(f"{name} has weights outside 0 … 1, from {values.min()} to {values.max()}")


def _attention(found: pa.Table, name: str) -> None:
    _once(found, name, ("input", "kind", "layer", "call", "head"))
    _weights(found, name, _sized(found, name, "weights", _area(found, "queries", "keys")))


def _pictures(found: pa.Table, name: str) -> None:
    _sized(found, name, "picture", _area(found, "rows", "columns"))


def _sparse(found: pa.Table, name: str) -> None:
    _once(found, name, ("input", "kind", "layer", "call", "head"))
    _pictures(found, name)
    queries, keys = _numbers(found, "queries"), _numbers(found, "keys")
    counts = _sized(found, name, "counts", queries).astype(np.int64)
    offsets, _ = lists(found, "counts")
    kept = np.add.reduceat(np.append(counts, 0), offsets[:-1]) * (np.diff(offsets) > 0)
    indices = _sized(found, name, "indices", kept).astype(np.int64)
    _weights(found, name, _sized(found, name, "weights", kept))
    if indices.size:
        per_row = np.repeat(np.repeat(keys, queries), counts)
        rises = np.diff(indices) > 0
        ends = np.cumsum(counts)
        begins = ends[(counts > 0) & (ends < len(indices))]  # where a row ends and another begins, keys may fall
        rises[begins - 1] = True
        if (indices >= per_row).any() or not rises.all():
            raise AssetSchemaError(f"{name}: kept keys do not ascend within their rows, or pass the keys there are")
    left_out = _sized(found, name, "left_out", queries)
    if left_out.size and not (left_out.min() >= 0 and left_out.max() <= _MOST):
        raise AssetValueError(f"{name} has left-out masses outside 0 … 1")


def _vectors(found: pa.Table, name: str) -> None:
    _once(found, name, ("input", "kind", "layer", "call", "role", "head"))
    roles = set(found.column("role").unique().to_pylist())
    if not roles <= {"q", "k", "v"}:
        raise AssetSchemaError(f"{name}: role {min(roles - {'q', 'k', 'v'})!r} is none of q, k, v")
    values = _sized(found, name, "values", _area(found, "tokens", "width"))
    finite = values.dtype == np.int8 or bool(np.isfinite(values).all())
    if values.dtype == np.int8:
        if "scales" not in found.schema.names or found.column("scales").null_count:
            raise AssetSchemaError(f"{name} has 8-bit vectors without scales")
        scales = _sized(found, name, "scales", _numbers(found, "tokens"))
        finite = bool(np.isfinite(scales).all()) and not (scales < 0).any()
    if not finite or not all(_finite(found, column) for column in ("scale", "softcap", "sink")):
        raise AssetValueError(f"{name} has vectors that are not finite numbers")


def _index(found: pa.Table, name: str) -> None:
    _once(found, name, ("input", "kind", "layer", "call", "head"))
    _metrics(found, name)
    for place in PLACES:
        if f"{place}_path" in found.schema.names:
            _place(found, name, place)


def _place(found: pa.Table, name: str, place: str) -> None:
    paths = found.column(f"{place}_path")
    for part in ("offset", "length", "sha256"):
        known = f"{place}_{part}" in found.schema.names
        if not known or found.column(f"{place}_{part}").is_null() != paths.is_null():
            raise AssetSchemaError(f"{name} does not say where in its {place} asset a head lies")
    for path in paths.unique().drop_null().to_pylist():
        if not _FILE.fullmatch(path):
            raise AssetSchemaError(f"{name} names the file {path[:80]!r}, which is none of a commit")


def _indexes(found: pa.Table, name: str) -> None:
    _once(found, name, ("n", "input", "kind", "layer", "call", "head"))
    _metrics(found, name)


def _metrics(found: pa.Table, name: str) -> None:
    for column in (*METRICS, "check", "explained", "left_out"):
        if column in found.schema.names and not _finite(found, column, least=_LEAST):
            raise AssetValueError(f"{name} has values in column {column} that cannot be: not finite, or negative")


def _finite(found: pa.Table, column: str, *, least: float = -np.inf) -> bool:
    values = found.column(column).drop_null().to_numpy()
    return bool(np.isfinite(values).all() and (values >= least).all())


def _once(found: pa.Table, name: str, columns: tuple[str, ...]) -> None:
    keys = found.select(list(columns))
    if keys.group_by(list(columns), use_threads=False).aggregate([]).num_rows != found.num_rows:
        raise AssetSchemaError(f"{name} holds a head twice")


def _inputs(found: pa.Table, name: str) -> None:
    _once(found, name, ("input", "axis"))


_CHECKS: dict[str, Callable[[pa.Table, str], None]] = {
    "inputs": _inputs,
    "index": _index,
    "indexes": _indexes,
    "pictures": _pictures,
    "attention": _attention,
    "sparse": _sparse,
    "vectors": _vectors,
}
assert _CHECKS.keys() == COLUMNS.keys()
