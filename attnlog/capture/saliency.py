"""Saliency of tokens: gradients of one number by the input embeddings, which touch no parameter's gradient.

The embeddings that the model itself looks up are put in again, as they are or on the way from the mean embedding.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch

from attnlog.capture.extras import Asked
from attnlog.capture.inputs import Batch, accepted_by
from attnlog.capture.lookups import Lookup, neutral_of, probe, replaced
from attnlog.capture.targets import Target, Targets
from attnlog.capture.tasks import logits_of
from attnlog.errors import MissingExtraError
from attnlog.outputs import SaliencyMap
from attnlog.record import Capture, Missing

COMPLETE = 0.01  # greatest relative difference between what integrated gradients sum to and what they explain
_NUMBERS = 1 << 26  # logits that one pass over several points of the path may make


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
        with torch.inference_mode(False):
            return self._computed(batch, row, number)

    def _computed(self, batch: Batch, row: int, number: int) -> str | None:
        arguments = {name: tensor.clone() if tensor.is_inference() else tensor for name, tensor in _alone(batch, row).items()}
        quiet = {"use_cache": False} if "use_cache" in accepted_by(self._model) else {}
        with torch.no_grad():
            lookups, outputs = probe(self._model, batch.records[row], arguments, {**batch.shared, **quiet})
        if not lookups:
            return "where the model looks up the embeddings of its tokens could not be seen"
        target = self._targets.of(number, outputs)
        if isinstance(target, str):
            return target

        def number_of(*embeddings: torch.Tensor) -> torch.Tensor:
            rows = len(embeddings[0])
            given = {name: tensor.repeat(rows, *[1] * (tensor.ndim - 1)) for name, tensor in arguments.items()}
            with replaced(lookups, embeddings):
                return target.of(self._model(**given, **batch.shared, **quiet)).float()

        logits = logits_of(outputs)
        answers = 1 if logits is None else max(logits.numel(), 1)
        at_once = 1 if batch.shared else max(1, min(32, _NUMBERS // answers))
        with torch.enable_grad():
            self._gradients(number, lookups, target, number_of)
            if "integrated_gradients" in self._asked.saliency.methods:
                self._integrated(number, lookups, target, number_of, at_once)
        return None

    def _gradients(self, number: int, lookups: Sequence[Lookup], target: Target, number_of: Any) -> None:
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

    def _integrated(self, number: int, lookups: Sequence[Lookup], target: Target, number_of: Any, at_once: int) -> None:
        from captum.attr import IntegratedGradients

        embeddings = tuple(one.embeddings.clone().requires_grad_(True) for one in lookups)
        with torch.no_grad():
            neutral = tuple(neutral_of(one) for one in lookups)
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
