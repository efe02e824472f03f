"""The number that saliency explains: a logit, the sum of two, or a loss."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from attnlog.capture.extras import Asked
from attnlog.capture.inputs import token_names
from attnlog.capture.tasks import answers_of, axis_of, ends_of, label_names, logits_of, task_of
from attnlog.errors import TargetError
from attnlog.record import Input


@dataclass(frozen=True)
class Target:
    """What is explained: takes a model's outputs to one number for each row."""

    words: str
    of: Callable[[Any], torch.Tensor]  # outputs → [rows]
    position: int | None = None


class Targets:
    """Finds the saliency target of every input of a capture."""

    def __init__(self, model: Any, asked: Asked) -> None:
        """Check what was asked for against model and inputs.

        Raises:
            TargetError: a class, token or position that is not there.
        """
        self._asked, self._wanted = asked, asked.saliency
        self._name = type(model).__name__
        self.task = task_of(model)
        self._labels = label_names(model)
        self._answer = self._chosen(model)
        if self.task in ("next", "masked", "tokens") and self._wanted.target != "loss":
            for number, one in enumerate(asked.inputs):
                axis = axis_of(one.axes)
                count = len(one.axes[axis].tokens) if axis is not None else 0
                if axis is not None and not -count <= self._wanted.position < count:
                    raise TargetError(f"position of saliency is {self._wanted.position}, input {number} has {count} tokens")

    def of(self, number: int, outputs: Any) -> Target | str:
        """Find the target of one input, or say why it has none.

        Args:
            number: of the input.
            outputs: what the model gave for this input alone, without padding.
        """
        ends = ends_of(outputs)
        if self.task == "answer" and ends is not None:
            return self._ends(number, ends)
        logits = logits_of(outputs)
        if logits is None:
            return "the model gives no logits"
        if self.task is None or self.task in ("number", "answer"):
            if self.task == "number" and logits.ndim == 2 and logits.shape[1] == 1:
                return Target("the number that the model gives", lambda made: _of(made)[:, 0])
            return f"what the logits of a {self._name} are about is not known"
        if self._wanted.target == "loss":
            return self._loss(number, logits)
        if self.task in ("class", "labels"):
            answer = int(logits[0].argmax()) if self._answer is None else self._answer
            return Target(f"logit of {self._labels.get(answer, str(answer))!r}", lambda made: _of(made)[:, answer])
        one = self._asked.inputs[number]
        axis = axis_of(one.axes)
        if axis is None or logits.ndim != 3 or logits.shape[1] != len(one.axes[axis].tokens):
            return f"its logits have shape {list(logits.shape)}, which is not that of its tokens"
        position = self._position(one, axis)
        answer = int(logits[0, position].argmax()) if self._answer is None else self._answer
        named = self._labels.get(answer, str(answer)) if self.task == "tokens" else token_names([answer], self._asked.tokenizer)[0]
        words = f"logit of {named!r} at token {position} ({one.axes[axis].tokens[position]!r})"
        return Target(words, lambda made: _of(made)[:, position, answer], position)

    def _chosen(self, model: Any) -> int | None:
        """The class or token id that was asked for, or None for the likeliest."""
        target = self._wanted.target
        if target in ("auto", "loss"):
            return None
        if self.task in (None, "answer", "number"):
            raise TargetError(f"target of saliency is {target!r}; of a {self._name} it is 'auto', for no classes or tokens are known of it")
        of_labels = self.task not in ("next", "masked")
        if isinstance(target, str):
            return self._label(target) if of_labels else self._token(target)
        count = answers_of(str(self.task), model)
        if target < 0 or (count is not None and target >= count):
            what = "classes" if of_labels else "tokens"
            there = f"has {what} 0 to {count - 1}" if count is not None else f"numbers its {what} from 0"
            raise TargetError(f"target of saliency is {target}; the model {there}")
        return target

    def _label(self, text: str) -> int:
        found = [number for number, name in self._labels.items() if name == text]
        if not found:
            raise TargetError(f"target of saliency is {text!r}; the model has the labels {', '.join(map(repr, self._labels.values()))}")
        return found[0]

    def _token(self, text: str) -> int:
        tokenizer = getattr(self._asked.tokenizer, "tokenizer", self._asked.tokenizer)
        if tokenizer is None:
            raise TargetError(f"target of saliency is {text!r}, which needs a tokenizer: pass tokenizer=…, or give the token's id")
        known = tokenizer.get_vocab()
        if text in known:
            return int(known[text])
        ids = tokenizer(text, add_special_tokens=False)["input_ids"]
        if len(ids) != 1 or ids[0] == getattr(tokenizer, "unk_token_id", None):
            made = ", ".join(map(repr, tokenizer.convert_ids_to_tokens(ids)))
            raise TargetError(f"target of saliency is {text!r}, which is no token of the tokenizer (it makes {made} of it): give one token")
        return int(ids[0])

    def _position(self, one: Input, axis: str) -> int:
        tokens = one.axes[axis]
        count, position = len(tokens.tokens), self._wanted.position
        if position != -1 or self.task == "next":
            return position % count
        mask = getattr(getattr(self._asked.tokenizer, "tokenizer", self._asked.tokenizer), "mask_token_id", None)
        if self.task == "masked" and mask is not None and mask in (tokens.ids or ()):
            return (tokens.ids or ()).index(mask)
        plain = [n for n in range(count) if tokens.special is None or not tokens.special[n]]
        return plain[-1] if plain else count - 1

    def _ends(self, number: int, ends: dict[str, torch.Tensor]) -> Target | str:
        if self._wanted.target == "loss":
            return "the inputs have no labels"
        start, end = (int(ends[name][0].argmax()) for name in ("start", "end"))
        axis = axis_of(self._asked.inputs[number].axes)
        tokens = self._asked.inputs[number].axes[axis].tokens if axis is not None else ()
        if max(start, end) >= len(tokens):
            return "its logits are of other positions than its tokens"
        words = f"logits of start {tokens[start]!r} (token {start}) and end {tokens[end]!r} (token {end})"

        def both(made: Any) -> torch.Tensor:
            found = ends_of(made)
            assert found is not None
            return found["start"][:, start].float() + found["end"][:, end].float()

        return Target(words, both)

    def _loss(self, number: int, logits: torch.Tensor) -> Target | str:
        one, labels = self._asked.inputs[number], self._asked.label(number)
        axis = axis_of(one.axes)
        ids = one.axes[axis].ids if axis is not None else None
        if self.task == "next":
            if ids is None or len(ids) < 2:
                return "an input of one token has no next one"
            wanted = torch.tensor([*ids[1:], -100])
        elif labels is None or labels.is_floating_point() != (self.task == "labels"):
            return "the inputs have no labels"
        else:
            wanted = labels
        shape = logits.shape[1:] if self.task == "labels" else logits.shape[1:-1]
        wanted = wanted.reshape(shape) if wanted.numel() == shape.numel() else wanted
        if wanted.shape != shape:
            return "its labels do not fit its logits"
        wanted = wanted.to(logits.device)

        def loss(made: Any) -> torch.Tensor:
            scores = _of(made).float()
            if self.task == "labels":
                every = torch.nn.functional.binary_cross_entropy_with_logits(scores, wanted.float().expand_as(scores), reduction="none")
                return every.mean(-1)
            flat = scores.reshape(len(scores), -1, scores.shape[-1]).transpose(1, 2)
            each = torch.nn.functional.cross_entropy(flat, wanted.reshape(1, -1).expand(len(scores), -1), reduction="none")
            return each.sum(-1) / (wanted != -100).sum().clamp(min=1)

        return Target("loss", loss)


def _of(outputs: Any) -> torch.Tensor:
    found = logits_of(outputs)
    assert found is not None
    return found
