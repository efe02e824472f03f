"""Makes a configuration of any type small: numbers by the names of their fields, through all sub-configurations."""

from __future__ import annotations

import dataclasses
import re
import zlib
from collections.abc import Callable
from typing import Any

from transformers import PreTrainedConfig, ResNetConfig

from tests.sweep.overrides import CONFIGS

HIDDEN, HEADS, WIDTH, VOCAB, POSITIONS = 32, 4, 8, 128, 64
Rule = tuple[str, Callable[[int], int]]


def _to(size: int) -> Callable[[int], int]:
    return lambda value: min(value, size)


def _same(value: int) -> int:
    return value


# The first whose pattern is found in a field's name decides; numbers only ever become smaller.
RULES: tuple[Rule, ...] = (
    (r"kernel_size|_stride|^stride|kernel|temporal|merge|ratio|scale|factor|num_channels$|in_chans|pretraining_tp|chunk_size_feed", _same),
    (r"vocab", _to(VOCAB)),
    (r"num_labels|num_classes", _to(4)),
    (r"num_pos_feats", _to(16)),
    (r"max_length|max_position|n_positions|max_.*positions|n_ctx|max_seq|seq_len|seq_length|position_embeddings$|max_len", _to(POSITIONS)),
    (r"kv_head|key_value_head|query_groups|n_head_kv|key_value_attention_heads", lambda v: v if v < 2 else 2),
    (r"experts_per_tok|moe_topk|moe_k$|top_k$|experts_per_token", _to(2)),
    (r"topk_group$", _to(1)),
    (r"n_group$|num_expert_group$|n_groups$", _to(2)),
    (r"num_.*shared_expert|n_shared_expert", _to(1)),
    (r"num_experts|n_routed_experts|num_local_experts|moe_num_experts|ffn_experts", _to(4)),
    (r"dense_layers|dense_replace|num_kv_shared_layers", _to(1)),
    (r"shared_intermediate|intermediate|ffn|d_ff$|feed_?forward|mlp_dim|mlp_hidden|d_inner$|dim_ff$", _to(48)),
    (r"head_dim|d_kv$|dim_head|head_size|d_head|dim_per_head|kv_channels|head_channels", _to(WIDTH)),
    (r"heads?$|num_attention_heads|heads_per", lambda v: v if v < 2 else 2 if v < 4 else HEADS),
    (r"layers$|n_layer$|^depth$|num_blocks|_depth$|num_self_attends_per_block|num_residual_blocks", _to(2)),
    (r"lora_rank", _to(16)),
    (r"image_size|img_size|crop_size|input_size$|spec_size", _to(32)),
    (r"patch_size", _to(8)),
    (r"sliding_window|attention_window", _to(4)),
    (r"window_size", lambda v: min(v, 4) if v < 33 else 32),
    (r"window|chunk|block_size", _same),
    (r"num_queries|num_query|num_latents|num_proposals|num_detection|num_denoising|num_points$", _to(6)),
    (
        r"^d_model$|n_embd|width$|hidden|embed|dim$|dims$|channel|_size$|^size$|filters|features|units|out_dim|_d$|d_state|conv_dim",
        _to(HIDDEN),
    ),
    (r"mel_bins|n_mels", _to(16)),
    (r"buckets|bins|num_embeddings|num_hash", _to(32)),
)
PATTERNS = ("layer_types", "layers_block_type", "mlp_layer_types", "attention_layers", "block_types", "layer_block_types")
DEPTHS = ("num_hidden_layers", "n_layer", "num_layers")


def shrunk(cls: type[PreTrainedConfig], given: PreTrainedConfig | None = None, overrides: dict[str, Any] | None = None) -> PreTrainedConfig:
    """Return a small configuration of this class; what `given` says other than the class's defaults is kept, but made small."""
    asked = {**CONFIGS.get(cls.model_type, {}), **(overrides or {})}
    made = cls(**_values(cls, given, asked, 2))
    if not set(asked) & {*DEPTHS, *PATTERNS}:
        whole = _kinds(given if given is not None else _default(cls))
        for depth in (3, 4, 6, 8):
            if _kinds(made) == whole:
                break
            made = cls(**_values(cls, given, asked, depth))
    return made


def _kinds(config: PreTrainedConfig | None) -> set[str]:
    """Return the kinds of layers that a configuration alternates."""
    kinds: set[str] = set()
    for name in PATTERNS:
        found = getattr(config, name, None)
        if isinstance(found, (list, tuple)):
            kinds |= {str(kind) for kind in found}
    return kinds


def _default(cls: type[PreTrainedConfig]) -> PreTrainedConfig | None:
    try:
        return cls()
    except Exception:
        return None  # a few default configurations contradict themselves; theirs are told by an override


