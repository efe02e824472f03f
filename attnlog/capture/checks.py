"""Refuses ready-made inputs that a model cannot read, by name and before any work."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import torch

from attnlog.capture.inputs import accepted_by, vocabulary
from attnlog.errors import ArgumentError, InputError

_ANY = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)


def required_of(model: Any) -> set[str]:
    """Name the arguments that the model's forward cannot do without."""
    return {name for name, known in accepted_by(model).items() if known.default is known.empty and known.kind not in _ANY}


def check_names(model: Any, given: Mapping[str, Any], required: set[str]) -> None:
    """Refuse inputs that the model's forward does not take, or that lack one which it needs.

    Raises:
        InputError: the message says which, and what the forward takes.
    """
    accepted = accepted_by(model)
    named = [name for name, known in accepted.items() if known.kind not in _ANY]
    if not named:
        return  # its arguments are anybody's guess
    inputs = [name for name in given if name not in ("labels", "token_type_ids", "attention_mask", "special_tokens_mask")]
    unknown = [name for name in inputs if name not in named]
    anything = any(known.kind is inspect.Parameter.VAR_KEYWORD for known in accepted.values())
    # A text's inputs that the model does not take are left out, as tokenizers return more than some models read.
    wrong = unknown and (len(unknown) == len(inputs) or not (anything or "input_ids" in given))
    takes = f"its forward takes {', '.join(named[:8])}{', …' if len(named) > 8 else ''}"
    if wrong:
        raise InputError(f"{type(model).__name__} does not read {', '.join(map(repr, unknown))}: {takes}")
    made = {"decoder_input_ids"} if "labels" in given or "input_ids" in given else set()  # of the labels, or told of where it is missed
    if not inputs and not required & set(given):
        raise InputError(f"the inputs are only {', '.join(map(repr, given))}, which {type(model).__name__} reads beside others: {takes}")
    lacking = sorted(required - made - set(given))
    if lacking:
        raise InputError(f"the inputs lack {', '.join(map(repr, lacking))}, without which {type(model).__name__} does not run: {takes}")


def check_values(model: Any, given: Mapping[str, Any]) -> None:
    """Refuse ids and labels that the model does not have: on a GPU they kill the process, not only the call.

    Raises:
        InputError: the message says what they hold, and what the model knows.
    """
    for name in ("input_ids", "decoder_input_ids", "token_type_ids"):
        if given.get(name) is None:
            continue
        ids = tensor_of(name, given[name])
        if ids.is_floating_point() and name in accepted_by(model):
            raise InputError(f"{name} are {ids.dtype} of shape {tuple(ids.shape)}: token ids are whole numbers, [inputs, tokens]")
    kinds = getattr(getattr(model, "config", None), "type_vocab_size", None)
    if isinstance(kinds, int) and kinds and given.get("token_type_ids") is not None and "token_type_ids" in accepted_by(model):
        _check_range("token_type_ids", tensor_of("token_type_ids", given["token_type_ids"]), kinds, f"{type(model).__name__} knows")
    labels = given.get("labels")
    if labels is None or isinstance(labels, dict) or (isinstance(labels, list) and any(isinstance(one, dict) for one in labels)):
        return
    labels = tensor_of("labels", labels)
    _check_shape(model, labels, given)
    name = type(model).__name__
    classes = getattr(getattr(model, "config", None), "num_labels", None) if "Classification" in name else None
    classes = vocabulary(model) if classes is None and "input_ids" in given and "Classification" not in name else classes
    if not labels.is_floating_point() and classes is not None:
        _check_range("labels", labels[labels != -100], classes, f"{name} has labels", " (and -100 for none)")


def _check_shape(model: Any, labels: torch.Tensor, given: Mapping[str, Any]) -> None:
    """Refuse labels that are neither for each input, nor for each token, nor for each class."""
    if given.get("input_ids") is None or labels.ndim == 0:
        return
    ids = tensor_of("input_ids", given["input_ids"])
    rows, tokens = (1, len(ids)) if ids.ndim == 1 else tuple(ids.shape[:2])
    one_input = ids.ndim == 1 and tuple(labels.shape) == (tokens,)  # neither has the dimension of inputs
    widths = (tokens, getattr(getattr(model, "config", None), "num_labels", None), 1)
    # A decoder's labels are of its own length.
    wide = labels.ndim == 1 or labels.shape[1] in widths or "decoder_input_ids" in accepted_by(model)
    if not one_input and (len(labels) != rows or not wide):
        raise InputError(
            f"labels have shape {tuple(labels.shape)}, input_ids {tuple(ids.shape)}: give one for each input, or one for each token "
            "(-100 for none)"
        )


def check_tokenizer(tokenizer: Any) -> None:
    """Refuse what is no tokenizer.

    Raises:
        ArgumentError: the message says what to give.
    """
    if tokenizer is not None and not callable(tokenizer) and not hasattr(tokenizer, "convert_ids_to_tokens"):
        raise ArgumentError(f"tokenizer is {tokenizer!r}: give the tokenizer itself, as AutoTokenizer.from_pretrained returns it")


def check_batch_first(model: Any, rows: int, together: Mapping[str, tuple[int, int]], alone: Mapping[str, tuple[int, int]]) -> None:
    """Refuse inputs of a user's own module whose dimension 0 turned out to be tokens: one row alone is another computation.

    Args:
        model: whose own modules of transformers are known to take the batch first.
        rows: how many inputs there would be.
        together: queries and keys of each module with all rows at once.
        alone: the same with one row.

    Raises:
        InputError: the message names the module, and what to do.
    """
    if hasattr(model, "config") or rows < 2:
        return
    for path, whole in together.items():
        one = alone.get(path, whole)
        if any(all_of_them == rows and single == 1 for all_of_them, single in zip(whole, one, strict=True)):
            raise InputError(
                f"{path or type(model).__name__} attends over {whole[0]} × {whole[1]} positions when it gets all {rows} rows of the "
                f"inputs, and over {one[0]} × {one[1]} when it gets one: dimension 0 holds tokens, not inputs. Put the batch first "
                "(nn.MultiheadAttention and nn.TransformerEncoderLayer take batch_first=True; wrap what cannot in a module that "
                "transposes); a single input is [1, tokens, …]"
            )


def _check_range(name: str, values: torch.Tensor, count: int, there: str, more: str = "") -> None:
    if values.numel() and (int(values.min()) < 0 or int(values.max()) >= count):
        raise InputError(f"{name} hold {int(values.min())} to {int(values.max())}, {there} 0 to {count - 1}{more}")


def tensor_of(name: str, value: Any) -> torch.Tensor:
    """Make a tensor of an input.

    Raises:
        InputError: it is none; the message names it and the way round.
    """
    try:
        return torch.as_tensor(value)
    except (ValueError, TypeError, RuntimeError) as error:
        raise InputError(
            f"{name!r} of the inputs is no tensor ({error}): pad the batch and return tensors, as "
            "tokenizer(…, padding=True, return_tensors='pt') does, or give the texts themselves"
        ) from error
