"""A capture from tensors somebody already has: BertViz's tuple of attentions, numpy arrays, one kind or three."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from attnlog.errors import InputError
from attnlog.explain import explained_by
from attnlog.metrics import head_metrics
from attnlog.record import AXES, Axis, Capture, FloatArray, Input, Layer, Vectors, axes_of, to_codes

Layers = Sequence[Any]  # per layer [heads, queries, keys] or [inputs, heads, queries, keys]
Tokens = Sequence[str] | Sequence[Sequence[str]]

_SUM = 1e-2  # a row of half-precision weights may pass 1 by this much


def from_tensors(
    attentions: Layers | Mapping[str, Layers],
    tokens: Tokens | Mapping[str, Tokens],
    *,
    queries: Layers | Mapping[str, Layers] | None = None,
    keys: Layers | Mapping[str, Layers] | None = None,
    values: Layers | Mapping[str, Layers] | None = None,
    scale: float | None = None,
    causal: bool | None = None,
    sentence_b_start: int | None = None,
    special: Sequence[str] = ("[CLS]", "[SEP]", "[PAD]", "<s>", "</s>", "<pad>"),
    precision: str = "f32",
) -> Capture:
    """Make a capture of tensors you already have.

    Args:
        attentions: per layer an array or tensor ``[heads, queries, keys]`` or ``[inputs, heads, queries, keys]`` (what a model
            returns as ``attentions``); for several kinds a mapping ``{"encoder": …, "decoder": …, "cross": …}``.
        tokens: the tokens, or one list of tokens per input; for several axes a mapping ``{"encoder": …, "decoder": …}``.
        queries: likewise ``[heads, tokens, width]``.
        keys: likewise ``[key groups, tokens, width]``; heads are a whole multiple of key groups.
        values: as keys.
        scale: factor of q·kᵀ; default 1/√width.
        causal: whether keys after the query are masked; default: whether all their weights are 0.
        sentence_b_start: first token of the second text of a pair, as in BertViz.
        special: tokens that count as special.
        precision: ``f32``, ``f16`` or ``u8``.

    Raises:
        InputError: shapes and tokens do not fit; the message names the layer and both shapes.
    """
    by_kind = attentions if isinstance(attentions, Mapping) else {"self": attentions}
    by_axis = tokens if isinstance(tokens, Mapping) else {axes_of(kind)[0]: tokens for kind in by_kind}
    if not by_kind or not all(len(layers) for layers in by_kind.values()):
        raise InputError(
            "attentions is empty: give one array per layer (models return it with output_attentions=True and attn_implementation='eager')"
        )
    named = {axis: _per_input(lists) for axis, lists in by_axis.items()}
    count = {len(lists) for lists in named.values()}
    if len(count) != 1:
        raise InputError(f"tokens are of {sorted(count)} inputs on different axes; give as many lists on each")
    axes = {name: [_axis(one, special, sentence_b_start if name not in AXES else None) for one in lists] for name, lists in named.items()}
    inputs = tuple(Input({name: axis[i] for name, axis in axes.items()}) for i in range(count.pop()))
    vectors = {"q": _kinds(queries, by_kind), "k": _kinds(keys, by_kind), "v": _kinds(values, by_kind)}
    layers = []
    for kind, stack in by_kind.items():
        for number, tensor in enumerate(stack):
            batch = _batch(tensor, f"attentions of {kind} layer {number}")
            if len(batch) != len(inputs):
                raise InputError(f"{kind} layer {number} holds {len(batch)} inputs, tokens are of {len(inputs)}")
            for i, weights in enumerate(batch):
                given = {role: _layer_of(part.get(kind), number, i) for role, part in vectors.items()}
                layers.append(_layer(weights, inputs[i], i, kind, number, given, scale, causal, precision))
    return Capture(inputs, tuple(layers), model={"name": "tensors"})


def _layer(
    weights: FloatArray,
    one: Input,
    number: int,
    kind: str,
    layer: int,
    given: Mapping[str, FloatArray | None],
    scale: float | None,
    causal: bool | None,
    precision: str,
) -> Layer:
    where = f"{kind} layer {layer} of input {number}"
    query_axis, key_axis = axes_of(kind)
    for axis in (query_axis, key_axis):
        if axis not in one.axes:
            raise InputError(f"{where} needs tokens of the axis {axis!r}: pass tokens={{{axis!r}: […], …}}")
    query, key = one.axes[query_axis], one.axes[key_axis]
    heads, rows, columns = weights.shape
    if (rows, columns) != (len(query.tokens), len(key.tokens)):
        raise InputError(f"{where} has shape {rows} × {columns}, its tokens are {len(query.tokens)} × {len(key.tokens)}")
    if not np.isfinite(weights).all() or weights.min() < 0 or weights.sum(-1).max() > 1 + _SUM:
        raise InputError(
            f"{where} does not hold attention weights: they lie in 0 … 1 and a row sums to at most 1 (were they scores before the softmax?)"
        )
    aligned = query_axis == key_axis
    if causal is None:
        causal = bool(aligned and rows > 1 and not np.triu(weights, 1).any())
    groups = tuple(range(heads))
    vectors = None
    if given["q"] is not None and given["k"] is not None:
        vectors = _vectors(given, (heads, rows, columns), scale, causal, where)
        groups = tuple(head // (heads // len(vectors.k)) for head in range(heads))
    weights = np.clip(weights, 0, 1)
    return Layer(
        input=number,
        kind=kind,
        layer=layer,
        heads=tuple(range(heads)),
        groups=groups,
        shape=(rows, columns),
        weights=to_codes(weights, precision),
        vectors=vectors,
        explained=None if vectors is None else explained_by(vectors, weights, groups),
        metrics=head_metrics(weights, query, key, aligned=aligned),
    )


def _vectors(given: Mapping[str, FloatArray | None], shape: tuple[int, int, int], scale: float | None, causal: bool, where: str) -> Vectors:
    q, k, v = given["q"], given["k"], given["v"]
    assert q is not None
    assert k is not None
    heads, rows, columns = shape
    fits = q.shape[:2] == (heads, rows) and k.shape[1] == columns and heads % len(k) == 0 and q.shape[2] == k.shape[2]
    if not fits or (v is not None and v.shape[:2] != k.shape[:2]):
        shapes = f"queries {q.shape}, keys {k.shape}" + ("" if v is None else f", values {v.shape}")
        raise InputError(f"{where}: {shapes} do not fit weights of {heads} heads × {rows} × {columns}")
    return Vectors(q=q, k=k, v=v, scale=q.shape[2] ** -0.5 if scale is None else scale, causal=causal)


def _kinds(given: Layers | Mapping[str, Layers] | None, by_kind: Mapping[str, Layers]) -> Mapping[str, Layers]:
    if given is None:
        return {}
    return given if isinstance(given, Mapping) else {next(iter(by_kind)): given}


def _layer_of(layers: Layers | None, layer: int, input: int) -> FloatArray | None:
    if layers is None or layer >= len(layers) or layers[layer] is None:
        return None
    batch = _batch(layers[layer], f"vectors of layer {layer}")
    if input >= len(batch):
        raise InputError(f"vectors of layer {layer} hold {len(batch)} inputs, tokens are of more")
    found: FloatArray = batch[input]
    return found


def _batch(tensor: Any, what: str) -> FloatArray:
    """Turn an array or tensor into float32 ``[inputs, heads, …, …]`` without needing torch to be installed."""
    if hasattr(tensor, "detach"):
        tensor = tensor.detach().cpu().float().numpy()
    array = np.array(tensor, dtype=np.float32)  # a copy: it is written later, when the caller may have changed theirs
    if array.ndim == 3:
        array = array[None]
    if array.ndim != 4 or 0 in array.shape:
        raise InputError(f"{what} has shape {array.shape}; expected [heads, rows, columns] or [inputs, heads, rows, columns]")
    return array


def _per_input(tokens: Tokens) -> list[list[str]]:
    if not len(tokens):
        raise InputError("tokens is empty: give the tokens of the input, or one list per input")
    if isinstance(tokens, str):
        raise InputError(f"tokens is the text {tokens!r}: give a list of tokens")
    lists = [tokens] if all(isinstance(t, str) for t in tokens) else tokens
    return [[str(token) for token in one] for one in lists]


def _axis(tokens: list[str], special: Sequence[str], b_start: int | None) -> Axis:
    marks = tuple(token in special for token in tokens)
    segments = None if b_start is None else tuple(int(i >= b_start) for i in range(len(tokens)))
    return Axis(tokens=tuple(tokens), segments=segments, special=marks if any(marks) else None)
