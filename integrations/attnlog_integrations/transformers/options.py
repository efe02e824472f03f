"""What an AttentionCallback was asked to do, checked when it is made: a mistake must not wait for the first evaluation."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from attnlog.delivery.discovery import Named, check_names
from attnlog.errors import ArgumentError, InputError, MissingExtraError
from attnlog.record import PRECISIONS, VECTOR_PRECISIONS
from attnlog.reported import wanted
from attnlog.saliency import Saliency
from attnlog.scalars import whole_number
from attnlog.sizes import parse_size

EVENTS = ("evaluate", "save", "begin", "end")
RECORDS = ("attention", "vectors", "values", "states", "hidden", "predictions", "saliency")


@dataclass(frozen=True, kw_only=True)
class Options:
    """Arguments of `AttentionCallback`, all of them usable."""

    inputs: Any  # None, a mapping, or a list of texts and pairs
    tokenizer: Any
    tracker: tuple[Named, ...]
    directory: Path
    on: frozenset[str]
    every: int | None
    layers: tuple[int, ...] | None
    heads: tuple[int, ...] | None
    record: tuple[str, ...]
    saliency: Saliency | None
    max_tokens: int
    dense_tokens: int
    precision: str
    vector_precision: str
    budget: int | None
    scalars: tuple[str, ...]
    examples: int

    @classmethod
    def of(cls, **given: Any) -> Options:
        """Check the callback's arguments.

        Raises:
            ArgumentError: one of them cannot be used; the message names it and what it takes.
        """
        every = given["every"]
        on = _several("on", given["on"], EVENTS)
        if not on and every is None:
            raise ArgumentError(f"on is empty and every is None, so nothing would ever be recorded: on takes any of {', '.join(EVENTS)}")
        if given["precision"] not in PRECISIONS:
            raise ArgumentError(f"precision is {given['precision']!r}; it is one of {', '.join(PRECISIONS)}")
        if given["vector_precision"] not in VECTOR_PRECISIONS:
            raise ArgumentError(f"vector_precision is {given['vector_precision']!r}; it is one of {', '.join(VECTOR_PRECISIONS)}")
        record = _several("record", given["record"], RECORDS)
        if not record:
            raise ArgumentError(f"record is empty; it takes any of {', '.join(RECORDS)}")
        return cls(
            inputs=_inputs(given["inputs"]),
            tokenizer=given["tokenizer"],
            tracker=check_names(given["tracker"]),
            directory=Path(given["directory"]),
            on=frozenset(on),
            every=None if every is None else whole_number("every", every, 1),
            layers=_numbers("layers", given["layers"]),
            heads=_numbers("heads", given["heads"]),
            record=record,
            saliency=_saliency(given["saliency"], record),
            max_tokens=whole_number("max_tokens", given["max_tokens"], 2),
            dense_tokens=whole_number("dense_tokens", given["dense_tokens"], 0),
            precision=given["precision"],
            vector_precision=given["vector_precision"],
            budget=parse_size(given["budget"]),
            scalars=tuple(str(one) for one in wanted(given.get("scalars"))),
            examples=whole_number("examples", given["examples"], 1),
        )


def _several(name: str, given: str | Iterable[str], known: Sequence[str]) -> tuple[str, ...]:
    asked = (given,) if isinstance(given, str) else tuple(given)
    for value in asked:
        if value not in known:
            raise ArgumentError(f"{name} has {value!r}; it takes any of {', '.join(known)}")
    return tuple(dict.fromkeys(asked))


def _saliency(given: Any, record: Sequence[str]) -> Saliency | None:
    if "saliency" not in record:
        if given is not None:
            raise ArgumentError("saliency is given but not recorded: name 'saliency' in record")
        return None
    if given is not None and not isinstance(given, Saliency):
        raise ArgumentError(f"saliency is {given!r}; it takes an attnlog.Saliency")
    asked = given or Saliency()
    if "integrated_gradients" in asked.methods and find_spec("captum") is None:
        raise MissingExtraError("captum", "saliency", "saliency by integrated gradients")
    return asked


def _numbers(name: str, given: Any) -> tuple[int, ...] | None:
    if given is None:
        return None
    numbers = (given,) if isinstance(given, int) else tuple(given)
    return tuple(whole_number(name, number, 0) for number in numbers)


def _inputs(given: Any) -> Any:
    if given is None or isinstance(given, Mapping) or hasattr(given, "keys"):
        return given
    if isinstance(given, str):
        return [given]
    if not isinstance(given, Sequence):
        raise InputError(f"inputs is a {type(given).__name__}; it takes texts, text pairs, or a mapping of ready-made model inputs")
    # A tuple of two texts is one pair, a list of two texts is two inputs: so it is everywhere in attnlog.
    texts = [given] if isinstance(given, tuple) and len(given) == 2 and all(isinstance(t, str) for t in given) else list(given)
    if not texts:
        raise InputError("inputs is empty: give texts, or None to record the first rows of the evaluation set")
    for text in texts:
        pair = isinstance(text, (tuple, list)) and len(text) == 2 and all(isinstance(part, str) for part in text)
        if not isinstance(text, str) and not pair:
            raise InputError(f"inputs has {text!r}; an input is a text or a pair of texts")
    return texts
