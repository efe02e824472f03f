"""A capture becomes the assets of one commit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa

from attnlog.errors import ArgumentError
from attnlog.format.encode import Asset, Span, encode, list_column
from attnlog.format.pictures import pictures_of
from attnlog.format.schema import CELLS, PLACES, schema
from attnlog.metrics import METRICS
from attnlog.record import PRECISIONS, Capture, Input, Layer, precision_of, to_codes, to_weights

SPLIT = 64_000_000  # weights that decode to more bytes than this become one asset per input
Place = tuple[str, Span]  # file name, where the batch lies


@dataclass(frozen=True)
class Assets:
    """What one commit consists of: the inputs asset, shared between commits, and the assets of the step."""

    inputs: Asset
    step: tuple[Asset, ...]

    @property
    def bytes(self) -> int:
        """Length of all files of the step together."""
        return sum(len(asset.data) for asset in self.step)


def check_precision(capture: Capture, precision: str) -> None:
    """Refuse to store a capture coarser than asked for: what was lost cannot be written.

    Raises:
        ArgumentError: naming both precisions and the remedy.
    """
    if precision not in PRECISIONS:
        raise ArgumentError(f"precision is one of {', '.join(PRECISIONS)}, not {precision!r}")
    if PRECISIONS.index(capture.precision) < PRECISIONS.index(precision):
        raise ArgumentError(
            f"this capture has precision {capture.precision}, coarser than the run's {precision}: "
            f"capture with precision={precision!r} (or open the run with precision={capture.precision!r})"
        )


def write_assets(capture: Capture, *, precision: str = "u8", complete: bool = True) -> Assets:
    """Encode a capture.

    Args:
        capture: what to write.
        precision: of the stored weights.
        complete: False leaves attention and vectors out and keeps index and pictures.

    Raises:
        ArgumentError: the capture is coarser than `precision`.
    """
    check_precision(capture, precision)
    layers = sorted(capture.layers, key=lambda layer: (layer.input, layer.kind, layer.layer, layer.call))
    coded = [_code(layer, precision) for layer in layers]
    places: dict[str, dict[int, Place]] = {place: {} for place in PLACES}
    assets: list[Asset] = []
    if complete:
        for asset, members in _attention(coded, precision):
            assets.append(asset)
            places["attention"].update({id(m): (asset.name, s) for m, s in zip(members, asset.batches, strict=True)})
        with_vectors = [layer for layer in coded if layer.vectors is not None]
        if with_vectors:
            wide = any(_overflows(layer) for layer in with_vectors)
            asset = encode("vectors.arrow", "vectors", (_vector_batch(layer, wide=wide) for layer in with_vectors), wide=wide)
            assets.append(asset)
            places["vectors"].update({id(m): (asset.name, s) for m, s in zip(with_vectors, asset.batches, strict=True)})
    pictured = [layer for layer in coded if layer.weights is not None or layer.pictures is not None]
    small = [
        encode("index.arrow", "index", [_index_batch(coded, places)] if coded else []),
        encode("pictures.arrow", "pictures", [_picture_batch(pictured)] if pictured else []),
    ]
    return Assets(_inputs(capture.inputs), (*small, *assets))


def _code(layer: Layer, precision: str) -> Layer:
    if layer.weights is None or precision_of(layer.weights) == precision:
        return layer
    return replace(layer, weights=to_codes(to_weights(layer.weights), precision))


def _inputs(inputs: Sequence[Input]) -> Asset:
    rows: dict[str, list[Any]] = {name: [] for name in schema_names("inputs")}
    for number, one in enumerate(inputs):
        for name, axis in one.axes.items():
            rows["input"].append(number)
            rows["axis"].append(name)
            for column in rows.keys() - {"input", "axis"}:
                rows[column].append(getattr(axis, column))
    asset = encode("inputs", "inputs", [rows])
    return replace(asset, name=f"inputs-{asset.sha256[:16]}.arrow")


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


def _attention(layers: Sequence[Layer], precision: str) -> Iterator[tuple[Asset, list[Layer]]]:
    with_weights = [layer for layer in layers if layer.weights is not None]
    if not with_weights:
        return
    files = {"attention.arrow": with_weights}
    if sum(layer.weights.nbytes for layer in with_weights if layer.weights is not None) > SPLIT:
        files = {}
        for layer in with_weights:
            files.setdefault(f"attention-{layer.input}.arrow", []).append(layer)
    for name, members in files.items():
        yield encode(name, "attention", (_attention_batch(x) for x in members), precision=precision), members


def _attention_batch(layer: Layer) -> dict[str, Any]:
    assert layer.weights is not None
    count = len(layer.heads)
    return {
        **_head_columns(layer, layer.heads),
        "queries": [layer.shape[0]] * count,
        "keys": [layer.shape[1]] * count,
        "weights": list_column(list(layer.weights), CELLS[precision_of(layer.weights)]),
    }


def _overflows(layer: Layer) -> bool:
    """Whether a vector is too large for float16, which would make infinities of it."""
    found = layer.vectors
    parts = [] if found is None else [part for part in (found.q, found.k, found.v) if part is not None and part.size]
    return any(float(np.abs(part).max()) > float(np.finfo(np.float16).max) for part in parts)


def _vector_batch(layer: Layer, *, wide: bool) -> dict[str, Any]:
    vectors = layer.vectors
    assert vectors is not None
    groups = sorted(set(layer.groups))
    parts = [("q", layer.heads, vectors.q), ("k", groups, vectors.k)]
    if vectors.v is not None:
        parts.append(("v", groups, vectors.v))
    roles = [role for role, heads, _ in parts for _ in heads]
    rows = [row for _, _, values in parts for row in values]
    only_q = [role == "q" for role in roles]
    width, item = (np.float32, pa.float32()) if wide else (np.float16, pa.float16())

    def on_q(value: Any) -> list[Any]:
        return [value if q else None for q in only_q]

    sinks: list[Any] = [None] * len(layer.heads) if vectors.sinks is None else [float(s) for s in vectors.sinks]
    return {
        **_head_columns(layer, [head for _, heads, _ in parts for head in heads]),
        "role": roles,
        "tokens": [row.shape[0] for row in rows],
        "width": [row.shape[1] for row in rows],
        "values": list_column([row.astype(width, copy=False) for row in rows], item),
        "scale": on_q(float(vectors.scale)),
        "softcap": on_q(vectors.softcap),
        "causal": on_q(vectors.causal),
        "window": on_q(vectors.window),
        "sink": sinks + [None] * (len(rows) - len(sinks)),
        "rotary": on_q(vectors.rotary),
    }


def _picture_batch(layers: Sequence[Layer]) -> dict[str, Any]:
    columns: dict[str, list[Any]] = {name: [] for name in ("input", "kind", "layer", "head", "call", "rows", "columns")}
    pictures: list[Any] = []
    for layer in layers:
        made = layer.pictures if layer.pictures is not None else pictures_of(layer.weights)  # type: ignore[arg-type]
        for name, values in _head_columns(layer, layer.heads).items():
            columns[name] += values
        columns["rows"] += [made.shape[1]] * len(made)
        columns["columns"] += [made.shape[2]] * len(made)
        pictures += list(made)
    return {**columns, "picture": list_column(pictures, pa.uint8())}


def _index_batch(layers: Sequence[Layer], places: dict[str, dict[int, Place]]) -> dict[str, Any]:
    columns: dict[str, list[Any]] = {name: [] for name in schema_names("index")}
    for layer in layers:
        count = len(layer.heads)
        for name, values in _head_columns(layer, layer.heads).items():
            columns[name] += values
        same = {"queries": layer.shape[0], "keys": layer.shape[1], "tap": layer.tap, "module": layer.module, "check": layer.check}
        for name, value in same.items():
            columns[name] += [value] * count
        columns["group"] += list(layer.groups)
        columns["explained"] += _nulled(layer.explained, count)
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
    """List numbers with null for NaN, which means "not defined" here."""
    if values is None:
        return [None] * count
    return [None if value != value else float(value) for value in values]
