"""Assets built to deceive, each with the one name by which both readers refuse it."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pyarrow as pa

from attnlog.format.flatbuffers import Table
from tests.hostile.case import Case
from tests.hostile.sweeps import base_of, metadata

_OF = {"attention": "pair", "sparse": "exact", "indexes": "long"}  # the golden run whose asset is replaced


def built() -> Iterator[Case]:
    """Make all of them; each takes the place of a golden asset, whole."""
    for rule, kind, data, names, declared in _all():
        base = f"{_OF.get(kind, 'decoder')}-{kind}"
        decoded, rows = declared or (None, None)
        yield Case(rule, base, names, cut=0, tail=data.hex(), decoded=decoded, rows=rows)


Made = tuple[str, str, bytes, tuple[str, ...], tuple[int, int] | None]


def _all() -> Iterator[Made]:
    yield from _schemas()
    yield from _values()
    yield from _shapes()
    yield from _envelopes()
    yield from _bombs()
    yield from _numbers()


def opened(run: str, kind: str) -> pa.Table:
    """Read a golden asset without any check."""
    return pa.ipc.open_file(pa.py_buffer(base_of(run, kind).data)).read_all()


def file(table: pa.Table, *, compression: str | None = "zstd", stream: bool = False, batch: int | None = None) -> bytes:
    """Write a table as an Arrow file."""
    sink = io.BytesIO()
    options = pa.ipc.IpcWriteOptions(compression=compression)
    make = pa.ipc.new_stream if stream else pa.ipc.new_file
    with make(sink, table.schema, options=options) as writer:
        writer.write_table(table, max_chunksize=batch)
    return sink.getvalue()


def said(table: pa.Table, **metadata: str | None) -> pa.Table:
    """Change a table's metadata; None takes a key away."""
    known = {**(table.schema.metadata or {}), **{f"attnlog.{k}".encode(): None if v is None else v.encode() for k, v in metadata.items()}}
    return table.replace_schema_metadata({k: v for k, v in known.items() if v is not None})


def put(table: pa.Table, name: str, values: Any, kind: pa.DataType | None = None, *, null: bool = False) -> pa.Table:
    """Replace a column."""
    at = table.schema.get_field_index(name)
    made = values if isinstance(values, pa.Array) else pa.array(values, type=kind or table.schema.field(at).type)
    return table.set_column(at, pa.field(name, made.type, nullable=null or table.schema.field(at).nullable), made)


def item(kind: pa.DataType, *, null: bool = False) -> pa.DataType:
    """Make a list type."""
    return pa.list_(pa.field("item", kind, nullable=null))


def edited(table: pa.Table, name: str, change: Callable[[Any], Any]) -> pa.Table:
    """Change the items of a list column in place, lengths as they are."""
    column = table.column(name).combine_chunks()
    values = np.array(column.values.to_numpy(zero_copy_only=False))
    change(values)
    return put(table, name, pa.ListArray.from_arrays(column.offsets, pa.array(values, type=column.type.value_type), type=column.type))


