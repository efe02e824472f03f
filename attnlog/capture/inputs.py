"""Texts, text pairs and ready-made batches become token axes and model inputs."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from attnlog.capture.kinds import tower_of
from attnlog.errors import InputError
from attnlog.record import Axis, Input

_MASKS = frozenset({"attention_mask", "decoder_attention_mask"})
Text = str | tuple[str, str] | list[str]
Inputs = Text | Sequence[Text] | Mapping[str, Any]


@dataclass(frozen=True)
class Prepared:
    """One input: what is kept of it, and its row of every model input, unpadded."""

    record: Input
    tensors: dict[str, torch.Tensor]  # each [tokens] or [tokens, …]
    positions: Mapping[str, torch.Tensor] | None = None  # axis → where its tokens are in rows that keep their padding
    shared: Mapping[str, Any] = field(default_factory=dict)  # what belongs to all rows of the given batch together
    alone: bool = False  # some of `shared` is this row's own
    masks: frozenset[str] = frozenset()  # attention masks that the model is given in any case: some compute otherwise without

    @property
    def length(self) -> int:
        """Tokens of the longest axis."""
        return max((len(axis.tokens) for axis in self.record.axes.values()), default=0)


@dataclass(frozen=True)
class Batch:
    """Several inputs in one forward pass."""

    numbers: tuple[int, ...]  # which inputs, in row order
    records: tuple[Input, ...]
    tensors: dict[str, torch.Tensor]
    positions: tuple[dict[str, torch.Tensor], ...]  # per row: axis → where its tokens are
    widths: Mapping[str, int] = field(default_factory=dict)  # of text axes, padding included
    shared: Mapping[str, Any] = field(default_factory=dict)
    rows: int | None = None  # of the model's batch, where not all of them are inputs

    @property
    def arguments(self) -> dict[str, Any]:
        """What the model's forward is called with."""
        return {**self.shared, **self.tensors}


def prepare(model: torch.nn.Module, inputs: Inputs, tokenizer: Any, *, max_tokens: int | None) -> list[Prepared]:
    """Turn what the user gave into inputs, one each.

    Raises:
        InputError: nothing was given, texts came without a tokenizer, or an input cannot be read; the message names it.
    """
    encoder_decoder = is_encoder_decoder(model)
    given: Any = inputs
    if isinstance(given, torch.Tensor):
        given = {next(iter(accepted_by(model))): given}
    if isinstance(given, Mapping) or hasattr(given, "keys"):  # a BatchEncoding is a mapping by its methods only
        from attnlog.capture.ready import ready_rows

        rows = ready_rows(model, dict(given), tokenizer)
    else:
        rows = [_text(model, text, number, tokenizer, max_tokens, encoder_decoder) for number, text in enumerate(_texts(inputs))]
    limit = _limit(model)
    known = vocabulary(model)
    for number, row in enumerate(rows):
        if limit is not None and row.length > limit and "input_ids" in row.tensors:
            raise InputError(
                f"input {number} has {row.length} tokens, the model takes at most {limit}: shorten it or pass max_tokens={limit}"
            )
        for name, ids in row.tensors.items():
            # On a GPU an id out of range kills the process, not only the call.
            if name.endswith("input_ids") and ids.ndim == 1 and ids.numel() and (int(ids.min()) < 0 or int(ids.max()) >= known):
                raise InputError(
                    f"{name} of input {number} hold {int(ids.min())} to {int(ids.max())}, the model knows 0 to {known - 1}: "
                    "is this the model's own tokenizer?"
                )
    return rows


def is_encoder_decoder(model: Any) -> bool:
    """Say whether a model reads a source and a target: the decoder of such a model alone is configured like the whole."""
    return bool(getattr(getattr(model, "config", None), "is_encoder_decoder", False)) and "decoder_input_ids" in accepted_by(model)


def device_of(model: torch.nn.Module) -> torch.device:
    """Return where a model takes its inputs; weights that accelerate keeps elsewhere are on no device until their module runs."""
    there = next((p.device for p in model.parameters() if p.device.type != "meta"), None)
    hooks = (getattr(module, "_hf_hook", None) for module in model.modules())
    told = next((device for hook in hooks if (device := getattr(hook, "execution_device", None)) is not None), None)
    # A number is that of an accelerator, as accelerate's device maps have it.
    return torch.device(told) if told is not None else there or torch.device("cpu")


