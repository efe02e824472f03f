"""Arrow bytes become inputs, index rows and layers again; every byte is verified before it is decoded."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa

from attnlog.errors import AssetDigestMismatch, AssetSchemaError, AssetTooLarge, AssetTruncated, AssetVersionError
from attnlog.format.bounds import check_decoded
from attnlog.format.encode import sha256
from attnlog.format.schema import CELLS, END_OF_STREAM, VERSION, items, schema
from attnlog.metrics import METRICS
from attnlog.record import Axis, Input, Layer, Vectors

MAX_BYTES = 1 << 30
MAX_DECODED = 2 << 30


def verify(data: bytes, *, name: str, length: int, digest: str, decoded: int = 0) -> bytes:
    """Return the bytes if they are what a manifest or an index says.

    Raises:
        AssetTooLarge: more bytes than declared, or than this reader takes.
        AssetTruncated: fewer bytes than declared.
        AssetDigestMismatch: other bytes.
    """
    if length > MAX_BYTES or decoded > MAX_DECODED:
        raise AssetTooLarge(f"{name} declares {length} bytes ({decoded} decoded); this reader takes {MAX_BYTES} ({MAX_DECODED})")
    if len(data) < length:
        raise AssetTruncated(f"{name} has {len(data)} bytes where {length} were written; copy the run again")
    if len(data) > length:
        raise AssetTooLarge(f"{name} has {len(data)} bytes where {length} were written; copy the run again")
    found = sha256(data)
    if found != digest:
        raise AssetDigestMismatch(f"{name} was changed after it was written: digest {found[:12]}…, expected {digest[:12]}…")
    return data


def table(data: bytes, kind: str, name: str, *, decoded: int) -> pa.Table:
    """Decode a whole verified asset, of which the manifest says what it decodes to, and check its metadata and columns."""
    check_decoded(data, name, declared=decoded, cap=MAX_DECODED)
    try:
        found = pa.ipc.open_file(pa.BufferReader(data)).read_all()
        found.validate(full=True)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise AssetSchemaError(f"{name} is not a readable Arrow file: {error}") from error
    return _checked(found, kind, name)


def batch(schema_message: bytes, batch_message: bytes, kind: str, name: str, *, decoded: int) -> pa.Table:
    """Decode one verified record batch: its schema message and its own, put together, are an Arrow stream."""
    stream = b"".join((schema_message, batch_message, END_OF_STREAM))
    check_decoded(stream, name, declared=decoded, cap=MAX_DECODED)
    try:
        found = pa.ipc.open_stream(pa.BufferReader(stream)).read_all()
        found.validate(full=True)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise AssetSchemaError(f"{name} holds no readable record batch there: {error}") from error
    return _checked(found, kind, name)


def _checked(found: pa.Table, kind: str, name: str) -> pa.Table:
    metadata = found.schema.metadata or {}
    version = metadata.get(b"attnlog.format", b"").decode("utf-8", "replace")
    if not (version.isascii() and version.isdigit()):
        raise AssetSchemaError(f"{name} is an Arrow file but not an attnlog asset: it has no attnlog.format")
    if int(version) > VERSION:
        raise AssetVersionError(f"{name} has format version {version}; this attnlog reads {VERSION}: update attnlog")
    declared = metadata.get(b"attnlog.kind", b"").decode("utf-8", "replace")
    if declared != kind:
        raise AssetSchemaError(f"{name} says it is {declared!r}, expected {kind!r}")
    precision = metadata.get(b"attnlog.precision", b"u8").decode("utf-8", "replace")
    if precision not in CELLS:
        raise AssetSchemaError(f"{name} has precision {precision!r}; known are {', '.join(CELLS)}")
    for column in schema(kind, precision):
        if found.schema.names.count(column.name) != 1:
            raise AssetSchemaError(f"{name} has no single column {column.name!r}")
        actual = found.schema.field(column.name).type
        wide = column.name == "values" and actual == items(pa.float32())
        if actual != column.type and not wide:
            raise AssetSchemaError(f"{name} has column {column.name} of type {actual}, expected {column.type}")
        if not column.nullable and found.column(column.name).null_count:
            raise AssetSchemaError(f"{name} has nulls in column {column.name}")
    return found


def _tuple(value: Any) -> Any:
    return None if value is None else tuple(value)


def read_inputs(data: bytes, name: str, *, decoded: int) -> tuple[Input, ...]:
    """Decode a verified inputs asset."""
    axes: dict[int, dict[str, Axis]] = {}
    for row in table(data, "inputs", name, decoded=decoded).to_pylist():
        lists = {c: _tuple(row[c]) for c in ("tokens", "ids", "starts", "ends", "segments", "special", "generated", "labels")}
        for column, values in lists.items():
            if values is not None and len(values) != len(lists["tokens"]):
                raise AssetSchemaError(
                    f"{name}: {column} of input {row['input']} has {len(values)} items for {len(lists['tokens'])} tokens"
                )
        axes.setdefault(row["input"], {})[row["axis"]] = Axis(text=row["text"], pair=row["pair"], cut=row["cut"], **lists)
    if sorted(axes) != list(range(len(axes))):
        raise AssetSchemaError(f"{name}: inputs are numbered {sorted(axes)}, expected 0 to {len(axes) - 1}")
    return tuple(Input(axes[number]) for number in range(len(axes)))


def layer_from_index(rows: Iterable[Mapping[str, Any]]) -> Layer:
    """Make a layer without weights or vectors from its rows of the index, one per head."""
    heads = list(rows)
    one = heads[0]

    def floats(name: str) -> Any:
        return np.array([np.nan if row[name] is None else row[name] for row in heads], dtype=np.float32)

    return Layer(
        input=one["input"],
        kind=one["kind"],
        layer=one["layer"],
        call=one["call"],
        module=one["module"],
        tap=one["tap"],
        heads=tuple(row["head"] for row in heads),
        groups=tuple(row["group"] for row in heads),
        shape=(one["queries"], one["keys"]),
        check=one["check"],
        explained=None if one["explained"] is None else floats("explained"),
        metrics={name: floats(name) for name in METRICS},
    )


def weights_from(found: pa.Table, layer: Layer, name: str) -> Any:
    """Take the encoded weights ``[heads, queries, keys]`` of one layer out of its batch."""
    queries, keys = layer.shape
    if found.column("head").to_pylist() != list(layer.heads):
        raise AssetSchemaError(f"{name}: heads of {layer.kind} layer {layer.layer} are not those of the index")
    if any(found.column(c).to_pylist() != [n] * len(layer.heads) for c, n in (("queries", queries), ("keys", keys))):
        raise AssetSchemaError(f"{name}: shape of {layer.kind} layer {layer.layer} is not that of the index")
    return np.stack(_lists(found, "weights", [queries * keys] * len(layer.heads), name)).reshape(-1, queries, keys)


def vectors_from(found: pa.Table, layer: Layer, name: str) -> Vectors:
    """Take the vectors of one layer out of its batch."""
    columns = found.select([c for c in found.schema.names if c != "values"]).to_pylist()
    values = _lists(found, "values", [row["tokens"] * row["width"] for row in columns], name)
    parts: dict[str, list[Any]] = {"q": [], "k": [], "v": []}
    for row, flat in zip(columns, values, strict=True):
        if row["role"] not in parts:
            raise AssetSchemaError(f"{name}: role {row['role']!r} is none of q, k, v")
        parts[row["role"]].append(flat.reshape(row["tokens"], row["width"]))
    if not parts["q"] or not parts["k"] or any(len({x.shape for x in part}) > 1 for part in parts.values()):
        raise AssetSchemaError(f"{name}: q or k of {layer.kind} layer {layer.layer} are missing or differ in shape")
    first = next(row for row in columns if row["role"] == "q")
    sinks = [row["sink"] for row in columns if row["role"] == "q"]
    return Vectors(
        q=np.stack(parts["q"]),
        k=np.stack(parts["k"]),
        v=np.stack(parts["v"]) if parts["v"] else None,
        scale=first["scale"],
        softcap=first["softcap"],
        causal=first["causal"],
        window=first["window"],
        sinks=None if None in sinks else np.array(sinks, dtype=np.float32),
        rotary=bool(first["rotary"]),
    )


def _lists(found: pa.Table, column: str, lengths: list[int], name: str) -> list[Any]:
    """Split a list column into numpy arrays, checking each length against what the shape columns say."""
    taken = found.column(column).combine_chunks()
    offsets = taken.offsets.to_numpy()
    if np.diff(offsets).tolist() != lengths:
        raise AssetSchemaError(f"{name}: lists of column {column} are not as long as their shape says")
    flat = taken.values.to_numpy(zero_copy_only=False)
    return [flat[a:b] for a, b in pairwise(offsets)]
