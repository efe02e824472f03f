"""Saliency of tokens: gradients of one number by the input embeddings, which touch no parameter's gradient.

The embeddings that the model itself looked up are put in again by a hook, scaled or not, so that everything a forward makes of the ids
besides (positions, masks, the place of the last token) stays as it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch

from attnlog.capture.extras import Asked
from attnlog.capture.inputs import Batch, accepted_by
from attnlog.capture.targets import Target, Targets
from attnlog.capture.tasks import logits_of
from attnlog.errors import MissingExtraError
from attnlog.outputs import SaliencyMap
from attnlog.record import Capture, Input, Missing

COMPLETE = 0.01  # greatest relative difference between what integrated gradients sum to and what they explain
_NUMBERS = 1 << 26  # logits that one pass over several points of the path may make
_SAMPLE = 4096  # tokens of the vocabulary, evenly spaced, that the mean embedding is taken of
_IDS = {"self": "input_ids", "encoder": "input_ids", "decoder": "decoder_input_ids"}
_OTHER = re.compile(r"position|token_type|segment|wpe", re.IGNORECASE)


@dataclass(frozen=True)
class _Lookup:
    """Where a model looks up the embeddings of an axis: which module, and which of its calls in a forward pass."""

    axis: str
    module: torch.nn.Module
    call: int
    embeddings: torch.Tensor  # [1, tokens, width]
    turned: bool = False  # the model looks them up with tokens before inputs (XLNet)


class SaliencyMaps:
    """Records how much each token has to do with the target, input by input, each alone and without padding."""

    what = "saliency"

    def __init__(self, model: torch.nn.Module, asked: Asked) -> None:
        """Check what was asked for.

        Raises:
            TargetError: a class, token or position that the model or an input does not have.
            MissingExtraError: integrated gradients without captum.
        """
        self._model, self._asked = model, asked
        self._targets = Targets(model, asked)
        self._found: list[SaliencyMap] = []
        self._missing: dict[Missing, None] = {}
        if "integrated_gradients" in asked.saliency.methods:
            try:
                import captum.attr  # noqa: F401
            except ModuleNotFoundError as error:
                raise MissingExtraError("captum", "saliency", "saliency by integrated gradients") from error

    def keywords(self) -> dict[str, Any]:
        """Ask for nothing: saliency runs passes of its own."""
        return {}

    def see(self, batch: Batch, outputs: Any) -> None:
        """Compute saliency of every input of a batch."""
        for row, number in enumerate(batch.numbers):
            why_not = self._input(batch, row, number)
            if why_not is not None:
                self._miss(self._asked.axis(number), why_not)

    def into(self, capture: Capture) -> Capture:
        """Add it to a capture."""
        return replace(capture, outputs=(*capture.outputs, *self._found), missing=(*capture.missing, *self._missing))

    def _miss(self, axis: str, reason: str) -> None:
        self._missing[Missing(axis, None, self.what, reason)] = None

    def _input(self, batch: Batch, row: int, number: int) -> str | None:
        """Compute saliency of one input, or say why that cannot be."""
        arguments = _alone(batch, row)
        quiet = {"use_cache": False} if "use_cache" in accepted_by(self._model) else {}
        with torch.no_grad():
            lookups, outputs = _probe(self._model, batch.records[row], arguments, {**batch.shared, **quiet})
        if not lookups:
            return "where the model looks up the embeddings of its tokens could not be seen"
        target = self._targets.of(number, outputs)
        if isinstance(target, str):
            return target

        def number_of(*embeddings: torch.Tensor) -> torch.Tensor:
            rows = len(embeddings[0])
            given = {name: tensor.repeat(rows, *[1] * (tensor.ndim - 1)) for name, tensor in arguments.items()}
            with _replaced(lookups, embeddings):
                return target.of(self._model(**given, **batch.shared, **quiet)).float()

        logits = logits_of(outputs)
        answers = 1 if logits is None else max(logits.numel(), 1)
        at_once = 1 if batch.shared else max(1, min(32, _NUMBERS // answers))
        with torch.enable_grad():
            self._gradients(number, lookups, target, number_of)
            if "integrated_gradients" in self._asked.saliency.methods:
                self._integrated(number, lookups, target, number_of, at_once)
        return None

    def _gradients(self, number: int, lookups: Sequence[_Lookup], target: Target, number_of: Any) -> None:
        methods = self._asked.saliency.methods
        if not {"gradient", "gradient_x_input"} & set(methods):
            return
        embeddings = [one.embeddings.clone().requires_grad_(True) for one in lookups]
        gradients = torch.autograd.grad(number_of(*embeddings).sum(), embeddings, allow_unused=True)
        for one, embedding, gradient in zip(lookups, embeddings, gradients, strict=True):
            gradient = torch.zeros_like(embedding) if gradient is None else gradient
            made = {
                "gradient": gradient.float().norm(dim=-1),
                "gradient_x_input": (gradient.float() * embedding.detach().float()).sum(-1),
            }
            for method in (m for m in methods if m in made):
                self._add(number, one.axis, method, made[method][0], target)

    def _integrated(self, number: int, lookups: Sequence[_Lookup], target: Target, number_of: Any, at_once: int) -> None:
        from captum.attr import IntegratedGradients

        embeddings = tuple(one.embeddings.clone().requires_grad_(True) for one in lookups)
        with torch.no_grad():
            neutral = tuple(_neutral(one) for one in lookups)
            difference = float(number_of(*embeddings) - number_of(*neutral))
        integrate = IntegratedGradients(number_of)
        steps = self._asked.saliency.steps
        while True:
            found = integrate.attribute(embeddings, neutral, n_steps=steps, method="gausslegendre", internal_batch_size=at_once)
            total = sum(float(part.detach().double().sum()) for part in found)
            error = abs(total - difference) / max(abs(difference), 1e-6)
            if error <= COMPLETE or 2 * steps > self._asked.saliency.most_steps:
                break
            steps *= 2
        if not error <= COMPLETE:  # NaN is not, either
            reason = f"it sums to {total:.4g} where it explains {difference:.4g}, {error:.1%} off after {steps} steps (raise most_steps)"
            self._missing[Missing(self._asked.axis(number), None, "complete integrated gradients", reason)] = None
        for one, part in zip(lookups, found, strict=True):
            self._add(number, one.axis, "integrated_gradients", part[0].float().sum(-1), target, steps=steps, error=error)

    def _add(self, number: int, axis: str, method: str, values: torch.Tensor, target: Target, **more: Any) -> None:
        if not bool(values.isfinite().all()):
            self._miss(axis, f"by {method} it is not a number (the model gave NaN or infinity)")
            return
        self._found.append(
            SaliencyMap(
                input=number,
                axis=axis,
                method=method,
                values=values.detach().cpu().numpy(),
                target=target.words,
                position=target.position,
                **more,
            )
        )


def _neutral(one: _Lookup) -> torch.Tensor:
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


def _alone(batch: Batch, row: int) -> dict[str, torch.Tensor]:
    """Take one input's row of every tensor, without the padding on its right."""
    made = {}
    for name, tensor in batch.tensors.items():
        mine = tensor[row : row + 1]
        for axis, where in batch.positions[row].items():
            side = name.startswith("decoder_") == (axis == "decoder")
            padded = side and mine.ndim > 1 and mine.shape[1] == batch.widths.get(axis) and len(where) < mine.shape[1]
            if padded and torch.equal(where.cpu(), torch.arange(len(where))):
                mine = mine[:, : len(where)]
        made[name] = mine
    return made


