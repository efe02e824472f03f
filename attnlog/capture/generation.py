"""`attnlog.capture_generation`: what attention did while a model wrote, one matrix over its prompt and what it generated."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from attnlog.capture.about import none_seen
from attnlog.capture.call import Call
from attnlog.capture.inputs import (
    Batch,
    Inputs,
    Prepared,
    batches,
    device_of,
    is_encoder_decoder,
    prepare,
    special_marks,
    token_names,
    usable_tokens,
)
from attnlog.capture.kinds import LayerNumbers, crosses, unwrapped
from attnlog.capture.passes import taps
from attnlog.capture.preserve import preserved
from attnlog.capture.recorder import Recorder
from attnlog.capture.wanted import ATTENTION, Wanted, check_known, wanted_of
from attnlog.capture.weights import every_weight
from attnlog.errors import ArgumentError, InputError, ModelError, NoAttentionError
from attnlog.record import Axis, Capture, Input, Missing
from attnlog.scalars import whole_number

#: Options of `generate` under which rows of the batch are no longer one text each, or positions of the cache no longer tokens.
_REFUSED: dict[str, Callable[[Any], bool]] = {
    "num_beams": lambda value: value not in (None, 1),
    "num_return_sequences": lambda value: value not in (None, 1),
    "penalty_alpha": lambda value: value is not None,
    "assistant_model": lambda value: value is not None,
    "prompt_lookup_num_tokens": lambda value: value is not None,
    "cache_implementation": lambda value: value not in (None, "dynamic"),
    "use_cache": lambda value: value is False,
    "past_key_values": lambda value: value is not None,
    "prefill_chunk_size": lambda value: value is not None,
    "assistant_early_exit": lambda value: value is not None,
    "guidance_scale": lambda value: value not in (None, 1),
}
_PLAIN = {name: f"{name}=1" for name in ("num_beams", "num_return_sequences", "guidance_scale")} | {"use_cache": "use_cache=True"}


def capture_generation(
    model: torch.nn.Module,
    inputs: Inputs,
    *,
    max_new_tokens: int,
    tokenizer: Any = None,
    seed: int | None = None,
    layers: Iterable[int] | None = None,
    heads: Iterable[int] | None = None,
    record: str | Sequence[str] = ("attention", "vectors"),
    precision: str = "f32",
    dense_tokens: int | None = None,
    **generate: Any,
) -> Capture:
    """Let the model generate, and record what its attention did at every step, through its cache of keys and values.

    The steps are put together: of a decoder one matrix whose queries and keys are the prompt and what was generated, equal to that of a
    single forward pass over the finished text; of an encoder-decoder model the decoder's own and the one to its source. Tokens that were
    generated are marked so (`Axis.generated`). A token that ends a text is generated and never read, so it has no row.

    This costs twice what `generate` does, and the recording: the text is first written exactly as `model.generate` writes it, then once
    more token for token while attention is recorded. Only so does the model also read the last token of a text cut at `max_new_tokens`,
    and nothing that goes by a text's greatest length, such as a forced end, sees another length than was asked for.

    Args:
        model: a transformers model that can generate.
        inputs: prompts as texts, or a mapping of ready-made model inputs; for an encoder-decoder model the sources.
        max_new_tokens: tokens to generate at most.
        tokenizer: needed for texts; names the tokens.
        seed: for sampling; default: the random state as it is. In either case it is afterwards as before.
        layers: as of `attnlog.capture`.
        heads: as of `attnlog.capture`.
        record: any of ``attention``, ``vectors``, ``values``.
        precision: of the weights: ``f32``, ``f16`` or ``u8``.
        dense_tokens: of longer texts only the top keys of each row are kept; default: every weight.
        generate: whatever else the model's `generate` takes: ``do_sample``, ``temperature``, ``top_p``, …; one text a row, so no beams.

    Raises:
        ArgumentError: an option under which steps cannot be put together; the message names it.
        ModelError: the model cannot generate, writes in several runs, or does not say which tokens it writes.
        InputError: as `attnlog.capture`.
    """
    model = unwrapped(model)
    generates: Any = model
    if not hasattr(model, "generate") or (hasattr(model, "can_generate") and not generates.can_generate()):
        raise ModelError(f"{type(model).__name__} cannot generate: give a model with a language head, such as one of AutoModelForCausalLM")
    whole_number("max_new_tokens", max_new_tokens, 1)
    _check_options(generates, generate)
    wanted = wanted_of(model, layers, heads, record, precision, dense_tokens, known=ATTENTION)
    prepared = [_source(model, one) for one in prepare(model, _sources(model, inputs), tokenizer, max_tokens=None)]
    _check_lengths(model, prepared, max_new_tokens)
    device = device_of(model)
    recorder = Recorder(model, wanted)
    finished: list[Input] = []
    missing: dict[Missing, None] = {}
    for number, one in enumerate(prepared):
        # One at a time: each as it would run alone, without padding in its cache.
        with preserved(model):
            if seed is not None:
                _seed(seed, device)
            (batch,) = batches(model, [one], size=1, pad=None, device=device)
            recorder.numbers.restart()
            steps = _Steps(recorder.numbers, wanted)
            text = _generated(model, batch, steps, recorder, max_new_tokens, generate)
            read = _read(model, one, text, tokenizer)
            finished.append(read)
            recorder.begin(_whole(read, number, device))
            for call in steps.calls():
                strange = _strange(recorder.numbers, call, text)
                if strange is None:
                    recorder.see(call)
                else:
                    missing[strange] = None
            recorder.end()
            if steps.layers:
                # Of layers that are not wanted nothing was kept, so the recorder knows of none.
                check_known(wanted, steps.layers)
    if not recorder.calls and missing:
        raise ModelError(str(next(iter(missing))))
    if not recorder.calls:
        raise NoAttentionError(none_seen(model))
    recorder.check_layers()
    found = recorder.capture(finished)
    return replace(found, missing=(*found.missing, *missing))


def _sources(model: Any, inputs: Any) -> Any:
    """Give an encoder-decoder model's sources the token that its decoder begins with."""
    if is_encoder_decoder(model) and hasattr(inputs, "keys") and "decoder_input_ids" not in inputs:
        from attnlog.capture.inputs import decoder_start

        rows = len(next(iter(inputs.values())))
        return {**dict(inputs), "decoder_input_ids": torch.full((rows, 1), decoder_start(model))}
    return inputs


