"""What is captured is what the model computed, for every family on transformers' attention interface."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import attnlog
from attnlog.record import axes_of
from tests.conftest import FAMILIES, build

KINDS = {"self": "attentions", "encoder": "encoder_attentions", "decoder": "decoder_attentions", "cross": "cross_attentions"}


def batch(model, *, rows=3, tokens=24, target=9):
    """Rows of random tokens, padded on the right (the second) and on the left (the third)."""
    generator = torch.Generator().manual_seed(3)
    ids = torch.randint(4, 60, (rows, tokens), generator=generator)
    mask = torch.ones_like(ids)
    mask[1:2, 17:] = 0
    if rows > 2 and not model.config.is_encoder_decoder:
        mask[2, :5] = 0
    given = {"input_ids": ids, "attention_mask": mask}
    if model.config.is_encoder_decoder:
        given["decoder_input_ids"] = torch.randint(4, 60, (rows, target), generator=generator)
    return given


def eager(model, given):
    """Weights by the model's own eager implementation, each row alone and unpadded, float32 kind → layer → row → array."""
    before = model.config._attn_implementation
    model.set_attn_implementation("eager")
    rows = []
    for row in range(len(given["input_ids"])):
        kept = given["attention_mask"][row].bool()
        alone = {"input_ids": given["input_ids"][row][kept][None]}
        if "decoder_input_ids" in given:
            alone["decoder_input_ids"] = given["decoder_input_ids"][row][None]
        with torch.no_grad():
            rows.append(model(**alone, output_attentions=True))
    model.set_attn_implementation(before)
    return {kind: [getattr(out, name) for out in rows] for kind, name in KINDS.items() if getattr(rows[0], name, None)}


@pytest.mark.parametrize("name", FAMILIES)
def test_weights_are_the_models_eager_weights(name):
    model = build(name)
    given = batch(model)
    capture = attnlog.capture(model, given)
    reference = eager(model, given)
    assert not capture.missing
    assert {layer.kind for layer in capture.layers} == set(reference)
    for kind, rows in reference.items():
        for row, layers in enumerate(rows):
            for number, weights in enumerate(layers):
                mine = capture.weights(kind, number, row)
                assert mine.dtype == np.float32
                assert mine.shape == tuple(weights.shape[1:])
                np.testing.assert_allclose(mine, weights[0].numpy(), atol=1e-6, rtol=0)


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize(("precision", "worst"), [("u8", 4e-3), ("f16", 3e-4), ("f32", 1e-6)])
def test_weights_read_back_from_a_run_are_the_models(name, precision, worst, tmp_path):
    model = build(name)
    given = batch(model)
    with attnlog.Run(tmp_path / "run", precision=precision) as run:
        run.log(attnlog.capture(model, given, precision=precision), step=7)
    opened = attnlog.open(tmp_path / "run").read(step=7)
    for kind, rows in eager(model, given).items():
        for row, layers in enumerate(rows):
            for number, weights in enumerate(layers):
                np.testing.assert_allclose(opened.weights(kind, number, row), weights[0].numpy(), atol=worst, rtol=0)


@pytest.mark.parametrize("name", FAMILIES)
def test_the_models_outputs_stay_bit_identical_while_tapped(name):
    from attnlog.capture.interface import interface_tap

    model = build(name)
    given = batch(model)
    seen = []
    with torch.no_grad():
        plain = model(**given).logits
        with interface_tap(seen.append):
            tapped = model(**given).logits
        after = model(**given).logits
    assert seen
    assert torch.equal(plain, tapped)
    assert torch.equal(plain, after)


def test_grouped_heads_name_the_key_group_they_read():
    capture = attnlog.capture(build("llama"), {"input_ids": torch.arange(4, 12)[None]}, record=("attention", "vectors", "values"))
    assert capture.group("self", 0) == (0, 0, 1, 1)
    assert capture.vectors("q", "self", 0).shape == (4, 8, 8)
    assert capture.vectors("k", "self", 0).shape == (2, 8, 8)
    assert capture.vectors("v", "self", 0).shape == (2, 8, 8)


def test_chosen_heads_come_with_the_key_groups_they_read():
    model = build("llama")
    given = {"input_ids": torch.arange(4, 12)[None]}
    every = attnlog.capture(model, given)
    some = attnlog.capture(model, given, layers=[1], heads=[0, 3])
    assert {layer.layer for layer in some.layers} == {1}
    assert some.layers[0].heads == (0, 3)
    np.testing.assert_array_equal(some.weights("self", 1), every.weights("self", 1)[[0, 3]])
    np.testing.assert_array_equal(some.vectors("k", "self", 1), every.vectors("k", "self", 1))


@pytest.mark.parametrize(
    ("name", "rules"),
    [("bert", {(False, None)}), ("gpt2", {(True, None)}), ("mistral", {(True, 5)}), ("gemma2", {(True, 5), (True, None)})],
)
def test_the_mask_is_named_by_its_rule(name, rules):
    model = build(name)
    capture = attnlog.capture(model, batch(model))
    assert {(layer.vectors.causal, layer.vectors.window) for layer in capture.layers} == rules


@pytest.mark.parametrize("name", FAMILIES)
def test_how_much_queries_and_keys_explain_is_recorded(name):
    """Where softmax(scale·q·kᵀ) is the whole story `explained` is 0; soft-cap and relative bias leave a remainder."""
    model = build(name)
    capture = attnlog.capture(model, batch(model, rows=1))
    from attnlog.explain import explained_by

    for layer in capture.layers:
        again = explained_by(layer.vectors, layer.weights, layer.groups)
        np.testing.assert_allclose(layer.explained, again, atol=2e-6)
    biased = max(float(layer.explained.max()) for layer in capture.layers)
    assert (biased > 1e-3) == (name in ("gemma2", "t5"))


