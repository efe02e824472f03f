"""Inputs of models that take what no rule foresees, and models that no configuration type stands for alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

ROWS, TOKENS = 2, 9


def ids(rows: int, tokens: int, *, first: int = 10, last: int = 59) -> torch.Tensor:
    """Return token ids, no two rows alike."""
    return torch.randint(first, last, (rows, tokens), generator=torch.Generator().manual_seed(3))


def noise(*shape: int) -> torch.Tensor:
    """Return numbers as pixels and spectrograms are after preparing."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(4))


def _times(model: Any) -> dict[str, Any]:
    config = model.config
    past = config.context_length + max(config.lags_sequence)
    return {
        "past_values": noise(ROWS, past).abs(),
        "past_time_features": noise(ROWS, past, config.num_time_features),
        "past_observed_mask": torch.ones(ROWS, past),
        "future_values": noise(ROWS, config.prediction_length).abs(),
        "future_time_features": noise(ROWS, config.prediction_length, config.num_time_features),
    }


def _decisions(model: Any) -> dict[str, Any]:
    return {
        "states": noise(ROWS, 5, model.config.state_dim),
        "actions": noise(ROWS, 5, model.config.act_dim),
        "rewards": noise(ROWS, 5, 1),
        "returns_to_go": noise(ROWS, 5, 1),
        "timesteps": torch.arange(5).repeat(ROWS, 1),
    }