def _schemas() -> Iterator[Made]:
    attention, index = opened("pair", "attention"), opened("decoder", "index")
    schema, version, count = ("AssetSchemaError",), ("AssetVersionError",), attention.num_rows
    for value, names in (("2", version), ("10", version), (None, schema), ("one", schema), ("-1", schema), ("1.5", schema), ("", schema)):
        yield f"format version {value}", "attention", file(said(attention, format=value)), names, None
    for value in ("index", "", None, "Attention"):
        yield f"kind {value}", "attention", file(said(attention, kind=value)), schema, None
    for value in ("u8", "f32", "u4", "", None):
        yield f"precision {value}", "attention", file(said(attention, precision=value)), schema, None
    for name in attention.schema.names:
        yield f"no column {name}", "attention", file(attention.drop_columns([name])), schema, None
        yield (
            f"column {name} twice",
            "attention",
            file(attention.append_column(attention.schema.field(name), attention.column(name))),
            schema,
            None,
        )
    yield "an unknown column", "attention", file(attention.append_column("later", pa.array([1] * attention.num_rows))), ("ok",), None
    plain = put(attention, "weights", attention.column("weights").combine_chunks().cast(pa.list_(pa.float16())))
    yield "lists whose items are not said to be never null", "attention", file(plain), ("ok",), None
    endless = pa.ListArray.from_arrays(pa.array([0] * count + [1 << 30], pa.int32()), pa.nulls(1 << 30))
    yield (
        "2³⁰ nothings in an unknown column",
        "attention",
        file(attention.append_column("later", endless)),
        ("AssetTooLarge", "AssetSchemaError", "ok"),
        None,
    )
    for unit, zone in (("ns", "Mars/Base"), ("s", None)):
        moments = pa.array([1 << 60] * count, pa.int64()).cast(pa.timestamp(unit, tz=zone))
        yield f"an unknown column of moments ({unit}, {zone})", "attention", file(attention.append_column("later", moments)), ("ok",), None
    twice = attention.append_column("later", pa.array([1] * count)).append_column("later", pa.array([2] * count))
    yield "two unknown columns of one name", "attention", file(twice), ("ok",), None
    yield "columns in another order", "attention", file(attention.select(attention.schema.names[::-1])), ("ok",), None
    for name, kind in (
        ("head", pa.int64()),
        ("head", pa.uint32()),
        ("layer", pa.float32()),
        ("kind", pa.large_utf8()),
        ("kind", pa.binary()),
    ):
        yield f"{name} as {kind}", "attention", file(put(attention, name, attention.column(name).cast(kind).combine_chunks())), schema, None
    weights = attention.column("weights").combine_chunks()
    yield (
        "large lists",
        "attention",
        file(put(attention, "weights", weights.cast(pa.large_list(pa.field("item", pa.float16(), nullable=False))))),
        schema,
        None,
    )
    yield (
        "dictionary",
        "attention",
        file(put(attention, "kind", attention.column("kind").combine_chunks().dictionary_encode())),
        schema,
        None,
    )
    yield "null head", "attention", file(put(attention, "head", [None, *attention.column("head").to_pylist()[1:]], null=True)), schema, None
    yield "null list", "attention", file(put(attention, "weights", [None, *weights.to_pylist()[1:]], weights.type, null=True)), schema, None
    holes = [[None, *row.as_py()[1:]] for row in weights]
    yield "null weights", "attention", file(put(attention, "weights", holes, item(pa.float16(), null=True))), schema, None
    deep: Any = 1
    kind = pa.uint8()
    for _ in range(60):
        deep, kind = [deep], item(kind)
    yield "lists 60 deep", "attention", file(attention.append_column("deep", pa.array([deep] * attention.num_rows, kind))), schema, None
    for name in ("entropy", "explained", "attention_path", "vectors_sha256"):
        yield f"index without {name}", "index", file(index.drop_columns([name])), schema, None


def _values() -> Iterator[Made]:
    value = ("AssetValueError",)
    attention, sparse = opened("pair", "attention"), opened("exact", "sparse")
    for number in (np.nan, np.inf, -np.inf, -0.25, 1.5):
        yield f"weight {number}", "attention", file(edited(attention, "weights", lambda v, n=number: v.__setitem__(5, n))), value, None
        yield f"sparse weight {number}", "sparse", file(edited(sparse, "weights", lambda v, n=number: v.__setitem__(5, n))), value, None
        yield f"left out {number}", "sparse", file(edited(sparse, "left_out", lambda v, n=number: v.__setitem__(5, n))), value, None
    vectors, eight = opened("decoder", "vectors"), opened("long", "vectors")
    rows = (base_of("long", "vectors").decoded, base_of("long", "vectors").rows)
    for number in (np.nan, np.inf):
        yield f"vector {number}", "vectors", file(edited(vectors, "values", lambda v, n=number: v.__setitem__(3, n))), value, None
        yield f"token scale {number}", "vectors", file(edited(eight, "scales", lambda v, n=number: v.__setitem__(3, n))), value, rows
        scales = [number if s is not None else None for s in vectors.column("scale").to_pylist()]
        yield f"scale {number}", "vectors", file(put(vectors, "scale", scales)), value, None
    yield "token scale below 0", "vectors", file(edited(eight, "scales", lambda v: v.__setitem__(3, -1))), value, rows
    index = opened("decoder", "index")
    for column in ("entropy", "induction", "check", "explained"):
        for number in (np.nan, np.inf, -1.0):
            yield f"{column} {number}", "index", file(put(index, column, pa.array([number] * index.num_rows, pa.float32()))), value, None


