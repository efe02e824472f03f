"""The first rows of the evaluation set as inputs, without iterating its loader or drawing a random number from the training."""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Mapping
from typing import Any

from attnlog.errors import InputError

_REMEDY = "give AttentionCallback the inputs to record"


def first_rows(dataloader: Any, model: Any, *, count: int, max_tokens: int) -> dict[str, Any]:
    """Collate the first rows of a loader's data set into ready-made model inputs, padded ``[rows, tokens]``.

    Raises:
        InputError: the data set has no rows that can be had without disturbing whoever iterates it.
    """
    from attnlog.capture.preserve import preserved

    with preserved(model):
        # Collators may draw: masking has to be the same in every process that looks at these rows.
        _seed()
        batch = dataloader.collate_fn(_rows(dataloader.dataset, count))
    if not isinstance(batch, Mapping) and not hasattr(batch, "keys"):
        raise InputError(f"the evaluation set's batches are {type(batch).__name__}, not model inputs by name: {_REMEDY}")
    given = {name: batch[name] for name in list(batch.keys()) if batch[name] is not None}
    known = inspect.signature(model.forward).parameters
    # A wrapper such as PEFT's takes whatever comes and names nothing.
    inputs = {name: value for name, value in given.items() if name in known} or given
    return {name: _cut(value, inputs.get("input_ids"), max_tokens) for name, value in inputs.items()}


def _rows(dataset: Any, count: int) -> list[Any]:
    if hasattr(dataset, "__getitem__") and hasattr(dataset, "__len__"):
        rows = [dataset[number] for number in range(min(count, len(dataset)))]
    elif hasattr(dataset, "take"):  # a streamed datasets.IterableDataset: this opens a stream of its own
        rows = list(itertools.islice(iter(dataset.take(count)), count))
    else:
        raise InputError(f"the evaluation set ({type(dataset).__name__}) can only be iterated, which might use it up: {_REMEDY}")
    if not rows:
        raise InputError(f"the evaluation set is empty: {_REMEDY}")
    return rows


def _cut(value: Any, ids: Any, max_tokens: int) -> Any:
    """Cut what runs along the tokens as long as the inputs are."""
    shape = tuple(getattr(value, "shape", ()))
    tokens = tuple(getattr(ids, "shape", ()))
    if len(shape) >= 2 and len(tokens) == 2 and shape[1] == tokens[1] and shape[1] > max_tokens:
        return value[:, :max_tokens]
    return value


def _seed() -> None:
    import random

    import numpy as np
    import torch

    random.seed(0)
    np.random.seed(0)
    torch.default_generator.manual_seed(0)  # not torch.manual_seed: that would reseed devices too
