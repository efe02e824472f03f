"""`attnlog.capture_generation`: what attention did while a model wrote, one matrix over its prompt and what it generated."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from attnlog.capture.about import config_of, describe, none_seen
from attnlog.capture.call import Call
from attnlog.capture.inputs import Batch, Inputs, Prepared, batches, device_of, is_encoder_decoder, prepare, token_names, usable_tokens
from attnlog.capture.kinds import LayerNumbers, crosses, unwrapped
from attnlog.capture.masks import Sights
from attnlog.capture.passes import taps
from attnlog.capture.preserve import preserved
from attnlog.capture.recorder import Recorder
from attnlog.capture.wanted import ATTENTION, Wanted, wanted_of
from attnlog.capture.weights import Row, by_identity, compute
from attnlog.errors import ArgumentError, InputError, ModelError, NoAttentionError
from attnlog.record import Axis, Capture, Input

#: Options of `generate` under which rows of the batch are no longer one text each, or positions of the cache no longer tokens.
_REFUSED: dict[str, Callable[[Any], bool]] = {
    "num_beams": lambda value: value not in (None, 1),
    "num_return_sequences": lambda value: value not in (None, 1),
    "penalty_alpha": lambda value: value is not None,
    "assistant_model": lambda value: value is not None,
    "prompt_lookup_num_tokens": lambda value: value is not None,
    "cache_implementation": lambda value: value not in (None, "dynamic"),
    "use_cache": lambda value: value is False,
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
        ModelError: the model cannot generate.
        InputError: as `attnlog.capture`.
    """
    model = unwrapped(model)
    generates: Any = model
    if not hasattr(model, "generate") or (hasattr(model, "can_generate") and not generates.can_generate()):
        raise ModelError(f"{type(model).__name__} cannot generate: give a model with a language head, such as one of AutoModelForCausalLM")
    if isinstance(max_new_tokens, bool) or not isinstance(max_new_tokens, int) or max_new_tokens < 1:
        raise ArgumentError(f"max_new_tokens is {max_new_tokens!r}; it is a whole number from 1")
    _check_options(generates, generate)
    wanted = wanted_of(model, layers, heads, record, precision, dense_tokens, known=ATTENTION)
    prepared = [_source(model, one) for one in prepare(model, _sources(model, inputs), tokenizer, max_tokens=None)]
    _check_lengths(model, prepared, max_new_tokens)
    device = device_of(model)
    recorder = Recorder(model, wanted)
    finished: list[Input] = []
    for number, one in enumerate(prepared):
        # One at a time: each as it would run alone, without padding in its cache.
        with preserved(model):
            if seed is not None:
                _seed(seed, device)
            (batch,) = batches(model, [one], size=1, pad=None, device=device)
            steps = _Steps(recorder.numbers, wanted)
            written = _generated(model, batch, steps, recorder, max_new_tokens, generate)
            read = _read(model, one, written, tokenizer)
            finished.append(read)
            recorder.begin(_whole(read, number, device))
            for call in steps.calls():
                recorder.see(call)
            recorder.end()
    if not recorder.calls:
        raise NoAttentionError(none_seen(model))
    recorder.check_layers()
    return Capture(
        inputs=recorder.inputs(finished),
        layers=recorder.layers(),
        missing=recorder.missing(),
        model=describe(model),
        config=config_of(model),
    )


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


def _generated(model: Any, batch: Batch, steps: _Steps, recorder: Recorder, count: int, generate: dict[str, Any]) -> torch.Tensor:
    """Run `generate` and return the finished ids of the one row."""
    from transformers import StoppingCriteriaList

    class Step:
        def __call__(self, input_ids: torch.Tensor, scores: Any, **more: Any) -> torch.Tensor:
            steps.step += 1
            return torch.zeros(len(input_ids), dtype=torch.bool, device=input_ids.device)

    given = batch.arguments
    if is_encoder_decoder(model) and given["decoder_input_ids"].shape[1] == 1:
        given.pop("decoder_input_ids")
        given.pop("decoder_attention_mask", None)
    criteria = StoppingCriteriaList([*(generate.get("stopping_criteria") or ()), Step()])
    options = {**generate, "max_new_tokens": count + 1, "stopping_criteria": criteria, "return_dict_in_generate": False}
    with taps(recorder, seen=steps.see):
        # One more token than asked for: only by generating it does the model read the last one.
        ids = model.generate(**given, **options)
    found: torch.Tensor = ids[0]
    return found


def _read(model: Any, one: Prepared, written: torch.Tensor, tokenizer: Any) -> Input:
    """Say which tokens the model read: the prompt, and what it generated but the last."""
    axis = "decoder" if is_encoder_decoder(model) else "self"
    given = one.record.axes[axis]
    ids = [int(i) for i in written[:-1]]
    prompt = min(len(given.ids or ()) if axis == "self" else int(one.tensors["decoder_input_ids"].shape[0]), len(ids))
    made = Axis(
        tokens=token_names(ids, tokenizer),
        text=given.text if axis == "self" else None,
        ids=tuple(ids),
        special=_special(ids, tokenizer),
        generated=tuple(place >= prompt for place in range(len(ids))),
    )
    return Input({**one.record.axes, axis: made})


def _special(ids: Sequence[int], tokenizer: Any) -> tuple[bool, ...] | None:
    tokenizer = getattr(tokenizer, "tokenizer", tokenizer)
    marks = tuple(i in set(getattr(tokenizer, "all_special_ids", ())) for i in ids)
    return marks if any(marks) else None


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
    _parts: dict[tuple[int, int], list[_Part]] = field(default_factory=dict)
    _seen: dict[tuple[int, int], int] = field(default_factory=dict)
    _computing: bool = False

    def see(self, call: Call) -> None:
        """Keep the rows of one step."""
        if self._computing or call.shape[0] != 1 or (call.mask is not None and not isinstance(call.mask, torch.Tensor)):
            return
        turn = self._seen.get((id(call.module), self.step), 0)
        self._seen[id(call.module), self.step] = turn + 1
        self._computing = True
        try:
            self._parts.setdefault((id(call.module), turn), []).append(_Part(_detached(call), _weights(call)))
        finally:
            self._computing = False

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


def _detached(call: Call) -> Call:
    """Keep what a cache may overwrite at the next step."""
    kept: dict[str, Any] = {name: None if (t := getattr(call, name)) is None else t.clone() for name in ("query", "key", "value", "output")}
    return replace(call, **kept, weights=None, mask=None) if call.query is not None else call


def _weights(call: Call) -> torch.Tensor:
    """Compute all heads' weights of one step, checked against the model's own output like those of any capture."""
    _, heads, queries, keys = call.shape
    device = call.device
    rows, columns = torch.arange(queries, device=device), torch.arange(keys, device=device)
    nothing = Axis(tokens=("",) * keys)
    row = Row(0, rows, columns, Sights().of(call, 0, rows, columns), Axis(tokens=("",) * queries), nothing, False)
    every = torch.arange(heads, device=device)
    found = compute(call, row, every, precision="f32", metrics=False)
    if not found.held and call.function is not None:
        return by_identity(call, 0)
    return torch.from_numpy(found.codes).to(device)


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