def embeddings_of(model: Any, side: str = "input") -> Any:
    """Return the module that embeds tokens, or with ``output`` the one that makes logits; None: models of images and sounds have none."""
    try:
        return getattr(model, f"get_{side}_embeddings")()
    except (AttributeError, NotImplementedError):  # how transformers' models say that they have none; other modules lack the method
        return None


def vocabulary(model: Any) -> int:
    """Return how many token ids a model knows; without a table of embeddings, any number."""
    known = getattr(embeddings_of(model), "num_embeddings", None)
    return known if isinstance(known, int) else 1 << 62


def main_axis(model: Any) -> str:
    """Name the axis of a model's main stack: ``self`` for tokens, else what it reads instead."""
    accepted = accepted_by(model)
    if "input_ids" in accepted:
        return "self"
    main = str(getattr(model, "main_input_name", ""))
    main = main if main in accepted else next(iter(accepted), "")
    if any("grid_thw" in name for name in accepted):
        return "vision"
    for axis, words in (("vision", ("pixel", "image", "video")), ("audio", ("input_features", "input_values", "audio"))):
        if any(word in main for word in words):
            return axis
    return "self"


def _texts(inputs: Any) -> list[Text]:
    if isinstance(inputs, str):
        return [inputs]
    if isinstance(inputs, tuple) and len(inputs) == 2 and all(isinstance(part, str) for part in inputs):
        return [inputs]
    texts = list(inputs) if isinstance(inputs, Sequence) else None
    if texts is None:
        raise InputError(f"inputs is a {type(inputs).__name__}: give texts, text pairs, or a mapping of model inputs")
    if not texts:
        raise InputError("no inputs: give at least one text, text pair, or a mapping of model inputs such as a tokenizer returns")
    for number, text in enumerate(texts):
        pair = isinstance(text, (tuple, list)) and len(text) == 2 and all(isinstance(part, str) for part in text)
        if not isinstance(text, str) and not pair:
            raise InputError(f"input {number} is {text!r}: a text is a str, a text pair is a tuple of two")
        if not (text if isinstance(text, str) else text[0]).strip():
            raise InputError(f"input {number} is empty: give it at least one word")
    return texts


def _limit(model: Any) -> int | None:
    # Learned positions end; rotary and relative ones do not, so their configured length is advice only.
    # Those of a picture's patches, or of queries that are no tokens, say nothing of a text's length.
    learned = [
        module
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.Embedding)
        and re.search(r"(^|[._])(embed_positions?|position_embeddings?|wpe)$", name)
        and tower_of(f"{name}.") is None
        and "query" not in name
    ]
    # RoBERTa's and its relatives' positions begin after the padding position; OPT's and BART's tables are longer by an offset.
    limits = [m.num_embeddings - (m.padding_idx + 1 if m.padding_idx is not None else int(getattr(m, "offset", 0))) for m in learned]
    return min(limits, default=None)


def usable_tokens(model: torch.nn.Module, wanted: int) -> int:
    """Return `wanted`, or what the model's learned positions allow if that is less."""
    limit = _limit(model)
    return wanted if limit is None else min(wanted, limit)


def _text(model: Any, text: Text, number: int, tokenizer: Any, max_tokens: int | None, encoder_decoder: bool) -> Prepared:
    tokenizer = getattr(tokenizer, "tokenizer", tokenizer)  # a processor of several modalities holds one
    if tokenizer is None:
        raise InputError(f"input {number} is a text, which needs a tokenizer: pass tokenizer=…, or give ready-made model inputs")
    first, second = (text, None) if isinstance(text, str) else text
    if not encoder_decoder:
        axis, tensors = _encode(tokenizer, first, second, max_tokens)
        return Prepared(Input({"self": axis}), tensors, masks=_MASKS)
    source, tensors = _encode(tokenizer, first, None, max_tokens)
    target, labels = _encode(tokenizer, first if second is None else second, None, max_tokens)
    start = decoder_start(model)
    ids = torch.cat([torch.tensor([start]), labels["input_ids"][:-1]])
    given = (start, *(target.ids or ())[:-1])
    # The decoder reads the target shifted right: its first token is the model's start token.
    shifted = replace(
        target,
        ids=given,
        tokens=tuple(tokenizer.convert_ids_to_tokens(list(given))),
        starts=None if target.starts is None else (0, *target.starts[:-1]),
        ends=None if target.ends is None else (0, *target.ends[:-1]),
        special=None if target.special is None else (True, *target.special[:-1]),
        segments=None,
    )
    return Prepared(Input({"encoder": source, "decoder": shifted}), {**tensors, "decoder_input_ids": ids}, masks=_MASKS)