def _check_options(model: Any, generate: dict[str, Any]) -> None:
    """Refuse what the steps of cannot be put together, whether it was asked for here or is in a generation config."""
    # What the config given here leaves open, `generate` takes from the model's own.
    configs = (generate.get("generation_config"), getattr(model, "generation_config", None))
    for name, refused in _REFUSED.items():
        asked = name in generate
        value = generate[name] if asked else next((v for one in configs if (v := getattr(one, name, None)) is not None), None)
        if refused(value):
            remedy = f"leave {name} out" if asked else f"that is of the generation config: pass {_PLAIN.get(name, f'{name}=None')}"
            raise ArgumentError(f"{name}={value!r}: attention is put together of one text and one cache a row; {remedy}")


def _source(model: Any, one: Prepared) -> Prepared:
    """Take away what `prepare` made the decoder read of a text: here it writes that itself."""
    if not is_encoder_decoder(model) or one.record.axes["decoder"].text is None:
        return one
    if one.record.axes["decoder"].text != one.record.axes["encoder"].text:
        raise InputError("a pair has a target, which a model that generates writes itself: give its source alone, or decoder_input_ids")
    return replace(one, tensors={**one.tensors, "decoder_input_ids": one.tensors["decoder_input_ids"][:1]})


def _check_lengths(model: torch.nn.Module, prepared: Sequence[Prepared], count: int) -> None:
    name = "decoder_input_ids" if is_encoder_decoder(model) else "input_ids"
    for number, one in enumerate(prepared):
        given = len(one.tensors[name]) if name in one.tensors else 0
        most = usable_tokens(model, given + count)
        if most < given + count:
            raise InputError(
                f"input {number} has {given} tokens before the {count} new ones, the model takes at most {most}: "
                f"shorten it or ask for max_new_tokens={max(most - given, 1)}"
            )


