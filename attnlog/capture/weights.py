"""Attention weights of one call for one input: by blocks of query rows, quantised where they are computed, checked against the model.

weights = softmax(softcap(scale · q·kᵀ) + position bias + mask [with sink]), computed in float32.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from attnlog.capture.call import Call
from attnlog.capture.masks import Sight, Sights
from attnlog.capture.quantise import Codes
from attnlog.capture.roots import FACTOR, roots_of
from attnlog.capture.scratch import Scratch
from attnlog.capture.sparse import Keeper
from attnlog.metrics import MetricMeans, Repeats
from attnlog.record import Array, Axis, FloatArray, Sparse

BLOCK = 128  # query rows at a time, at most
LEAST = 32  # rows of a block; fewer would cost more in calls than the cache saves
CACHED = 3 << 19  # bytes of a block of all heads that stay in the cache while it is used
# Greatest relative difference between weights · v and the module's own output that rounding explains.
TOLERANCE = {torch.float32: 1e-3, torch.float64: 1e-3, torch.float16: 2e-2, torch.bfloat16: 6e-2}


@dataclass(frozen=True)
class Row:
    """One input's part of a call: its batch row, the positions of its tokens, and its mask."""

    number: int
    queries: torch.Tensor
    keys: torch.Tensor
    sight: Sight
    query_axis: Axis
    key_axis: Axis
    aligned: bool
    repeats: Repeats | None = None  # of the query tokens, where another layer looked for them


@dataclass(frozen=True)
class Found:
    """What one call did for one input."""

    codes: Array | None  # [heads, queries, keys], in the scratch: good until the next call is computed
    sparse: Sparse | None  # instead of them, for long inputs
    metrics: dict[str, FloatArray]
    explained: FloatArray | None  # [heads]; None without queries and keys
    check: float | None  # None: the module's own output could not be seen
    held: bool  # the check lies within rounding
    finite: bool  # what the model's own function gave are numbers


@torch.no_grad()
def compute(
    call: Call,
    row: Row,
    heads: torch.Tensor,
    *,
    precision: str,
    scratch: Scratch,
    dense_tokens: int | None = None,
    identity: torch.Tensor | None = None,
    keep: bool = True,
    metrics: bool = True,
) -> Found:
    """Compute the weights of some heads of one input.

    Args:
        call: what the tap saw.
        row: which input of its batch.
        heads: int64 numbers of the wanted heads.
        precision: of the returned codes.
        scratch: room to compute in.
        dense_tokens: of more queries or keys than this only the top keys of each row are returned.
        identity: weights that the model's own function gave for identity values, ``[heads, queries, keys]``, instead of the formula.
        keep: False computes metrics only.
        metrics: False leaves them out.
    """
    device = call.device
    groups = heads if call.group_size == 1 else torch.div(heads, call.group_size, rounding_mode="floor")
    q = k = v = out = None
    given = identity if identity is not None else None if call.weights is None else call.weights[row.number]
    # Where the mask only hides keys, q·k and that say it all.
    alone = given is None and row.sight.plain and call.softcap is None and call.bias is None
    long = dense_tokens is not None and max(len(row.queries), len(row.keys)) > dense_tokens
    by_roots = alone and keep and not long and precision == "u8" and call.sinks is None and device.type == "cpu"
    if call.query is not None and call.key is not None:
        q = taken(call.query[row.number], heads, row.queries).float() * (call.scale * (FACTOR if by_roots else 1))
        k = taken(call.key[row.number], groups, row.keys).float().transpose(1, 2)
    if call.value is not None and call.output is not None:
        v = taken(call.value[row.number], groups, row.keys).float()
        out = taken(call.output[row.number].transpose(0, 1), heads, row.queries).float()
    shape = (len(heads), len(row.queries), len(row.keys))
    means = _means(row, len(heads), device, scratch) if metrics else None
    keeper = Keeper(*shape, precision=precision, device=device) if keep and long else None
    codes = Codes(shape, precision, device, scratch) if keep and not long else None
    # Kernels make zeros of NaN, some of them always and some where a mask hides it, and so may we: neither are weights.
    finite = _numbers(*(part for part in (q, k) if part is not None), device=device)
    explained = torch.zeros(len(heads), device=device)
    # Later keys of a causal block are masked: their weights are 0 and need no computing.
    causal = given is None and row.sight.causal is True and row.aligned and shape[1] == shape[2] and keeper is None
    blocks = _blocks(shape, whole=keep or metrics, cached=keeper is None)
    ends = [end for _, _, _, those in blocks for end in those]
    sample = torch.zeros(shape[0], len(ends), shape[2], device=device) if v is not None else None  # of the rows that are checked
    sampled = 0
    for start, stop, rows, those in blocks:
        seen = slice(0, stop) if causal else slice(None)
        scores = None if q is None or k is None else _scores(q[:, rows], k[:, :, seen], scratch)
        half = None
        if by_roots:
            assert scores is not None
            assert q is not None
            assert k is not None
            half = roots_of(scores, _hidden(row, heads, rows, seen), scratch, logs=means is not None)
            scores = _scores(q[:, rows], k[:, :, seen], scratch).div_(FACTOR) if half is None else scores
        if half is not None:
            weights = half.weights(scratch) if means is not None else half.roots
        elif given is not None:
            weights = taken(given, heads, row.queries[rows])[:, :, row.keys].float()
            finite &= weights.isfinite().all()
        else:
            assert scores is not None
            # Where the scores are needed once more, they are not overwritten.
            overwritten = scores if alone else scratch.take("weights", tuple(scores.shape), device).copy_(scores)
            weights = _formula(overwritten, call, row, heads, rows, seen)
        if scores is not None and not alone:
            without = _explained(scores, call, row, heads, rows, seen, weights)
            explained = torch.maximum(explained, (without - weights).abs().amax((1, 2)))
        if sample is not None:
            for number, end in enumerate(those):
                looked_at = (weights if half is None else half.roots)[:, end - start if isinstance(rows, slice) else number]
                sample[:, sampled, seen] = looked_at if half is None else looked_at.square()
                sampled += 1
        if means is not None:
            means.add(weights, start, None if half is None else half.logs)
        if keeper is not None:
            keeper.add(weights, start)
        elif codes is not None and half is not None:
            codes.put_roots(half.roots, start)
        elif codes is not None:
            codes.put(weights if given is None else weights.clamp(0, 1), start)
    check, held = None, True
    if sample is not None and v is not None and out is not None:
        differences = (torch.matmul(sample, v) - out[:, ends]).abs().amax((1, 2)).nan_to_num(nan=torch.inf)
        check = max(float(differences.max()), float(call.keywords.get("difference", 0.0)))
        held = bool((differences <= _allowed(call, v)).all()) and ("difference" not in call.keywords or _near(call))
        if not held:
            finite &= _numbers(v, device=device)
    return Found(
        codes=codes.codes.cpu().numpy() if codes is not None else None,
        sparse=keeper.done() if keeper is not None else None,
        metrics={name: np.asarray(mean.float().cpu()) for name, mean in means.means().items()} if means is not None else {},
        explained=None if q is None else explained.cpu().numpy(),
        check=check,
        held=held,
        finite=bool(finite),
    )