def decoder_start(model: Any) -> int:
    """Return the token that a decoder begins with."""
    for config in (model.config, getattr(model, "generation_config", None)):
        for name in ("decoder_start_token_id", "bos_token_id", "pad_token_id"):
            found = getattr(config, name, None)
            if isinstance(found, int):
                return found
    raise InputError("the model's config has no decoder_start_token_id: set it, or give ready-made inputs with decoder_input_ids")


def _encode(tokenizer: Any, text: str, pair: str | None, max_tokens: int | None) -> tuple[Axis, dict[str, torch.Tensor]]:
    fast = bool(getattr(tokenizer, "is_fast", False))

    def call(**limits: Any) -> Any:
        return tokenizer(text, pair, return_special_tokens_mask=True, return_offsets_mapping=fast, verbose=False, **limits)

    encoding = call()
    cut = 0
    if max_tokens is not None and len(encoding["input_ids"]) > max_tokens:
        whole = len(encoding["input_ids"])
        encoding = call(truncation=True, max_length=max_tokens)
        cut = whole - len(encoding["input_ids"])
    ids = [int(i) for i in encoding["input_ids"]]
    if not ids:
        raise InputError(f"the tokenizer makes no tokens of {text!r}: give another text")
    offsets = encoding["offset_mapping"] if fast else None
    special = tuple(bool(s) for s in encoding["special_tokens_mask"])
    axis = Axis(
        tokens=tuple(str(t) for t in tokenizer.convert_ids_to_tokens(ids)),
        text=text,
        pair=pair,
        ids=tuple(ids),
        starts=None if offsets is None else tuple(a for a, _ in offsets),
        ends=None if offsets is None else tuple(b for _, b in offsets),
        segments=None if pair is None else _segments(encoding, fast),
        special=special if any(special) else None,
        cut=cut,
    )
    kept = [name for name in encoding if name in ("input_ids", "token_type_ids") or name in tokenizer.model_input_names]
    tensors = {name: torch.tensor(encoding[name]) for name in kept if name != "attention_mask"}
    return axis, tensors


def _segments(encoding: Any, fast: bool) -> tuple[int, ...] | None:
    if not fast:
        return tuple(int(s) for s in encoding["token_type_ids"]) if "token_type_ids" in encoding else None
    segments, current = [], 0
    for sequence in encoding.sequence_ids():
        current = current if sequence is None else sequence  # a separator belongs to the text it ends
        segments.append(current)
    return tuple(segments)


def token_names(ids: Sequence[int], tokenizer: Any) -> tuple[str, ...]:
    """Name tokens as the tokenizer does, by their ids where there is none or where it does not know them."""
    tokenizer = getattr(tokenizer, "tokenizer", tokenizer)
    if not hasattr(tokenizer, "convert_ids_to_tokens"):
        return tuple(str(number) for number in ids)
    known = len(tokenizer) if hasattr(tokenizer, "__len__") else max(ids, default=0) + 1
    named = tokenizer.convert_ids_to_tokens([number if number < known else 0 for number in ids])
    return tuple(str(name) if number < known and name is not None else str(number) for number, name in zip(ids, named, strict=True))


def special_marks(ids: Sequence[int], tokenizer: Any) -> tuple[bool, ...] | None:
    """Say which tokens are the tokenizer's own, or None where none is."""
    own = set(getattr(getattr(tokenizer, "tokenizer", tokenizer), "all_special_ids", ()))
    marks = tuple(number in own for number in ids)
    return marks if any(marks) else None