def _shapes() -> Iterator[Made]:
    schema = ("AssetSchemaError",)
    attention, sparse, vectors = opened("pair", "attention"), opened("exact", "sparse"), opened("decoder", "vectors")
    count = attention.num_rows
    for name in ("queries", "keys"):
        for number in (0, 1, 11, 1 << 16, 0xFFFFFFFF):
            yield f"{number} {name}", "attention", file(put(attention, name, [number] * count)), schema, None
    huge = put(put(attention, "queries", [0xFFFFFFFF] * count), "keys", [0xFFFFFFFF] * count)
    yield "2³² × 2³² weights", "attention", file(huge), schema, None
    wrapped = put(put(attention, "queries", [1 << 31] * count), "keys", [1 << 31] * count)
    yield "2³¹ × 2³¹ weights", "attention", file(wrapped), schema, None
    short = [row[:-1] for row in attention.column("weights").to_pylist()]
    yield "one weight too few", "attention", file(put(attention, "weights", short)), schema, None
    yield "one head twice", "attention", file(put(attention, "head", [0] * count)), schema, None
    yield "fewer rows than said", "attention", file(attention.slice(1)), schema, None
    yield "more rows than said", "attention", file(pa.concat_tables([attention, attention])), schema, None
    yield "no rows", "attention", file(attention.slice(0, 0)), schema, None

    def backwards(values: Any) -> None:
        values[:2] = values[1::-1]

    yield "keys descend", "sparse", file(edited(sparse, "indices", backwards)), schema, None
    yield "a key twice", "sparse", file(edited(sparse, "indices", lambda v: v.__setitem__(1, v[0]))), schema, None
    yield "a key past the end", "sparse", file(edited(sparse, "indices", lambda v: v.__setitem__(63, 100))), schema, None
    yield "a key of 2³²−1", "sparse", file(edited(sparse, "indices", lambda v: v.__setitem__(63, 0xFFFFFFFF))), schema, None
    yield "more keys counted than kept", "sparse", file(edited(sparse, "counts", lambda v: v.__setitem__(0, 65))), schema, None
    yield "2³²−1 keys counted", "sparse", file(edited(sparse, "counts", lambda v: v.__setitem__(0, 0xFFFFFFFF))), schema, None
    fewer = [row[:-1] for row in sparse.column("left_out").to_pylist()]
    yield "one left-out mass too few", "sparse", file(put(sparse, "left_out", fewer)), schema, None
    yield "a picture of another size", "sparse", file(put(sparse, "rows", [99] * sparse.num_rows)), schema, None
    yield "an unknown role", "vectors", file(put(vectors, "role", ["o"] * vectors.num_rows)), schema, None
    yield "vectors narrower than said", "vectors", file(put(vectors, "width", [7] * vectors.num_rows)), schema, None
    eight = opened("long", "vectors")
    rows = (base_of("long", "vectors").decoded, base_of("long", "vectors").rows)
    yield "8-bit vectors without scales", "vectors", file(eight.drop_columns(["scales"])), schema, rows
    yield "a scale too few", "vectors", file(put(eight, "scales", [row[:-1] for row in eight.column("scales").to_pylist()])), schema, rows
    inputs = opened("decoder", "inputs")
    yield "an id too few", "inputs", file(put(inputs, "ids", [[1, 2]] * inputs.num_rows)), schema, None
    yield "inputs from 1", "inputs", file(put(inputs, "input", [1] * inputs.num_rows)), schema, None
    index = opened("decoder", "index")
    yield "a head of the index twice", "index", file(put(index, "head", [0] * index.num_rows)), schema, None
    yield "a place without an offset", "index", file(put(index, "attention_offset", [None] * index.num_rows)), schema, None
    yield "a place up and away", "index", file(put(index, "attention_path", ["../../../etc/passwd"] * index.num_rows)), schema, None
    pictures = opened("decoder", "pictures")
    yield "a picture too large", "pictures", file(put(pictures, "columns", [65535] * pictures.num_rows)), schema, None


def _envelopes() -> Iterator[Made]:
    schema = ("AssetSchemaError",)
    attention = opened("pair", "attention")
    good, other = (base_of(run, "attention").data for run in ("pair", "decoder"))
    for rule, data in (
        ("nothing", b""),
        ("one byte", b"A"),
        ("text", b"queries,keys\n1,2\n" * 50),
        ("zeros", bytes(4096)),
        ("a zip", b"PK\x03\x04" + bytes(500)),
        ("only the magic", b"ARROW1\0\0ARROW1"),
        ("a stream", file(attention, stream=True)),
        ("lz4", file(attention, compression="lz4")),
        ("a file in a file", b"ARROW1\0\0" + good),
        ("no footer", good[: metadata(good)[-1][0]]),
        ("a footer of another file", good[: metadata(good)[-1][0]] + other[metadata(other)[-1][0] :]),
    ):
        yield rule, "attention", data, schema, None
    yield "uncompressed", "attention", file(attention, compression=None), ("ok",), None
    yield "one batch per head", "attention", file(attention, batch=1), ("ok",), None


