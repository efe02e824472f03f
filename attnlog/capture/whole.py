"""Attention over the whole picture or text, put together from the windows in which a model computes it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch

from attnlog.capture.call import Call
from attnlog.capture.weights import every_weight

MOST = 1 << 28  # weights of one input: more are left in their parts


def assembled(call: Call, inputs: int) -> Call | None:
    """Put the parts of a call together, or return None where they cannot be: a query in two parts, tokens of unknown origin.

    Every weight stands where its query and its key are; between tokens of different parts it is 0, as in the model.

    Args:
        call: of ``[inputs · parts, heads, queries, keys]``.
        inputs: rows of the batch that the model was given.
    """
    sources = call.sources
    if sources is None:
        return None
    count, heads = sources.count, call.shape[1]
    if count * count * heads > MOST:
        return None
    weights = call.weights if call.weights is not None else torch.stack([every_weight(call, part) for part in range(call.shape[0])])
    queries, keys = sources.queries, sources.keys
    if queries.shape != (len(weights), weights.shape[2]) or keys.shape != (len(weights), weights.shape[3]):
        return None
    real = queries[queries >= 0]
    if int(queries.max()) >= inputs * count or int((torch.bincount(real) > 1).sum()) or len(real) < inputs * count:
        return None
    whole = torch.zeros(inputs * count, heads, count, dtype=weights.dtype, device=weights.device)
    for part in range(len(weights)):
        rows, columns = queries[part], keys[part]
        if bool((columns[columns >= 0] // count != int(rows.max()) // count).any()):
            return None  # windows that reach into another input
        seen, known = (rows >= 0).nonzero().flatten(), (columns >= 0).nonzero().flatten()
        lost = (columns < 0).nonzero().flatten()
        if len(lost) and float(weights[part][:, seen][:, :, lost].sum()) > 1e-5 * max(len(seen), 1):
            return None  # some of the mass lies on keys of unknown origin
        piece = weights[part][:, seen][:, :, known].transpose(0, 1)
        whole[rows[seen]] = whole[rows[seen]].index_add(2, columns[known] % count, piece)
    spread: dict[str, Any] = {
        "query": _spread(call.query, queries, inputs, count),
        "key": _spread(call.key, keys, inputs, count),
        "value": _spread(call.value, keys, inputs, count),
        "output": None if call.output is None else _spread(call.output.transpose(1, 2), queries, inputs, count),
    }
    if spread["output"] is not None:
        spread["output"] = spread["output"].transpose(1, 2)
    else:
        spread["value"] = None
    return replace(
        call,
        **spread,
        weights=whole.view(inputs, count, heads, count).transpose(1, 2),
        mask=None,
        function=None,
        sources=None,
        folded=True,
    )


def _spread(parts: torch.Tensor | None, numbers: torch.Tensor, inputs: int, count: int) -> torch.Tensor | None:
    """Put rows ``[parts, heads, tokens, width]`` where their tokens are: ``[inputs, heads, count, width]``."""
    if parts is None:
        return None
    known = numbers.reshape(-1) >= 0
    rows = parts.transpose(1, 2).reshape(-1, parts.shape[1], parts.shape[3])
    found = torch.zeros(inputs * count, *rows.shape[1:], dtype=parts.dtype, device=parts.device)
    found[numbers.reshape(-1)[known]] = rows[known]
    return found.view(inputs, count, *rows.shape[1:]).transpose(1, 2)
