"""What a decoded table must be: metadata, columns, types, the lengths of its lists, and numbers that can be."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pyarrow as pa

from attnlog.errors import AssetSchemaError, AssetValueError, AssetVersionError
from attnlog.format.check_outputs import check_hidden, check_outputs, check_states
from attnlog.format.columns import LEAST, MOST, all_finite, area, check_place, lists, numbers, once, sized
from attnlog.format.schema import COLUMNS, ELEMENTS, HIDDEN_PRECISIONS, MAY_BE_ABSENT, PLACES, VERSION, items, schema
from attnlog.metrics import METRICS
from attnlog.record import Array


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
    if kind not in ("attention", "sparse", "vectors", "pictures", "hidden"):
        return None
    said = metadata.get("attnlog.precision")
    if said is None and kind == "vectors":  # the oldest assets say it by the type alone
        wide = "values" in found.schema.names and found.schema.field("values").type == items(pa.float32())
        said = "f32" if wide else "f16"
    known = {"pictures": ("u8",), "vectors": tuple(ELEMENTS), "hidden": HIDDEN_PRECISIONS}.get(kind, ("u8", "f16", "f32"))
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


def _weights(found: pa.Table, name: str, values: Array) -> None:
    if values.dtype != np.uint8 and values.size and not (values.min() >= 0 and values.max() <= MOST):
        raise AssetValueError(f"{name} has weights outside 0 … 1, from {values.min()} to {values.max()}")


def _attention(found: pa.Table, name: str) -> None:
    once(found, name, ("input", "kind", "layer", "call", "head"))
    _weights(found, name, sized(found, name, "weights", area(found, "queries", "keys")))


def _pictures(found: pa.Table, name: str) -> None:
    sized(found, name, "picture", area(found, "rows", "columns"))


def _sparse(found: pa.Table, name: str) -> None:
    once(found, name, ("input", "kind", "layer", "call", "head"))
    _pictures(found, name)
    queries, keys = numbers(found, "queries"), numbers(found, "keys")
    counts = sized(found, name, "counts", queries).astype(np.int64)
    offsets, _ = lists(found, "counts")
    kept = np.add.reduceat(np.append(counts, 0), offsets[:-1]) * (np.diff(offsets) > 0)
    indices = sized(found, name, "indices", kept).astype(np.int64)
    _weights(found, name, sized(found, name, "weights", kept))
    if indices.size:
        per_row = np.repeat(np.repeat(keys, queries), counts)
        rises = np.diff(indices) > 0
        ends = np.cumsum(counts)
        begins = ends[(counts > 0) & (ends < len(indices))]  # where a row ends and another begins, keys may fall
        rises[begins - 1] = True
        if (indices >= per_row).any() or not rises.all():
            raise AssetSchemaError(f"{name}: kept keys do not ascend within their rows, or pass the keys there are")
    left_out = sized(found, name, "left_out", queries)
    if left_out.size and not (left_out.min() >= 0 and left_out.max() <= MOST):
        raise AssetValueError(f"{name} has left-out masses outside 0 … 1")


def _vectors(found: pa.Table, name: str) -> None:
    once(found, name, ("input", "kind", "layer", "call", "role", "head"))
    roles = set(found.column("role").unique().to_pylist())
    if not roles <= {"q", "k", "v"}:
        raise AssetSchemaError(f"{name}: role {min(roles - {'q', 'k', 'v'})!r} is none of q, k, v")
    values = sized(found, name, "values", area(found, "tokens", "width"))
    finite = values.dtype == np.int8 or bool(np.isfinite(values).all())
    if values.dtype == np.int8:
        if "scales" not in found.schema.names or found.column("scales").null_count:
            raise AssetSchemaError(f"{name} has 8-bit vectors without scales")
        scales = sized(found, name, "scales", numbers(found, "tokens"))
        finite = bool(np.isfinite(scales).all()) and not (scales < 0).any()
    if not finite or not all(all_finite(found, column) for column in ("scale", "softcap", "sink")):
        raise AssetValueError(f"{name} has vectors that are not finite numbers")
    if "norms" in found.schema.names:
        _norms(found, name)


def _norms(found: pa.Table, name: str) -> None:
    on_q = [role == "q" for role in found.column("role").to_pylist()]
    if any(said and not q for said, q in zip(found.column("norms").is_valid().to_pylist(), on_q, strict=True)):
        raise AssetSchemaError(f"{name} has norms on other rows than those of queries")
    _, norms = lists(found, "norms")
    if norms.size and not (np.isfinite(norms).all() and norms.min() >= 0):
        raise AssetValueError(f"{name} has norms that are not finite, or negative")


def _index(found: pa.Table, name: str) -> None:
    once(found, name, ("input", "kind", "layer", "call", "head"))
    _metrics(found, name)
    for place in PLACES:
        if f"{place}_path" in found.schema.names:
            check_place(found, name, place)


def _indexes(found: pa.Table, name: str) -> None:
    once(found, name, ("n", "input", "kind", "layer", "call", "head"))
    _metrics(found, name)


def _metrics(found: pa.Table, name: str) -> None:
    for column in (*METRICS, "check", "explained", "left_out"):
        if column in found.schema.names and not all_finite(found, column, least=LEAST):
            raise AssetValueError(f"{name} has values in column {column} that cannot be: not finite, or negative")


def _inputs(found: pa.Table, name: str) -> None:
    once(found, name, ("input", "axis"))


_CHECKS: dict[str, Callable[[pa.Table, str], None]] = {
    "inputs": _inputs,
    "index": _index,
    "indexes": _indexes,
    "pictures": _pictures,
    "attention": _attention,
    "sparse": _sparse,
    "vectors": _vectors,
    "states": check_states,
    "hidden": check_hidden,
    "outputs": check_outputs,
}
assert _CHECKS.keys() == COLUMNS.keys()
