"""One layer becomes the columns of its record batches."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from attnlog.format.encode import Span, block_column, list_column
from attnlog.format.pictures import pictures_of
from attnlog.format.schema import CELLS, ELEMENTS, PLACES, schema
from attnlog.metrics import METRICS
from attnlog.record import Array, Layer, Sparse, precision_of

Place = tuple[str, Span]  # file name, where the batch lies


def schema_names(kind: str) -> list[str]:
    """Name the columns of an asset kind that has no precision."""
    return list(schema(kind).names)


def _head_columns(layer: Layer, heads: Sequence[int]) -> dict[str, list[Any]]:
    count = len(heads)
    return {
        "input": [layer.input] * count,
        "kind": [layer.kind] * count,
        "layer": [layer.layer] * count,
        "head": list(heads),
        "call": [layer.call] * count,
    }


def attention_batch(layer: Layer) -> dict[str, Any]:
    """Columns of a batch of `attention`: one row per head."""
    assert layer.weights is not None
    return {
        **_head_columns(layer, layer.heads),
        **_shape_columns(layer),
        "weights": block_column(layer.weights, CELLS[precision_of(layer.weights)]),
    }


def sparse_batch(layer: Layer) -> dict[str, Any]:
    """Columns of a batch of `sparse`: one row per head."""
    found: Sparse | None = layer.sparse
    assert found is not None
    ends = np.cumsum(found.counts.sum(axis=1, dtype=np.int64))[:-1]
    count = len(layer.heads)
    return {
        **_head_columns(layer, layer.heads),
        **_shape_columns(layer),
        "rows": [found.picture.shape[1]] * count,
        "columns": [found.picture.shape[2]] * count,
        "picture": block_column(found.picture, pa.uint8()),
        "counts": block_column(found.counts, pa.uint32()),
        "indices": list_column(np.split(found.indices, ends), pa.uint32()),
        "weights": list_column(np.split(found.weights, ends), CELLS[precision_of(found.weights)]),
        "left_out": block_column(found.left_out, pa.float32()),
    }


def _shape_columns(layer: Layer) -> dict[str, list[int]]:
    return {"queries": [layer.shape[0]] * len(layer.heads), "keys": [layer.shape[1]] * len(layer.heads)}


def to_bytes(vectors: Array) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Encode vectors ``[…, width]`` as int8 codes and one scale per vector: an element is code · scale."""
    values = np.asarray(vectors, dtype=np.float32)
    scales = (np.abs(values).max(axis=-1) / 127).astype(np.float32) if values.size else np.zeros(values.shape[:-1], np.float32)
    codes = np.rint(values / np.where(scales > 0, scales, 1)[..., None]).clip(-127, 127).astype(np.int8)
    return codes, scales


def vector_batch(layer: Layer, precision: str) -> dict[str, Any]:
    """Columns of a batch of `vectors`: one row per query head and key group."""
    vectors = layer.vectors
    assert vectors is not None
    groups = sorted(set(layer.groups))
    parts = [("q", layer.heads, vectors.q), ("k", groups, vectors.k)]
    if vectors.v is not None:
        parts.append(("v", groups, vectors.v))
    roles = [role for role, heads, _ in parts for _ in heads]
    rows = [row for _, _, values in parts for row in values]
    only_q = [role == "q" for role in roles]
    scales: dict[str, Any] = {}
    if precision == "i8":
        coded = [to_bytes(row) for row in rows]
        values = [codes for codes, _ in coded]
        scales = {"scales": list_column([scale for _, scale in coded], pa.float32())}
    else:
        values = [row.astype(ELEMENTS[precision].to_pandas_dtype(), copy=False) for row in rows]

    def on_q(value: Any) -> list[Any]:
        return [value if q else None for q in only_q]

    sinks: list[Any] = [None] * len(layer.heads) if vectors.sinks is None else [float(s) for s in vectors.sinks]
    return {
        **_head_columns(layer, [head for _, heads, _ in parts for head in heads]),
        "role": roles,
        "tokens": [row.shape[0] for row in rows],
        "width": [row.shape[1] for row in rows],
        "values": list_column(values, ELEMENTS[precision]),
        **scales,
        "scale": on_q(float(vectors.scale)),
        "softcap": on_q(vectors.softcap),
        "causal": on_q(vectors.causal),
        "window": on_q(vectors.window),
        "sink": sinks + [None] * (len(rows) - len(sinks)),
        "rotary": on_q(vectors.rotary),
        "norms": [None] * len(rows) if vectors.norms is None else [*vectors.norms, *[None] * (len(rows) - len(vectors.norms))],
    }


def picture_batch(layers: Sequence[Layer]) -> dict[str, Any]:
    """Columns of `pictures`: one row per head of every layer."""
    columns: dict[str, list[Any]] = {name: [] for name in ("input", "kind", "layer", "head", "call", "rows", "columns")}
    pictures: list[Any] = []
    for layer in layers:
        made = layer.pictures
        if made is None:
            whole = layer.weights if layer.sparse is None else layer.sparse.picture
            assert whole is not None
            made = pictures_of(whole)
        for name, values in _head_columns(layer, layer.heads).items():
            columns[name] += values
        columns["rows"] += [made.shape[1]] * len(made)
        columns["columns"] += [made.shape[2]] * len(made)
        pictures += list(made)
    return {**columns, "picture": list_column(pictures, pa.uint8())}


def index_batch(layers: Sequence[Layer], places: dict[str, dict[int, Place]]) -> dict[str, Any]:
    """Columns of `index`: one row per head of every layer, and where its batches lie."""
    columns: dict[str, list[Any]] = {name: [] for name in schema_names("index")}
    for layer in layers:
        count = len(layer.heads)
        for name, values in _head_columns(layer, layer.heads).items():
            columns[name] += values
        same = {"queries": layer.shape[0], "keys": layer.shape[1], "tap": layer.tap, "module": layer.module}
        for name, value in same.items():
            columns[name] += [value] * count
        columns["group"] += list(layer.groups)
        columns["check"] += _nulled(None if layer.check is None else [layer.check] * count, count)
        columns["explained"] += _nulled(layer.explained, count)
        columns["left_out"] += _nulled(None if layer.sparse is None else layer.sparse.left_out.mean(axis=1), count)
        for name in METRICS:
            columns[name] += _nulled(layer.metrics.get(name), count)
        for place in PLACES:
            file, span = places[place].get(id(layer), (None, None))
            columns[f"{place}_path"] += [file] * count
            columns[f"{place}_offset"] += [span.offset if span else None] * count
            columns[f"{place}_length"] += [span.length if span else None] * count
            columns[f"{place}_sha256"] += [span.sha256 if span else None] * count
    return columns


def _nulled(values: Any, count: int) -> list[float | None]:
    """List numbers with null for those that are none: not defined here, or not finite because the model's own were not."""
    if values is None:
        return [None] * count
    return [float(value) if math.isfinite(value) else None for value in values]