def _bombs() -> Iterator[Made]:
    large = ("AssetTooLarge",)
    decoder = opened("decoder", "attention")
    quarter = 1 << 14
    zeros = np.zeros((decoder.num_rows, quarter * 256), dtype=np.uint8)
    bomb = put(decoder, "weights", pa.array(list(zeros), type=item(pa.uint8())))
    bomb = put(put(bomb, "queries", [quarter] * decoder.num_rows), "keys", [256] * decoder.num_rows)
    known = base_of("decoder", "attention")
    honest = file(bomb)
    yield "32 MB of zeros in a few kB", "attention", honest, large, (known.decoded, known.rows)
    yield "…that its manifest admits", "attention", honest, ("ok",), (bomb.nbytes, known.rows)
    yield (
        "…in an unknown column",
        "attention",
        file(decoder.append_column("later", pa.array(list(zeros)))),
        large,
        (known.decoded, known.rows),
    )
    # The length before a buffer says little, the zstd frame behind it much.
    data = bytearray(honest)
    for start, size in metadata(honest)[1:-1]:
        batch = Table.root(memoryview(honest)[start : start + size]).table(2)
        assert batch is not None
        for offset, length in batch.structs(2, "<qq"):
            at = start + size + offset
            if length and struct.unpack_from("<q", data, at)[0] > 1 << 20:
                struct.pack_into("<q", data, at, 64)
    yield "a frame larger than its buffer says", "attention", bytes(data), ("AssetSchemaError",), (known.decoded, known.rows)


def _numbers() -> Iterator[Made]:
    """Numbers of a batch's metadata and of its offsets, each rewritten to a lie."""
    schema, large = ("AssetSchemaError",), ("AssetTooLarge",)
    plain = file(opened("pair", "attention"), compression=None)
    packed = file(opened("pair", "attention"))
    for data, how in ((plain, "uncompressed"), (packed, "compressed")):
        start, size = metadata(data)[1]
        message = Table.root(memoryview(data)[start : start + size])
        batch = message.table(2)
        assert batch is not None
        rows = start + (batch._slot(0) or 0)
        nodes, buffers = (start + batch._vector(field, 16)[0] for field in (1, 2))
        for number in (0, 1, 1 << 40, (1 << 63) - 1, -1):
            yield f"{number} rows, {how}", "attention", _with(data, rows, number), schema, None
            yield f"a field of {number}, {how}", "attention", _with(data, nodes, number), schema, None
        for number in (-1, 1 << 40):
            yield f"{number} nulls, {how}", "attention", _with(data, nodes + 8, number), schema, None
        for field in range(3):
            for number in (-8, 1 << 40, (1 << 63) - 8):
                yield f"buffer {field} at {number}, {how}", "attention", _with(data, buffers + 16 * field, number), schema, None
                yield f"buffer {field} of {number}, {how}", "attention", _with(data, buffers + 16 * field + 8, number), schema, None
        body = message._slot(3)
        assert body is not None
        for number in (-8, 0, 7, 1 << 40, (1 << 63) - 8):
            yield f"a body of {number}, {how}", "attention", _with(data, start + body, number), schema, None
    start, size = metadata(packed)[1]
    batch = Table.root(memoryview(packed)[start : start + size]).table(2)
    assert batch is not None
    first = next(start + size + offset for offset, length in batch.structs(2, "<qq") if length)
    for number, names in ((-2, schema), (1 << 40, large), ((1 << 63) - 1, large), (0, schema), (8, schema)):
        yield f"a buffer that inflates to {number}", "attention", _with(packed, first, number), names, None
    yield from _offsets(plain)


def _offsets(plain: bytes) -> Iterator[Made]:
    schema = ("AssetSchemaError",)
    start, size = metadata(plain)[1]
    batch = Table.root(memoryview(plain)[start : start + size]).table(2)
    assert batch is not None
    lists = pa.ipc.open_file(plain).read_all().column("weights").combine_chunks().offsets.to_numpy().tobytes()
    at = plain.index(lists[:12], start + size)
    for rule, values in (("descend", (4, -1)), ("pass the end", (8, 1 << 30)), ("begin below 0", (0, -5)), ("begin past 0", (0, 3))):
        offset, number = values
        data = plain[: at + offset] + struct.pack("<i", number) + plain[at + offset + 4 :]
        yield f"offsets of lists {rule}", "attention", data, schema, None
    text = plain.index(b"selfself", start + size)
    for rule, junk in (("not UTF-8", b"\xff"), ("half a character", b"\xe2"), ("a surrogate", b"\xed\xa0\x80")):
        yield f"text that is {rule}", "attention", plain[:text] + junk + plain[text + len(junk) :], schema, None


def _with(data: bytes, at: int, number: int) -> bytes:
    return data[:at] + struct.pack("<q", number) + data[at + 8 :]
