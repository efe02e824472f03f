"""What the rules of `shrink` cannot know: per configuration type the fields that must fit each other."""

from __future__ import annotations

from typing import Any

# Three sections of positions (time, height, width) share half a head's width.
_SECTIONS = {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [1, 1, 2]}
_STATE = {"mamba_n_heads": 8, "mamba_d_head": 8, "mamba_d_state": 16, "mamba_chunk_size": 8}
_SECTIONED = (
    "qwen2_vl_text", "qwen2_5_vl_text", "qwen2_5_omni_text", "qwen2_5_omni_talker", "glm4v_text", "glm4v_moe_text", "glm_image_text",
    "glm_ocr_text", "paddleocr_vl_text", "cosmos3_edge_text",
)  # fmt: skip
_WINDOWS = {"image_size": 32, "patch_size": 4, "embed_dim": 16, "depths": [2, 2], "num_heads": [2, 2], "window_size": 4}
_TIMES = {"prediction_length": 5, "num_time_features": 2, "context_length": 8, "lags_sequence": [1, 2], "input_size": 1}

CONFIGS: dict[str, dict[str, Any]] = {
    **{name: {"rope_parameters": _SECTIONS} for name in _SECTIONED},
    "glm4v_moe_text": {"rope_parameters": {**_SECTIONS, "mrope_section": [0, 1, 1]}},
    "pix2struct_vision_model": {"patch_embed_hidden_size": 192},
    "autoformer": {**_TIMES, "label_length": 3, "moving_average": 3},
    "bamba": {**_STATE, "attn_layer_indices": [1]},
    "bit": {"hidden_sizes": [32, 32, 32, 32], "num_groups": 4, "embedding_size": 32},
    "bros": {"dim_bbox_sinusoid_emb_2d": 32, "dim_bbox_sinusoid_emb_1d": 4, "dim_bbox_projection": 8},
    "bridgetower_vision_model": {"hidden_size": 64},
    "audio-spectrogram-transformer": {"max_length": 64},
    "cohere_compass_text": {
        "layer_types": ["sliding_attention", "full_attention"],
        "rope_parameters": {"sliding_attention": _SECTIONS, "full_attention": _SECTIONS},
    },
    "deepseek_ocr2_text": {"mlp_layer_types": ["dense", "sparse"], "moe_intermediate_size": 16, "num_experts_per_tok": 2},
    "dots1": {"moe_intermediate_size": 16, "n_routed_experts": 4, "num_local_experts": 4, "num_experts_per_tok": 2},
    "efficientnet": {"hidden_dim": 2560},
    "ernie4_5_vl_moe_text": {"moe_intermediate_size": [16, 16], "rope_parameters": {**_SECTIONS, "mrope_section": [1, 1, 2]}},
    "lilt": {"hidden_size": 48},
    "llama4_vision_model": {"intermediate_size": 128, "projector_input_dim": 32, "projector_output_dim": 32, "vision_output_dim": 32},
    "lxmert": {"l_layers": 2, "x_layers": 2, "r_layers": 2},
    "markuplm": {"max_xpath_tag_unit_embeddings": 256, "max_xpath_subs_unit_embeddings": 1024},
    "mllama_vision_model": {"intermediate_layers_indices": [0, 1], "vision_output_dim": 96},
    "musicgen": {"dropout": 0.0, "layerdrop": 0.0},
    "musicgen_melody": {"dropout": 0.0, "layerdrop": 0.0},
    "pix2struct_text_model": {"initializer_range": 0.02},
    "slanet": {"max_text_length": 4},
    "slanext": {"max_text_length": 4},
    "t5gemma2_decoder": {"dropout_rate": 0.0},
    "timesfm": {"context_length": 64, "patch_length": 8, "horizon_length": 8},
    "timesfm2_5": {"context_length": 64, "patch_length": 8, "horizon_length": 8},
    "tvp": {"max_img_size": 128},
    "vitmatte": {"fusion_hidden_sizes": [16, 16, 16, 16], "convstream_hidden_sizes": [8, 8, 8]},
    "codegen": {"rotary_dim": 4},
    "deepseek_v2": {"n_group": 1, "topk_group": 1, "topk_method": "greedy", "num_experts_per_tok": 2, "n_routed_experts": 4},
    "dbrx": {"attn_config": {"rope_theta": 10000.0, "clip_qkv": 8.0, "kv_n_heads": 2}},
    "diffusion_gemma_text": {"global_head_dim": 8, "moe_intermediate_size": 16, "num_experts": 4, "top_k_experts": 2},
    "qwen3_omni_moe_talker_text": {"shared_expert_intermediate_size": 16},
    "efficientloftr": {"stage_num_blocks": [1, 1, 1, 1]},
    "esm": {"vocab_size": 64, "mask_token_id": 6, "pad_token_id": 0},
    "gemma4_text": {"global_head_dim": 8},
    "gemma4_unified_text": {"global_head_dim": 8},
    "embedding_gemma2_text": {"global_head_dim": 8},
    "gpt_neo": {"num_layers": 2, "attention_types": [[["global", "local"], 1]], "window_size": 4},
    "gptj": {"rotary_dim": 4},
    "granitemoehybrid": {**_STATE, "layer_types": ["mamba", "attention"]},
    "glm5_next_text": {"num_key_value_heads": 4},
    "hunyuan_v1_dense": {"head_dim": 8},
    "hunyuan_v1_moe": {"head_dim": 8},
    "hunyuan_vl_text": {"head_dim": 8, "rope_parameters": {**_SECTIONS, "mrope_section": [1, 1, 1, 1]}},
    "informer": _TIMES,
    "lw_detr_vit": {
        "image_size": 64,
        "pretrain_image_size": 64,
        "num_windows": 4,
        "window_block_indices": [0],
        "num_hidden_layers": 2,
        "patch_size": 8,
    },
    "mamba2": {"num_heads": 8, "head_dim": 8, "n_groups": 2, "chunk_size": 8},
    "mimi": {"upsample_groups": 32},
    "mimi_encoder": {"upsample_groups": 32},
    "mimi_decoder": {"upsample_groups": 32},
    "pocket_tts_audio_tokenizer": {"upsample_groups": 32},
    "pocket_tts_audio_tokenizer_decoder": {"upsample_groups": 32},
    "pocket_tts_audio_tokenizer_encoder": {"upsample_groups": 32},
    "ministral": {"head_dim": 8},
    "moonshine_streaming": {"num_key_value_heads": 4},
    "nemotron": {"head_dim": 8, "num_key_value_heads": 2},
    "reformer": {
        "hidden_size": 32,
        "axial_pos_embds_dim": [16, 16],
        "axial_pos_shape": [4, 16],
        "max_position_embeddings": 64,
        "attn_layers": ["local", "lsh", "local"],
        "num_buckets": 2,
        "local_attn_chunk_length": 4,
        "lsh_attn_chunk_length": 4,
    },
    "seamless_m4t": {"vocab_size": 128},
    "seggpt": {"image_size": [64, 32], "pretrain_image_size": 32, "intermediate_hidden_state_indices": [0, 1], "merge_index": 0},
    "step3p5": {"sliding_window": 4},
    "t5gemma2_text": {"dropout_rate": 0.0},
    "time_series_transformer": _TIMES,
    "xmod": {"default_language": "en_XX"},
    "zamba": {"num_hidden_layers": 4, "layers_block_type": ["linear_attention", "hybrid"] * 2},
    "zamba2": {"num_hidden_layers": 2, "layers_block_type": ["linear_attention", "hybrid"]},
}

# Of the type by itself, not where it is a part of another.
ALONE: dict[str, dict[str, Any]] = {"swin": _WINDOWS, "donut-swin": _WINDOWS}