def _numbers(*parts: torch.Tensor, device: torch.device) -> torch.Tensor:
    """Whether tensors hold neither NaN nor infinity, as a bool on the device: to ask for it would wait for the device."""
    told = torch.ones((), dtype=torch.bool, device=device)
    for part in parts:
        told &= part.isfinite().all()
    return told


def _means(row: Row, heads: int, device: torch.device, scratch: Scratch) -> MetricMeans:
    return MetricMeans(
        row.query_axis,
        row.key_axis,
        aligned=row.aligned,
        heads=heads,
        xp=torch,
        asarray=lambda array: torch.as_tensor(array, device=device),
        repeats=row.repeats,
        room=lambda shape: scratch.take("room", shape, device),
    )


def _scores(q: torch.Tensor, k: torch.Tensor, scratch: Scratch) -> torch.Tensor:
    return torch.bmm(q, k, out=scratch.take("scores", (q.shape[0], q.shape[1], k.shape[2]), q.device))


def every_weight(call: Call, number: int) -> torch.Tensor:
    """Compute the weights of all heads of one batch row, checked like those of any capture; float32 ``[heads, queries, keys]``."""
    _, heads, queries, keys = call.shape
    device = call.device
    rows, columns = torch.arange(queries, device=device), torch.arange(keys, device=device)
    sight = Sights().of(call, number, rows, columns)
    row = Row(number, rows, columns, sight, Axis(tokens=("",) * queries), Axis(tokens=("",) * keys), False)
    found = compute(call, row, torch.arange(heads, device=device), precision="f32", scratch=Scratch(), metrics=False)
    if not found.held and call.function is not None:
        return by_identity(call, number)
    return torch.from_numpy(found.codes).to(device)


