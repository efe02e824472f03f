"""`nn.MultiheadAttention` and the layers of torch that call it, their fused paths included.

A function mode would turn the fused paths off and so change what the model computes: their forwards run without it, and are looked at
from outside.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch.nn.functional import linear

from attnlog.capture.call import Call
from attnlog.capture.patched import Patch
from attnlog.errors import AttnlogError

_active = threading.local()
_TAPPED: tuple[Any, ...] = (torch.nn.MultiheadAttention, torch.nn.TransformerEncoderLayer, torch.nn.TransformerEncoder)
_original: dict[Any, Callable[..., Any]] = {}


@contextmanager
def tapped(seen: Callable[[Call], None], failed: Callable[[Exception], None]) -> Iterator[None]:
    """While inside, call `seen` after every attention that this thread computes with torch's own modules.

    `failed` gets what goes wrong in looking at one: the forward pass goes on.
    """
    with _patch.held():
        before = getattr(_active, "seen", None), getattr(_active, "failed", None)
        _active.seen, _active.failed = seen, failed
        try:
            yield
        finally:
            _active.seen, _active.failed = before


def _install() -> Callable[[], None]:
    for kind, look in zip(_TAPPED, (_attention, _layer, None), strict=True):
        _original[kind] = kind.forward
        kind.forward = _wrapped(kind.forward, look)

    def remove() -> None:
        for kind, forward in _original.items():
            kind.forward = forward
        _original.clear()

    return remove


_patch = Patch(_install)


def _wrapped(forward: Callable[..., Any], look: Callable[..., None] | None) -> Callable[..., Any]:
    def run(self: Any, *args: Any, **kwargs: Any) -> Any:
        # Layers in training mode have no fused path: their parts are seen as they run.
        if getattr(_active, "seen", None) is None or (self.training and look is not _attention):
            return forward(self, *args, **kwargs)
        outer, _active.count = getattr(_active, "count", 0), 0
        with torch._C.DisableTorchFunction():
            result = forward(self, *args, **kwargs)
            try:
                if look is not None:
                    with torch.no_grad():
                        look(self, forward, args, kwargs, result)
            except AttnlogError:
                raise  # a layer or head that is not there: the user's to mend
            except Exception as error:
                _active.failed(error)
        _active.count += outer
        return result

    return run


def _attention(module: Any, forward: Any, args: Any, kwargs: Any, result: Any) -> None:
    names = ("query", "key", "value", "key_padding_mask", "need_weights", "attn_mask", "average_attn_weights", "is_causal")
    given = {**dict(zip(names, args, strict=False)), **kwargs}
    _active.count = getattr(_active, "count", 0) + 1
    call = _call(module, forward, given, result[0])
    if call is not None:
        _active.seen(call)


def _layer(module: Any, forward: Any, args: Any, kwargs: Any, result: Any) -> None:
    """Look at a whole encoder layer whose fused path called no attention module."""
    if getattr(_active, "count", 0):
        return
    given = {**dict(zip(("src", "src_mask", "src_key_padding_mask", "is_causal"), args, strict=False)), **kwargs}
    src, padding = given["src"], given.get("src_key_padding_mask")
    if src.is_nested:
        # The encoder packed its rows: those that are shorter are padded again, at the end.
        lengths = torch.tensor([len(part) for part in src.unbind()], device=src.device)
        src, result = src.to_padded_tensor(0.0), result.to_padded_tensor(0.0)
        padding = torch.arange(src.shape[1], device=src.device)[None] >= lengths[:, None]
    x = module.norm1(src) if module.norm_first else src
    attention = module.self_attn
    weighed = {"key_padding_mask": padding, "attn_mask": given.get("src_mask"), "is_causal": bool(given.get("is_causal"))}
    out = _original[torch.nn.MultiheadAttention](attention, x, x, x, need_weights=False, **weighed)[0]
    # The layer's own output tells whether that is what it computed.
    if module.norm_first:
        whole = src + out
        whole = whole + module._ff_block(module.norm2(whole))
    else:
        whole = module.norm1(src + out)
        whole = module.norm2(whole + module._ff_block(whole))
    difference = (whole - result).abs()
    if padding is not None and padding.dtype == torch.bool:
        difference = difference[~padding] if module.self_attn.batch_first else difference
    call = _call(attention, _original[torch.nn.MultiheadAttention], {"query": x, "key": x, "value": x, **weighed}, out)
    if call is not None:
        call.keywords["difference"] = max(float(difference.max()), call.keywords.get("difference", 0.0))
        _active.seen(call)
    _active.count = 1


def _call(module: Any, forward: Any, given: dict[str, Any], output: torch.Tensor) -> Call | None:
    query, key, value = given["query"], given["key"], given["value"]
    if query.is_nested:
        return None
    weighed = {
        **{name: given.get(name) for name in ("key_padding_mask", "attn_mask")},
        "is_causal": bool(given.get("is_causal", False)),
        "need_weights": True,
        "average_attn_weights": False,
    }
    training, module.training = module.training, False  # without dropout: it would draw, and others' random numbers be different
    try:
        weights = forward(module, query, key, value, **weighed)[1]
    finally:
        module.training = training
    batched = query.dim() == 3
    rows = [t if not batched or module.batch_first else t.transpose(0, 1) for t in (query, key, value, output)]
    rows = rows if batched else [t[None] for t in rows]
    return _made(
        module,
        rows,
        weights if batched else weights[None],
        heads=module.num_heads,
        packed=module.in_proj_weight,
        separate=None if module._qkv_same_embed_dim else (module.q_proj_weight, module.k_proj_weight, module.v_proj_weight),
        bias=module.in_proj_bias,
        out=(module.out_proj.weight, module.out_proj.bias),
    )


_ARGUMENTS = (
    "query key value embed_dim_to_check num_heads in_proj_weight in_proj_bias bias_k bias_v add_zero_attn dropout_p out_proj_weight "
    "out_proj_bias training key_padding_mask need_weights attn_mask use_separate_proj_weight q_proj_weight k_proj_weight v_proj_weight "
    "static_k static_v average_attn_weights is_causal"
)
_FUNCTIONAL = _ARGUMENTS.split()


def call_of(module: torch.nn.Module, function: Any, args: Any, kwargs: Any, output: torch.Tensor) -> Call | None:
    """Make a call of torch's `multi_head_attention_forward`, as models call it with projections of their own."""
    given = {**dict(zip(_FUNCTIONAL, args, strict=False)), **kwargs}
    if given["query"].is_nested or given.get("static_k") is not None or given.get("static_v") is not None:
        return None
    weights = function(**{**given, "need_weights": True, "average_attn_weights": False, "training": False})[1]
    batched = given["query"].dim() == 3
    rows = [given[name] for name in ("query", "key", "value")] + [output]
    rows = [t.transpose(0, 1) if batched else t[None] for t in rows]
    separate = tuple(given.get(f"{role}_proj_weight") for role in "qkv") if given.get("use_separate_proj_weight") else None
    return _made(
        module,
        rows,
        weights if batched else weights[None],
        heads=given["num_heads"],
        packed=given["in_proj_weight"],
        separate=separate,
        bias=given["in_proj_bias"],
        out=(given["out_proj_weight"], given["out_proj_bias"]),
    )


def _made(
    module: torch.nn.Module,
    rows: Sequence[torch.Tensor],  # query, key, value and output, each [batch, tokens, width]
    weights: torch.Tensor,
    *,
    heads: int,
    packed: Any,
    separate: Any,
    bias: Any,
    out: tuple[Any, Any],
) -> Call:
    projections = packed.chunk(3) if separate is None else separate
    biases = (None, None, None) if bias is None else bias.chunk(3)
    *given, output = rows
    projected = [linear(x, w, b) for x, w, b in zip(given, projections, biases, strict=True)]
    q, k, v = (x.view(*x.shape[:-1], heads, -1).transpose(1, 2) for x in projected)
    # Keys that torch adds behind the tokens (bias_k, a zero) take a part of each row's mass, as a sink does.
    weights = weights[..., : k.shape[2]]
    mixed = torch.matmul(weights, v).transpose(1, 2)
    difference = float((linear(mixed.flatten(2), *out) - output).abs().max())
    return Call(
        module=module,
        tap="function",
        query=q,
        key=k,
        value=v,
        output=mixed,
        weights=weights,
        keywords={"scaling": q.shape[-1] ** -0.5, "difference": difference},
    )
