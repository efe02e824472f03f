"""The columns of every asset of format version 1, in one place for the writer and the reader."""

from __future__ import annotations

import pyarrow as pa

from attnlog.metrics import METRICS
from attnlog.outputs import STATISTICS
from attnlog.sparse import MASS, TOP

VERSION = 1
PICTURE = 32  # pictures are at most this many cells wide and high
CELLS = {"u8": pa.uint8(), "f16": pa.float16(), "f32": pa.float32()}  # items of weights
ELEMENTS = {"f16": pa.float16(), "i8": pa.int8(), "f32": pa.float32()}  # items of vectors
HIDDEN_PRECISIONS = ("f16", "f32")  # of hidden states
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

PLACES = ("attention", "sparse", "vectors")  # assets of which the index says where each batch lies

METRIC_COLUMNS = [
    *HEAD,
    field("queries", pa.uint32()),
    field("keys", pa.uint32()),
    field("group", pa.uint16()),
    field("tap", pa.utf8()),
    field("module", pa.utf8()),
    field("check", pa.float32(), null=True),
    field("explained", pa.float32(), null=True),
    *[field(name, pa.float32(), null=True) for name in METRICS],
    field("left_out", pa.float32(), null=True),
]


def place(name: str) -> list[pa.Field]:
    """List the columns that say where a head's batch lies in the assets of a kind."""
    return [
        field(f"{name}_path", pa.utf8(), null=True),
        field(f"{name}_offset", pa.uint64(), null=True),
        field(f"{name}_length", pa.uint32(), null=True),
        field(f"{name}_sha256", pa.utf8(), null=True),
    ]


INDEX = [*METRIC_COLUMNS, *[column for name in PLACES for column in place(name)]]

INDEXES = [field("n", pa.uint32()), field("step", pa.uint64()), *METRIC_COLUMNS]

#: Columns that came after the oldest golden files, or are written only where there is something in them: absent, they count as null.
MAY_BE_ABSENT = {
    "index": {"left_out", *(column.name for column in place("sparse"))},
    "indexes": {"left_out"},
    "vectors": {"scales", "norms"},
}

PICTURES = [*HEAD, field("rows", pa.uint16()), field("columns", pa.uint16()), field("picture", items(pa.uint8()))]

ATTENTION = [*HEAD, field("queries", pa.uint32()), field("keys", pa.uint32())]

SPARSE = [
    *ATTENTION,
    field("rows", pa.uint16()),
    field("columns", pa.uint16()),
    field("picture", items(pa.uint8())),
    field("counts", items(pa.uint32())),
    field("indices", items(pa.uint32())),
    field("left_out", items(pa.float32())),
]

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
    field("norms", items(pa.float32()), null=True),
]

STATE = [field("input", pa.uint16()), field("axis", pa.utf8()), field("layer", pa.uint16()), field("tokens", pa.uint32())]

STATES = [*STATE, field("width", pa.uint32()), *[field(name, items(pa.float32())) for name in STATISTICS], *place("hidden")]

HIDDEN = [*STATE, field("width", pa.uint32()), field("values", items(pa.float16()))]

OUTPUTS = [
    field("input", pa.uint16()),
    field("axis", pa.utf8()),
    field("role", pa.utf8()),
    field("name", pa.utf8()),
    field("tokens", pa.uint32()),
    field("values", items(pa.float32()), null=True),
    field("rows", pa.uint32(), null=True),
    field("top", pa.uint32(), null=True),
    field("ids", items(pa.int32()), null=True),
    field("labels", items(pa.utf8()), null=True),
    field("probabilities", items(pa.float32()), null=True),
    field("target", pa.utf8(), null=True),
    field("position", pa.uint32(), null=True),
    field("steps", pa.uint32(), null=True),
    field("error", pa.float32(), null=True),
]

COLUMNS = {
    "inputs": INPUTS,
    "index": INDEX,
    "indexes": INDEXES,
    "pictures": PICTURES,
    "attention": ATTENTION,
    "sparse": SPARSE,
    "vectors": VECTORS,
    "states": STATES,
    "hidden": HIDDEN,
    "outputs": OUTPUTS,
}


def schema(kind: str, precision: str | None = None) -> pa.Schema:
    """Make the schema of an asset of this kind.

    Args:
        kind: of asset.
        precision: of the weights of `attention` and `sparse` (``u8``, ``f16``, ``f32``), of `vectors` (``f16``, ``i8``, ``f32``) or of
            `hidden` (``f16``, ``f32``).
    """
    columns = COLUMNS[kind]
    metadata = {"attnlog.format": str(VERSION), "attnlog.kind": kind}
    if kind in ("attention", "sparse"):
        assert precision is not None
        columns = [*columns, field("weights", items(CELLS[precision]))]
    if kind == "sparse":
        metadata |= {"attnlog.top": str(TOP), "attnlog.mass": str(MASS)}
    if kind in ("vectors", "hidden"):
        precision = precision or "f16"
        columns = [field("values", items(ELEMENTS[precision])) if column.name == "values" else column for column in columns]
        columns += [field("scales", items(pa.float32()), null=True)] if precision == "i8" else []
    if kind == "pictures":
        precision = "u8"
    if precision is not None:
        metadata["attnlog.precision"] = precision
    return pa.schema(columns, metadata=metadata)
