"""`attnlog.capture`: one forward pass of the model on some inputs, and everything attention did in it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch

from attnlog.capture.functions import FunctionTap
from attnlog.capture.inputs import Batch, Inputs, accepted_by, batches, prepare
from attnlog.capture.interface import interface_tap
from attnlog.capture.kinds import unwrapped
from attnlog.capture.preserve import preserved
from attnlog.capture.recorder import Recorder, Wanted
from attnlog.capture.rerun import returned_by
from attnlog.errors import ArgumentError, AttnlogError, LayerError, ModelError, NoAttentionError
from attnlog.record import PRECISIONS, Capture

RECORDS = ("attention", "vectors", "values")


def capture(
    model: torch.nn.Module,
    inputs: Inputs,
    *,
    tokenizer: Any = None,
    layers: Iterable[int] | None = None,
    heads: Iterable[int] | None = None,
    record: str | Sequence[str] = ("attention", "vectors"),
    precision: str = "f32",
    dense_tokens: int | None = None,
    max_tokens: int | None = None,
    batch_size: int = 8,
) -> Capture:
    """Run the model on inputs and record what its attention did.

    The model's own attention function computes the outputs; what is recorded is computed beside it. Training mode, random
    states, configuration and gradients are afterwards as before.

    Args:
        model: a transformers model whose attention goes through transformers' `AttentionInterface`.
        inputs: texts, text pairs, or a mapping of ready-made model inputs (``input_ids`` ``[inputs, tokens]``, ``attention_mask``, …)
            whose rows become inputs. Padding is cropped, so each row runs as if it were alone, from its own first position. For an
            encoder-decoder model a pair is (source, target), and a text alone is its own target.
        tokenizer: needed for texts; with ready-made inputs it names the tokens, which else are shown as ids.
        layers: layers to record; default all.
        heads: query heads to record; default all.
        record: any of ``attention`` (weights), ``vectors`` (queries and keys), ``values``.
        precision: of the weights: ``f32`` exact, ``f16``, or ``u8`` as stored by default, (code/255)².
        dense_tokens: of inputs longer than this only the top keys of each query row are kept, and the mass left out (`Capture.weights`
            then gives a `SparseWeights`); default: every weight of every input.
        max_tokens: longer texts are cut to this many tokens, which the input says.
        batch_size: inputs in one forward pass, at most.

    Returns:
        A `Capture`; `capture.missing` says in words what could not be recorded.

    Raises:
        InputError: nothing to run on, or texts without a tokenizer.
        LayerError: a layer or head the model does not have.
        NoAttentionError: the model has no attention that can be seen.
    """
    model = unwrapped(model)
    _check_model(model)
    records = (record,) if isinstance(record, str) else tuple(record)
    if not records or set(records) - set(RECORDS):
        raise ArgumentError(f"record is {records!r}; it takes any of {', '.join(RECORDS)}")
    if precision not in PRECISIONS:
        raise ArgumentError(f"precision is {precision!r}; it is one of {', '.join(PRECISIONS)}")
    if batch_size < 1 or (max_tokens is not None and max_tokens < 2):
        raise ArgumentError(f"batch_size={batch_size} and max_tokens={max_tokens} must be at least 1 and 2")
    if dense_tokens is not None and (isinstance(dense_tokens, bool) or not isinstance(dense_tokens, int) or dense_tokens < 0):
        raise ArgumentError(f"dense_tokens is {dense_tokens!r}; it is a whole number from 0, or None to keep every weight")
    wanted = Wanted(_numbers(layers, "layers"), _numbers(heads, "heads"), frozenset(records), precision, dense_tokens)
    _check_layers(model, wanted)
    prepared = prepare(model, inputs, tokenizer, max_tokens=max_tokens)
    device = next((p.device for p in model.parameters()), torch.device("cpu"))
    # A mask makes attention ignore padding; a model without a pad token gets rows of equal length only.
    pad = getattr(tokenizer, "pad_token_id", None)
    given = batches(model, prepared, size=batch_size, pad=pad, device=device)
    with preserved(model):
        recorder = _recorded(model, Recorder(model, wanted), given)
    if recorder.folded:
        # Windows or frames in the batch: once more from the same random state, to follow their tokens back to the whole.
        with preserved(model):
            recorder = _recorded(model, Recorder(model, wanted, follow=True), given)
    if recorder.incomplete:
        with preserved(model):
            _returned(model, recorder, given)
    if not recorder.calls:
        raise NoAttentionError(_none_seen(model))
    recorder.check_layers()
    return Capture(
        inputs=recorder.inputs([one.record for one in prepared]),
        layers=recorder.layers(),
        missing=recorder.missing(),
        model=describe(model),
        config=_config(model),
    )


def _recorded(model: torch.nn.Module, recorder: Recorder, given: Sequence[Batch]) -> Recorder:
    for batch in given:
        recorder.begin(batch)
        with taps(recorder):
            model(**batch.arguments, **_quiet(model))
        recorder.end()
    return recorder


def _returned(model: torch.nn.Module, recorder: Recorder, given: Sequence[Batch]) -> None:
    """Fill in what no tap recorded with what the model returns when it attends eagerly."""
    for batch in given:
        recorder.begin(batch)
        try:
            for one in returned_by(model, batch):
                recorder.take(model, one)
        except AttnlogError:
            raise
        except Exception as error:
            # Some models cannot run eagerly, or not with this argument: what the taps recorded stands.
            recorder.take(model, f"the model fails with output_attentions=True ({type(error).__name__}: {error})")
        recorder.end()


@contextmanager
def taps(recorder: Recorder) -> Iterator[None]:
    """Let a recorder see every attention that this thread computes while inside."""
    with interface_tap(recorder.see), FunctionTap(recorder.see, recorder.numbers.paths, lambda: recorder.rows, recorder.origins):
        yield


def _check_model(model: Any) -> None:
    if not isinstance(model, torch.nn.Module):
        raise ModelError(f"the model is a {type(model).__name__}: give a torch.nn.Module")
    # Weights that accelerate keeps elsewhere are on no device until their module runs.
    hooked = hasattr(model, "hf_device_map") or any(hasattr(module, "_hf_hook") for module in model.modules())
    meta = next((name for name, p in model.named_parameters() if p.device.type == "meta"), None)
    if meta is not None and not hooked:
        raise ModelError(
            f"{meta} is on the meta device, which holds no numbers: load the model's weights first (from_pretrained, to_empty)"
        )


def describe(model: torch.nn.Module) -> dict[str, object]:
    """Say which model this is, as a manifest keeps it."""
    config: Any = getattr(model, "config", None)
    return {
        "name": str(getattr(config, "_name_or_path", "") or type(model).__name__),
        "class": type(model).__name__,
        "type": str(getattr(config, "model_type", "")),
        "attention": str(getattr(config, "_attn_implementation", "")),
        "parameters": sum(p.numel() for p in model.parameters()),
    }


def _config(model: Any) -> dict[str, object]:
    simple = (str, int, float, bool, type(None))
    config = model.config.to_dict() if hasattr(getattr(model, "config", None), "to_dict") else {}
    return {k: v for k, v in sorted(config.items()) if isinstance(v, simple)}


def _quiet(model: torch.nn.Module) -> dict[str, object]:
    """Keep the model from building a cache, which costs memory and is of no use here."""
    return {"use_cache": False} if "use_cache" in accepted_by(model) else {}


def _numbers(given: Iterable[int] | None, what: str) -> frozenset[int] | None:
    if given is None:
        return None
    numbers = [given] if isinstance(given, int) else list(given)
    if not numbers or not all(isinstance(n, int) and not isinstance(n, bool) for n in numbers):
        raise ArgumentError(f"{what} is {numbers!r}: give whole numbers, or leave it out for all")
    return frozenset(numbers)


_DEPTHS = ("num_hidden_layers", "n_layer", "num_layers", "encoder_layers", "decoder_layers", "num_decoder_layers")
_WIDTHS = ("num_attention_heads", "n_head", "num_heads", "encoder_attention_heads", "decoder_attention_heads")


def _check_layers(model: Any, wanted: Wanted) -> None:
    """Refuse before any work what the model's configuration rules out."""
    given = getattr(model, "config", None)
    if hasattr(given, "depths"):
        return  # stages: how many layers that makes is known when they have run
    parts = [given, *(getattr(given, name, None) for name in ("encoder", "decoder", "vision_config", "audio_config", "encoder_config"))]
    parts.append(given.get_text_config() if hasattr(given, "get_text_config") else None)
    for what, numbers, names in (("layers", wanted.layers, _DEPTHS), ("heads", wanted.heads, _WIDTHS)):
        known = [count for part in parts for name in names if isinstance(count := getattr(part, name, None), int)]
        bad = sorted(n for n in numbers or () if n < 0 or (known and n >= max(known)))
        if bad:
            there = f"this model has {what} 0 to {max(known) - 1}" if known else f"{what} are numbered from 0"
            raise LayerError(f"{what} {', '.join(map(str, bad))}: {there}")


def _none_seen(model: torch.nn.Module) -> str:
    names = sorted({type(m).__name__ for m in model.modules() if re.search("att(entio)?n", type(m).__name__, re.IGNORECASE)})
    if not names:
        return f"{type(model).__name__} has no attention: there is nothing to record"
    return (
        f"{type(model).__name__} ({names[0]}) computed no weights of queries and keys that could be seen: its attention is of another kind, "
        "or runs in code that torch does not see; with weights of your own, use attnlog.from_tensors"
    )