def _values(cls: type[PreTrainedConfig], given: PreTrainedConfig | None, asked: dict[str, Any], depth: int) -> dict[str, Any]:
    fresh = _default(cls)
    source = given if given is not None else fresh
    values: dict[str, Any] = {}
    known = {field.name for field in dataclasses.fields(cls)}
    if given is not None and known & {"out_indices", "_out_indices"} and (taken := _taken(given)):
        values["out_indices"], depth = taken, max(depth, len(taken))
    for field in dataclasses.fields(cls):
        name = field.name
        if not field.init:
            continue
        stated = field.default_factory() if field.default_factory is not dataclasses.MISSING else field.default
        found = _get(source, name, stated)
        if isinstance(found, PreTrainedConfig):
            part = _with_torch(found)
            values[name] = shrunk(type(part), part, asked.get(name) if isinstance(asked.get(name), dict) else None)
            continue
        if name.endswith(("out_indices", "out_features")):
            continue
        said = given is not None and fresh is not None and found != _get(fresh, name, None)
        if said:
            stated = found
        if name == "head_dim" and stated is None and found is None and "num_attention_heads" in known:
            stated = found = WIDTH
        if name == "num_key_value_heads" and stated is None and found is None and "num_attention_heads" in known:
            stated = found = 2
        if name in ("num_key_value_heads", "num_kv_heads") and stated is not None and stated == _get(source, "num_attention_heads", None):
            values[name] = min(stated, HEADS)
            continue
        if stated is None and isinstance(found, (list, tuple)) and 1 < len(found) < 6 and "layer" not in name:
            stated = found  # a list of stages that the class fills in itself
        if stated is None or stated is dataclasses.MISSING:
            continue
        small = _small(name, stated, depth)
        if small is not None and small != stated:
            values[name] = small
        elif small is None and said and isinstance(stated, (bool, str, float)):
            values[name] = stated
    for name, value in asked.items():
        if not isinstance(values.get(name), PreTrainedConfig):
            values[name] = value
    return values


def _get(config: Any, name: str, otherwise: Any) -> Any:
    try:
        return getattr(config, name, otherwise)
    except Exception:
        return otherwise  # a field that differs between layers cannot be asked of the whole


def _taken(given: PreTrainedConfig) -> list[int]:
    """Return which stages a backbone hands on, as many as it did, where it has no more than a few of them."""
    indices = list(_get(given, "out_indices", None) or [])
    stages = len(_get(given, "stage_names", None) or []) - 1
    return [] if not indices else indices if stages <= 5 else list(range(1, len(indices) + 1))


def _with_torch(part: PreTrainedConfig) -> PreTrainedConfig:
    """Replace a backbone of a package that is not installed by one of transformers' own with as many stages."""
    if part.model_type not in ("timm_backbone", "timm_wrapper"):
        return part
    count = len(_get(part, "out_indices", None) or [4])
    return ResNetConfig(out_indices=list(range(5 - count, 5)))


def _small(name: str, value: Any, depth: int) -> Any:
    if isinstance(value, bool):
        return None
    if name in DEPTHS and isinstance(value, int):
        return min(value, depth)
    if name.endswith(("_token_id", "_token_index")) or name in ("unk_index", "mask_index"):
        return token(name, value) if isinstance(value, int) else 2
    if isinstance(value, int):
        return _rule(name)(value)
    if isinstance(value, (list, tuple)) and value and all(isinstance(v, int) and not isinstance(v, bool) for v in value):
        if name in ("depths", "depth", "num_block_repeats", "stage_num_blocks"):
            return type(value)(min(v, 2) for v in value)
        return type(value)(_rule(name)(v) for v in value)
    return None


def _rule(name: str) -> Callable[[int], int]:
    return next((small for pattern, small in RULES if re.search(pattern, name)), _same)


# Texts use ids from 10 to 59; those of placeholders must differ from each other and from them.
TOKENS = {"pad": 0, "bos": 1, "eos": 2, "decoder_start": 1, "unk": 3, "sep": 4, "cls": 5, "mask": 6, "image": 64, "video": 65, "audio": 66}
_FIRST = 70


def token(name: str, value: int) -> int:
    """Return the small id of a special token by the name of its field; one name has one id in all configurations."""
    stem = re.sub(r"_token_(id|index)$|_index$", "", name)
    if value < 0:
        return value
    last = stem.rsplit("_", 1)[-1]
    if last in ("pad", "bos", "eos"):
        return TOKENS[last]
    return TOKENS[stem] if stem in TOKENS else _FIRST + zlib.crc32(stem.encode()) % (VOCAB - _FIRST)
