"""Where a model looks up the embeddings of its tokens, and how to put others in their place.

A hook does both, so that everything a forward makes of the ids besides (positions, masks, the place of the last token) stays as it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch

from attnlog.capture.inputs import embeddings_of
from attnlog.record import Input

_SAMPLE = 4096  # tokens of the vocabulary, evenly spaced, that the mean embedding is taken of
_IDS = {"self": "input_ids", "encoder": "input_ids", "decoder": "decoder_input_ids"}
_OTHER = re.compile(r"position|token_type|segment|wpe", re.IGNORECASE)


@dataclass(frozen=True)
class Lookup:
    """Where a model looks up the embeddings of an axis: which module, and which of its calls in a forward pass."""

    axis: str
    module: torch.nn.Module
    call: int
    embeddings: torch.Tensor  # [1, tokens, width]
    turned: bool = False  # the model looks them up with tokens before inputs (XLNet)


def neutral_of(one: Lookup) -> torch.Tensor:
    """The embedding of no token in particular, for every token: the mean over the vocabulary, or over what stands for it.

    Not 0: a model that normalises its embeddings at once gives the same for all but the shortest of them, so that a path from 0 does
    all it does in its first step, where no number of points sees it.
    """
    count = getattr(one.module, "num_embeddings", None)
    found = one.embeddings
    if isinstance(count, int) and count > 0:
        ids = torch.arange(0, count, -(-count // _SAMPLE), device=found.device)
        found = one.module(ids[None])
    return found.float().mean(1, keepdim=True).to(one.embeddings.dtype).expand_as(one.embeddings).contiguous()


def probe(
    model: torch.nn.Module, record: Input, arguments: Mapping[str, torch.Tensor], more: Mapping[str, Any]
) -> tuple[list[Lookup], Any]:
    """Run a model and see which modules look up the embeddings of which axis."""
    wanted = {axis: ids for axis, name in _IDS.items() if axis in record.axes and (ids := arguments.get(name)) is not None}
    seen: list[Lookup] = []
    calls: dict[int, int] = {}

    def see(module: torch.nn.Module, given: tuple[Any, ...], keywords: dict[str, Any], output: Any) -> None:
        call = calls[id(module)] = calls.get(id(module), -1) + 1
        ids = given[0] if given else next(iter(keywords.values()), None)
        if not isinstance(ids, torch.Tensor) or ids.ndim != 2 or not isinstance(output, torch.Tensor) or output.ndim != 3:
            return
        for axis, known in wanted.items():
            count = known.shape[1]
            turned = ids.shape == (count, 1) != known.shape
            mine = ids.T if turned else ids[:, :count]  # some models pad to whole windows
            if not any(one.axis == axis for one in seen) and mine.shape == known.shape and torch.equal(mine, known):
                # A copy, for a model may go on to change it in place.
                found = (output.transpose(0, 1) if turned else output[:, :count]).detach().clone()
                seen.append(Lookup(axis, module, call, found, turned))
                return

    with _hooked([(module, see) for module in _embeddings(model)], with_kwargs=True):
        outputs = model(**arguments, **more)
    return seen, outputs


def _embeddings(model: Any) -> list[torch.nn.Module]:
    """The modules that may look up tokens: the model's own, and tables of embeddings that are not named after something else."""
    own = embeddings_of(model)
    named = [m for name, m in model.named_modules() if isinstance(m, torch.nn.Embedding) and not _OTHER.search(name)]
    tied = [m for m in named if own is not None and getattr(own, "weight", None) is m.weight]
    first = tied or named
    return list({id(module): module for module in ([own] if isinstance(own, torch.nn.Module) else []) + first}.values())


@contextmanager
def replaced(lookups: Sequence[Lookup], embeddings: Sequence[torch.Tensor]) -> Iterator[None]:
    """While inside, have the model take these embeddings for those that it looks up."""
    calls: dict[int, int] = {}
    put = {(id(one.module), one.call): (one, made) for one, made in zip(lookups, embeddings, strict=True)}

    def give(module: torch.nn.Module, given: Any, output: Any) -> Any:
        call = calls[id(module)] = calls.get(id(module), -1) + 1
        if (id(module), call) not in put:
            return None
        one, made = put[id(module), call]
        # A copy: a leaf of the graph must not be changed in place.
        return made.transpose(0, 1).clone() if one.turned else torch.cat([made, output[:, made.shape[1] :]], 1)

    with _hooked([(module, give) for module in {id(one.module): one.module for one in lookups}.values()]):
        yield


@contextmanager
def _hooked(hooks: Sequence[tuple[torch.nn.Module, Any]], **how: Any) -> Iterator[None]:
    with ExitStack() as stack:
        for module, hook in hooks:
            stack.callback(module.register_forward_hook(hook, **how).remove)
        yield
