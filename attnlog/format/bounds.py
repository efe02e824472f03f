"""Arrow's messages, walked and checked before anything of them is decoded or inflated.

What is walked here is what gets decoded afterwards: the messages themselves, never what a footer says of them. The fields are those
of ``Message.fbs``, ``Schema.fbs`` and ``File.fbs`` of the Arrow columnar format.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from attnlog.errors import AssetSchemaError, AssetTooLarge
from attnlog.format.flatbuffers import Table
from attnlog.format.schema import END_OF_STREAM

_MAGIC = b"ARROW1\0\0"
_TAIL = b"ARROW1"
_CONTINUATION = 0xFFFFFFFF
_SCHEMA, _RECORD_BATCH = 1, 3  # MessageHeader
_ZSTD = 1  # CompressionType
_FIELDS = 4096
_DEPTH = 2  # lists in a column, one inside another


@dataclass(frozen=True)
class _Message:
    at: int
    metadata: memoryview
    body: memoryview

    @property
    def length(self) -> int:
        return 8 + len(self.metadata)


def walk(data: bytes, name: str, *, whole: bool, declared: int, cap: int, rows: int | None = None) -> memoryview:
    """Check the messages of an Arrow file or stream and return them as a stream that may be decoded.

    Args:
        data: an Arrow file, or a schema message, batch messages and the end-of-stream marker.
        name: of the asset, for the error.
        whole: whether it must be the one or the other.
        declared: bytes its columns take, by the manifest; padding may double them and add a megabyte.
        cap: what this reader takes at most.
        rows: how many rows its batches have together, where that is known.

    Raises:
        AssetTooLarge: it would decode to more.
        AssetSchemaError: its messages are not those of an asset.
    """
    try:
        return _walk(memoryview(data), name, whole, min(2 * declared + 1_000_000, cap), declared, rows)
    except (struct.error, IndexError, ValueError, OverflowError, RecursionError) as error:
        raise AssetSchemaError(f"{name} is not a readable Arrow file: {error}") from error


def _walk(data: memoryview, name: str, whole: bool, allowed: int, declared: int, rows: int | None) -> memoryview:
    if whole and data[:8] != _MAGIC:
        raise ValueError("it does not begin with ARROW1")
    start = len(_MAGIC) if whole else 0
    messages, end = _messages(data, start)
    if not messages or _header(messages[0])[0] != _SCHEMA:
        raise ValueError("it does not begin with a schema")
    fields = _schema(messages[0])
    total = found = 0
    for message in messages[1:]:
        kind, header = _header(message)
        if kind != _RECORD_BATCH:
            raise ValueError(f"a message of type {kind} stands where a record batch should")
        for length in _decoded_lengths(header, message.body):
            total += length
            if total > allowed:
                raise AssetTooLarge(f"{name} would decode to more than {allowed} bytes; its manifest declares {declared}")
        found += _batch_rows(header, fields, 8 * allowed)
    if rows is not None and found != rows:
        raise ValueError(f"its batches have {found} rows, its manifest says {rows}")
    if whole:
        _footer(data, end, messages[1:])
    elif end != len(data):
        raise ValueError(f"{len(data) - end} bytes follow the end of its stream")
    return data[start:end]


def _messages(data: memoryview, at: int) -> tuple[list[_Message], int]:
    """Split encapsulated messages into metadata and body, to the marker that ends them."""
    found: list[_Message] = []
    while True:
        mark, size = struct.unpack_from("<II", data, at)
        if mark != _CONTINUATION:
            raise ValueError(f"no message begins at byte {at}")
        if size == 0:
            return found, at + len(END_OF_STREAM)
        start = at + 8 + size
        if size % 8 or start > len(data):
            raise ValueError(f"a message of {size} bytes at {at} passes the end, or is not padded to 8")
        metadata = data[at + 8 : start]
        length = Table.root(metadata).scalar(3, "<q")
        if length < 0 or length % 8 or start + length > len(data):
            raise ValueError(f"a message's body of {length} bytes at {start} passes the end, or is not padded to 8")
        found.append(_Message(at, metadata, data[start : start + length]))
        at = start + length


def _header(message: _Message) -> tuple[int, Table]:
    root = Table.root(message.metadata)
    header = root.table(2)
    if header is None:
        raise ValueError("a message has no header")
    return root.scalar(1, "<B"), header


def _schema(message: _Message) -> list[int]:
    """Check a schema and list the depth of its fields in the order of a batch's nodes."""
    schema = _header(message)[1]
    if schema.scalar(0, "<h") != 0:
        raise ValueError("it is big-endian")
    depths: list[int] = []

    def visit(field: Table, depth: int) -> None:
        if field.table(4) is not None:
            raise ValueError("it has a dictionary")
        if depth > _DEPTH:
            raise ValueError(f"its lists nest more than {_DEPTH} deep")
        if len(depths) >= _FIELDS:  # children may name one table again and again
            raise ValueError(f"it has more than {_FIELDS} fields")
        depths.append(depth)
        for child in field.tables(5):
            visit(child, depth + 1)

    for field in schema.tables(1):
        visit(field, 0)
    return depths


def _batch_rows(batch: Table, depths: list[int], most: int) -> int:
    """Check a batch's nodes; `most` values of one bit each are all that its buffers may hold."""
    rows = batch.scalar(0, "<q")
    nodes = batch.structs(1, "<qq")
    if rows < 0 or len(nodes) != len(depths):
        raise ValueError(f"a batch of {rows} rows has {len(nodes)} nodes for {len(depths)} fields")
    for (length, nulls), depth in zip(nodes, depths, strict=True):
        if not 0 <= length <= most or not 0 <= nulls <= length or (depth == 0 and length != rows):
            raise ValueError(f"a field has {length} values, {nulls} of them null, in a batch of {rows} rows")
    return rows


def _decoded_lengths(batch: Table, body: memoryview) -> list[int]:
    """Say what each buffer inflates to; a compressed one begins with that length, −1 where it is stored as it is."""
    compression = batch.table(3)
    if compression is not None and (compression.scalar(0, "<b"), compression.scalar(1, "<b")) != (_ZSTD, 0):
        raise ValueError("its buffers are not compressed by zstd")
    lengths = []
    for number, (offset, length) in enumerate(batch.structs(2, "<qq")):
        if offset < 0 or length < 0 or offset + length > len(body):
            raise ValueError(f"buffer {number} lies outside its message")
        if compression is None or not length:
            lengths.append(length)
            continue
        decoded = struct.unpack_from("<q", body[offset : offset + length])[0]
        if decoded < -1:
            raise ValueError(f"buffer {number} declares {decoded} bytes")
        lengths.append(length - 8 if decoded == -1 else decoded)
    return lengths


def _footer(data: memoryview, end: int, batches: list[_Message]) -> None:
    """Check that the footer names the batches that were walked: other readers go by it."""
    size = struct.unpack_from("<I", data, len(data) - len(_TAIL) - 4)[0]
    if data[-len(_TAIL) :] != _TAIL or end + size + 4 + len(_TAIL) != len(data):
        raise ValueError("its footer does not follow its messages")
    footer = Table.root(data[end : end + size])
    blocks = [(offset, meta, body) for offset, meta, body in footer.structs(3, "<qi4xq")]
    if footer.structs(2, "<qi4xq") or blocks != [(m.at, m.length, len(m.body)) for m in batches]:
        raise ValueError("its footer names other batches than it holds")
