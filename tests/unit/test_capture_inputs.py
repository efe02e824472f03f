"""Texts, pairs and ready-made batches become inputs; bad ones are refused by name before any work."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import attnlog
from attnlog.errors import ArgumentError, InputError, LayerError, ModelError, NoAttentionError
from tests.conftest import build


def test_a_text_keeps_its_tokens_and_where_they_came_from(tokenizer):
    capture = attnlog.capture(build("bert"), ["the cat sat"], tokenizer=tokenizer)
    axis = capture.inputs[0].axes["self"]
    assert capture.inputs[0].tokens() == ("[CLS]", "the", "cat", "sat", "[SEP]")
    assert axis.text == "the cat sat"
    assert (axis.starts, axis.ends) == ((0, 0, 4, 8, 0), (0, 3, 7, 11, 0))
    assert axis.special == (True, False, False, False, True)
    assert axis.segments is None


def test_a_pair_knows_which_text_each_token_belongs_to(tokenizer):
    capture = attnlog.capture(build("bert"), [("the cat", "the dog")], tokenizer=tokenizer)
    axis = capture.inputs[0].axes["self"]
    assert axis.tokens == ("[CLS]", "the", "cat", "[SEP]", "the", "dog", "[SEP]")
    assert axis.segments == (0, 0, 0, 0, 1, 1, 1)
    assert axis.pair == "the dog"


def test_a_single_pair_is_one_input(tokenizer):
    assert len(attnlog.capture(build("bert"), ("the cat", "the dog"), tokenizer=tokenizer).inputs) == 1


def test_inputs_of_different_lengths_are_recorded_as_if_each_were_alone(tokenizer):
    model = build("bert")
    texts = ["the cat sat on the mat", "the dog", "the cat saw the dog while he sat", "he was tired of the cat on the mat"]
    together = attnlog.capture(model, texts, tokenizer=tokenizer)
    for number, text in enumerate(texts):
        alone = attnlog.capture(model, text, tokenizer=tokenizer)
        assert together.inputs[number].tokens() == alone.inputs[0].tokens()
        for layer in range(2):
            np.testing.assert_allclose(together.weights("self", layer, number), alone.weights("self", layer), atol=1e-6)


def test_a_model_without_a_pad_token_takes_several_lengths(plain_tokenizer):
    import copy

    unpadded = copy.deepcopy(plain_tokenizer)
    unpadded.pad_token = None
    capture = attnlog.capture(build("gpt2"), ["the cat", "the cat sat on"], tokenizer=unpadded)
    assert [len(one.tokens()) for one in capture.inputs] == [2, 4]


def test_a_long_text_is_cut_and_says_so(tokenizer):
    capture = attnlog.capture(build("bert"), ["the cat sat on the mat"], tokenizer=tokenizer, max_tokens=5)
    assert len(capture.inputs[0].tokens()) == 5
    assert capture.inputs[0].axes["self"].cut == 3


def test_padding_of_a_ready_made_batch_is_cropped(tokenizer):
    given = tokenizer(["the cat sat on the mat", "the dog"], padding=True, return_tensors="pt")
    capture = attnlog.capture(build("bert"), given, tokenizer=tokenizer)
    assert capture.inputs[1].tokens() == ("[CLS]", "the", "dog", "[SEP]")
    assert capture.weights("self", 0, input=1).shape == (4, 4, 4)


def test_without_a_tokenizer_tokens_are_ids():
    capture = attnlog.capture(build("gpt2"), {"input_ids": torch.tensor([[5, 6, 7]])})
    assert capture.inputs[0].tokens() == ("5", "6", "7")


def test_encoder_decoder_takes_source_and_target(plain_tokenizer):
    capture = attnlog.capture(build("t5"), [("the cat sat on the mat", "the dog sat")], tokenizer=plain_tokenizer)
    assert capture.inputs[0].tokens("encoder") == ("the", "cat", "sat", "on", "the", "mat")
    assert capture.inputs[0].tokens("decoder") == ("<pad>", "the", "dog")
    assert capture.weights("cross", 2).shape == (4, 3, 6)
    assert [sorted({layer.layer for layer in capture.layers if layer.kind == kind}) for kind in ("encoder", "decoder")] == [
        [0, 1],
        [0, 1, 2],
    ]


def test_labels_of_a_ready_made_batch_become_the_decoders_tokens(plain_tokenizer):
    given = plain_tokenizer(["the cat sat"], return_tensors="pt")
    given["labels"] = torch.tensor([[5, 6, -100]])
    capture = attnlog.capture(build("bart"), given, tokenizer=plain_tokenizer)
    assert len(capture.inputs[0].tokens("decoder")) == 3


def test_no_inputs_are_refused(tokenizer):
    with pytest.raises(InputError, match="at least one text"):
        attnlog.capture(build("bert"), [], tokenizer=tokenizer)


@pytest.mark.parametrize("bad", [[3], [("a", "b", "c")], [None], ["the cat", ""]])
def test_what_is_no_text_is_refused_with_its_number(bad, tokenizer):
    with pytest.raises(InputError, match=f"input {len(bad) - 1} is"):
        attnlog.capture(build("bert"), bad, tokenizer=tokenizer)


def test_texts_without_a_tokenizer_are_refused():
    with pytest.raises(InputError, match="pass tokenizer="):
        attnlog.capture(build("bert"), ["the cat"])


def test_a_model_without_attention_is_refused():
    with pytest.raises(NoAttentionError, match="MambaForCausalLM has no attention"):
        attnlog.capture(build("mamba"), {"input_ids": torch.tensor([[5, 6, 7]])})


def test_a_module_without_attention_is_refused():
    with pytest.raises(NoAttentionError, match="Linear has no attention"):
        attnlog.capture(torch.nn.Linear(2, 2), {"input": torch.ones(1, 2)})


def test_what_is_no_module_is_refused():
    with pytest.raises(ModelError, match="the model is a str"):
        attnlog.capture("bert-base-uncased", ["the cat"])


def test_a_module_without_a_configuration_takes_its_forwards_arguments():
    capture = attnlog.capture(torch.nn.TransformerEncoderLayer(8, 2, batch_first=True).eval(), {"src": torch.ones(2, 5, 8)})
    assert capture.weights("self", 0, 1).shape == (2, 5, 5)


def test_one_tensor_is_the_first_argument_of_the_forward():
    capture = attnlog.capture(build("llama"), torch.arange(4, 12)[None])
    assert capture.inputs[0].axes["self"].ids == tuple(range(4, 12))


def test_a_batch_without_text_is_accepted_where_the_model_reads_it():
    model = build("bert")
    ids = torch.arange(4, 12)[None]
    capture = attnlog.capture(model, {"inputs_embeds": model.bert.embeddings.word_embeddings(ids).detach()})
    np.testing.assert_allclose(capture.weights("self", 1), attnlog.capture(model, ids).weights("self", 1), atol=1e-6)


@pytest.mark.parametrize(("what", "number"), [("layers", 2), ("layers", -1), ("heads", 4)])
def test_layers_and_heads_out_of_range_are_refused_with_those_there_are(what, number):
    with pytest.raises(LayerError, match=f"{number}: this model has {what} 0 to"):
        attnlog.capture(build("bert"), {"input_ids": torch.tensor([[5, 6]])}, **{what: [number]})


@pytest.mark.parametrize(
    "bad",
    [
        {"record": "attentions"},
        {"record": ()},
        {"precision": "f8"},
        {"layers": []},
        {"layers": ["1"]},
        {"batch_size": 0},
        {"max_tokens": 1},
    ],
)
def test_arguments_that_cannot_be_used_are_refused(bad):
    with pytest.raises(ArgumentError):
        attnlog.capture(build("bert"), {"input_ids": torch.tensor([[5, 6]])}, **bad)


def test_inputs_longer_than_the_models_positions_are_refused():
    with pytest.raises(InputError, match="301 tokens, the model takes at most 300"):
        attnlog.capture(build("gpt2"), {"input_ids": torch.full((1, 301), 5)})


def test_a_batch_row_that_is_all_padding_is_refused():
    with pytest.raises(InputError, match="row 1"):
        attnlog.capture(
            build("bert"), {"input_ids": torch.ones(2, 3, dtype=torch.long), "attention_mask": torch.tensor([[1, 1, 1], [0, 0, 0]])}
        )


def test_asking_a_capture_for_what_it_has_not_says_what_it_has(tokenizer):
    capture = attnlog.capture(build("bert"), ["the cat"], tokenizer=tokenizer, layers=[1], record="attention")
    with pytest.raises(LookupError, match="layers 1 were"):
        capture.weights("self", 0)
    with pytest.raises(LookupError, match="recorded: self"):
        capture.weights("cross", 0)
    with pytest.raises(LookupError, match="not recorded"):
        capture.vectors("q", "self", 1)
    with pytest.raises(LookupError, match="has no axis 'decoder'"):
        capture.inputs[0].tokens("decoder")


def test_ids_that_the_model_does_not_know_are_refused():
    with pytest.raises(InputError, match="the model knows 0 to 63"):
        attnlog.capture(build("llama"), {"input_ids": torch.tensor([[5, 64]])})


def test_ragged_lists_are_refused_with_the_way_round(tokenizer):
    with pytest.raises(InputError, match="padding=True"):
        attnlog.capture(build("bert"), tokenizer(["the cat", "the cat sat on the mat"]))


def test_masks_with_holes_are_refused():
    with pytest.raises(InputError, match="masks tokens between others"):
        attnlog.capture(build("bert"), {"input_ids": torch.ones(1, 4, dtype=torch.long), "attention_mask": torch.tensor([[1, 0, 1, 1]])})


def test_layers_of_an_encoder_that_is_deeper_than_its_decoder_can_be_chosen():
    import transformers as t

    small = {"hidden_size": 16, "num_attention_heads": 2, "intermediate_size": 32, "vocab_size": 64}
    config = t.EncoderDecoderConfig.from_encoder_decoder_configs(
        t.BertConfig(**small, num_hidden_layers=4), t.BertConfig(**small, num_hidden_layers=2, is_decoder=True, add_cross_attention=True)
    )
    model = t.EncoderDecoderModel(config)
    given = {"input_ids": torch.arange(5, 11)[None], "decoder_input_ids": torch.arange(5, 9)[None]}
    capture = attnlog.capture(model, given, layers=[3])
    assert {(layer.kind, layer.layer) for layer in capture.layers} == {("encoder", 3)}


def test_layers_that_share_one_module_are_numbered_as_they_are_computed():
    import transformers as t

    config = t.AlbertConfig(
        vocab_size=64,
        embedding_size=16,
        hidden_size=16,
        num_hidden_layers=4,
        num_hidden_groups=2,
        num_attention_heads=2,
        intermediate_size=32,
    )
    torch.manual_seed(0)
    model = t.AlbertModel(config).eval()
    given = {"input_ids": torch.arange(5, 15)[None]}
    capture = attnlog.capture(model, given)
    model.set_attn_implementation("eager")
    with torch.no_grad():
        reference = model(**given, output_attentions=True).attentions
    for number, weights in enumerate(reference):
        np.testing.assert_allclose(capture.weights("self", number), weights[0].numpy(), atol=1e-6)
