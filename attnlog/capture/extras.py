"""What a capture records beside attention: each such extra is one class in one file, and one line here.

An extra says what it needs of the forward pass, sees what came of it, may run passes of its own, and adds its data to the capture.
What does not fit a model is said in words; a capture never fails for it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib import import_module
from typing import Any, Protocol

import torch

from attnlog.capture.inputs import Batch, main_axis
from attnlog.record import Capture, Input, Missing
from attnlog.saliency import Saliency

#: Where each extra is, and which names in ``record=`` ask for it.
EXTRAS: Mapping[str, frozenset[str]] = {
    "attnlog.capture.states:HiddenStates": frozenset({"states", "hidden"}),
    "attnlog.capture.predictions:Predictions": frozenset({"predictions"}),
    "attnlog.capture.saliency:SaliencyMaps": frozenset({"saliency"}),
}
RECORDS = tuple(sorted(frozenset().union(*EXTRAS.values())))


@dataclass(frozen=True)
class Asked:
    """What extras are told: what is wanted, and of which inputs."""

    records: frozenset[str]
    inputs: tuple[Input, ...]
    tokenizer: Any = None
    saliency: Saliency = field(default_factory=Saliency)
    labels: tuple[torch.Tensor | None, ...] = ()  # per input: one per token (-100: none), or one for the whole input
    main: str = "self"  # the axis of the model's main stack

    def label(self, number: int) -> torch.Tensor | None:
        """Labels of an input, or None."""
        return self.labels[number] if number < len(self.labels) else None

    def axis(self, number: int) -> str:
        """The first axis of an input, by which is named what concerns all of it."""
        return next(iter(self.inputs[number].axes), self.main)


class Extra(Protocol):
    """Something that is recorded beside attention. Made with ``(model, asked)``; raises then what is wrong with what was asked."""

    what: str  # names it in `Missing`

    def keywords(self) -> dict[str, Any]:
        """What the model's forward is to be called with besides."""
        ...

    def see(self, batch: Batch, outputs: Any) -> None:
        """Take what is wanted out of what a forward pass of a batch gave."""
        ...

    def into(self, capture: Capture) -> Capture:
        """Add what was found, and what was not, to a capture."""
        ...


class Extras:
    """The extras of one capture."""

    def __init__(self, model: torch.nn.Module, asked: Asked) -> None:
        """Make those that are asked for.

        Raises:
            ArgumentError: something was asked for that cannot be; the message names it.
            MissingExtraError: a package that is needed is not installed.
        """
        asked = replace(asked, main=main_axis(model))
        self._model, self._asked = model, asked
        self._extras = [_load(place)(model, asked) for place, names in EXTRAS.items() if names & asked.records]
        self._missing: dict[Missing, None] = {}
        self._refused = False

    @property
    def keywords(self) -> dict[str, Any]:
        """What the model's forward is to be called with."""
        return {} if self._refused else {name: value for extra in self._extras for name, value in extra.keywords().items()}

    def begin_without(self) -> Extras:
        """Begin anew without any keywords, which the model's forward did not take."""
        again = Extras(self._model, self._asked)
        again._refused = True
        return again

    def see(self, batch: Batch, outputs: Any) -> None:
        """Show a forward pass to every extra; one that fails is told of, and the others go on."""
        for extra in self._extras:
            try:
                extra.see(batch, outputs)
            except Exception as error:
                reason = f"{type(error).__name__}: {error}".splitlines()[0]
                self._missing[Missing(self._asked.axis(batch.numbers[0]), None, extra.what, f"it failed with {reason[:200]}")] = None

    def into(self, capture: Capture) -> Capture:
        """Add what all of them found."""
        for extra in self._extras:
            capture = extra.into(capture)
        return replace(capture, missing=(*capture.missing, *self._missing))


def _load(place: str) -> Any:
    module, name = place.split(":")
    return getattr(import_module(module), name)


def labels_of(given: Any, inputs: Sequence[Input]) -> tuple[torch.Tensor | None, ...]:
    """Take the labels out of ready-made inputs, cropped as their inputs are; None where there are none, or where they fit no axis."""
    if not (isinstance(given, Mapping) or hasattr(given, "keys")) or given.get("labels") is None:
        return ()
    try:
        labels = torch.as_tensor(given["labels"])
    except (ValueError, TypeError, RuntimeError):
        return ()  # boxes and classes of a detector, say
    masks = [torch.as_tensor(mask) for name in ("decoder_attention_mask", "attention_mask") if (mask := given.get(name)) is not None]
    if labels.ndim == 0 or len(labels) != len(inputs):
        labels = labels[None]
    if len(labels) != len(inputs):
        return ()
    return tuple(_cropped(row, number, masks, one) for number, (row, one) in enumerate(zip(labels, inputs, strict=True)))


def _cropped(row: torch.Tensor, number: int, masks: list[torch.Tensor], one: Input) -> torch.Tensor | None:
    if row.ndim == 0:
        return row
    lengths = {len(axis.tokens) for axis in one.axes.values()}
    for mask in masks:
        mine = (mask if mask.ndim > 1 else mask[None])[number].bool()
        if mine.shape == row.shape and int(mine.sum()) in lengths:
            return row[mine]
    return row if len(row) in lengths or row.is_floating_point() else None
