"""What the model predicts: the most probable tokens, labels or answers, and the loss per token."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch

from attnlog.capture.extras import Asked
from attnlog.capture.inputs import Batch, token_names
from attnlog.capture.tasks import axis_of, ends_of, label_names, logits_of, task_of
from attnlog.outputs import Loss, Output, Prediction
from attnlog.record import Capture, Missing

TOP = 5  # answers kept of each position
_ROWS = 128  # positions at a time: a softmax over a whole vocabulary in float32 is large


class Predictions:
    """Records the top answers of every position, and what each token's loss is where that is known."""

    what = "predictions"

    def __init__(self, model: torch.nn.Module, asked: Asked) -> None:
        """Prepare for a model."""
        self._model, self._asked = model, asked
        self._task = task_of(model)
        self._labels = label_names(model)
        self._found: list[Output] = []
        self._missing: dict[Missing, None] = {}

    def keywords(self) -> dict[str, Any]:
        """Ask for nothing: logits are there, or they are not."""
        return {}

    def see(self, batch: Batch, outputs: Any) -> None:
        """Take predictions and losses of every input."""
        task, ends = self._task, ends_of(outputs)
        if task == "answer" and ends is not None:
            for name, scores in ends.items():
                self._ends(batch, name, scores)
            return
        logits = logits_of(outputs)
        if logits is None or task is None or task in ("answer", "number"):
            unknown = f"what the logits of a {type(self._model).__name__} are about is not known"
            why = "the model gives a number, not a class" if task == "number" else unknown
            self._miss(batch, "the model gives no logits" if logits is None else why)
            return
        if task in ("class", "labels"):
            self._whole(batch, task, logits)
        else:
            self._per_token(batch, task, logits)

    def into(self, capture: Capture) -> Capture:
        """Add them to a capture; what is about a whole input is told of its first axis."""
        found = []
        for one in self._found:
            if isinstance(one, Prediction) and not one.axis:
                axis, known = next(iter(capture.inputs[one.input].axes.items()), ("", None))
                if known is None:
                    continue
                one = replace(one, axis=axis, tokens=len(known.tokens))
            found.append(one)
        return replace(capture, outputs=(*capture.outputs, *found), missing=(*capture.missing, *self._missing))

    def _miss(self, batch: Batch, reason: str, what: str | None = None) -> None:
        self._missing[Missing(self._asked.axis(batch.numbers[0]), None, what or self.what, reason)] = None

    def _whole(self, batch: Batch, task: str, logits: torch.Tensor) -> None:
        if logits.ndim != 2 or len(logits) != len(batch.numbers):
            self._miss(batch, f"its logits have shape {list(logits.shape)}, expected [inputs, classes]")
            return
        for row, number in enumerate(batch.numbers):
            ids, probabilities = _top(logits[row : row + 1], each=task == "labels")
            self._add(number, "", task, 0, ids, probabilities, self._class_names(ids))

    def _per_token(self, batch: Batch, task: str, logits: torch.Tensor) -> None:
        axis = axis_of(batch.records[0].axes)
        width = batch.widths.get(axis or "")
        if axis is None or logits.ndim != 3 or tuple(logits.shape[:2]) != (len(batch.numbers), width):
            expected = f"{len(batch.numbers)} inputs × {width} tokens × answers" if width else "those of tokens"
            self._miss(batch, f"its logits have shape {list(logits.shape)}, expected {expected}")
            return
        for row, number in enumerate(batch.numbers):
            where = batch.positions[row][axis].to(logits.device)
            mine = logits[row][where].detach()
            ids, probabilities = _top(mine)
            names = self._class_names(ids) if task == "tokens" else self._token_names(ids)
            self._add(number, axis, task, len(where), ids, probabilities, names)
            self._loss(batch, row, axis, task, mine)

    def _ends(self, batch: Batch, task: str, logits: torch.Tensor) -> None:
        axis = axis_of(batch.records[0].axes)
        if axis is None or logits.shape[1] != batch.widths.get(axis):
            self._miss(batch, f"its {task} logits have shape {list(logits.shape)}, which is not that of its tokens")
            return
        for row, number in enumerate(batch.numbers):
            where = batch.positions[row][axis].to(logits.device)
            ids, probabilities = _top(logits[row][where][None])
            tokens = batch.records[row].axes[axis].tokens
            self._add(number, axis, task, len(where), ids, probabilities, [[tokens[n] for n in ids[0]]])

    def _loss(self, batch: Batch, row: int, axis: str, task: str, logits: torch.Tensor) -> None:
        """Negative log-likelihood of the next token, or of what the labels say."""
        number = batch.numbers[row]
        labels = self._asked.label(number)
        ids = batch.records[row].axes[axis].ids
        if task == "next":
            if ids is None or len(ids) < 2:
                return
            wanted = torch.tensor([*ids[1:], -100], device=logits.device)
        elif labels is not None and labels.shape == logits.shape[:1] and not labels.is_floating_point():
            wanted = labels.to(logits.device).long()
        else:
            self._miss(batch, "the inputs have no labels", "loss per token")
            return
        wanted = wanted.where((wanted >= 0) & (wanted < logits.shape[1]), -100)
        parts = [
            torch.nn.functional.cross_entropy(logits[n : n + _ROWS].float(), wanted[n : n + _ROWS], reduction="none", ignore_index=-100)
            for n in range(0, len(logits), _ROWS)
        ]
        losses = torch.cat(parts)
        losses[(wanted == -100) | ~losses.isfinite()] = torch.nan
        self._found.append(Loss(input=number, axis=axis, task=task, values=losses.cpu().numpy()))

    def _add(self, number: int, axis: str, task: str, tokens: int, ids: Any, probabilities: Any, names: list[list[str]]) -> None:
        if not np.isfinite(probabilities).all():
            reason = "they are not numbers (the model gave NaN or infinity)"
            self._missing[Missing(axis or self._asked.axis(number), None, self.what, reason)] = None
            return
        labels = tuple(tuple(row) for row in names)
        self._found.append(
            Prediction(input=number, axis=axis, task=task, tokens=tokens, ids=ids, probabilities=probabilities, labels=labels)
        )

    def _class_names(self, ids: Any) -> list[list[str]]:
        return [[self._labels.get(n, str(n)) for n in row] for row in ids.tolist()]

    def _token_names(self, ids: Any) -> list[list[str]]:
        rows, top = ids.shape
        names = token_names(ids.reshape(-1).tolist(), self._asked.tokenizer)
        return [list(names[n * top : (n + 1) * top]) for n in range(rows)]


def _top(logits: torch.Tensor, *, each: bool = False) -> tuple[Any, Any]:
    """The most probable answers of logits ``[rows, answers]``: ids int32 and probabilities float32, ``[rows, top]``.

    Args:
        logits: of all answers there are.
        each: of every answer whether it holds (a sigmoid), instead of which of them does (a softmax).
    """
    parts = []
    for start in range(0, len(logits), _ROWS):
        scores = logits[start : start + _ROWS].detach().float()
        best = scores.topk(min(TOP, scores.shape[1]), dim=-1)
        chosen = best.values.sigmoid() if each else (best.values - scores.logsumexp(-1, keepdim=True)).exp().clamp(max=1)
        parts.append((best.indices.int().cpu().numpy(), chosen.cpu().numpy()))
    return np.concatenate([ids for ids, _ in parts]), np.concatenate([chosen for _, chosen in parts])
