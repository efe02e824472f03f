"""Ready-made model inputs become rows: texts without their padding, and whatever else a model reads as it was given."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import torch

from attnlog.capture.checks import check_names, check_values, required_of, tensor_of
from attnlog.capture.inputs import Prepared, is_encoder_decoder, main_axis, special_marks, token_names
from attnlog.errors import InputError
from attnlog.record import Axis, Input

_BESIDE = re.compile(r"pixel|image|video|audio|feature|input_values|past_values|grid|spatial|frame|speech|waveform|voice", re.IGNORECASE)
_GRIDS = re.compile(r"grid_thw|grid_hw|spatial_shapes|image_grid", re.IGNORECASE)
_PER_TOKEN = ("token_type_ids", "position_ids")


def ready_rows(model: Any, given: dict[str, Any], tokenizer: Any) -> list[Prepared]:
    """Split a ready-made batch into its rows.

    Raises:
        InputError: what was given does not fit together; the message names it, and what it does not fit.
    """
    required = required_of(model)
    given = {name: value for name, value in given.items() if value is not None or name in required}
    if not given:
        raise InputError("the inputs are empty: give model inputs by name, as a tokenizer or a processor returns them")
    check_names(model, given, required)
    check_values(model, given)
    if "input_ids" in given and not any(_BESIDE.search(name) for name in given):
        ids = tensor_of("input_ids", given["input_ids"])
        if ids.ndim <= 2 and all(_per_token(name, value) for name, value in given.items()):
            return _text_rows(model, given, tokenizer, is_encoder_decoder(model))
    return rows_as_given(model, given, tokenizer)


_TOKENWISE = re.compile(r"(^|_)(ids?|mask|labels?|bbox|tags?|seq|positions?)(_|$)", re.IGNORECASE)


def _per_token(name: str, value: Any) -> bool:
    """Say whether an input runs along the tokens, so that it is cropped as they are; of numbers of any other name nobody can tell."""
    return value is None or bool(_TOKENWISE.search(name)) or len(tuple(getattr(value, "shape", ()))) < 2


def rows_as_given(model: Any, given: dict[str, Any], tokenizer: Any) -> list[Prepared]:
    """Take a batch of images, sounds or several modalities apart without cropping anything: what its parts mean only the model knows."""
    if isinstance(given.get("labels"), list) and any(isinstance(one, dict) for one in given["labels"]):
        given = {name: value for name, value in given.items() if name != "labels"}  # boxes and classes of a detector
    tensors = {
        name: tensor_of(name, value) for name, value in given.items() if not isinstance(value, (bool, str, int, float, dict, type(None)))
    }
    constants = {name: value for name, value in given.items() if name not in tensors}
    if "labels" in tensors and "decoder_input_ids" not in tensors and is_encoder_decoder(model):
        shift = getattr(model, "prepare_decoder_input_ids_from_labels", None)
        if shift is not None:
            tensors["decoder_input_ids"] = shift(labels=tensors["labels"])
    tensors.pop("labels", None)
    if not tensors:
        raise InputError(f"the inputs have {', '.join(map(repr, given))} but no tensor: give model inputs as a processor returns them")
    main = "input_ids" if "input_ids" in tensors else str(getattr(model, "main_input_name", ""))
    main = main if main in tensors else next(iter(tensors))
    first = tensors[main]
    if first.ndim == 0 or 0 in first.shape:
        raise InputError(f"{main} has shape {tuple(first.shape)}; expected a row for each input")
    packed = {name for name, tensor in tensors.items() if name in _packed(tensors, len(first))}
    count = len(first)
    if main in packed:  # the images of all inputs in one row of patches: the grids say how many inputs there are
        count = next(len(tensors[name]) for name in tensors if _GRIDS.search(name))
    own = {name: t for name, t in tensors.items() if name not in packed and t.ndim and len(t) == count}
    rest = {name: t for name, t in tensors.items() if name not in own and name not in packed}
    pieces = _split(tensors, packed, count)
    if pieces is None:
        rest, pieces = {**rest, **{name: tensors[name] for name in packed}}, [{} for _ in range(count)]
    for name, tensor in rest.items():
        if tensor.ndim and name.endswith(("input_ids", "attention_mask", "pixel_values", "token_type_ids")) and count > 1:
            raise InputError(f"{name} has {len(tensor)} rows, {main} has {count}: give a row for each input")
    shared: Mapping[str, Any] = {**constants, **rest}
    rows = []
    for row in range(count):
        kept = {name: tensor[row] for name, tensor in own.items()}
        axes, positions = _axes(model, {**kept}, tokenizer, row)
        mine = pieces[row]
        rows.append(Prepared(Input(axes), kept, positions, {**shared, **mine} if mine else shared, alone=bool(mine)))
    return rows


def _packed(tensors: Mapping[str, torch.Tensor], count: int) -> set[str]:
    """Name the tensors that hold the patches of several images in one dimension, with the grids that say where each ends."""
    grids = [name for name in tensors if _GRIDS.search(name) and tensors[name].ndim == 2]
    found = set()
    for grid in grids:
        patches = int(tensors[grid].prod(-1).sum())
        about = "video" in grid
        found |= {name for name, t in tensors.items() if name not in grids and t.ndim and len(t) == patches and ("video" in name) == about}
        found.add(grid)
    return found if len(found) > len(grids) else set()


def _split(tensors: Mapping[str, torch.Tensor], packed: set[str], count: int) -> list[dict[str, torch.Tensor]] | None:
    """Give each input its own images, where there is one each; None where nobody can say whose they are."""
    pieces: list[dict[str, torch.Tensor]] = [{} for _ in range(count)]
    for grid in (name for name in packed if _GRIDS.search(name)):
        sizes = tensors[grid].prod(-1).tolist()
        if len(sizes) != count:
            return None
        for name in packed:
            if name != grid and not _GRIDS.search(name) and len(tensors[name]) == sum(sizes):
                for row, part in enumerate(torch.split(tensors[name], sizes)):
                    pieces[row][name] = part
        for row in range(count):
            pieces[row][grid] = tensors[grid][row : row + 1]
    return pieces


def _axes(model: Any, kept: dict[str, torch.Tensor], tokenizer: Any, row: int) -> tuple[dict[str, Axis], dict[str, torch.Tensor]]:
    axes, positions = {}, {}
    sides = {"encoder": "", "decoder": "decoder_"} if is_encoder_decoder(model) else {main_axis(model): ""}
    for axis, side in sides.items():
        ids = kept.get(f"{side}input_ids")
        if ids is None or ids.ndim != 1:
            continue
        mask = kept.get(f"{side}attention_mask")
        mask = torch.ones_like(ids).bool() if mask is None or mask.shape != ids.shape else mask.bool()
        if not bool(mask.any()):
            raise InputError(f"row {row} of {side}attention_mask masks every token")
        where = mask.nonzero().flatten()
        axes[axis] = _id_axis(ids[where].tolist(), None, tokenizer)
        positions[axis] = where
    return axes, positions


def _text_rows(model: Any, given: dict[str, Any], tokenizer: Any, encoder_decoder: bool) -> list[Prepared]:
    """Split a ready-made batch into rows and crop their padding."""
    tensors = {name: tensor_of(name, value) for name, value in given.items() if value is not None}
    if "labels" in tensors and encoder_decoder and "decoder_input_ids" not in tensors:
        labels = tensors["labels"]
        tensors["decoder_input_ids"] = model.prepare_decoder_input_ids_from_labels(labels=labels)
        tensors["decoder_attention_mask"] = _shifted_mask(labels)
    tensors.pop("labels", None)
    ids = tensors["input_ids"]
    if ids.ndim == 1:
        tensors = {name: tensor[None] for name, tensor in tensors.items()}
        ids = tensors["input_ids"]
    if ids.ndim != 2 or 0 in ids.shape:
        raise InputError(f"input_ids has shape {tuple(ids.shape)}; expected [inputs, tokens] with at least one of each")
    for name, tensor in tensors.items():
        if tensor.ndim == 0 or len(tensor) != len(ids):
            raise InputError(
                f"{name} has shape {tuple(tensor.shape)}, input_ids {tuple(ids.shape)}: give a row for each input, or leave it out"
            )
        if name.endswith(_PER_TOKEN) and not name.startswith("decoder_") and tensor.shape[1:2] != ids.shape[1:]:
            raise InputError(
                f"{name} has shape {tuple(tensor.shape)}, input_ids {tuple(ids.shape)}: give one for each token, or leave it out"
            )
    sides = {"encoder": "", "decoder": "decoder_"} if encoder_decoder else {"self": ""}
    given_masks = frozenset(name for name in tensors if name.endswith("attention_mask"))
    if encoder_decoder and "decoder_input_ids" not in tensors:
        raise InputError("an encoder-decoder model needs decoder_input_ids or labels beside input_ids")
    masks = {
        axis: tensors.pop(f"{side}attention_mask", torch.ones_like(tensors[f"{side}input_ids"])).bool() for axis, side in sides.items()
    }
    prepared = []
    for row in range(len(ids)):
        axes, kept = {}, {}
        for axis, side in sides.items():
            mask = masks[axis][row]
            if mask.shape != tensors[f"{side}input_ids"][row].shape or not bool(mask.any()):
                raise InputError(f"row {row} of {side}attention_mask does not fit {side}input_ids, or masks every token")
            seen = mask.nonzero().flatten()
            if len(seen) != int(seen[-1] - seen[0]) + 1:
                raise InputError(f"row {row} of {side}attention_mask masks tokens between others: only padding at the ends can be cropped")
            width = len(mask)
            for name, tensor in tensors.items():
                mine = name.startswith("decoder_") == bool(side) if encoder_decoder else True
                if mine:
                    kept[name] = tensor[row][mask] if tensor.ndim > 1 and tensor.shape[1] == width else tensor[row]
            axes[axis] = _id_axis(kept[f"{side}input_ids"].tolist(), kept.get("token_type_ids") if not side else None, tokenizer)
        prepared.append(Prepared(Input(axes), kept, masks=given_masks))
    return prepared


def _shifted_mask(labels: torch.Tensor) -> torch.Tensor:
    mask = labels != -100
    return torch.cat([torch.ones_like(mask[:, :1]), mask[:, :-1]], 1)


def _id_axis(ids: list[int], types: torch.Tensor | None, tokenizer: Any) -> Axis:
    segments = None if types is None or not bool(types.any()) else tuple(types.long().tolist())
    return Axis(tokens=token_names(ids, tokenizer), ids=tuple(ids), segments=segments, special=special_marks(ids, tokenizer))
