"""What cannot be recorded of a generation is refused by name, before any step."""

from __future__ import annotations

import re

import pytest
import torch

import attnlog
from attnlog.errors import ArgumentError, InputError, ModelError
from tests.conftest import build
from tests.unit.test_capture_generation import PROMPT, endless, whisper


@pytest.mark.parametrize(
    "option",
    [
        {"num_beams": 2},
        {"num_return_sequences": 3},
        {"penalty_alpha": 0.6},
        {"prompt_lookup_num_tokens": 3},
        {"cache_implementation": "static"},
        {"use_cache": False},
        {"prefill_chunk_size": 4},
        {"assistant_early_exit": 1},
        {"guidance_scale": 1.5},
        {"past_key_values": ()},
    ],
)
def test_options_under_which_steps_do_not_fit_together_are_refused_by_name(option):
    ((name, value),) = option.items()
    with pytest.raises(ArgumentError, match=re.escape(f"{name}={value!r}")):
        attnlog.capture_generation(build("llama"), {"input_ids": PROMPT}, max_new_tokens=2, **option)


@pytest.mark.parametrize("where", ["model", "argument"])
def test_beams_that_a_generation_config_asks_for_are_refused_with_the_way_round(where):
    from transformers import GenerationConfig

    model = endless("t5")
    options = {}
    if where == "model":
        model.generation_config.num_beams = 4
    else:
        options["generation_config"] = GenerationConfig(num_beams=4, decoder_start_token_id=0)
    with pytest.raises(ArgumentError, match="num_beams=4.*num_beams=1"):
        attnlog.capture_generation(model, {"input_ids": PROMPT}, max_new_tokens=2, **options)
    assert attnlog.capture_generation(model, {"input_ids": PROMPT}, max_new_tokens=2, num_beams=1, **options).layers


@pytest.mark.parametrize(("name", "value", "plain"), [("prefill_chunk_size", 4, None), ("guidance_scale", 1.5, 1)])
def test_a_generation_configs_own_options_are_refused_unless_they_are_taken_back(name, value, plain):
    from transformers import GenerationConfig

    model = endless("llama")
    setattr(model.generation_config, name, value)
    given = {"input_ids": PROMPT}
    for options in ({}, {"generation_config": GenerationConfig(do_sample=False)}):
        with pytest.raises(ArgumentError, match=f"{name}={value}.*pass {name}={plain}"):
            attnlog.capture_generation(model, given, max_new_tokens=2, **options)
    assert attnlog.capture_generation(model, given, max_new_tokens=2, **{name: plain}).layers


def test_options_that_do_nothing_are_taken():
    options = {"guidance_scale": 1.0, "prefill_chunk_size": None, "stopping_criteria": None, "logits_processor": None}
    assert attnlog.capture_generation(endless("llama"), {"input_ids": PROMPT}, max_new_tokens=2, **options).layers


@pytest.mark.parametrize("count", [0, -1, 2.5, True, "4"])
def test_a_count_of_tokens_that_is_none_is_refused(count):
    with pytest.raises(ArgumentError, match="max_new_tokens is"):
        attnlog.capture_generation(build("llama"), {"input_ids": PROMPT}, max_new_tokens=count)


def test_a_model_without_a_language_head_is_refused():
    import transformers as t

    small = {"hidden_size": 16, "num_attention_heads": 2, "intermediate_size": 32, "vocab_size": 64, "num_hidden_layers": 1}
    for model in (t.BertModel(t.BertConfig(**small)), torch.nn.Linear(2, 2)):
        with pytest.raises(ModelError, match="cannot generate"):
            attnlog.capture_generation(model, {"input_ids": PROMPT}, max_new_tokens=2)


def test_texts_without_a_tokenizer_are_refused():
    with pytest.raises(InputError, match="pass tokenizer="):
        attnlog.capture_generation(build("llama"), ["the cat"], max_new_tokens=2)


def test_a_text_that_grows_past_the_models_positions_is_refused_before_any_step():
    prompt = torch.full((1, 298), 5)
    with pytest.raises(InputError, match="the model takes at most 300"):
        attnlog.capture_generation(endless("gpt2"), {"input_ids": prompt}, max_new_tokens=3)
    assert attnlog.capture_generation(endless("gpt2"), {"input_ids": prompt}, max_new_tokens=2, layers=[0]).layers


def test_a_target_beside_a_source_text_is_refused(plain_tokenizer):
    with pytest.raises(InputError, match="give its source alone"):
        attnlog.capture_generation(endless("t5"), [("the cat", "the dog")], tokenizer=plain_tokenizer, max_new_tokens=2)


def test_a_sound_that_is_heard_in_several_runs_is_refused(monkeypatch):
    model, sound = whisper(), torch.randn(1, 8, 60, generator=torch.Generator().manual_seed(0))
    write = model.generate

    def by_segments(**options):
        write(**options)
        return write(**options)

    monkeypatch.setattr(model, "generate", by_segments)
    with pytest.raises(ModelError, match="several runs"):
        attnlog.capture_generation(model, {"input_features": sound}, max_new_tokens=4)


def test_a_model_that_asks_no_stopping_criteria_is_refused(monkeypatch):
    model = endless("llama")
    monkeypatch.setattr(model, "generate", lambda **_: PROMPT)
    with pytest.raises(ModelError, match="does not say which tokens it writes"):
        attnlog.capture_generation(model, {"input_ids": PROMPT}, max_new_tokens=2)


def test_a_model_that_cannot_be_told_what_to_write_is_refused(monkeypatch):
    model = endless("llama")
    write, shift = model.generate, iter(range(1, 9))

    def other(**options):
        step = next(shift)
        return write(**{**options, "logits_processor": [lambda ids, scores: scores.roll(step, -1)]})

    monkeypatch.setattr(model, "generate", other)
    with pytest.raises(ModelError, match="does not write the same text again"):
        attnlog.capture_generation(model, {"input_ids": PROMPT}, max_new_tokens=2)


def test_rows_that_are_not_the_texts_tokens_are_said_to_be_missing(monkeypatch):
    model = endless("llama")
    write = model.generate

    def longer(**options):
        # As a model that reads a picture before the prompt, of which its ids say nothing.
        ids = options.pop("input_ids")
        options.pop("attention_mask", None)
        return write(inputs_embeds=model.get_input_embeddings()(ids), **options)

    monkeypatch.setattr(model, "generate", longer)
    with pytest.raises(ModelError, match="9 rows together and the text has 2 tokens"):
        attnlog.capture_generation(model, {"input_ids": PROMPT}, max_new_tokens=2)
