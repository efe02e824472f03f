"""Attention over what is no text: patches by row and column, frames, queries, latents, and windows put together to the whole."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
import transformers as t

import attnlog
from attnlog.record import axes_of

SMALL = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
TOKENS = {"bos_token_id": 2, "eos_token_id": 3, "pad_token_id": 0}
PAIRED = {"d_model": 32, "encoder_attention_heads": 4, "decoder_attention_heads": 4, "encoder_ffn_dim": 64, "decoder_ffn_dim": 64}


def made(model, config, std=0.15):
    """Random weights under which attention is not flat."""
    torch.manual_seed(0)
    built = model(config)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in built.parameters():
            if parameter.ndim > 1:
                parameter.normal_(std=std, generator=generator)
    return built.eval()


def noise(*shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(4))


def eager(model, given):
    """What the model returns under its own eager attention."""
    model = copy.deepcopy(model)
    model.set_attn_implementation("eager")
    with torch.no_grad():
        return model(**given, output_attentions=True)


def assert_weights(capture, kind, layers):
    assert {layer.layer for layer in capture.layers if layer.kind == kind} == set(range(len(layers)))
    for number, weights in enumerate(layers):
        for row in range(len(weights)):
            np.testing.assert_allclose(capture.weights(kind, number, row), weights[row].numpy(), atol=1e-5, rtol=0)


@pytest.mark.parametrize(("height", "width"), [(16, 16), (16, 8), (8, 24)])
def test_patches_are_named_by_row_and_column_after_the_class_token(height, width):
    model = made(t.ViTModel, t.ViTConfig(**SMALL, image_size=(height, width), patch_size=4))
    given = {"pixel_values": noise(2, 3, height, width)}
    capture = attnlog.capture(model, given)
    rows, columns = height // 4, width // 4
    axis = capture.inputs[1].axes["vision"]
    assert axis.tokens == ("[CLS]", *(f"r{r}c{c}" for r in range(rows) for c in range(columns)))
    assert (axis.labels[0], axis.labels[-1]) == ("class token", f"row {rows - 1}, column {columns - 1}")
    assert not capture.missing
    assert_weights(capture, "vision", eager(model, given).attentions)


def test_blocks_of_a_film_are_named_by_frame_row_and_column():
    model = made(t.VivitModel, t.VivitConfig(**SMALL, image_size=8, num_frames=4, tubelet_size=[2, 4, 4]))
    axis = attnlog.capture(model, {"pixel_values": noise(1, 4, 3, 8, 8)}).inputs[0].axes["vision"]
    assert axis.tokens == ("[CLS]", *(f"f{f}r{r}c{c}" for f in range(2) for r in range(2) for c in range(2)))


def placed(windows, side, window, shift):
    """Put weights of windows where their patches are, by a partition of the patches' own numbers."""
    numbers = torch.arange(side * side).view(side, side).roll((-shift, -shift), (0, 1))
    parts = side // window
    members = numbers.view(parts, window, parts, window).transpose(1, 2).reshape(parts * parts, window * window)
    inputs = len(windows) // len(members)
    whole = torch.zeros(inputs, windows.shape[1], side * side, side * side)
    for place, weights in enumerate(windows):
        here = members[place % len(members)]
        whole[place // len(members)][:, here[:, None], here[None, :]] = weights
    return whole


def test_windows_are_put_together_shifted_ones_too():
    config = t.Swinv2Config(image_size=32, patch_size=4, embed_dim=16, depths=[2, 2], num_heads=[2, 4], window_size=4)
    model = made(t.Swinv2Model, config)
    given = {"pixel_values": noise(2, 3, 32, 32)}
    returned = []
    attentions = [module for module in model.modules() if type(module).__name__ == "Swinv2SelfAttention"]
    hooks = [module.register_forward_hook(lambda _, __, output: returned.append(output[1])) for module in attentions]
    with torch.no_grad():
        model(**given, output_attentions=True)
    for hook in hooks:
        hook.remove()
    capture = attnlog.capture(model, given)
    assert not capture.missing
    assert {(layer.kind, layer.layer) for layer in capture.layers} == {("vision", 0), ("vision", 1), ("vision-2", 2), ("vision-2", 3)}
    for number, (side, shift) in enumerate([(8, 0), (8, 2), (4, 0), (4, 0)]):
        whole = placed(returned[number], side, 4, shift)
        for row in range(2):
            found = capture.weights("vision" if side == 8 else "vision-2", number, row)
            np.testing.assert_allclose(found, whole[row].numpy(), atol=1e-6)
    assert capture.inputs[0].axes["vision-2"].tokens[-1] == "r3c3"


def test_both_towers_of_clip_have_a_kind_of_their_own():
    text, vision = {**SMALL, "vocab_size": 64, "max_position_embeddings": 20}, {**SMALL, "image_size": 16, "patch_size": 4}
    text |= TOKENS
    model = made(t.CLIPModel, t.CLIPConfig(text_config=text, vision_config=vision, projection_dim=16))
    given = {"input_ids": torch.arange(4, 12)[None], "pixel_values": noise(1, 3, 16, 16)}
    capture = attnlog.capture(model, given)
    output = eager(model, given)
    assert not capture.missing
    assert_weights(capture, "self", output.text_model_output.attentions)
    assert_weights(capture, "vision", output.vision_model_output.attentions)
    assert capture.inputs[0].axes["self"].ids == tuple(range(4, 12))


def test_frames_of_a_sound_are_the_encoders_axis():
    config = t.WhisperConfig(
        **PAIRED, **TOKENS, encoder_layers=2, decoder_layers=2, vocab_size=64, num_mel_bins=8, max_source_positions=20,
        max_target_positions=20, decoder_start_token_id=3,
    )  # fmt: skip
    model = made(t.WhisperForConditionalGeneration, config)
    given = {"input_features": noise(2, 8, 40), "decoder_input_ids": torch.arange(4, 14).view(2, 5)}
    capture = attnlog.capture(model, given)
    output = eager(model, given)
    for kind in ("encoder", "decoder", "cross"):
        assert_weights(capture, kind, getattr(output, f"{kind}_attentions"))
    assert capture.inputs[0].axes["encoder"].labels[3] == "frame 3 of 20"
    assert capture.inputs[1].tokens("decoder") == ("9", "10", "11", "12", "13")


def test_a_detectors_queries_look_at_each_other_and_at_the_picture():
    backbone = t.ResNetConfig(embedding_size=8, hidden_sizes=[8, 8], depths=[1, 1], out_features=["stage2"])
    config = t.DetrConfig(backbone_config=backbone, use_timm_backbone=False, **PAIRED, encoder_layers=2, decoder_layers=2, num_queries=5)
    model = made(t.DetrForObjectDetection, config)
    given = {"pixel_values": noise(1, 3, 32, 32), "pixel_mask": torch.ones(1, 32, 32).long()}
    labels = [{"class_labels": torch.tensor([1]), "boxes": torch.rand(1, 4)}]
    capture = attnlog.capture(model, {**given, "labels": labels})
    output = eager(model, given)
    for kind in ("encoder", "decoder", "cross"):
        assert_weights(capture, kind, getattr(output, f"{kind}_attentions"))
    assert len(capture.inputs[0].tokens("decoder")) == 5


def test_queries_of_a_q_former_look_at_the_picture_under_a_kind_of_two_axes():
    config = t.Blip2QFormerConfig(**SMALL, vocab_size=64, encoder_hidden_size=24, cross_attention_frequency=1)
    model = made(t.Blip2QFormerModel, config)
    given = {"query_embeds": noise(1, 5, 32), "encoder_hidden_states": noise(1, 9, 24)}
    capture = attnlog.capture(model, given)
    (kind,) = {layer.kind for layer in capture.layers if ">" in layer.kind}
    assert [len(capture.inputs[0].tokens(axis)) for axis in axes_of(kind)] == [5, 9]
    attentions = eager(model, given).attentions  # of each layer the queries' own, and those to the picture
    assert_weights(capture, "self", attentions[::2])
    assert_weights(capture, kind, attentions[1::2])


def test_latents_of_a_perceiver_look_at_its_inputs_under_a_kind_of_two_axes():
    config = t.PerceiverConfig(
        num_latents=6, d_latents=16, d_model=16, num_blocks=1, num_self_attends_per_block=2, num_self_attention_heads=4,
        num_cross_attention_heads=4,
    )  # fmt: skip
    model = made(t.PerceiverModel, config)
    given = {"inputs": noise(2, 10, 16)}
    capture = attnlog.capture(model, given)
    with torch.no_grad():
        output = model(**given, output_attentions=True)
    (kind,) = {layer.kind for layer in capture.layers if ">" in layer.kind}
    assert_weights(capture, "self", output.attentions)
    assert_weights(capture, kind, output.cross_attentions)


def test_parts_that_nothing_puts_together_are_calls_and_said_to_be():
    """TimeSformer attends over time and space in turn: no matrix over all patches exists."""
    model = made(t.TimesformerModel, t.TimesformerConfig(**SMALL, image_size=8, patch_size=4, num_frames=3))
    capture = attnlog.capture(model, {"pixel_values": noise(1, 3, 3, 8, 8)})
    space = [layer for layer in capture.layers if layer.shape == (5, 5)]
    assert sorted((layer.layer, layer.call) for layer in space) == [(n, call) for n in range(2) for call in range(3)]
    assert all(np.allclose(layer.weights.sum(-1), 1, atol=1e-5) for layer in space)
    assert any("computed in 3 parts of 5 positions each: every part is recorded as a call of its own" in str(m) for m in capture.missing)


def test_an_encoder_may_be_deeper_than_its_decoder():
    config = t.BartConfig(**PAIRED, **TOKENS, encoder_layers=3, decoder_layers=1, vocab_size=64, decoder_start_token_id=3)
    model = made(t.BartModel, config)
    given = {"input_ids": torch.arange(4, 20).view(2, 8), "decoder_input_ids": torch.arange(4, 14).view(2, 5)}
    capture = attnlog.capture(model, given)
    output = eager(model, given)
    for kind, depth in (("encoder", 3), ("decoder", 1), ("cross", 1)):
        assert len(getattr(output, f"{kind}_attentions")) == depth
        assert_weights(capture, kind, getattr(output, f"{kind}_attentions"))


def test_blocks_of_neighbours_are_put_together_to_the_whole_text():
    """LongT5's local attention: blocks of tokens that see the block before, their own, and the one after."""
    config = t.LongT5Config(
        d_model=32, d_kv=8, d_ff=64, num_layers=2, num_decoder_layers=1, num_heads=4, vocab_size=64, local_radius=3,
        encoder_attention_type="local",
    )  # fmt: skip
    model = made(t.LongT5Model, config)
    given = {"input_ids": torch.randint(4, 60, (2, 19)), "decoder_input_ids": torch.arange(4, 14).view(2, 5)}
    capture = attnlog.capture(model, given)
    with torch.no_grad():
        blocks = model(**given, output_attentions=True).encoder_attentions
    whole = []
    for weights in blocks:  # [inputs, blocks, heads, 4, 12]
        layer = torch.zeros(2, 4, 20 + 8, 20 + 8)
        for block in range(weights.shape[1]):
            layer[:, :, 4 + 4 * block : 8 + 4 * block, 4 * block : 4 * block + 12] = weights[:, block]
        whole.append(layer[:, :, 4:23, 4:23])
    assert not capture.missing
    assert_weights(capture, "encoder", whole)


def test_a_picture_has_its_patches_also_where_attention_is_not_recorded() -> None:
    config = t.ViTConfig(image_size=32, patch_size=8, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=37)
    found = attnlog.capture(t.ViTForImageClassification(config).eval(), {"pixel_values": torch.randn(1, 3, 32, 32)}, record="predictions")
    assert not found.layers
    assert len(found.inputs[0].tokens("vision")) == 17
    assert found.predictions("vision")[0].task == "class"
