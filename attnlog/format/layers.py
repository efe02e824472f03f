"""Checked tables become inputs, layers and vectors."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from attnlog.errors import AssetSchemaError
from attnlog.format.columns import lists
from attnlog.metrics import METRICS
from attnlog.record import Axis, Input, Layer, Sparse, Vectors


def _tuple(value: Any) -> Any:
    return None if value is None else tuple(value)


def inputs_from(found: pa.Table, name: str) -> tuple[Input, ...]:
    """Take the inputs out of their asset."""
    axes: dict[int, dict[str, Axis]] = {}
    for row in found.to_pylist():
        columns = {c: _tuple(row[c]) for c in ("tokens", "ids", "starts", "ends", "segments", "special", "generated", "labels")}
        for column, values in columns.items():
            if values is not None and len(values) != len(columns["tokens"]):
                raise AssetSchemaError(
                    f"{name}: {column} of input {row['input']} has {len(values)} items for {len(columns['tokens'])} tokens"
                )
        axes.setdefault(row["input"], {})[row["axis"]] = Axis(text=row["text"], pair=row["pair"], cut=row["cut"], **columns)
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
    _same(found, layer, name)
    return lists(found, "weights")[1].reshape(len(layer.heads), *layer.shape)


def sparse_from(found: pa.Table, layer: Layer, name: str) -> Sparse:
    """Take the sparse weights of one layer out of its batch."""
    _same(found, layer, name)
    heads, queries, _ = len(layer.heads), *layer.shape
    rows, columns = found.column("rows").to_pylist(), found.column("columns").to_pylist()
    if len({*zip(rows, columns, strict=True)}) != 1:
        raise AssetSchemaError(f"{name}: pictures of {layer.kind} layer {layer.layer} differ in shape")
    return Sparse(
        picture=lists(found, "picture")[1].reshape(heads, rows[0], columns[0]),
        counts=lists(found, "counts")[1].reshape(heads, queries),
        indices=lists(found, "indices")[1],
        weights=lists(found, "weights")[1],
        left_out=lists(found, "left_out")[1].reshape(heads, queries),
    )


def _same(found: pa.Table, layer: Layer, name: str) -> None:
    """Check that a batch holds the layer for which the index names it."""
    count = len(layer.heads)
    if found.column("head").to_pylist() != list(layer.heads):
        raise AssetSchemaError(f"{name}: heads of {layer.kind} layer {layer.layer} are not those of the index")
    said = {"queries": layer.shape[0], "keys": layer.shape[1], **_where(layer)}
    if any(found.column(column).to_pylist() != [value] * count for column, value in said.items()):
        raise AssetSchemaError(f"{name}: input, layer or shape of {layer.kind} layer {layer.layer} are not those of the index")


def _where(layer: Layer) -> dict[str, Any]:
    return {"input": layer.input, "kind": layer.kind, "layer": layer.layer, "call": layer.call}


def vectors_from(found: pa.Table, layer: Layer, name: str) -> Vectors:
    """Take the vectors of one layer out of its batch."""
    if any(set(found.column(column).to_pylist()) != {value} for column, value in _where(layer).items()):
        raise AssetSchemaError(f"{name} holds other vectors than those of {layer.kind} layer {layer.layer}")
    columns = found.select([c for c in found.schema.names if c not in ("values", "scales", "norms")]).to_pylist()
    offsets, values = lists(found, "values")
    if values.dtype == np.int8:
        starts, scales = lists(found, "scales")
    parts: dict[str, list[Any]] = {"q": [], "k": [], "v": []}
    heads: dict[str, list[int]] = {"q": [], "k": [], "v": []}
    for number, row in enumerate(columns):
        part = values[offsets[number] : offsets[number + 1]].reshape(row["tokens"], row["width"])
        if values.dtype == np.int8:
            part = part.astype(np.float32) * scales[starts[number] : starts[number + 1], None]
        parts[row["role"]].append(part)
        heads[row["role"]].append(row["head"])
    groups = sorted(set(layer.groups))
    fits = heads["q"] == list(layer.heads) and heads["k"] == groups and heads["v"] in ([], groups)
    if not fits or any(len({x.shape for x in part}) > 1 for part in parts.values()):
        raise AssetSchemaError(f"{name}: q, k or v of {layer.kind} layer {layer.layer} are missing, differ in shape or are of other heads")
    if (parts["q"][0].shape[0], parts["k"][0].shape[0]) != layer.shape or parts["q"][0].shape[1] != parts["k"][0].shape[1]:
        raise AssetSchemaError(f"{name}: q and k of {layer.kind} layer {layer.layer} do not have the shape that the index says")
    first = columns[0]
    sinks = [row["sink"] for row in columns if row["role"] == "q"]
    if first["role"] != "q" or first["scale"] is None:
        raise AssetSchemaError(f"{name}: {layer.kind} layer {layer.layer} does not say the scale of q·k")
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
        norms=_norms_from(found, layer, name),
    )


def _norms_from(found: pa.Table, layer: Layer, name: str) -> NDArray[np.float32] | None:
    if "norms" not in found.schema.names:
        return None
    rows = found.column("norms").slice(0, len(layer.heads))  # queries come first, one row per head
    if rows.null_count:
        return None
    starts, norms = lists(found.slice(0, len(layer.heads)), "norms")
    if (np.diff(starts) != layer.shape[1]).any():
        raise AssetSchemaError(f"{name}: norms of {layer.kind} layer {layer.layer} are not as many as it has keys")
    return np.asarray(norms, dtype=np.float32).reshape(len(layer.heads), layer.shape[1])
