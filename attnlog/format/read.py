"""Arrow bytes become tables again; every byte is verified before it is decoded, and every table checked before it is used."""

from __future__ import annotations

import pyarrow as pa

from attnlog.errors import AssetDigestMismatch, AssetSchemaError, AssetTooLarge, AssetTruncated
from attnlog.format.bounds import walk
from attnlog.format.check import check_shapes, check_table
from attnlog.format.encode import sha256
from attnlog.format.layers import inputs_from, layer_from_index, sparse_from, vectors_from, weights_from
from attnlog.format.outputs import hidden_from, outputs_from, states_from
from attnlog.format.roll_up import indexes_from, numbered
from attnlog.format.schema import COLUMNS, END_OF_STREAM
from attnlog.record import Input

__all__ = [
    "MAX_BYTES",
    "MAX_DECODED",
    "batch",
    "check_asset",
    "hidden_from",
    "indexes_from",
    "layer_from_index",
    "numbered",
    "outputs_from",
    "read_inputs",
    "sparse_from",
    "states_from",
    "table",
    "vectors_from",
    "verify",
    "weights_from",
]

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


def table(data: bytes, kind: str, name: str, *, decoded: int, rows: int | None = None) -> pa.Table:
    """Decode a whole verified asset, of which the manifest says what it decodes to and how many rows it has, and check it.

    Raises:
        AssetTooLarge: it would decode to more.
        AssetSchemaError: it is not an asset of this kind.
        AssetVersionError: a later version of the format wrote it.
        AssetValueError: it holds numbers that cannot be.
    """
    return _decode(data, kind, name, decoded, rows, whole=True)


def batch(schema_message: bytes, batch_message: bytes, kind: str, name: str, *, decoded: int, rows: int | None = None) -> pa.Table:
    """Decode one verified record batch: its schema message and its own, put together, are an Arrow stream. Raises as `table` does."""
    return _decode(b"".join((schema_message, batch_message, END_OF_STREAM)), kind, name, decoded, rows, whole=False)


def _decode(data: bytes, kind: str, name: str, decoded: int, rows: int | None, *, whole: bool) -> pa.Table:
    stream = walk(data, name, whole=whole, declared=decoded, cap=MAX_DECODED, rows=rows)
    try:
        found = pa.ipc.open_stream(pa.py_buffer(stream)).read_all()
        found.validate(full=True)
    except (pa.ArrowException, OSError, ValueError, MemoryError) as error:
        raise AssetSchemaError(f"{name} is not a readable Arrow file: {error}") from error
    found = check_table(found, kind, name)
    check_shapes(found, kind, name)
    return found


def read_inputs(data: bytes, name: str, *, decoded: int, rows: int | None = None) -> tuple[Input, ...]:
    """Decode a verified inputs asset."""
    return inputs_from(table(data, "inputs", name, decoded=decoded, rows=rows), name)


def check_asset(data: bytes, *, kind: str, name: str, length: int, digest: str, decoded: int, rows: int) -> None:
    """Run every check on one whole asset; of a kind that this reader does not know only length and digest can be checked."""
    verify(data, name=name, length=length, digest=digest, decoded=decoded)
    if kind == "inputs":
        read_inputs(data, name, decoded=decoded, rows=rows)
    elif kind in COLUMNS:
        table(data, kind, name, decoded=decoded, rows=rows)
