"""The plain data that travels between the rooms: what a capture is, without torch, files or trackers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from attnlog.beside import ReadingBeside
from attnlog.errors import NotRecordedError
from attnlog.outputs import Output, States

if TYPE_CHECKING:
    from attnlog.sparse import SparseWeights
    from attnlog.words import Word

Array = NDArray[np.generic]
FloatArray = NDArray[np.float32]

#: kind → (query axis, key axis); a kind named ``a>b`` has the axes a and b, any other (a tower) one axis of its own name.
AXES: Mapping[str, tuple[str, str]] = {"cross": ("decoder", "encoder")}
PRECISIONS = ("u8", "f16", "f32")  # of weights, coarsest first
VECTOR_PRECISIONS = ("f16", "i8", "f32")  # of queries, keys and values
_BESIDE = ("value norms", "hidden states", "predictions", "loss per token", "saliency")  # what `Missing.what` says of other than attention


def axes_of(kind: str) -> tuple[str, str]:
    """Name the query axis and the key axis of a kind of attention: ``latents>vision`` looks from latents at vision."""
    if kind in AXES:
        return AXES[kind]
    query, arrow, key = kind.partition(">")
    return (query, key) if arrow and query and key else (kind, kind)


def to_codes(weights: Array, precision: str) -> Array:
    """Encode weights in [0, 1]: ``u8`` is round(255·√w), ``f16`` and ``f32`` are the weights themselves."""
    if precision == "u8":
        levels = np.clip(weights, 0, 1, dtype=np.float32)
        np.sqrt(levels, out=levels)
        levels *= 255
        np.rint(levels, out=levels)
        codes: Array = levels.astype(np.uint8)
        return codes
    return weights.astype(np.float16 if precision == "f16" else np.float32)


def to_weights(codes: Array) -> FloatArray:
    """Decode what `to_codes` made; the item type says which precision it was."""
    if codes.dtype == np.uint8:
        scaled = codes.astype(np.float32) / np.float32(255)
        return np.asarray(scaled * scaled, dtype=np.float32)
    return codes.astype(np.float32)


def precision_of(codes: Array) -> str:
    """Name the precision of encoded weights by their item type."""
    return {"uint8": "u8", "float16": "f16", "float32": "f32"}[codes.dtype.name]


@dataclass(frozen=True, kw_only=True)
class Axis:
    """One sequence of tokens of an input. Lists are as long as `tokens`, or None where not known."""

    tokens: tuple[str, ...]
    text: str | None = None
    pair: str | None = None
    ids: tuple[int, ...] | None = None
    starts: tuple[int, ...] | None = None
    ends: tuple[int, ...] | None = None
    segments: tuple[int, ...] | None = None
    special: tuple[bool, ...] | None = None
    generated: tuple[bool, ...] | None = None
    labels: tuple[str, ...] | None = None
    cut: int = 0


@dataclass(frozen=True)
class Input:
    """What attention was recorded for: one text, pair or batch row, as the axes the model saw."""

    axes: Mapping[str, Axis]

    def tokens(self, axis: str = "self") -> tuple[str, ...]:
        """Tokens of one axis (``self``, ``encoder``, ``decoder``, …)."""
        if axis not in self.axes:
            raise NotRecordedError(f"this input has no axis {axis!r}; it has {', '.join(map(repr, self.axes))}")
        return self.axes[axis].tokens


@dataclass(frozen=True, kw_only=True)
class Vectors:
    """Queries, keys and values of one layer for one input, as the attention function saw them, and how scores come of them."""

    q: Array  # [heads, queries, width]
    k: Array  # [key groups, keys, width]
    v: Array | None = None  # [key groups, keys, value width]
    scale: float = 1.0
    softcap: float | None = None
    causal: bool | None = False
    window: int | None = None
    sinks: FloatArray | None = None  # [heads]
    rotary: bool = False
    norms: FloatArray | None = None  # [heads, keys]: ‖v·W_O‖ of each key, W_O the head's part of the output projection


@dataclass(frozen=True, kw_only=True)
class Sparse:
    """Weights of a long input: the top keys of each query row, heads one after the other, and row after row."""

    picture: NDArray[np.uint8]  # [heads, ≤256, ≤256]: greatest weight of each cell, coded as ``u8``
    counts: NDArray[np.uint32]  # [heads, queries]: kept keys of each row
    indices: NDArray[np.uint32]  # the kept keys, ascending within a row
    weights: Array  # encoded, one per index
    left_out: FloatArray  # [heads, queries]: mass of each row on keys that are not kept


@dataclass(frozen=True, kw_only=True)
class Layer:
    """Attention of one layer for one input: all recorded heads."""

    input: int
    kind: str
    layer: int
    call: int = 0
    module: str = ""
    tap: str = "tensors"
    heads: tuple[int, ...]
    groups: tuple[int, ...]  # key group that each recorded head reads
    shape: tuple[int, int]  # queries, keys
    weights: Array | None = None  # encoded [heads, queries, keys]
    sparse: Sparse | None = None  # instead of them, for long inputs
    pictures: NDArray[np.uint8] | None = None  # [heads, rows, columns]
    vectors: Vectors | None = None
    check: float | None = None
    explained: FloatArray | None = None  # [heads]
    metrics: Mapping[str, FloatArray] = field(default_factory=dict)  # name → [heads], NaN where not defined

    @property
    def codes(self) -> Array | None:
        """The encoded weights that there are, dense or sparse: their item type says the precision."""
        return self.weights if self.sparse is None else self.sparse.weights


@dataclass(frozen=True)
class Missing:
    """Something that was asked for and not recorded; its text is a sentence for the user."""

    kind: str
    layer: int | None
    what: str
    reason: str

    def __str__(self) -> str:
        where = self.kind if self.layer is None else f"{self.kind} layer {self.layer}"
        return f"{where}: {self.what} not recorded, because {self.reason}"


class Reading(ReadingBeside):
    """What a capture and a saved step answer alike. Subclasses say where inputs and layers come from."""

    missing: tuple[Missing, ...]

    def find(self, kind: str, layer: int, input: int | None = None, *, what: str = "weights") -> Layer:
        """Return one layer of one input with its ``weights``, its ``vectors`` or only its ``index`` at hand."""
        raise NotImplementedError

    def weights(self, kind: str, layer: int, input: int | None = None, *, words: bool = False) -> FloatArray | SparseWeights:
        """Attention weights, float32 ``[heads, queries, keys]``; of an input that was recorded sparse a `SparseWeights`, which says so.

        Args:
            kind: of attention, such as ``self``.
            layer: of that kind.
            input: number of the input.
            words: between words instead of tokens, ``[heads, query words, key words]``: summed over the tokens of the key word, and the
                mean over the tokens of the query word (Clark et al. 2019, "What Does BERT Look At?", section 4.1), so that rows still
                sum to what they did.

        Raises:
            NotRecordedError: this input, kind or layer was not recorded (the message says what was), or `words` of a sparse one.
        """
        found = self.find(kind, layer, input)
        if found.sparse is not None:
            from attnlog.sparse import SparseWeights

            sparse = SparseWeights(found.heads, found.shape, found.sparse)
            if words:
                raise NotRecordedError(f"weights between words need every weight, and of {kind} layer {layer} there is {sparse!r}")
            return sparse
        if found.weights is None:
            raise NotRecordedError(f"weights of {kind} layer {layer} were not recorded{self._because(kind, layer)}")
        weights = to_weights(found.weights)
        if not words:
            return weights
        from attnlog.words import between_words

        query, key = (self.words(axis, input) for axis in axes_of(kind))
        return between_words(weights, query, key)

    def value_weighted(self, kind: str, layer: int, input: int | None = None) -> FloatArray:
        """Weights times the norms of what they let through, αᵢⱼ·‖vⱼ·W_O‖, float32 ``[heads, queries, keys]``.

        From Kobayashi et al. 2020, "Attention is Not Only a Weight: Analyzing Transformers with Vector Norms": a key with a great
        weight and a small value changes little. Rows do not sum to 1.

        Raises:
            NotRecordedError: weights or values were not recorded, or weights of this input are sparse.
        """
        found = self.find(kind, layer, input, what="vectors").vectors
        if found is None or found.norms is None:
            raise NotRecordedError(
                f"norms of values of {kind} layer {layer} were not recorded (record 'values'){self._because(kind, layer, 'value norms')}"
            )
        weights = self.weights(kind, layer, input)
        if not isinstance(weights, np.ndarray):
            raise NotRecordedError(f"weighting by values needs every weight, and of {kind} layer {layer} there is {weights!r}")
        return np.asarray(weights * found.norms[:, None, :], dtype=np.float32)

    def words(self, axis: str = "self", input: int | None = None) -> tuple[Word, ...]:
        """Words of one axis, each with the range of its tokens: ``(text, start, end)``, ``end`` one past the last."""
        from attnlog.words import words_of

        return words_of(self.inputs[self._number(axis, input)].axes[axis])

    def vectors(self, role: str, kind: str, layer: int, input: int | None = None) -> FloatArray:
        """Queries (``"q"``), keys (``"k"``) or values (``"v"``), float32 ``[heads or key groups, tokens, width]``."""
        if role not in ("q", "k", "v"):
            raise NotRecordedError(f"there are vectors 'q', 'k' and 'v', not {role!r}")
        found = self.find(kind, layer, input, what="vectors").vectors
        values = getattr(found, role) if found is not None else None
        if values is None:
            raise NotRecordedError(f"{role} of {kind} layer {layer} was not recorded{self._because(kind, layer)}")
        return np.asarray(values, dtype=np.float32)

    def group(self, kind: str, layer: int) -> tuple[int, ...]:
        """For each recorded query head, the key group it reads."""
        return self.find(kind, layer, what="index").groups

    def provenance(self, kind: str, layer: int) -> str:
        """Which tap gave the weights: ``interface``, ``function``, ``identity``, ``model`` or ``tensors``."""
        return self.find(kind, layer, what="index").tap

    def _because(self, kind: str, layer: int | None, what: str | None = None) -> str:
        about = [m for m in self.missing if m.kind == kind and (layer is None or m.layer in (layer, None))]
        reasons = [m.reason for m in about if (m.what not in _BESIDE if what is None else m.what == what)]
        return f", because {reasons[0]}" if reasons else ""


@dataclass(frozen=True, repr=False)
class Capture(Reading):
    """In memory: everything recorded for some inputs in one forward pass."""

    inputs: tuple[Input, ...]
    layers: tuple[Layer, ...]
    missing: tuple[Missing, ...] = ()
    model: Mapping[str, object] = field(default_factory=dict)  # name, class, type, attention, parameters
    config: Mapping[str, object] = field(default_factory=dict)
    hidden_states: tuple[States, ...] = ()
    outputs: tuple[Output, ...] = ()

    def __repr__(self) -> str:
        """Say what was recorded, in one line: the arrays are many."""
        lengths = ", ".join(" and ".join(f"{len(axis.tokens)} {name}" for name, axis in one.axes.items()) for one in self.inputs[:4])
        more = ", …" if len(self.inputs) > 4 else ""
        layers: dict[str, set[int]] = {}
        for one in self.layers:
            layers.setdefault(one.kind, set()).add(one.layer)
        heads = {one.kind: len(one.heads) for one in self.layers}
        found = "; ".join(f"{kind}: {len(those)} layers × {heads[kind]} heads" for kind, those in layers.items()) or "no attention"
        return f"Capture({len(self.inputs)} inputs of {lengths}{more} tokens; {found}; missing: {len(self.missing)})"

    def all_states(self) -> Sequence[States]:
        """Hidden states of all inputs."""
        return self.hidden_states

    def all_outputs(self) -> Sequence[Output]:
        """Predictions, losses and saliency of all inputs."""
        return self.outputs

    def find(self, kind: str, layer: int, input: int | None = None, *, what: str = "weights") -> Layer:
        """Return one layer; see `Reading.find`."""
        wanted = (kind, layer, self.selected if input is None else input)
        for candidate in self.layers:
            if (candidate.kind, candidate.layer, candidate.input, candidate.call) == (*wanted, 0):
                return candidate
        raise NotRecordedError(nothing_there(*wanted, ((c.kind, c.layer, c.input) for c in self.layers)))

    @property
    def precision(self) -> str:
        """The coarsest precision of its weights: ``u8``, ``f16`` or ``f32``."""
        kinds = {precision_of(layer.codes) for layer in self.layers if layer.codes is not None}
        return next((p for p in PRECISIONS if p in kinds), "f32")


def nothing_there(kind: str, layer: int, input: int, recorded: Iterable[tuple[str, int, int]]) -> str:
    """Say in one sentence what was asked for and what there is instead."""
    known = sorted(set(recorded))
    if not known:
        return f"nothing was recorded, so there is no {kind} layer {layer} of input {input}"
    kinds = sorted({k for k, _, _ in known})
    if kind not in kinds:
        return f"no attention of kind {kind!r} was recorded; recorded: {', '.join(kinds)}"
    inputs = sorted({i for k, _, i in known if k == kind})
    if input not in inputs:
        return f"no input {input} was recorded; inputs {inputs[0]} to {inputs[-1]} were"
    layers = sorted({n for k, n, i in known if k == kind and i == input})
    return f"{kind} layer {layer} of input {input} was not recorded; layers {', '.join(map(str, layers))} were"
