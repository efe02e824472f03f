"""How much an Arrow asset would decode to, read off its messages before anything is inflated.

A compressed buffer begins with its decompressed length. Where each buffer lies is in the record batch's metadata, a
flatbuffer (Arrow columnar format, ``Message.fbs``), of which the few fields needed are read here.
"""

from __future__ import annotations

import struct

from attnlog.errors import AssetSchemaError, AssetTooLarge

_MAGIC = b"ARROW1\0\0"
_CONTINUATION = 0xFFFFFFFF
_RECORD_BATCH = 3  # MessageHeader.RecordBatch


def check_decoded(data: bytes, name: str, *, declared: int, cap: int) -> None:
    """Refuse an asset whose buffers would take more memory than its manifest declares.

    Args:
        data: an Arrow file, or messages of a stream.
        name: of the asset, for the error.
        declared: bytes its columns take, by the manifest; padding may double them and add a megabyte.
        cap: what this reader takes at most.

    Raises:
        AssetTooLarge: it would decode to more.
        AssetSchemaError: its messages cannot be read.
    """
    allowed = min(2 * declared + 1_000_000, cap)
    total = 0
    try:
        for metadata, body in _messages(data):
            for length in _decoded_lengths(metadata, body):
                if length < 0:
                    raise AssetSchemaError(f"{name} declares a buffer of {length} bytes")
                total += length
                if total > allowed:
                    raise AssetTooLarge(f"{name} would decode to more than {allowed} bytes; its manifest declares {declared}")
    except (struct.error, IndexError, ValueError) as error:
        raise AssetSchemaError(f"{name} is not a readable Arrow file: {error}") from error


def _messages(data: bytes) -> list[tuple[memoryview, memoryview]]:
    """Split encapsulated messages into metadata and body."""
    view = memoryview(data)
    at = len(_MAGIC) if data[:8] == _MAGIC else 0
    found = []
    while at + 8 <= len(view):
        mark, size = struct.unpack_from("<II", view, at)
        if mark != _CONTINUATION or size == 0:
            break
        metadata = view[at + 8 : at + 8 + size]
        length = _field(metadata, _root(metadata), 3, "<q") or 0
        start = at + 8 + size
        if length < 0 or start + length > len(view):
            raise ValueError(f"a message's body of {length} bytes at {start} passes the end")
        found.append((metadata, view[start : start + length]))
        at = start + length
    return found


def _decoded_lengths(metadata: memoryview, body: memoryview) -> list[int]:
    message = _root(metadata)
    if _field(metadata, message, 1, "<B") != _RECORD_BATCH:
        return []
    batch = _child(metadata, message, 2)
    compressed = _slot(metadata, batch, 3) is not None
    buffers = _child(metadata, batch, 2)
    count = struct.unpack_from("<I", metadata, buffers)[0]
    lengths = []
    for number in range(count):
        offset, length = struct.unpack_from("<qq", metadata, buffers + 4 + 16 * number)
        if offset < 0 or length < 0 or offset + length > len(body):
            raise ValueError(f"buffer {number} lies outside its message")
        if compressed and length:
            decoded = struct.unpack_from("<q", body, offset)[0]
            lengths.append(length - 8 if decoded == -1 else decoded)  # −1: stored as it is
        else:
            lengths.append(length)
    return lengths


def _root(metadata: memoryview) -> int:
    return int(struct.unpack_from("<I", metadata, 0)[0])


def _slot(metadata: memoryview, table: int, field: int) -> int | None:
    """Return where a table's field lies, or None where it is not set."""
    vtable = table - struct.unpack_from("<i", metadata, table)[0]
    if vtable < 0:
        raise ValueError("a table points before its message")
    size = struct.unpack_from("<H", metadata, vtable)[0]
    entry = 4 + 2 * field
    if entry + 2 > size:
        return None
    offset = struct.unpack_from("<H", metadata, vtable + entry)[0]
    return table + offset if offset else None


def _field(metadata: memoryview, table: int, field: int, kind: str) -> int | None:
    slot = _slot(metadata, table, field)
    return None if slot is None else int(struct.unpack_from(kind, metadata, slot)[0])


def _child(metadata: memoryview, table: int, field: int) -> int:
    slot = _slot(metadata, table, field)
    if slot is None:
        raise ValueError(f"a message lacks field {field}")
    return slot + int(struct.unpack_from("<I", metadata, slot)[0])