def batches(model: torch.nn.Module, prepared: Sequence[Prepared], *, size: int, pad: int | None, device: torch.device) -> list[Batch]:
    """Group inputs of like length, so that little is padded; without a pad token only those of the same length.

    Rows are padded on the right and padding is masked; `Batch.positions` says where the tokens are.
    """
    order = sorted(range(len(prepared)), key=lambda n: (sorted(prepared[n].tensors), prepared[n].length))
    groups: list[list[int]] = []
    for number in order:
        last = [prepared[n] for n in groups[-1]] if groups else []
        one = prepared[number]
        fits = 0 < len(last) < size and sorted(last[0].tensors) == sorted(one.tensors)
        same = fits and not one.alone and _shapes(last[0]) == _shapes(one)
        together = bool(last and not one.alone and one.shared and one.shared is last[0].shared)
        padded = fits and pad is not None and one.positions is None and one.length <= 1.25 * last[0].length
        if same or together or padded:
            groups[-1].append(number)
        else:
            groups.append([number])
    accepted = accepted_by(model)
    return [_collate([prepared[n] for n in group], tuple(group), accepted, pad or 0, device) for group in groups]


def accepted_by(model: Any) -> Mapping[str, inspect.Parameter]:
    """Return the parameters of the model's forward, of the model itself where an adapter wraps it."""
    base = model.get_base_model() if hasattr(model, "get_base_model") else model  # an adapter's own forward takes anything
    return inspect.signature(base.forward).parameters


def _shapes(one: Prepared) -> list[tuple[int, ...]]:
    return [tuple(one.tensors[name].shape) for name in sorted(one.tensors)]


def _collate(rows: list[Prepared], numbers: tuple[int, ...], accepted: Mapping[str, Any], pad: int, device: torch.device) -> Batch:
    first = rows[0]
    if first.positions is not None:
        return as_given(rows, numbers, device)
    anything = any(p.kind is inspect.Parameter.VAR_KEYWORD for p in accepted.values())
    tensors: dict[str, torch.Tensor] = {}
    for name in rows[0].tensors:
        # Forwards that take anything hand it on to layers that do not; segment ids are given only where they are named.
        if name in accepted or (anything and name != "token_type_ids"):
            parts = [row.tensors[name] for row in rows]
            fill = pad if name.endswith("input_ids") else 0
            tensors[name] = (
                torch.nn.utils.rnn.pad_sequence(parts, batch_first=True, padding_value=fill) if parts[0].ndim else torch.stack(parts)
            )
    for side, axes in (("", ("self", "encoder")), ("decoder_", ("decoder",))):
        lengths = [len(row.record.axes[axis].tokens) for row in rows for axis in axes if axis in row.record.axes]
        wanted = any(f"{side}attention_mask" in row.masks for row in rows) or len(set(lengths)) > 1
        if lengths and wanted and (f"{side}attention_mask" in accepted or anything):
            tensors[f"{side}attention_mask"] = (torch.arange(max(lengths))[None] < torch.tensor(lengths)[:, None]).long()
    widths = {axis: max(len(row.record.axes[axis].tokens) for row in rows) for axis in first.record.axes}
    positions = tuple({axis: torch.arange(len(found.tokens), device=device) for axis, found in row.record.axes.items()} for row in rows)
    moved = {name: tensor.to(device) for name, tensor in tensors.items()}
    return Batch(numbers, tuple(row.record for row in rows), moved, positions, widths)


def as_given(rows: Sequence[Prepared], numbers: tuple[int, ...], device: torch.device) -> Batch:
    """Put rows together again as they were given, with the padding that they have."""
    tensors = {name: torch.stack([row.tensors[name] for row in rows]).to(device) for name in rows[0].tensors}
    positions = tuple({axis: where.to(device) for axis, where in (row.positions or {}).items()} for row in rows)
    sides = {"self": "input_ids", "encoder": "input_ids", "decoder": "decoder_input_ids"}
    widths = {axis: tensors[sides[axis]].shape[1] for axis in rows[0].record.axes if axis in sides}
    shared = {name: value.to(device) if isinstance(value, torch.Tensor) else value for name, value in rows[0].shared.items()}
    return Batch(numbers, tuple(row.record for row in rows), tensors, positions, widths, shared)
