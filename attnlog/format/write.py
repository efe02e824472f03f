"""A capture becomes the assets of one commit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa

from attnlog.errors import ArgumentError
from attnlog.format.batches import Place, attention_batch, index_batch, picture_batch, schema_names, sparse_batch, vector_batch
from attnlog.format.beside import write_beside
from attnlog.format.encode import Asset, encode
from attnlog.format.schema import CELLS, ELEMENTS, PLACES
from attnlog.format.spread import spread
from attnlog.record import PRECISIONS, Array, Capture, Input, Layer, Vectors, precision_of, to_codes, to_weights
from attnlog.sparse import DENSE_TOKENS, sparse_of

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
    spread_out: list[Asset] = []
    no_norms = frozenset() if any(x.vectors is not None and x.vectors.norms is not None for x in coded) else frozenset({"norms"})
    for kind, members, make, stored in (
        ("attention", [x for x in coded if x.weights is not None], attention_batch, precision),
        ("sparse", [x for x in coded if x.sparse is not None], sparse_batch, precision),
        ("vectors", [x for x in coded if x.vectors is not None], *_vector_maker(coded, vector_precision)),
    ):
        for name, part in spread(kind, members, [_decoded(kind, layer, stored) for layer in members]):
            without = no_norms if kind == "vectors" else frozenset()
            asset = encode(name, kind, (make(layer) for layer in part), precision=stored, without=without)
            spread_out.append(asset)
            places[kind].update({id(m): (name, span) for m, span in zip(part, asset.batches, strict=True)})
    pictured = [layer for layer in coded if layer.codes is not None or layer.pictures is not None]
    small = [
        encode("index.arrow", "index", [index_batch(coded, places)] if coded else []),
        encode("pictures.arrow", "pictures", [picture_batch(pictured)] if pictured else []),
    ]
    return Assets(_inputs(capture.inputs), (*small, *spread_out, *write_beside(capture)))


def thin(assets: Assets) -> Assets:
    """Leave out attention, vectors and hidden states of a commit: what a budget leaves of it.

    Index, pictures, statistics of hidden states, predictions, losses and saliency are small, and stay.
    """
    without = {"index": PLACES, "states": ("hidden",)}
    kept = [asset for asset in assets.step if asset.kind not in (*PLACES, "hidden")]
    return Assets(assets.inputs, tuple(_placeless(asset, without[asset.kind]) if asset.kind in without else asset for asset in kept))


def _placeless(asset: Asset, places: Sequence[str]) -> Asset:
    file = pa.ipc.open_file(pa.BufferReader(asset.data))
    columns = {name for name in file.schema.names for place in places if name.startswith(f"{place}_")}
    batches = (file.get_batch(n) for n in range(file.num_record_batches))
    said = ({c: pa.nulls(len(b), b.schema.field(c).type) if c in columns else b.column(c) for c in b.schema.names} for b in batches)
    return encode(asset.name, asset.kind, said)


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