def _probe(
    model: torch.nn.Module, record: Input, arguments: Mapping[str, torch.Tensor], more: Mapping[str, Any]
) -> tuple[list[_Lookup], Any]:
    """Run a model and see which modules look up the embeddings of which axis."""
    wanted = {axis: ids for axis, name in _IDS.items() if axis in record.axes and (ids := arguments.get(name)) is not None}
    seen: list[_Lookup] = []
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
                seen.append(_Lookup(axis, module, call, found, turned))
                return

    with _hooked([(module, see) for module in _embeddings(model)], with_kwargs=True):
        outputs = model(**arguments, **more)
    return seen, outputs


def _embeddings(model: Any) -> list[torch.nn.Module]:
    """The modules that may look up tokens: the model's own, and tables of embeddings that are not named after something else."""
    try:
        own = model.get_input_embeddings()
    except (AttributeError, NotImplementedError):
        own = None
    named = [m for name, m in model.named_modules() if isinstance(m, torch.nn.Embedding) and not _OTHER.search(name)]
    tied = [m for m in named if own is not None and getattr(own, "weight", None) is m.weight]
    first = tied or named
    return list({id(module): module for module in ([own] if isinstance(own, torch.nn.Module) else []) + first}.values())


@contextmanager
def _replaced(lookups: Sequence[_Lookup], embeddings: Sequence[torch.Tensor]) -> Iterator[None]:
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