def _seed(seed: int, device: torch.device) -> None:
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        torch.cuda.default_generators[device.index or 0].manual_seed(seed)


@dataclass(frozen=True)
class _Text:
    """What a model wrote."""

    axis: str
    ids: tuple[int, ...]  # what it read: the prompt, and what it generated but a last token that nothing followed
    prompt: int  # how many of them it did not generate


class _Ids:
    """A stopping criterion that stops nothing: the ids it is asked about are those that the model goes on from.

    What `generate` returns may lack them: some models take the tokens that they begin with away.
    """

    def __init__(self, step: Callable[[], None] = lambda: None) -> None:
        self.ids: torch.Tensor | None = None
        self.prompt = 0
        self.runs = 0
        self._step = step

    def __call__(self, input_ids: torch.Tensor, scores: Any, **more: Any) -> torch.Tensor:
        self._step()
        if self.ids is None or not torch.equal(self.ids, input_ids[:, :-1]):
            self.runs += 1
            self.prompt = input_ids.shape[1] - 1
        self.ids = input_ids.clone()
        return torch.zeros(len(input_ids), dtype=torch.bool, device=input_ids.device)

    def found(self, model: Any) -> list[int]:
        """Return the ids of the one row."""
        name = type(model).__name__
        if self.ids is None:
            raise ModelError(f"{name}.generate does not say which tokens it writes: it asks no stopping criteria")
        if self.runs > 1 or len(self.ids) != 1:
            raise ModelError(f"{name}.generate writes in several runs, which make no one text: give it a shorter input")
        return [int(i) for i in self.ids[0]]


class _Ending:
    """A stopping criterion of the user's, which remembers whether it ended the text."""

    def __init__(self, criterion: Any) -> None:
        self.ended = False
        self._criterion = criterion

    def __call__(self, input_ids: torch.Tensor, scores: Any, **more: Any) -> Any:
        found = self._criterion(input_ids, scores, **more)
        self.ended = bool(torch.as_tensor(found).all())
        return found


class _Same:
    """A logits processor under which a text is written again: every token but the given one is ruled out."""

    def __init__(self, ids: Sequence[int]) -> None:
        self._ids = ids

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        place = min(input_ids.shape[1], len(self._ids) - 1)  # after the text any token will do: it is never read
        forced = torch.full_like(scores, -torch.inf)
        forced[:, self._ids[place]] = 0
        return forced


#: Options of `generate` that have no say in writing a text again, or would disturb it.
_OFF = (
    *("forced_eos_token_id", "exponential_decay_length_penalty", "watermarking_config", "prefix_allowed_tokens_fn", "max_time"),
    *("streamer", "temperature", "top_k", "top_p", "min_p", "top_h", "typical_p", "epsilon_cutoff", "eta_cutoff"),
)


