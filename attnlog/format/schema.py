"""The columns of every asset of format version 1, in one place for the writer and the reader."""

from __future__ import annotations

import pyarrow as pa

from attnlog.metrics import METRICS

VERSION = 1
PICTURE = 32  # pictures are at most this many cells wide and high
CELLS = {"u8": pa.uint8(), "f16": pa.float16(), "f32": pa.float32()}
END_OF_STREAM = b"\xff\xff\xff\xff\x00\x00\x00\x00"


def items(kind: pa.DataType) -> pa.DataType:
    """Make the type of a list whose items are never null."""
    return pa.list_(pa.field("item", kind, nullable=False))


def field(name: str, kind: pa.DataType, *, null: bool = False) -> pa.Field:
    """Make a column; it has no nulls unless said."""
    return pa.field(name, kind, nullable=null)


HEAD = [
    field("input", pa.uint16()),
    field("kind", pa.utf8()),
    field("layer", pa.uint16()),
    field("head", pa.uint16()),
    field("call", pa.uint16()),
]

INPUTS = [
    field("input", pa.uint16()),
    field("axis", pa.utf8()),
    field("text", pa.utf8(), null=True),
    field("pair", pa.utf8(), null=True),
    field("tokens", items(pa.utf8())),
    field("ids", items(pa.int32()), null=True),
    field("starts", items(pa.int32()), null=True),
    field("ends", items(pa.int32()), null=True),
    field("segments", items(pa.uint8()), null=True),
    field("special", items(pa.bool_()), null=True),
    field("generated", items(pa.bool_()), null=True),
    field("labels", items(pa.utf8()), null=True),
    field("cut", pa.uint32()),
]

PLACES = ("attention", "vectors")  # assets of which the index says where each batch lies

INDEX = [
    *HEAD,
    field("queries", pa.uint32()),
    field("keys", pa.uint32()),
    field("group", pa.uint16()),
    field("tap", pa.utf8()),
    field("module", pa.utf8()),
    field("check", pa.float32(), null=True),
    field("explained", pa.float32(), null=True),
    *[field(name, pa.float32(), null=True) for name in METRICS],
    *[
        column
        for place in PLACES
        for column in (
            field(f"{place}_path", pa.utf8(), null=True),
            field(f"{place}_offset", pa.uint64(), null=True),
            field(f"{place}_length", pa.uint32(), null=True),
            field(f"{place}_sha256", pa.utf8(), null=True),
        )
    ],
]

PICTURES = [*HEAD, field("rows", pa.uint16()), field("columns", pa.uint16()), field("picture", items(pa.uint8()))]

ATTENTION = [*HEAD, field("queries", pa.uint32()), field("keys", pa.uint32())]

VECTORS = [
    *HEAD,
    field("role", pa.utf8()),
    field("tokens", pa.uint32()),
    field("width", pa.uint32()),
    field("values", items(pa.float16())),
    field("scale", pa.float32(), null=True),
    field("softcap", pa.float32(), null=True),
    field("causal", pa.bool_(), null=True),
    field("window", pa.uint32(), null=True),
    field("sink", pa.float32(), null=True),
    field("rotary", pa.bool_(), null=True),
]


def schema(kind: str, precision: str | None = None, *, wide: bool = False) -> pa.Schema:
    """Make the schema of an asset of this kind; `attention` needs the precision of its weights, `wide` vectors are float32."""
    columns = {"inputs": INPUTS, "index": INDEX, "pictures": PICTURES, "attention": ATTENTION, "vectors": VECTORS}[kind]
    metadata = {"attnlog.format": str(VERSION), "attnlog.kind": kind}
    if kind == "attention":
        assert precision is not None
        columns = [*columns, field("weights", items(CELLS[precision]))]
        metadata["attnlog.precision"] = precision
    if kind == "vectors" and wide:
        columns = [field("values", items(pa.float32())) if column.name == "values" else column for column in columns]
    if kind == "pictures":
        metadata["attnlog.precision"] = "u8"
    return pa.schema(columns, metadata=metadata)
