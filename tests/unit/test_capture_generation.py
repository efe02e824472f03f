"""Attention during generation: what the steps through the cache make together is what one forward pass over the finished text gives."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch

import attnlog
from attnlog.errors import LayerError
from tests.conftest import build

DECODERS = ("gpt2", "llama", "mistral", "gemma2", "bloom")  # plain, key groups, a window of 5 tokens, soft-cap, ALiBi
BOTH = ("t5", "bart")
PROMPT = torch.tensor([[7, 12, 5, 33, 41, 8, 19]])


def endless(name):
    """A model that no token stops."""
    model = build(name)
    model.generation_config.eos_token_id = None
    model.generation_config.forced_eos_token_id = None
    if name == "t5":
        # Its cache has as many layers as the encoder, so transformers itself cannot generate with a deeper decoder.
        model.decoder.block, model.config.num_decoder_layers = model.decoder.block[:2], 2
    return model


def read_of(capture, axis="self", number=0):
    return torch.tensor(capture.inputs[number].axes[axis].ids)[None]


def at_once(model, capture, number=0):
    """Weights by the model's own eager attention in one forward pass over the finished text."""
    given = {"input_ids": read_of(capture, "encoder" if model.config.is_encoder_decoder else "self", number)}
    if model.config.is_encoder_decoder:
        given["decoder_input_ids"] = read_of(capture, "decoder", number)
    before = model.config._attn_implementation
    model.set_attn_implementation("eager")
    with torch.no_grad():
        output = model(**given, output_attentions=True)
    model.set_attn_implementation(before)
    names = {"self": "attentions", "encoder": "encoder_attentions", "decoder": "decoder_attentions", "cross": "cross_attentions"}
    return {kind: getattr(output, name) for kind, name in names.items() if getattr(output, name, None)}


