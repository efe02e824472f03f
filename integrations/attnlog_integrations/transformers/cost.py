"""What a step will cost on disk, told before the first capture; an estimate from measured bytes per weight and per element."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from attnlog.sparse import TOP

#: Bytes per weight after compression, and per element of queries and keys; measured on trained attention of 100 tokens.
_WEIGHT = {"u8": 0.65, "f16": 1.8, "f32": 3.7}
_ELEMENT = {"f16": 1.9, "i8": 0.95, "f32": 3.7}
_STATE = 23  # bytes of the six statistics of a token at a layer
_OUTPUT = {"predictions": 60, "saliency": 12}  # bytes of a token; of saliency on each axis
_INDEX = 1.3  # of a kept key of a long input, beside its weight


def step_cost(
    model: Any,
    lengths: Sequence[int],
    *,
    precision: str,
    vector_precision: str,
    dense_tokens: int,
    record: Sequence[str],
    layers: Any,
    heads: Any,
) -> tuple[int, int]:
    """Heads per input and about how many bytes a step takes; encoder-decoder models count encoder, decoder and cross heads."""
    config = model.config.get_text_config() if hasattr(model.config, "get_text_config") else model.config
    stacks = _stacks(config)
    per_input = sum(_few(depth, layers) * _few(width, heads) for depth, width in stacks)
    per_head = sum(n * n * _WEIGHT[precision] if n <= dense_tokens else n * TOP * (_WEIGHT[precision] + _INDEX) for n in lengths)
    weights = per_input * per_head if "attention" in record else 0
    width = _head_width(config)
    roles = 2 * ("vectors" in record) + ("values" in record)
    elements = per_input * sum(lengths) * width * roles
    norms = 3.7 * per_input * sum(lengths) if "values" in record else 0
    return per_input, int(weights + elements * _ELEMENT[vector_precision] + norms + _beside(config, stacks, lengths, record))


def _beside(config: Any, stacks: Sequence[tuple[int, int]], lengths: Sequence[int], record: Sequence[str]) -> float:
    """Bytes of hidden states, predictions and saliency; embeddings are a layer, and cross attention has no states of its own."""
    layers = sum(depth + 1 for depth, _ in stacks[:2])
    hidden = getattr(config, "hidden_size", None) or getattr(config, "d_model", None)
    states = _STATE * layers if {"states", "hidden"} & set(record) else 0
    whole = _ELEMENT["f16"] * layers * hidden if "hidden" in record and isinstance(hidden, int) else 0
    axes = {"saliency": min(len(stacks), 2)}
    return sum(lengths) * (states + whole + sum(size * axes.get(name, 1) for name, size in _OUTPUT.items() if name in record))


def said(inputs: int, heads: int, cost: int) -> str:
    """Say it: ``8 inputs × 144 heads: 6 MB a step``."""
    size = f"{cost / 1e6:.0f} MB" if cost >= 10e6 else f"{cost / 1e6:.1f} MB" if cost >= 1e5 else f"{max(1, round(cost / 1e3))} kB"
    return f"{inputs} input{'' if inputs == 1 else 's'} × {heads} heads: about {size} a step"


def input_lengths(inputs: Any, tokenizer: Any, *, max_tokens: int) -> list[int]:
    """Tokens of each input."""
    if isinstance(inputs, Mapping) or hasattr(inputs, "keys"):
        ids = inputs["input_ids"]
        if "attention_mask" in inputs:
            return [int(sum(row)) for row in inputs["attention_mask"]]
        return [len(row) for row in ids]
    tokenizer = getattr(tokenizer, "tokenizer", tokenizer)
    ids = [tokenizer(*((text,) if isinstance(text, str) else text))["input_ids"] for text in inputs]
    return [min(len(row), max_tokens) for row in ids]


def _stacks(config: Any) -> list[tuple[int, int]]:
    def first(*names: str) -> int:
        return next((n for name in names if isinstance(n := getattr(config, name, None), int)), 0)

    heads = first("num_attention_heads", "n_head", "num_heads", "encoder_attention_heads")
    if not getattr(config, "is_encoder_decoder", False):
        return [(first("num_hidden_layers", "n_layer", "num_layers"), heads)]
    encoder = first("encoder_layers", "num_layers", "num_hidden_layers")
    decoder = first("decoder_layers", "num_decoder_layers") or encoder
    decoder_heads = first("decoder_attention_heads") or heads
    return [(encoder, heads), (decoder, decoder_heads), (decoder, decoder_heads)]


def _head_width(config: Any) -> int:
    given = getattr(config, "head_dim", None) or getattr(config, "d_kv", None)
    if isinstance(given, int):
        return given
    hidden, heads = getattr(config, "hidden_size", 0) or 0, getattr(config, "num_attention_heads", 0) or 1
    return int(hidden) // int(heads)


def _few(all_of_them: int, chosen: Any) -> int:
    return all_of_them if chosen is None else min(all_of_them, len(chosen))