def _blocks(shape: tuple[int, int, int], *, whole: bool, cached: bool) -> list[tuple[int, int, Any, list[int]]]:
    """Say which query rows to compute at a time, from and to, and which of them to check: the first and last of each block.

    Args:
        shape: heads, queries and keys.
        whole: False takes only what is checked, at once.
        cached: take so few rows that a block stays in the cache.
    """
    heads, queries, keys = shape
    size = min(max(CACHED // (4 * heads * max(keys, 1)) // 16 * 16, LEAST), BLOCK) if cached else BLOCK
    starts = [(start, min(start + size, queries)) for start in range(0, queries, size)]
    ends = [sorted({start, stop - 1}) for start, stop in starts]
    if whole:
        return [(start, stop, slice(start, stop), those) for (start, stop), those in zip(starts, ends, strict=True)]
    rows = [row for those in ends for row in those]
    return [(0, queries, rows, rows)]


def taken(tensor: torch.Tensor, heads: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
    """Take some heads and tokens of ``[heads, tokens, …]``, without a copy where that is all of them."""
    if len(heads) != tensor.shape[0] or heads.is_cuda or heads.tolist() != list(range(len(heads))):
        tensor = tensor[heads]
    return tensor if len(tokens) == tensor.shape[1] else tensor[:, tokens]


def _allowed(call: Call, v: torch.Tensor) -> torch.Tensor:
    """Say what difference rounding explains: each head by its own values, lest one of small values hide behind the others."""
    assert call.output is not None
    return TOLERANCE.get(call.output.dtype, 1e-3) * v.abs().amax((1, 2)).clamp(min=1e-6)


def _near(call: Call) -> bool:
    """Say whether the difference that the tap itself found is one of rounding."""
    assert call.output is not None
    return float(call.keywords.get("difference", 0.0)) <= TOLERANCE.get(call.output.dtype, 1e-3) * max(1.0, float(call.output.abs().max()))


def _formula(scores: torch.Tensor, call: Call, row: Row, heads: torch.Tensor, rows: Any, seen: slice) -> torch.Tensor:
    """Make weights of scores, which are overwritten."""
    if call.softcap is not None:
        scores = scores.div_(call.softcap).tanh_().mul_(call.softcap)
    if call.bias is not None:
        bias: Any = call.bias
        bias = bias[min(row.number, bias.shape[0] - 1)]
        bias = (bias if bias.shape[0] == 1 else bias[heads]).to(scores.device)
        scores.add_(bias[:, row.queries[rows]][:, :, row.keys[seen]].float())
    hidden = _hidden(row, heads, rows, seen)
    if hidden is not None:
        scores.add_(hidden)
    return _softmax(scores, call, heads, hollow=row.sight.hollow)


def _hidden(row: Row, heads: torch.Tensor, rows: Any, seen: slice) -> torch.Tensor | None:
    """What the mask adds to the scores of some rows, or None."""
    hidden = row.sight.additive
    return None if hidden is None else (hidden if hidden.shape[0] == 1 else hidden[heads])[:, rows, seen]


def _softmax(scores: torch.Tensor, call: Call, heads: torch.Tensor, *, hollow: bool = True) -> torch.Tensor:
    """Softmax over keys, and over the head's sink where it has one; rows without any key are 0."""
    if call.sinks is not None:
        sink = call.sinks.to(scores.device)[heads].float()[:, None, None].expand(-1, scores.shape[1], 1)
        return torch.softmax(torch.cat([scores, sink], -1), -1)[..., :-1].nan_to_num(0.0)
    # In place on the CPU, where each row is read before it is written; other devices promise no such thing.
    weights = torch.softmax(scores, -1, out=scores if scores.device.type == "cpu" else None)
    return weights.nan_to_num_(0.0) if hollow else weights


def _explained(
    scores: torch.Tensor, call: Call, row: Row, heads: torch.Tensor, rows: Any, seen: slice, weights: torch.Tensor
) -> torch.Tensor:
    """Softmax of scale·q·kᵀ alone, with the sink, under the mask that assets name."""
    if row.sight.causal is None:
        visible = weights > 0
    elif row.sight.additive is None:
        return _softmax(scores, call, heads)
    else:
        visible = (row.sight.additive > -torch.inf)[:1, rows, seen]
    return _softmax(scores.masked_fill(~visible, -torch.inf), call, heads)


def by_identity(call: Call, row: int) -> torch.Tensor:
    """Ask the model's own function for its weights: with identity values its output is them.

    Right by construction for any bias, mask or sink. Values keep the width of the model's own, because some kernels ask for that.

    Returns:
        float32 ``[heads, queries, keys]``.
    """
    assert call.query is not None
    assert call.key is not None
    assert call.value is not None
    assert call.function is not None
    keys, width = call.value.shape[2], call.value.shape[3]
    one = slice(row, row + 1)
    mask = call.mask if call.mask is None or call.mask.shape[0] == 1 else call.mask[one]
    bias = call.keywords.get("position_bias")
    keywords = dict(call.keywords)
    if isinstance(bias, torch.Tensor) and bias.shape[0] > 1:
        keywords["position_bias"] = bias[one]
    parts = []
    for start in range(0, keys, width):
        value = torch.zeros(1, call.value.shape[1], keys, width, dtype=call.value.dtype, device=call.value.device)
        for column in range(min(width, keys - start)):
            value[:, :, start + column, column] = 1
        output = call.function(call.module, call.query[one], call.key[one], value, mask, **keywords)[0]
        parts.append(output[0].transpose(0, 1)[..., : min(width, keys - start)].float())
    return torch.cat(parts, -1)