def _generated(model: Any, batch: Batch, steps: _Steps, recorder: Recorder, count: int, generate: dict[str, Any]) -> _Text:
    """Let the model write the one row of the batch, and once more while its attention is seen."""
    from transformers import LogitsProcessorList, StoppingCriteriaList

    given = batch.arguments
    if is_encoder_decoder(model) and "decoder_input_ids" in given and given["decoder_input_ids"].shape[1] == 1:
        given.pop("decoder_input_ids")
        given.pop("decoder_attention_mask", None)
    plain = {**generate, "return_dict_in_generate": False}
    first = _Ids()
    own = [_Ending(criterion) for criterion in generate.get("stopping_criteria") or ()]
    model.generate(**given, **{**plain, "max_new_tokens": count, "stopping_criteria": StoppingCriteriaList([*own, first])})
    ids = first.found(model)
    # One more token than was written: only by generating it does the model read the last one. A token that ends the text it never reads.
    ended = len(ids) - first.prompt < count or any(criterion.ended for criterion in own)
    configs = (generate.get("generation_config"), getattr(model, "generation_config", None))
    off = {name: None for name in _OFF if name in generate or any(getattr(one, name, None) is not None for one in configs)}
    again = _Ids(steps.next)
    forced = {
        **plain,
        **off,
        "do_sample": False,
        "max_new_tokens": len(ids) - first.prompt + (not ended),
        "stopping_criteria": StoppingCriteriaList([again]),
        "logits_processor": LogitsProcessorList([_Same(ids)]),
    }
    with taps(recorder, seen=steps.see):
        model.generate(**given, **forced)
    if again.found(model)[: len(ids)] != ids:
        raise ModelError(f"{type(model).__name__}.generate does not write the same text again: its attention cannot be recorded")
    axis = "decoder" if is_encoder_decoder(model) else "self"
    return _Text(axis, tuple(again.found(model)[:-1]), min(first.prompt, len(ids) - 1))


def _read(model: Any, one: Prepared, text: _Text, tokenizer: Any) -> Input:
    """Say which tokens the model read: the prompt, and what it generated but the last."""
    given = one.record.axes.get(text.axis)
    made = Axis(
        tokens=token_names(text.ids, tokenizer),
        text=given.text if given is not None and text.axis == "self" else None,
        ids=text.ids,
        special=special_marks(text.ids, tokenizer),
        generated=tuple(place >= text.prompt for place in range(len(text.ids))),
    )
    return Input({**one.record.axes, text.axis: made})


def _strange(numbers: LayerNumbers, call: Call, text: _Text) -> Missing | None:
    """Say so where the rows of what wrote the text are not its tokens: shown as them they would be others'."""
    side, queries = numbers.side(numbers.path(call.module)), call.shape[2]
    if side != text.axis or queries == len(text.ids):
        return None
    reason = f"its steps have {queries} rows together and the text has {len(text.ids)} tokens: which row is which cannot be told"
    return Missing(side, numbers.layer(call.module, side), "attention", reason)


def _whole(read: Input, number: int, device: torch.device) -> Batch:
    positions = {axis: torch.arange(len(found.tokens), device=device) for axis, found in read.axes.items()}
    return Batch((number,), (read,), {}, (positions,), {axis: len(where) for axis, where in positions.items()})


@dataclass
class _Part:
    """What one module did at one step."""

    call: Call
    weights: torch.Tensor  # float32 [heads, queries, keys]


