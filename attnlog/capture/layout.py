"""Where batch and heads are in the leading dimensions of what a model computes; everything becomes ``[batch, heads, tokens, …]``."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from attnlog.capture.running import batch_first, heads_of


@dataclass(frozen=True)
class Lead:
    """Leading dimensions of weights, and how they become batch and heads."""

    shape: tuple[int, ...]
    order: tuple[int, ...]  # of the leading dimensions: those that make up the batch, then the heads
    batch: int
    heads: int


def batch_of(shape: tuple[int, ...], rows: int, module: torch.nn.Module, *, said: tuple[int, ...] | None = None) -> Lead | None:
    """Find batch and heads in leading dimensions, or None where they do not fit `rows` inputs, or could be read in two ways.

    Args:
        shape: the leading dimensions.
        rows: inputs in the batch.
        module: that computes the attention; it may say how many heads it has.
        said: batch and heads as the model itself viewed them, where it did.
    """
    heads = heads_of(module)
    if not shape:
        return Lead((), (), 1, 1) if rows == 1 else None
    if len(shape) == 1:
        (both,) = shape
        if heads and both % (heads * rows) == 0:
            # One dimension of both may have the inputs outside, as is usual, or the heads.
            sure = rows == 1 or heads == 1 or batch_first(module) or (said is not None and said[0] * said[1] == both and said[1] == heads)
            return Lead(shape, (0,), both // heads, heads) if sure else None
        return Lead(shape, (0,), both, 1) if both % rows == 0 else None
    places = [place for place, size in enumerate(shape) if size == heads]
    # Batch comes first nearly everywhere; where it cannot, the heads do.
    place = 1 if 1 in places or not places else places[-1]
    if place == 1 and shape[0] % rows and shape[1] % rows == 0:
        place = 0
    if len(shape) == 2 and rows > 1 and shape[0] == shape[1] == heads and said is None and not batch_first(module):
        return None  # as many inputs as heads: either may come first
    rest = [other for other in range(len(shape)) if other != place]
    if rows > 1 and len(rest) > 1:
        # Windows, streams or frames beside the inputs: which is which shows only where one dimension alone has that many.
        inputs = [other for other in rest if shape[other] == rows]
        if len(inputs) != 1:
            return None
        rest = [*inputs, *(other for other in rest if other not in inputs)]
    batch = math.prod(shape[other] for other in rest)
    return Lead(shape, (*rest, place), batch, shape[place]) if batch % rows == 0 else None


def laid_out(tensor: torch.Tensor | None, lead: Lead | None) -> torch.Tensor | None:
    """Lay a tensor ``[*lead, tokens, …]`` out as ``[batch, heads, tokens, …]``; None where its leading dimensions are others.

    Heads may be fewer than the lead's: key groups.
    """
    if tensor is None or lead is None:
        return None
    count = len(lead.shape)
    found = tuple(tensor.shape[:-2])
    if len(found) == count and count and found != lead.shape:
        groups = found[lead.order[-1]]
        same = all(found[place] == lead.shape[place] for place in lead.order[:-1])
        if not same or count < 2 or not groups or lead.heads % groups:
            # Other dimensions with as many elements: the same rows under another view.
            return tensor.reshape(lead.batch, lead.heads, *tensor.shape[-2:]) if _fits(tensor, lead) else None
        return tensor.permute(*lead.order, count, count + 1).reshape(lead.batch, groups, *tensor.shape[-2:])
    if found == lead.shape:
        if count > 1:
            tensor = tensor.permute(*lead.order, count, count + 1)
        return tensor.reshape(lead.batch, lead.heads, *tensor.shape[-2:])
    return tensor.reshape(lead.batch, lead.heads, *tensor.shape[-2:]) if _fits(tensor, lead) else None


def _fits(tensor: torch.Tensor, lead: Lead) -> bool:
    plain = lead.order == tuple(range(len(lead.shape)))
    return plain and tensor.shape[:-2].numel() == lead.batch * lead.heads


def like(query: torch.Tensor, factor: torch.Tensor) -> torch.Tensor:
    """Multiply query rows by a factor of each, ``[…, queries, 1]``."""
    try:
        return query * factor.reshape(*query.shape[:-1], 1)
    except RuntimeError:  # the scores were viewed otherwise in between: the factor stays in the remainder
        return query
