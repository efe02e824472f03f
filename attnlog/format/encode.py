"""Arrow files in memory: record batches in, bytes with digests and the place of every batch out."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from attnlog.format.schema import schema

_LEVEL = 1  # zstd; of codes of weights higher levels make no less for four times the time
_MAGIC = 8  # "ARROW1" and two bytes of padding stand before the schema message


@dataclass(frozen=True)
class Span:
    """Where some bytes lie in a file, and their digest."""

    offset: int
    length: int
    sha256: str


@dataclass(frozen=True)
class Asset:
    """One Arrow file in memory."""

    name: str
    kind: str
    data: bytes
    sha256: str
    decoded: int
    rows: int
    schema: Span
    batches: tuple[Span, ...]


def sha256(data: bytes | memoryview) -> str:
    """Digest bytes, in lower-case hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def encode(
    name: str, kind: str, batches: Iterable[dict[str, Any]], *, precision: str | None = None, without: frozenset[str] = frozenset()
) -> Asset:
    """Write one asset.

    Args:
        name: file name within the commit's folder.
        kind: kind of asset; says the columns.
        batches: for each record batch, column name → list of values or ready Arrow array.
        precision: of the weights of `attention` and `sparse`, or of `vectors` or `hidden`.
        without: columns that may be absent, and are.
    """
    whole = schema(kind, precision)
    columns = pa.schema([column for column in whole if column.name not in without], metadata=whole.metadata)
    sink = pa.BufferOutputStream()
    # One thread: buffers are small, and the cores are the training's.
    options = pa.ipc.IpcWriteOptions(compression=pa.Codec("zstd", compression_level=_LEVEL), use_threads=False)
    ends, decoded, rows = [], 0, 0
    with pa.ipc.new_file(sink, columns, options=options) as writer:
        for batch in batches:
            arrays = [_column(batch[f.name], f.type) for f in columns]
            made = pa.RecordBatch.from_arrays(arrays, schema=columns)
            writer.write_batch(made)
            ends.append(sink.tell())
            decoded += made.nbytes
            rows += made.num_rows
    data = sink.getvalue().to_pybytes()
    # A schema message is 4 bytes of continuation mark, 4 of length, and that many bytes of metadata.
    start = _MAGIC + 8 + int.from_bytes(data[_MAGIC + 4 : _MAGIC + 8], "little")
    view = memoryview(data)
    spans = [Span(a, b - a, sha256(view[a:b])) for a, b in zip([start, *ends], ends, strict=False)]
    head = Span(_MAGIC, start - _MAGIC, sha256(view[_MAGIC:start]))
    return Asset(name, kind, data, sha256(data), decoded, rows, head, tuple(spans))


def list_column(rows: list[Any], item: pa.DataType) -> pa.Array:
    """Make a list column of one numpy array per row without a Python object per number."""
    import numpy as np

    offsets = np.zeros(len(rows) + 1, dtype=np.int32)
    np.cumsum([row.size for row in rows], out=offsets[1:])
    if not rows:
        flat = np.zeros(0, item.to_pandas_dtype())
    else:
        flat = rows[0].reshape(-1) if len(rows) == 1 else np.concatenate([row.reshape(-1) for row in rows])
    kind = pa.list_(pa.field("item", item, nullable=False))
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(flat, type=item), type=kind)


def block_column(block: Any, item: pa.DataType) -> pa.Array:
    """Make a list column of an array ``[rows, …]``, without copying it where it is contiguous already."""
    import numpy as np

    size = block[0].size if len(block) else 0
    offsets = np.arange(len(block) + 1, dtype=np.int64) * size
    kind = pa.list_(pa.field("item", item, nullable=False))
    return pa.ListArray.from_arrays(pa.array(offsets.astype(np.int32)), pa.array(block.reshape(-1), type=item), type=kind)


def _column(values: Any, kind: pa.DataType) -> pa.Array:
    if isinstance(values, pa.Array):
        return values
    try:
        return pa.array(values, type=kind)
    except UnicodeEncodeError:  # half a surrogate pair, which some tokenizers name a token by
        return pa.array(_encodable(values), type=kind)


def _encodable(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    return [_encodable(item) for item in value] if isinstance(value, (list, tuple)) else value
