"""Ready-made inputs for a model by what its forward takes: two rows, a few tokens, nothing padded."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from typing import Any

import torch

from tests.sweep.given import INPUTS, ROWS, TOKENS, ids, noise

TARGETS = 7  # tokens of a decoder
Given = dict[str, Any]


def candidates(name: str, model: Any) -> Iterator[Given]:
    """Yield inputs to try, those that use most of the model first."""
    if name in INPUTS:
        yield INPUTS[name](model)
        return
    takes = inspect.signature(model.forward).parameters
    text, decoder = _text(model, takes), _decoder(model, takes)
    images, sounds = list(_images(model, takes)), list(_sounds(model, takes))
    # A model of text and images is tried with both; the images' places among the tokens are put in as the model asks for them.
    if text and images:
        for image in images:
            yield {**text, **image, **decoder}
    if text and sounds:
        for sound in sounds:
            yield {**text, **sound, **decoder}
    if text:
        yield {**text, **decoder}
    for image in images:
        yield {**image, **decoder}
    for sound in sounds:
        yield {**sound, **decoder}
    width = _first(model.config, "hidden_size", "d_model", "embed_dim", "n_embd", "dim")
    for named in ("hidden_states", "inputs_embeds"):
        if named in takes and width:
            yield {named: noise(ROWS, TOKENS, width), **decoder}


def _first(config: Any, *names: str) -> Any:
    for name in names:
        value = getattr(config, name, None)
        if value is not None:
            return value
    return None


def _parts(config: Any, *names: str) -> list[Any]:
    return [config, *(part for name in names if (part := getattr(config, name, None)) is not None and not isinstance(part, (dict, int)))]


def _find(configs: list[Any], *names: str) -> Any:
    for config in configs:
        value = _first(config, *names)
        if value is not None:
            return value
    return None


def _text(model: Any, takes: Any) -> Given:
    if "input_ids" not in takes:
        return {}
    given: Given = {"input_ids": ids(ROWS, TOKENS)}
    if "bbox" in takes:
        corner = torch.arange(TOKENS).repeat(ROWS, 1) * 3
        given["bbox"] = torch.stack([corner, corner + 1, corner + 2, corner + 4], -1)
    return given


def _decoder(model: Any, takes: Any) -> Given:
    if "decoder_input_ids" not in takes:
        return {}
    return {"decoder_input_ids": ids(ROWS, TARGETS, first=12)}


def _pair(size: Any) -> tuple[int, int]:
    if isinstance(size, dict):
        return int(size["height"]), int(size["width"])
    if isinstance(size, (list, tuple)):
        return int(size[0]), int(size[-1])
    return int(size), int(size)


def _images(model: Any, takes: Any) -> Iterator[Given]:
    parts = _parts(model.config, "vision_config", "backbone_config", "encoder", "image_encoder", "vision_tower_config", "thinker_config")
    size = _find(parts, "image_size", "img_size", "crop_size", "pretrain_image_size")
    high, wide = _pair(size) if size else (32, 32)
    channels = _find(parts, "num_channels", "in_channels", "in_chans") or 3
    channels = channels if isinstance(channels, int) else 3
    frames = _find(parts, "num_frames", "frames_per_clip") or 2
    if "pixel_values" in takes:
        if "image_grid_thw" in takes or "grid_thw" in takes:
            yield _packed(parts, "pixel_values", "image_grid_thw" if "image_grid_thw" in takes else "grid_thw")
        for shape in (
            (ROWS, channels, high, wide),
            (ROWS, frames, channels, high, wide),
            (ROWS, 1, channels, high, wide),
            (ROWS, channels, 64, 64),
            (ROWS, channels, 128, 128),
        ):
            yield {"pixel_values": noise(*shape)}
    if "pixel_values_videos" in takes:
        yield {"pixel_values_videos": noise(ROWS, frames, channels, high, wide)}
    if "grid_thw" in takes and "hidden_states" in takes:
        yield _packed(parts, "hidden_states", "grid_thw")


def _packed(parts: list[Any], pixels: str, grid: str) -> Given:
    """Patches of two images of 4 × 4 patches, one after another, as Qwen-VL and its like take them."""
    patch = _pair(_find(parts[::-1], "patch_size"))[0]
    frames = _find(parts[::-1], "temporal_patch_size") or 1
    channels = _find(parts[::-1], "in_channels", "num_channels", "in_chans") or 3
    return {pixels: noise(ROWS * 16, channels * frames * patch * patch), grid: torch.tensor([[1, 4, 4]] * ROWS)}


def _sounds(model: Any, takes: Any) -> Iterator[Given]:
    parts = _parts(model.config, "audio_config", "encoder_config", "encoder", "audio_encoder_config", "speech_config")
    mels = (
        _find(parts, "num_mel_bins", "feature_size", "input_feat_per_channel", "input_dim", "feature_projection_input_dim", "n_mels") or 16
    )
    frames = 2 * int(_find(parts, "max_source_positions") or 20)
    if "input_features" in takes:
        yield {"input_features": noise(ROWS, mels, frames)}
        yield {"input_features": noise(ROWS, frames, mels)}
        yield {"input_features": noise(ROWS, 1, frames, mels)}
    for named in ("input_values", "audio_values", "waveform"):
        if named in takes:
            for shape in ((ROWS, 800), (ROWS, 1, 800), (ROWS, 4000), (ROWS, 1, 4000), (ROWS, frames, mels)):
                yield {named: noise(*shape)}
    for named in ("past_values", "past_time_series"):
        if named in takes:
            length = _first(model.config, "context_length") or 16
            yield {named: noise(ROWS, length, _first(model.config, "num_input_channels") or 1)}


_COUNTS = re.compile(r"tokens:?\s*(?P<tokens>\d+).*features:?\s*(?P<features>\d+)", re.DOTALL)


def placed(model: Any, given: Given, error: Exception) -> Given | None:
    """Return the inputs with as many placeholders among the tokens as the model, complaining, says it has features; else None."""
    said = _COUNTS.search(str(error))
    if said is None or "input_ids" not in given:
        return None
    place = next((p for p in _placeholders(model, given) if p is not None), None)
    each = int(said["features"]) // ROWS
    if place is None or each < 1 or each > 400:
        return None
    text = ids(ROWS, TOKENS)
    row = torch.full((ROWS, each), place)
    return {**given, "input_ids": torch.cat([text[:, :3], row, text[:, 3:]], 1)}


def _placeholders(model: Any, given: Given) -> Iterator[int | None]:
    names = {"pixel_values": "image", "pixel_values_videos": "video", "input_features": "audio", "input_values": "audio"}
    for given_name, stem in names.items():
        if given_name in given:
            for config in _parts(model.config, "text_config", "thinker_config"):
                yield _first(config, f"{stem}_token_id", f"{stem}_token_index")