@dataclass
class _Steps:
    """Collects the attention calls of all steps of one text."""

    numbers: LayerNumbers
    wanted: Wanted
    step: int = 0
    layers: set[int] = field(default_factory=set)  # that attend, wanted or not
    _parts: dict[tuple[int, int], list[_Part]] = field(default_factory=dict)
    _numbered: dict[int, int] = field(default_factory=dict)
    _seen: dict[tuple[int, int], int] = field(default_factory=dict)
    _computing: bool = False

    def next(self) -> None:
        """Begin another step."""
        self.step += 1

    def see(self, call: Call) -> None:
        """Keep the rows of one step."""
        if self._computing or call.shape[0] != 1 or (call.mask is not None and not isinstance(call.mask, torch.Tensor)):
            return
        layer = self._layer(call.module)
        self.layers.add(layer)
        if self.wanted.layers is not None and layer not in self.wanted.layers:
            return
        turn = self._seen.get((id(call.module), self.step), 0)
        self._seen[id(call.module), self.step] = turn + 1
        self._computing = True
        try:
            parts = self._parts.setdefault((id(call.module), turn), [])
            parts.append(_Part(self._kept(call, later=bool(parts)), every_weight(call, 0)))
        finally:
            self._computing = False

    def _layer(self, module: torch.nn.Module) -> int:
        # Once a module: those without a number of their own are counted as they are asked for.
        if id(module) not in self._numbered:
            self._numbered[id(module)] = self.numbers.layer(module, self.numbers.side(self.numbers.path(module)))
        return self._numbered[id(module)]

    def _kept(self, call: Call, *, later: bool) -> Call:
        """Copy what a cache may overwrite at the next step, and of it only what is needed: each step has all earlier ones' keys again."""
        vectors = bool({"vectors", "values"} & self.wanted.records)

        def newest(tensor: torch.Tensor | None) -> torch.Tensor | None:
            if tensor is None or not later:
                return _copied(tensor)
            # Another sequence's are those of the first step.
            return None if crosses(self.numbers.path(call.module)) else _copied(_newest(tensor, call.shape[2]))

        # The model's own weights take the place of queries and keys, where they are not recorded; values are what checks them.
        return replace(
            call,
            query=_copied(call.query) if vectors else None,
            # Without values to check, it is the keys that say how many heads share one.
            key=newest(call.key) if vectors or call.output is None or call.value is None else None,
            value=newest(call.value),
            output=_copied(call.output),
            weights=None,
            mask=None,
            keywords={} if later else call.keywords,
            function=None,
        )

    def calls(self) -> list[Call]:
        """Put the steps of each module together."""
        return [self._together(parts) for parts in self._parts.values()]

    def _together(self, parts: list[_Part]) -> Call:
        first = parts[0].call
        if len(parts) == 1:
            return replace(first, weights=parts[0].weights[None], mask=None, function=None, folded=True)
        outputs = [part.call.output for part in parts]
        together: dict[str, Any] = {
            "query": _joined([part.call.query for part in parts], 2),
            "output": _joined(outputs, 1),
        }
        if not self._grows(parts):
            weights = torch.cat([part.weights for part in parts], 1)
        else:
            weights = _grown([part.weights for part in parts])
            # Of each step the keys that it added: an older one may have left the cache of a sliding window.
            together["key"] = _joined([_newest(part.call.key, part.weights.shape[1]) for part in parts], 2)
            together["value"] = _joined([_newest(part.call.value, part.weights.shape[1]) for part in parts], 2)
        if together["output"] is None:
            together["value"] = None
        return replace(first, **together, weights=weights[None], mask=None, function=None, folded=True)

    def _grows(self, parts: list[_Part]) -> bool:
        """Say whether each step's keys are those of the last and its own, rather than another sequence's."""
        if crosses(self.numbers.path(parts[0].call.module)):
            return False
        # A window as long as the prompt has as many keys at every step; that the prompt reads itself tells it from another sequence.
        _, queries, keys = parts[0].weights.shape
        return len({part.weights.shape[2] for part in parts}) > 1 or queries == keys > 1


def _copied(tensor: torch.Tensor | None) -> torch.Tensor | None:
    # A copy of a view holds on to nothing but itself.
    return None if tensor is None else tensor.clone()


def _grown(rows: Sequence[torch.Tensor]) -> torch.Tensor:
    """Stack rows whose keys grow from step to step, ``[heads, tokens, tokens]``; keys yet to come have weight 0."""
    total = sum(part.shape[1] for part in rows)
    whole = rows[0].new_zeros(rows[0].shape[0], total, total)
    read = 0
    for part in rows:
        read += part.shape[1]
        keys = min(part.shape[2], read)
        whole[:, read - part.shape[1] : read, read - keys : read] = part[:, :, part.shape[2] - keys :]
    return whole


def _newest(tensor: torch.Tensor | None, count: int) -> torch.Tensor | None:
    return None if tensor is None else tensor[:, :, -count:]


def _joined(tensors: Sequence[torch.Tensor | None], dim: int) -> torch.Tensor | None:
    present = [tensor for tensor in tensors if tensor is not None]
    return torch.cat(present, dim) if present and len(present) == len(tensors) else None