@pytest.mark.parametrize("implementation", ["sdpa", "eager"])
def test_both_implementations_give_the_same_weights(implementation):
    model = build("llama")
    model.set_attn_implementation(implementation)
    capture = attnlog.capture(model, batch(model, rows=1))
    np.testing.assert_allclose(capture.weights("self", 1), eager(model, batch(model, rows=1))["self"][0][1][0].numpy(), atol=1e-6)
    assert model.config._attn_implementation == implementation


def test_rows_longer_than_a_block_are_computed_alike():
    model = build("llama")
    given = {"input_ids": torch.randint(4, 60, (1, 290), generator=torch.Generator().manual_seed(5))}
    capture = attnlog.capture(model, given)
    np.testing.assert_allclose(
        capture.weights("self", 1), eager(model, {**given, "attention_mask": torch.ones(1, 290)})["self"][0][1][0].numpy(), atol=1e-6
    )


def test_what_the_formula_does_not_explain_is_taken_from_the_models_own_function(monkeypatch):
    """A function with a bias that nobody tells of: identity values give its weights all the same."""
    from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS, AttentionInterface

    def secretly_biased(module, query, key, value, attention_mask, scaling=None, dropout=0.0, **_):
        scores = query @ key.repeat_interleave(query.shape[1] // key.shape[1], 1).transpose(2, 3) * scaling
        away = torch.arange(query.shape[2])[:, None] - torch.arange(key.shape[2])[None, :]
        weights = torch.softmax((scores - 0.3 * away).masked_fill(away < 0, -torch.inf), -1)
        return (weights @ value.repeat_interleave(query.shape[1] // value.shape[1], 1)).transpose(1, 2), None

    AttentionInterface.register("secretly_biased", secretly_biased)
    try:
        model = build("llama")
        model.config._attn_implementation = "secretly_biased"
        capture = attnlog.capture(model, {"input_ids": torch.arange(4, 24)[None]})
    finally:
        del ALL_ATTENTION_FUNCTIONS._global_mapping["secretly_biased"]
    assert capture.provenance("self", 0) == "identity"
    assert not capture.missing
    assert capture.layers[0].explained.max() > 1e-2
    np.testing.assert_allclose(capture.weights("self", 0).sum(-1), 1, atol=1e-6)


def test_a_function_that_takes_no_identity_values_leaves_the_formula_and_says_so():
    """What a second call of the model's own function raises is no error of the capture."""
    from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS, AttentionInterface

    def once_only(module, query, key, value, attention_mask, scaling=None, **_):
        if len(query) == 1:
            raise RuntimeError("a batch of two, please")
        scores = query @ key.repeat_interleave(query.shape[1] // key.shape[1], 1).transpose(2, 3) * scaling
        weights = torch.softmax(scores - torch.arange(key.shape[2]), -1)
        return (weights @ value.repeat_interleave(query.shape[1] // value.shape[1], 1)).transpose(1, 2), None

    AttentionInterface.register("once_only", once_only)
    try:
        model = build("llama")
        model.config._attn_implementation = "once_only"
        capture = attnlog.capture(model, {"input_ids": torch.arange(4, 24).reshape(2, 10)})
    finally:
        del ALL_ATTENTION_FUNCTIONS._global_mapping["once_only"]
    said = {one.what: str(one) for one in capture.missing}
    assert "a batch of two, please" in said["weights from the module's own function"]
    assert "verified weights" in said


def test_axes_of_kinds():
    assert axes_of("cross") == ("decoder", "encoder")
    assert axes_of("self") == ("self", "self")


def test_sinks_take_their_part_of_the_sum():
    """gpt-oss: rows sum to less than one, and q·k with the recorded sinks explains them."""
    import transformers as t

    torch.manual_seed(0)
    config = t.GptOssConfig(
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=8,
        intermediate_size=32,
        num_local_experts=2,
        num_experts_per_tok=1,
        vocab_size=64,
        sliding_window=5,
    )
    model = t.GptOssForCausalLM(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=0.2)
    given = {"input_ids": torch.arange(4, 20)[None]}
    capture = attnlog.capture(model, given)
    reference = eager(model, {**given, "attention_mask": torch.ones(1, 16)})["self"][0]
    for number in range(2):
        np.testing.assert_allclose(capture.weights("self", number), reference[number][0].numpy(), atol=1e-6)
    assert capture.weights("self", 0).sum(-1).max() < 0.99
    assert capture.layers[0].vectors.sinks.shape == (4,)
    assert max(float(layer.explained.max()) for layer in capture.layers) < 1e-5


def test_a_head_with_small_values_is_checked_too(monkeypatch):
    """Wrong weights of one head are found out although its share of the output is tiny."""
    from attnlog.capture import weights as module

    model = build("llama")
    with torch.no_grad():
        model.model.layers[0].self_attn.v_proj.weight[:8] *= 1e-3  # the first key group's values
    formula = module._formula

    def wrong(*arguments):
        found = formula(*arguments).clone()
        found[0] = found[0].flip(-1)
        return found

    monkeypatch.setattr(module, "_formula", wrong)
    capture = attnlog.capture(model, {"input_ids": torch.arange(4, 24)[None]})
    assert capture.provenance("self", 0) == "identity"
