"""`attnlog.capture`: one forward pass of the model on some inputs, and everything attention did in it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import torch

from attnlog.capture.about import none_seen
from attnlog.capture.checks import check_batch_first, check_tokenizer
from attnlog.capture.extras import RECORDS as BESIDE
from attnlog.capture.extras import Asked, Extras, labels_of
from attnlog.capture.inputs import Batch, Inputs, batches, device_of, prepare
from attnlog.capture.kinds import runner_of, unwrapped
from attnlog.capture.passes import fill_in, quiet, taps
from attnlog.capture.preserve import preserved
from attnlog.capture.ranks import Alone
from attnlog.capture.recorder import Recorder
from attnlog.capture.wanted import ATTENTION, Wanted, wanted_of
from attnlog.errors import ArgumentError, AttnlogError, NoAttentionError
from attnlog.record import Capture
from attnlog.saliency import Saliency
from attnlog.scalars import whole_number

RECORDS = (*ATTENTION, *BESIDE)


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
    metrics: bool = True,
    saliency: Saliency | None = None,
    ranks: Alone | None = None,
) -> Capture:
    """Run the model on inputs and record what its attention did.

    The model's own functions compute the outputs; what is recorded is computed beside them, or is what they computed. Training mode,
    random states, configuration and gradients are afterwards as before. A second forward pass runs where a model folds windows into the
    batch, inputs cannot be told apart, or its attention shows only in what it returns; `Reading.provenance` says where weights come from.

    Args:
        model: a transformers model, or any module of torch; compiled, data-parallel and adapted ones are looked through.
        inputs: texts, text pairs, or a mapping of ready-made model inputs (``input_ids`` ``[inputs, tokens]``, ``attention_mask``, …)
            whose rows become inputs. Of texts padding is cropped, so each row runs as if it were alone, from its own first position;
            batches with pictures or sounds run as they are. For an encoder-decoder model a pair is (source, target), and a text alone
            is its own target. For a module of one argument a tensor will do.
        tokenizer: needed for texts; with ready-made inputs it names the tokens, which else are shown as ids.
        layers: layers to record; default all.
        heads: query heads to record; default all.
        record: any of ``attention`` (weights), ``vectors`` (queries and keys), ``values`` (with the norms of what they let through);
            ``states`` (statistics of hidden states), ``hidden`` (the states too), ``predictions`` (top answers, loss per token),
            ``saliency``.
        precision: of the weights: ``f32`` exact, ``f16``, or ``u8`` as stored by default, (code/255)².
        dense_tokens: of inputs longer than this only the top keys of each query row are kept, and the mass left out (`Capture.weights`
            then gives a `SparseWeights`); default: every weight of every input.
        max_tokens: longer texts are cut to this many tokens, which the input says.
        batch_size: inputs in one forward pass, at most.
        metrics: False leaves the head metrics out, which take time beside the weights.
        saliency: by which methods and of what, where ``saliency`` is recorded; default: every method, of what the model predicts.
        ranks: where the model's weights are spread over processes, what keeps them in step (`attnlog.capture.ranks.Ranks`): each of them
            makes the same call. Default: this process has the whole model.

    Returns:
        A `Capture`; `capture.missing` says in words what could not be recorded.

    Raises:
        InputError: nothing to run on, or texts without a tokenizer.
        LayerError: a layer or head the model does not have.
        NoAttentionError: attention is to be recorded, and the model has none that can be seen.
        TargetError: saliency of a class, token or position that is not there.
    """
    ranks = ranks or Alone()
    runner = runner_of(model)
    model = unwrapped(model)
    wanted = wanted_of(model, layers, heads, record, precision, dense_tokens, known=RECORDS)
    wanted = replace(wanted, metrics=bool(metrics))
    whole_number("batch_size", batch_size, 1)
    if max_tokens is not None:
        whole_number("max_tokens", max_tokens, 2, ", or None for no limit of its own")
    check_tokenizer(tokenizer)
    if saliency is not None and (not isinstance(saliency, Saliency) or "saliency" not in wanted.records):
        raise ArgumentError(f"saliency is {saliency!r}, record {record!r}: give an attnlog.Saliency, and name 'saliency' in record")
    prepared = ranks.stage(lambda: prepare(model, inputs, tokenizer, max_tokens=max_tokens))
    device = device_of(model)
    # A mask makes attention ignore padding; a model without a pad token gets rows of equal length only.
    pad = getattr(tokenizer, "pad_token_id", None)
    given = batches(model, prepared, size=batch_size, pad=pad, device=device)
    asked = tuple(one.record for one in prepared)
    extras = Extras(model, Asked(wanted.records, asked, tokenizer, saliency or Saliency(), labels_of(inputs, asked)))
    with preserved(runner):
        recorder, extras = ranks.stage(lambda: _all_recorded(runner, model, wanted, given, extras))
    if not wanted.records & set(ATTENTION):
        return extras.into(recorder.capture(asked, layers=False))
    if recorder.folded:
        # Windows or frames in the batch: once more from the same random state, to follow their tokens back to the whole.
        with preserved(runner):
            recorder = ranks.stage(lambda: _recorded(runner, Recorder(model, wanted, follow=True), given))
    if recorder.doubted:
        # Several inputs in what the model computes as one: each by itself, then.
        given = batches(model, prepared, size=1, pad=pad, device=device)
        follow = recorder.folded
        with preserved(runner):
            alone = ranks.stage(lambda: _alone(runner, Recorder(model, wanted, follow=follow), given))
        check_batch_first(model, len(given), recorder.sizes, alone.sizes if alone is not None else {})
        recorder = alone or recorder
    if recorder.incomplete:
        with preserved(runner):
            ranks.stage(lambda: fill_in(runner, recorder, given))
    if not recorder.calls:
        raise NoAttentionError(none_seen(model))
    recorder.check_layers()
    return extras.into(recorder.capture(asked))


def _all_recorded(
    runner: torch.nn.Module, model: torch.nn.Module, wanted: Wanted, given: Sequence[Batch], extras: Extras
) -> tuple[Recorder, Extras]:
    """Record attention and what is wanted beside it; a model that does not take what extras ask of it runs without that."""
    # Patches and frames are known by the attention over them only.
    attending = bool(wanted.records & set(ATTENTION)) or not all(record.axes for batch in given for record in batch.records)
    try:
        return _recorded(runner, Recorder(model, wanted), given, extras, attending=attending), extras
    except Exception:  # of any kind: what a model makes of an argument that it does not know is its own
        if not extras.keywords:
            raise
        extras = extras.begin_without()
        return _recorded(runner, Recorder(model, wanted), given, extras, attending=attending), extras


def _alone(runner: torch.nn.Module, recorder: Recorder, given: Sequence[Batch]) -> Recorder | None:
    """Run inputs one by one, or return None where the model cannot: some need a batch, and what was seen of it stands."""
    try:
        return _recorded(runner, recorder, given)
    except AttnlogError:
        raise
    except Exception:  # of any kind, the model's own: the same pass worked for all inputs together, and what is missing is said already
        return None


def _recorded(
    runner: torch.nn.Module, recorder: Recorder, given: Sequence[Batch], extras: Extras | None = None, *, attending: bool = True
) -> Recorder:
    keywords = {**quiet(unwrapped(runner)), **(extras.keywords if extras is not None else {})}
    for batch in given:
        recorder.begin(batch)
        with taps(recorder) if attending else nullcontext():
            outputs = _run(runner, {**batch.arguments, **keywords})
        recorder.end()
        if extras is not None:
            extras.see(batch, outputs)
    return recorder


def _run(runner: torch.nn.Module, arguments: Mapping[str, Any]) -> Any:
    """Run the model. What it raises is its own, with a note of what it was given."""
    try:
        return runner(**arguments)
    except Exception as error:  # raised on, whatever it is
        given = (f"{name} {value.dtype} {list(value.shape)}" for name, value in arguments.items() if isinstance(value, torch.Tensor))
        error.add_note(f"attnlog called {type(unwrapped(runner)).__name__} with {', '.join(given)}: does the model run on this by itself?")
        raise