@pytest.mark.parametrize("name", [*DECODERS, *BOTH])
def test_the_steps_together_are_one_forward_pass_over_the_finished_text(name):
    model = endless(name)
    capture = attnlog.capture_generation(model, {"input_ids": PROMPT}, max_new_tokens=6)
    expected = at_once(model, capture)
    assert not capture.missing
    assert {layer.kind for layer in capture.layers} == set(expected)
    for kind, layers in expected.items():
        for number, weights in enumerate(layers):
            np.testing.assert_allclose(capture.weights(kind, number), weights[0].numpy(), atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", [*DECODERS, *BOTH])
def test_queries_keys_and_values_of_the_steps_are_those_of_one_forward_pass(name):
    model = endless(name)
    capture = attnlog.capture_generation(model, {"input_ids": PROMPT}, max_new_tokens=6, record=("attention", "vectors", "values"))
    given = {"input_ids": read_of(capture, "encoder" if name in BOTH else "self")}
    if name in BOTH:
        given["decoder_input_ids"] = read_of(capture, "decoder")
    whole = attnlog.capture(model, given, record=("attention", "vectors", "values"))
    for layer in whole.layers:
        for which in "qkv":
            found = capture.vectors(which, layer.kind, layer.layer)
            np.testing.assert_allclose(found, whole.vectors(which, layer.kind, layer.layer), atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", [*DECODERS, *BOTH])
def test_what_is_written_is_what_the_model_writes_without_attnlog(name):
    model = endless(name)
    capture = attnlog.capture_generation(model, {"input_ids": PROMPT}, max_new_tokens=6)
    alone = model.generate(input_ids=PROMPT, attention_mask=torch.ones_like(PROMPT), max_new_tokens=6)
    assert read_of(capture, "decoder" if name in BOTH else "self").tolist() == alone.tolist()


@pytest.mark.parametrize("length", [7, 8, 9])
def test_a_prompt_as_long_as_the_sliding_window_is_still_a_texts_own(length):
    from transformers import MistralConfig, MistralForCausalLM

    torch.manual_seed(0)
    sizes = {"vocab_size": 64, "hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 2}
    heads = {"num_attention_heads": 4, "num_key_value_heads": 2, "sliding_window": 8}
    model = MistralForCausalLM(MistralConfig(**sizes, **heads)).eval()
    prompt = torch.arange(3, 3 + length)[None]
    capture = attnlog.capture_generation(model, {"input_ids": prompt}, max_new_tokens=5, eos_token_id=None)
    assert {(layer.kind, layer.shape) for layer in capture.layers} == {("self", (length + 5, length + 5))}
    for number, weights in enumerate(at_once(model, capture)["self"]):
        np.testing.assert_allclose(capture.weights("self", number), weights[0].numpy(), atol=1e-5, rtol=0)


def test_generated_tokens_are_marked_and_the_prompt_is_not():
    capture = attnlog.capture_generation(endless("llama"), {"input_ids": PROMPT}, max_new_tokens=4)
    assert capture.inputs[0].axes["self"].generated == (False,) * 7 + (True,) * 4


def test_of_a_decoder_beside_an_encoder_all_but_the_start_token_is_generated():
    capture = attnlog.capture_generation(endless("t5"), {"input_ids": PROMPT}, max_new_tokens=4)
    assert capture.inputs[0].axes["decoder"].generated == (False, True, True, True, True)
    assert capture.inputs[0].axes["encoder"].generated is None


def test_sampling_with_a_seed_writes_what_the_model_samples_with_that_seed():
    model = endless("llama")
    capture = attnlog.capture_generation(model, {"input_ids": PROMPT}, max_new_tokens=6, seed=5, do_sample=True, temperature=0.9)
    torch.manual_seed(5)
    alone = model.generate(input_ids=PROMPT, attention_mask=torch.ones_like(PROMPT), max_new_tokens=6, do_sample=True, temperature=0.9)
    assert read_of(capture).tolist() == alone.tolist()
    for number, weights in enumerate(at_once(model, capture)["self"]):
        np.testing.assert_allclose(capture.weights("self", number), weights[0].numpy(), atol=1e-5, rtol=0)


def test_another_seed_samples_another_text():
    model = endless("llama")
    texts = [
        read_of(attnlog.capture_generation(model, {"input_ids": PROMPT}, max_new_tokens=8, seed=seed, do_sample=True)).tolist()
        for seed in (1, 2, 1)
    ]
    assert texts[0] == texts[2] != texts[1]


@pytest.mark.parametrize("options", [{}, {"do_sample": True}, {"do_sample": True, "seed": 3}])
def test_random_states_modes_and_configuration_are_afterwards_as_before(options):
    model = endless("llama").train()

    def state():
        config = model.config.to_dict(), model.generation_config.to_dict()
        return torch.get_rng_state().tolist(), random.getstate(), repr(np.random.get_state()), model.training, config

    before = state()
    attnlog.capture_generation(model, {"input_ids": PROMPT}, max_new_tokens=3, **options)
    assert state() == before


def test_a_token_that_ends_the_text_stops_it_and_has_no_row():
    model = endless("llama")
    whole = read_of(attnlog.capture_generation(model, {"input_ids": PROMPT}, max_new_tokens=8))[0].tolist()
    end = whole[len(PROMPT[0]) + 3]
    length = whole.index(end, len(PROMPT[0]))
    capture = attnlog.capture_generation(model, {"input_ids": PROMPT}, max_new_tokens=8, eos_token_id=end)
    assert read_of(capture)[0].tolist() == whole[:length]
    assert capture.weights("self", 0).shape == (4, length, length)


def test_an_end_forced_at_the_greatest_length_is_where_the_model_alone_writes_it():
    from transformers import BartConfig, BartForConditionalGeneration

    torch.manual_seed(0)
    sizes = {"d_model": 16, "encoder_layers": 1, "decoder_layers": 1, "encoder_ffn_dim": 16, "decoder_ffn_dim": 16, "vocab_size": 64}
    model = BartForConditionalGeneration(
        BartConfig(**sizes, encoder_attention_heads=2, decoder_attention_heads=2, max_position_embeddings=40)
    ).eval()
    model.generation_config.forced_eos_token_id = 2
    model.final_logits_bias[0, 2] = -100  # no other end than that one
    prompt = torch.tensor([[0, 7, 12, 5, 33, 2]])
    alone = model.generate(input_ids=prompt, attention_mask=torch.ones_like(prompt), max_new_tokens=6)[0].tolist()
    capture = attnlog.capture_generation(model, {"input_ids": prompt}, max_new_tokens=6)
    assert alone[-1] == 2 != alone[-2]
    assert [*read_of(capture, "decoder")[0].tolist(), 2] == alone  # the end itself is never read
    assert capture.weights("decoder", 0).shape == (2, 6, 6)


def test_a_length_penalty_that_grows_towards_the_end_sees_the_length_that_was_asked_for():
    model = endless("llama")
    options = {"exponential_decay_length_penalty": (2, 1.5), "eos_token_id": 3, "max_new_tokens": 8}
    alone = model.generate(input_ids=PROMPT, attention_mask=torch.ones_like(PROMPT), **options)[0].tolist()
    capture = attnlog.capture_generation(model, {"input_ids": PROMPT}, **options)
    assert read_of(capture)[0].tolist() == (alone[:-1] if alone[-1] == 3 else alone)


def test_a_streamer_and_processors_of_the_users_own_are_asked_once():
    put, asked = [], []

    class Streamer:
        def put(self, value):
            put.append(value)

        def end(self):
            put.append(None)

    def shift(input_ids, scores):
        asked.append(input_ids.shape[1])
        return scores.roll(1, -1)

    model = endless("llama")
    capture = attnlog.capture_generation(model, {"input_ids": PROMPT}, max_new_tokens=3, streamer=Streamer(), logits_processor=[shift])
    assert len(put) == 5  # the prompt, three tokens, the end
    assert asked == [7, 8, 9]
    alone = model.generate(input_ids=PROMPT, attention_mask=torch.ones_like(PROMPT), max_new_tokens=3, logits_processor=[shift])
    assert read_of(capture).tolist() == alone.tolist()


def whisper():
    from transformers import WhisperConfig, WhisperForConditionalGeneration

    torch.manual_seed(0)
    sizes = {"vocab_size": 64, "d_model": 16, "num_mel_bins": 8, "max_source_positions": 30, "max_target_positions": 40}
    sides = {f"{side}_{name}": n for side in ("encoder", "decoder") for name, n in (("layers", 1), ("attention_heads", 2), ("ffn_dim", 16))}
    ids = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "decoder_start_token_id": 3}
    config = WhisperConfig(**sizes, **sides, **ids, suppress_tokens=None, begin_suppress_tokens=None)
    return WhisperForConditionalGeneration(config).eval()


def test_the_start_token_that_whisper_does_not_return_is_a_row():
    model, sound = whisper(), torch.randn(1, 8, 60, generator=torch.Generator().manual_seed(0))
    capture = attnlog.capture_generation(model, {"input_features": sound}, max_new_tokens=4)
    alone = model.generate(sound, max_new_tokens=4)[0].tolist()
    assert read_of(capture, "decoder")[0].tolist() == [3, *alone]
    assert capture.inputs[0].axes["decoder"].generated == (False, True, True, True, True)
    assert {(layer.kind, layer.shape) for layer in capture.layers} == {("decoder", (5, 5)), ("cross", (5, 30)), ("encoder", (30, 30))}
    assert not capture.missing
    with torch.no_grad():
        model.set_attn_implementation("eager")
        output = model(input_features=sound, decoder_input_ids=torch.tensor([[3, *alone]]), output_attentions=True)
    np.testing.assert_allclose(capture.weights("decoder", 0), output.decoder_attentions[0][0].numpy(), atol=1e-5)
    np.testing.assert_allclose(capture.weights("cross", 0), output.cross_attentions[0][0].numpy(), atol=1e-5)


def test_one_new_token_is_one_more_row_than_the_prompt():
    capture = attnlog.capture_generation(endless("gpt2"), {"input_ids": PROMPT}, max_new_tokens=1)
    assert capture.weights("self", 1).shape == (4, 8, 8)


def test_each_prompt_is_written_on_as_if_it_were_alone(plain_tokenizer):
    model = endless("mistral")
    texts = ["the cat sat on the mat", "the dog"]
    capture = attnlog.capture_generation(model, texts, tokenizer=plain_tokenizer, max_new_tokens=5)
    assert capture.inputs[1].tokens()[:2] == ("the", "dog")
    assert len(capture.inputs[0].tokens()) == 11
    for number, text in enumerate(texts):
        alone = attnlog.capture_generation(model, text, tokenizer=plain_tokenizer, max_new_tokens=5)
        assert alone.inputs[0].tokens() == capture.inputs[number].tokens()
        np.testing.assert_array_equal(alone.weights("self", 1), capture.weights("self", 1, number))


def test_a_text_is_the_source_of_an_encoder_decoder_model(plain_tokenizer):
    capture = attnlog.capture_generation(endless("bart"), ["the cat sat on the mat"], tokenizer=plain_tokenizer, max_new_tokens=4)
    assert capture.inputs[0].tokens("encoder") == ("the", "cat", "sat", "on", "the", "mat")
    assert capture.inputs[0].tokens("decoder")[0] == "</s>"
    assert capture.weights("cross", 2).shape == (2, 5, 6)


def test_a_target_of_the_users_own_is_what_the_decoder_goes_on_from():
    given = {"input_ids": PROMPT, "decoder_input_ids": torch.tensor([[0, 9, 11]])}
    capture = attnlog.capture_generation(endless("t5"), given, max_new_tokens=4)
    assert capture.inputs[0].axes["decoder"].ids[:3] == (0, 9, 11)
    assert capture.inputs[0].axes["decoder"].generated == (False,) * 3 + (True,) * 4


def test_stopping_criteria_of_the_users_own_hold_for_every_prompt():
    model = endless("llama")

    def enough(input_ids, scores, **_):
        return torch.full((len(input_ids),), input_ids.shape[1] >= 10)

    given = {"input_ids": PROMPT.repeat(2, 1)}
    capture = attnlog.capture_generation(model, given, max_new_tokens=8, stopping_criteria=[enough])
    assert [len(one.tokens()) for one in capture.inputs] == [9, 9]  # the tenth was generated, and never read


def test_chosen_layers_and_heads_are_recorded_alone():
    model = endless("llama")
    every = attnlog.capture_generation(model, {"input_ids": PROMPT}, max_new_tokens=3)
    some = attnlog.capture_generation(model, {"input_ids": PROMPT}, max_new_tokens=3, layers=[1], heads=[0, 3])
    assert {layer.layer for layer in some.layers} == {1}
    np.testing.assert_array_equal(some.weights("self", 1), every.weights("self", 1)[[0, 3]])


def collected(monkeypatch, model, **options):
    """Bytes of what the steps of one text hold at the end, by the tensors' roles."""
    from attnlog.capture import generation

    held = {}
    together = generation._Steps.calls

    def calls(steps):
        for parts in steps._parts.values():
            for part in parts:
                for name in ("query", "key", "value", "output"):
                    tensor = getattr(part.call, name)
                    size = 0 if tensor is None else tensor.untyped_storage().nbytes()
                    held[name] = held.get(name, 0) + size
        return together(steps)

    monkeypatch.setattr(generation._Steps, "calls", calls)
    capture = attnlog.capture_generation(model, {"input_ids": PROMPT}, **options)
    monkeypatch.undo()
    return held, capture


@pytest.mark.parametrize("name", ["llama", "t5"])
def test_what_the_steps_hold_grows_as_the_text_does_not_as_its_square(name, monkeypatch):
    model = endless(name)
    sizes = [collected(monkeypatch, model, max_new_tokens=count)[0] for count in (8, 16, 24)]
    for role in ("query", "key", "value", "output"):
        assert sizes[2][role] - sizes[1][role] == sizes[1][role] - sizes[0][role] > 0


def test_of_layers_and_vectors_that_are_not_wanted_nothing_is_held(monkeypatch):
    model = endless("llama")
    every, whole = collected(monkeypatch, model, max_new_tokens=4)
    some, _ = collected(monkeypatch, model, max_new_tokens=4, layers=[1])
    assert {role: 2 * size for role, size in some.items()} == every
    bare, capture = collected(monkeypatch, model, max_new_tokens=4, record="attention")
    assert bare["query"] == bare["key"] == 0
    assert not capture.missing
    for layer, other in zip(capture.layers, whole.layers, strict=True):
        assert layer.check == other.check
        assert layer.groups == other.groups
        np.testing.assert_array_equal(layer.weights, other.weights)


def test_a_layer_that_no_module_is_is_refused_with_those_there_are():
    model = endless("llama")
    model.model.layers = model.model.layers[:1]  # the configuration says two
    with pytest.raises(LayerError, match="layer 1: this model has attention in layers 0$"):
        attnlog.capture_generation(model, {"input_ids": PROMPT}, max_new_tokens=2, layers=[1])


@pytest.mark.parametrize("name", ["llama", "t5"])
def test_a_run_keeps_it_and_reads_it_back(name, tmp_path):
    capture = attnlog.capture_generation(endless(name), {"input_ids": PROMPT}, max_new_tokens=4)
    with attnlog.Run(tmp_path / "run", precision="f32") as run:
        run.log(capture, step=3)
    opened = attnlog.open(tmp_path / "run").read(step=3)
    for layer in capture.layers:
        np.testing.assert_array_equal(opened.weights(layer.kind, layer.layer), capture.weights(layer.kind, layer.layer))
    for axis, kept in capture.inputs[0].axes.items():
        assert opened.inputs[0].axes[axis].generated == kept.generated
        assert opened.inputs[0].axes[axis].ids == kept.ids
