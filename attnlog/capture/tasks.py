"""What a model's logits are about: the next token, a masked one, classes of the input or of its tokens, or where an answer lies."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any

import torch

from attnlog.capture.inputs import embeddings_of

#: Class names of transformers' models say what they are for; the first that fits counts.
_NAMED = (
    (re.compile(r"ForQuestionAnswering"), "answer"),
    (re.compile(r"For(Token|Audio ?Frame)Classification"), "tokens"),
    (re.compile(r"For(Sequence|Image|Audio|Video)\w*Classification|ForNextSentencePrediction"), "class"),
    (re.compile(r"ForMaskedLM|^(?!Electra)\w+ForPreTraining"), "masked"),
    (re.compile(r"ForCausalLM|LMHeadModel|ForConditionalGeneration|ForSpeechSeq2Seq|EncoderDecoderModel"), "next"),
)
#: Their language models see both sides, unless told otherwise, though they are named as the others are.
_BOTH_SIDES = ("xlnet", "xlm", "flaubert")


def task_of(model: Any) -> str | None:
    """Name what a model predicts, as `attnlog.outputs.TASKS` do.

    Beside those ``answer`` (where one starts and ends) and ``number`` (a regression); None: it cannot be told.
    """
    base = model.get_base_model() if hasattr(model, "get_base_model") else model
    config = getattr(base, "config", None)
    found = None
    for made in type(base).__mro__:
        found = next((task for pattern, task in _NAMED if pattern.search(made.__name__)), None)
        if found is not None:
            break
    if found == "next" and getattr(config, "model_type", "") in _BOTH_SIDES and not getattr(config, "causal", False):
        return "masked"
    if found == "masked" and getattr(config, "is_encoder_decoder", False):
        return "next"
    if found == "class":
        kind = getattr(config, "problem_type", None)
        if kind == "regression" or (kind is None and getattr(config, "num_labels", 2) == 1):
            return "number"
        return "labels" if kind == "multi_label_classification" else "class"
    return found


def axis_of(axes: Collection[str]) -> str | None:
    """Name the axis whose tokens logits are of: a decoder's where there is one; None where no axis is of tokens."""
    return next((axis for axis in ("self", "decoder", "encoder") if axis in axes), None)


def answers_of(task: str, model: Any) -> int | None:
    """Say how many answers there are: tokens of the vocabulary, or labels; None where that is not known."""
    if task in ("next", "masked"):
        weight = getattr(embeddings_of(model, "output"), "weight", None)
        if isinstance(weight, torch.Tensor) and weight.ndim == 2:
            return int(weight.shape[0])
        config = getattr(model, "config", None)
        config = config.get_text_config() if config is not None and hasattr(config, "get_text_config") else config
        size = getattr(config, "vocab_size", None)
    else:
        size = getattr(getattr(model, "config", None), "num_labels", None)
    return size if isinstance(size, int) else None


def logits_of(outputs: Any) -> torch.Tensor | None:
    """Take the logits out of a model's outputs."""
    for name in ("logits", "prediction_logits"):
        found = getattr(outputs, name, None)
        if isinstance(found, torch.Tensor):
            return found
    return None


def ends_of(outputs: Any) -> dict[str, torch.Tensor] | None:
    """Take the logits of where an answer starts and ends out of a model's outputs, ``[batch, positions]`` each."""
    found = {task: getattr(outputs, f"{task}_logits", None) for task in ("start", "end")}
    return found if all(isinstance(one, torch.Tensor) and one.ndim == 2 for one in found.values()) else None  # type: ignore[return-value]


def label_names(model: Any) -> Mapping[int, str]:
    """Names of a classifier's labels."""
    named = getattr(getattr(model, "config", None), "id2label", None)
    return {int(number): str(name) for number, name in dict(named or {}).items()}