def _patches(model: Any) -> dict[str, Any]:
    config = getattr(model.config, "vision_config", model.config)
    wide = getattr(config, "patch_size", 8) ** 2 * 3
    places = torch.stack([torch.arange(9) // 3 + 1, torch.arange(9) % 3 + 1], -1).float().repeat(ROWS, 1, 1)
    given = {"flattened_patches": torch.cat([places, noise(ROWS, 9, wide)], -1)}
    if model.config.is_encoder_decoder:
        given["decoder_input_ids"] = ids(ROWS, 7)
    return given


def _sheets(model: Any) -> dict[str, Any]:
    sides = {
        "pixel_values": noise(ROWS, 16, model.config.patch_size**2 * 3),
        "pixel_attention_mask": torch.ones(ROWS, 16, dtype=torch.long),
    }
    return {**sides, "spatial_shapes": torch.tensor([[4, 4]] * ROWS)}


def _question(model: Any) -> dict[str, Any]:
    """An image, its placeholders, and the same text once more for the module that asks of it."""
    config, frames = model.config, 4 if model.config.model_type == "instructblipvideo" else 1
    size = config.vision_config.image_size
    names = ("image_token_index", "image_token_id", "video_token_index", "video_token_id")
    place = next((found for name in names if (found := getattr(config, name, None)) is not None), 64)
    holes = torch.full((ROWS, config.num_query_tokens * frames), place)
    shape = (ROWS, frames, 3, size, size) if frames > 1 else (ROWS, 3, size, size)
    given = {"pixel_values": noise(*shape), "input_ids": torch.cat([holes, ids(ROWS, TOKENS)], 1)}
    if config.model_type != "blip-2":
        given["qformer_input_ids"] = ids(ROWS, TOKENS)
    return given


def _boxes(model: Any) -> dict[str, Any]:
    return {
        "input_ids": ids(ROWS, TOKENS),
        "visual_feats": noise(ROWS, 5, model.config.visual_feat_dim),
        "visual_pos": noise(ROWS, 5, 4).abs(),
    }


def _tiles(model: Any) -> dict[str, Any]:
    size, tiles = model.config.image_size, model.config.max_num_tiles
    return {
        "pixel_values": noise(ROWS, 1, tiles, 3, size, size),
        "aspect_ratio_ids": torch.ones(ROWS, 1, dtype=torch.long),
        "aspect_ratio_mask": torch.ones(ROWS, 1, tiles, dtype=torch.long),
    }


def _books(model: Any) -> dict[str, Any]:
    count = model.config.decoder.num_codebooks
    return {"input_ids": ids(ROWS, TOKENS), "decoder_input_ids": ids(ROWS * count, 7)}


INPUTS: dict[str, Callable[[Any], dict[str, Any]]] = {
    "audio-spectrogram-transformer": lambda m: {"input_values": noise(ROWS, m.config.max_length, m.config.num_mel_bins)},
    "autoformer": _times,
    "informer": _times,
    "time_series_transformer": _times,
    "blip-2": _question,
    "instructblip": _question,
    "instructblipvideo": _question,
    "blip_2_qformer": lambda m: {
        "query_embeds": noise(ROWS, 6, m.config.hidden_size),
        "encoder_hidden_states": noise(ROWS, TOKENS, m.config.encoder_hidden_size),
    },
    "bridgetower_vision_model": lambda m: {"image": noise(ROWS, 3, m.config.image_size, m.config.image_size)},
    "decision_transformer": _decisions,
    "fun_asr_nano_encoder": lambda m: {
        "input_features": noise(ROWS, 12, m.config.num_mel_bins * m.config.num_stacked_frames),
        "input_features_mask": torch.ones(ROWS, 12, dtype=torch.long),
    },
    "kosmos_2_5_vision_model": _patches,
    "lightglue": lambda m: {"pixel_values": noise(1, 2, 3, 64, 64)},
    "lxmert": _boxes,
    "mllama_vision_model": _tiles,
    "musicgen": _books,
    "musicgen_melody": _books,
    "oneformer": lambda m: {"pixel_values": noise(ROWS, 3, 64, 64), "task_inputs": ids(ROWS, m.config.task_seq_len)},
    "perceiver": lambda m: {"inputs": noise(ROWS, TOKENS, m.config.d_model)},
    "nougat": lambda m: {"pixel_values": noise(ROWS, 3, 32, 32), "decoder_input_ids": ids(ROWS, 7)},
    "paligemma": lambda m: {"input_ids": ids(ROWS, TOKENS)},
    "colpali": lambda m: {"input_ids": ids(ROWS, TOKENS)},
    "phi4_multimodal_audio": lambda m: {
        "hidden_states": noise(ROWS, 32, m.config.input_size),
        "mask": torch.ones(ROWS, 32, dtype=torch.bool),
    },
    "pix2struct": _patches,
    "pix2struct_vision_model": _patches,
    "qwen2_5_omni_audio_encoder": lambda m: {
        "input_features": noise(m.config.num_mel_bins, 48),
        "feature_lens": torch.tensor([24, 24]),
        "aftercnn_lens": torch.tensor([12, 12]),
    },
    "qwen3_omni_moe_audio_encoder": lambda m: {
        "input_features": noise(m.config.num_mel_bins, 48),
        "feature_lens": torch.tensor([24, 24]),
    },
    "qwen3_asr_encoder": lambda m: {
        "input_features": noise(ROWS, m.config.num_mel_bins, 2 * m.config.n_window),
        "input_features_mask": torch.ones(ROWS, 2 * m.config.n_window, dtype=torch.long),
    },
    "seggpt": lambda m: {
        name: noise(ROWS, 3, m.config.image_size[0] // 2, m.config.image_size[1])
        for name in ("pixel_values", "prompt_pixel_values", "prompt_masks")
    },
    "siglip2": lambda m: {"input_ids": ids(ROWS, TOKENS), **_sheets(m.vision_model)},
    "siglip2_vision_model": _sheets,
    "speecht5": lambda m: {"input_values": noise(ROWS, 800), "decoder_input_ids": ids(ROWS, 7)},
    "superpoint": lambda m: {"pixel_values": noise(ROWS, 3, 64, 64)},
    "t5gemma2_decoder": lambda m: {"input_ids": ids(ROWS, TOKENS), "encoder_hidden_states": noise(ROWS, 7, m.config.hidden_size)},
    "timesfm": lambda m: {
        "past_values": noise(ROWS, 64),
        "past_values_padding": torch.zeros(ROWS, 64, dtype=torch.long),
        "freq": torch.zeros(ROWS, 1, dtype=torch.long),
    },
    "timesfm2_5": lambda m: {"past_values": noise(ROWS, 64)},
    "video_llama_3_vision": lambda m: {
        "pixel_values": noise(ROWS * 16, 3 * m.config.patch_size**2),
        "grid_thw": torch.tensor([[1, 4, 4]] * ROWS),
        "merge_sizes": torch.tensor([1] * ROWS),
    },
    "vits": lambda m: {"input_ids": ids(ROWS, TOKENS, last=m.config.vocab_size - 1)},
}


def _made(module: str, name: str, config_type: str) -> Callable[..., Any]:
    """Return a builder of a task model, for types whose bare model takes what only such a model makes."""

    def build(**settings: Any) -> Any:
        import importlib

        from tests.sweep.build import set_implementation
        from tests.sweep.classes import config_class
        from tests.sweep.shrink import shrunk

        config = shrunk(config_class(config_type))
        if settings:
            set_implementation(config, settings["attn_implementation"])
        return getattr(importlib.import_module(f"transformers.models.{module}.modeling_{module}"), name)(config)

    return build


MODELS: dict[str, Callable[..., Any]] = {
    "speecht5": _made("speecht5", "SpeechT5ForSpeechToText", "speecht5"),
}
