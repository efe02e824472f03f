"""A capture becomes the assets of one commit."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa

from attnlog.errors import ArgumentError
from attnlog.format.batches import Place, attention_batch, index_batch, picture_batch, schema_names, sparse_batch, vector_batch
from attnlog.format.encode import Asset, encode
from attnlog.format.schema import CELLS, ELEMENTS, PLACES
from attnlog.record import PRECISIONS, Array, Capture, Input, Layer, Vectors, precision_of, to_codes, to_weights
from attnlog.sparse import DENSE_TOKENS, sparse_of

SPLIT = 64_000_000  # batches of one kind that decode to more bytes than this together are spread over several assets
BATCH = 512_000_000  # no batch decodes to more: what would is stored sparse


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


def write_assets(capture: Capture, *, precision: str = "u8", vector_precision: str = "f16", dense_tokens: int = DENSE_TOKENS) -> Assets:
    """Encode a capture.

    Args:
        capture: what to write.
        precision: of the stored weights.
        vector_precision: of the stored queries, keys and values: ``f16``, ``i8`` or ``f32``.
        dense_tokens: layers of more queries or keys than this are stored sparse.

    Raises:
        ArgumentError: the capture is coarser than `precision`.
    """
    check_precision(capture, precision)
    layers = sorted(capture.layers, key=lambda layer: (layer.input, layer.kind, layer.layer, layer.call))
    coded = [_code(layer, precision, dense_tokens) for layer in layers]
    places: dict[str, dict[int, Place]] = {place: {} for place in PLACES}
    spread: list[Asset] = []
    for kind, members, make, stored in (
        ("attention", [x for x in coded if x.weights is not None], attention_batch, precision),
        ("sparse", [x for x in coded if x.sparse is not None], sparse_batch, precision),
        ("vectors", [x for x in coded if x.vectors is not None], *_vector_maker(coded, vector_precision)),
    ):
        for name, part in _spread(kind, members, stored):
            asset = encode(name, kind, (make(layer) for layer in part), precision=stored)
            spread.append(asset)
            places[kind].update({id(m): (name, span) for m, span in zip(part, asset.batches, strict=True)})
    pictured = [layer for layer in coded if layer.codes is not None or layer.pictures is not None]
    small = [
        encode("index.arrow", "index", [index_batch(coded, places)] if coded else []),
        encode("pictures.arrow", "pictures", [picture_batch(pictured)] if pictured else []),
    ]
    return Assets(_inputs(capture.inputs), (*small, *spread))


def thin(assets: Assets) -> Assets:
    """Leave out attention and vectors of a commit, and keep index and pictures: what a budget leaves of it."""
    kept = [_placeless(asset) if asset.kind == "index" else asset for asset in assets.step if asset.kind not in PLACES]
    return Assets(assets.inputs, tuple(kept))


def _placeless(index: Asset) -> Asset:
    found = pa.ipc.open_file(pa.BufferReader(index.data)).read_all()
    for place in PLACES:
        for column in (name for name in found.schema.names if name.startswith(f"{place}_")):
            at = found.schema.get_field_index(column)
            found = found.set_column(at, found.schema.field(at), pa.nulls(found.num_rows, found.schema.field(at).type))
    return encode(index.name, "index", [{c: found.column(c).combine_chunks() for c in found.schema.names}] if found.num_rows else [])


def _code(layer: Layer, precision: str, dense_tokens: int) -> Layer:
    """Encode a layer's weights as they are to be stored: sparse where they are many, in the precision asked for."""
    if layer.weights is not None and (max(layer.shape) > dense_tokens or _size(layer, precision) > BATCH):
        layer = replace(layer, weights=None, sparse=sparse_of(layer.weights))
    codes = layer.codes
    if codes is None or precision_of(codes) == precision:
        return layer
    again = to_codes(to_weights(codes), precision)
    if layer.sparse is not None:
        return replace(layer, sparse=replace(layer.sparse, weights=again))
    return replace(layer, weights=again)


def _size(layer: Layer, precision: str) -> int:
    return int(layer.shape[0] * layer.shape[1] * len(layer.heads) * np.dtype(CELLS[precision].to_pandas_dtype()).itemsize)


def _spread(kind: str, layers: Sequence[Layer], precision: str) -> Iterator[tuple[str, list[Layer]]]:
    """Say which layers go into which asset: all into one, or where that would be large, cut by input and by size."""
    sizes = [_decoded(kind, layer, precision) for layer in layers]
    if sum(sizes) <= SPLIT:
        if layers:
            yield f"{kind}.arrow", list(layers)
        return
    parts: list[list[Layer]] = []
    room = 0
    for layer, size in zip(layers, sizes, strict=True):
        if not parts or size > room or parts[-1][-1].input != layer.input:
            parts.append([])
            room = SPLIT
        parts[-1].append(layer)
        room -= size
    for number, part in enumerate(parts):
        yield f"{kind}-{number}.arrow", part


def _decoded(kind: str, layer: Layer, precision: str) -> int:
    """Estimate what a layer's batch decodes to, without its few bytes per head."""
    if kind == "attention":
        return _size(layer, precision)
    if kind == "sparse":
        found = layer.sparse
        assert found is not None
        return sum(part.nbytes for part in (found.picture, found.counts, found.indices, found.weights, found.left_out))
    width = np.dtype(ELEMENTS[precision].to_pandas_dtype()).itemsize
    return int(width * sum(part.size for part in _parts(layer.vectors)))


def _parts(vectors: Vectors | None) -> list[Array]:
    return [] if vectors is None else [part for part in (vectors.q, vectors.k, vectors.v) if part is not None]


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


def _vector_maker(layers: Sequence[Layer], precision: str) -> tuple[Callable[[Layer], dict[str, Any]], str]:
    """Say how vectors are written, and in which precision: float32 where float16 would make infinities of some."""
    stored = "f32" if precision == "f16" and any(_overflows(layer) for layer in layers) else precision
    return (lambda layer: vector_batch(layer, stored)), stored


def _overflows(layer: Layer) -> bool:
    parts = [part for part in _parts(layer.vectors) if part.size]
    return any(float(np.abs(part).max()) > float(np.finfo(np.float16).max) for part in parts)
