"""Saliency: right for the number it explains, complete, and without a trace in the model."""

from __future__ import annotations

import sys
from importlib import import_module

import numpy as np
import pytest
import torch

import attnlog
from attnlog import Saliency
from attnlog.errors import ArgumentError, MissingExtraError, NotRecordedError, TargetError
from tests.conftest import FAMILIES, build
from tests.unit.test_predictions import tiny

TEXTS = ["the cat sat on the mat", "the nurse said that he was tired"]
METHODS = ("gradient", "gradient_x_input", "integrated_gradients")


def ids_for(model, *, tokens=9, target=5):
    generator = torch.Generator().manual_seed(2)
    given = {"input_ids": torch.randint(4, 60, (2, tokens), generator=generator)}
    if model.config.is_encoder_decoder:
        given["decoder_input_ids"] = torch.randint(4, 60, (2, target), generator=generator)
    return given


def test_saliency_is_computed_inside_inference_mode_too():
    """A reader's loop may run in it; gradients are then taken outside of it."""
    model = build("gpt2")
    given = ids_for(model)
    outside = attnlog.capture(model, given, record="saliency").saliency("gradient", "self")
    with torch.inference_mode():
        capture = attnlog.capture(model, given, record="saliency")
    np.testing.assert_allclose(capture.saliency("gradient", "self").values, outside.values, atol=1e-6)
    assert not capture.missing


@pytest.mark.parametrize("name", [*FAMILIES, "bloom", "mamba"])
def test_integrated_gradients_sum_to_what_they_explain(name):
    """Completeness within 1 %, against outputs of the model's own for its embeddings and for the mean embedding."""
    model = build(name)
    given = ids_for(model)
    capture = attnlog.capture(model, given, record="saliency")
    assert not capture.missing
    axes = ["encoder", "decoder"] if model.config.is_encoder_decoder else ["self"]
    for number in range(2):
        found = [capture.saliency("integrated_gradients", axis, number) for axis in axes]
        assert all(one.error <= 0.01 for one in found)
        total = sum(float(one.values.sum()) for one in found)
        embeddings = model.get_input_embeddings()
        one = {key: value[number : number + 1] for key, value in given.items()}
        with torch.no_grad():
            usual = model(**one).logits
            position = found[-1].position
            answer = int(usual[0, position].argmax())

            def mean(module, inputs, output):
                everything = output.new_zeros(output.shape)
                return everything + type(module).forward(module, torch.arange(64)).mean(0)

            tables = {id(m): m for m in model.modules() if getattr(m, "weight", None) is embeddings.weight and hasattr(m, "num_embeddings")}
            hooks = [module.register_forward_hook(mean) for module in tables.values()]
            neutral = model(**one).logits
            for hook in hooks:
                hook.remove()
        explained = float(usual[0, position, answer] - neutral[0, position, answer])
        assert total == pytest.approx(explained, rel=0.011, abs=1e-4)


@pytest.mark.parametrize("name", ["xlnet", "longformer", "ctrl", "gpt_neox", "mt5"])
def test_models_that_look_embeddings_up_in_their_own_way_are_complete_too(name):
    """XLNet with tokens before inputs, Longformer with padding to a window, CTRL changing them in place."""
    import transformers as t

    torch.manual_seed(0)
    small = {"vocab_size": 64, "pad_token_id": 0, "eos_token_id": 3, "bos_token_id": 2}
    hidden = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
    model = {
        "xlnet": lambda: t.XLNetLMHeadModel(t.XLNetConfig(d_model=32, n_layer=2, n_head=4, d_inner=64, **small)),
        "longformer": lambda: t.LongformerForMaskedLM(
            t.LongformerConfig(**hidden, **small, attention_window=4, max_position_embeddings=64)
        ),
        "ctrl": lambda: t.CTRLLMHeadModel(t.CTRLConfig(n_embd=32, dff=64, n_layer=2, n_head=4, n_positions=64, **small)),
        "gpt_neox": lambda: t.GPTNeoXForCausalLM(t.GPTNeoXConfig(**hidden, **small)),
        "mt5": lambda: t.MT5ForConditionalGeneration(
            t.MT5Config(d_model=32, d_kv=8, d_ff=64, num_layers=2, num_heads=4, decoder_start_token_id=0, **small)
        ),
    }[name]().eval()
    capture = attnlog.capture(model, ids_for(model), record="saliency")
    assert not capture.missing
    for number in range(2):
        found = [one for one in capture.outputs if one.input == number and one.method == "integrated_gradients"]
        assert found
        assert all(one.error <= 0.01 and one.values.any() for one in found)


@pytest.mark.parametrize("name", ["bert", "llama"])
def test_gradients_are_those_by_the_embeddings(name):
    model = build(name)
    given = ids_for(model)
    capture = attnlog.capture(model, given, record="saliency", saliency=Saliency(methods=METHODS[:2], target=7, position=3))
    embeddings = model.get_input_embeddings()(given["input_ids"][1:2]).detach().requires_grad_(True)
    logit = model(inputs_embeds=embeddings).logits[0, 3, 7]
    (gradient,) = torch.autograd.grad(logit, embeddings)
    found = capture.saliency("gradient", input=1)
    assert found.position == 3
    np.testing.assert_allclose(found.values, gradient[0].norm(dim=-1).numpy(), rtol=1e-4)
    products = (gradient * embeddings).sum(-1)[0].detach().numpy()
    np.testing.assert_allclose(capture.saliency("gradient_x_input", input=1).values, products, rtol=1e-3, atol=1e-5)
    with pytest.raises(NotRecordedError, match="recorded: gradient, gradient_x_input"):
        capture.saliency("integrated_gradients")


def test_a_padded_batch_gives_what_each_input_gives_alone(plain_tokenizer):
    model = build("llama")
    together = attnlog.capture(model, TEXTS, tokenizer=plain_tokenizer, record="saliency")
    for number, text in enumerate(TEXTS):
        alone = attnlog.capture(model, text, tokenizer=plain_tokenizer, record="saliency")
        for method in METHODS:
            np.testing.assert_allclose(together.saliency(method, input=number).values, alone.saliency(method).values, rtol=1e-3, atol=1e-5)


def test_each_call_of_a_shared_table_is_an_axis_of_its_own():
    """T5 looks up source and target in one table; the first target token has nothing to do with a later source token only by chance."""
    capture = attnlog.capture(build("t5"), ids_for(build("t5")), record="saliency", saliency=Saliency(methods="gradient"))
    assert capture.saliency("gradient", "encoder").values.shape == (9,)
    assert capture.saliency("gradient", "decoder").values.shape == (5,)
    assert (capture.saliency("gradient", "encoder").values > 0).all()


def test_tokens_after_the_explained_one_have_no_part_in_a_decoder():
    capture = attnlog.capture(build("llama"), ids_for(build("llama")), record="saliency", saliency=Saliency(position=4))
    for method in METHODS:
        assert not capture.saliency(method).values[5:].any()
        assert capture.saliency(method).values[:5].any()


@pytest.mark.parametrize("frozen", [False, True])
def test_nothing_is_left_in_the_model(frozen):
    """Gradients that accumulate, flags, mode and weights: as before, also where every parameter is frozen and checkpointing is on."""
    model = build("llama")
    getattr(model, "activation_checkpointing_enable", model.gradient_checkpointing_enable)()
    model.train()
    for parameter in model.parameters():
        parameter.requires_grad_(not frozen)
        if not frozen:
            parameter.grad = torch.full_like(parameter, 0.5)
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    hooks = sum(len(module._forward_hooks) for module in model.modules())
    capture = attnlog.capture(model, ids_for(model), record=("attention", "saliency"))
    assert capture.saliency("integrated_gradients").values.any()
    assert model.training
    assert any(getattr(module, "gradient_checkpointing", False) for module in model.modules())
    assert sum(len(module._forward_hooks) for module in model.modules()) == hooks
    for name, parameter in model.named_parameters():
        assert parameter.requires_grad is not frozen
        assert torch.equal(parameter, before[name])
        assert parameter.grad is None if frozen else bool((parameter.grad == 0.5).all())


def test_training_goes_on_as_if_nothing_had_been_recorded():
    losses = []
    for watched in (False, True):
        model = build("bert").train()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        torch.manual_seed(5)
        ids = torch.randint(4, 60, (2, 9))
        for _ in range(3):
            loss = model(ids, labels=ids).loss
            loss.backward()
            if watched:
                attnlog.capture(model, {"input_ids": ids}, record="saliency")
            optimizer.step()
            optimizer.zero_grad()
            losses.append(float(loss.detach()))
    assert losses[:3] == losses[3:]


# --- targets ----------------------------------------------------------------------------------------------------------------


def test_of_a_classifier_the_predicted_class_is_explained(tokenizer):
    model = tiny("BertForSequenceClassification", num_labels=3, id2label={0: "good", 1: "bad", 2: "ugly"})
    capture = attnlog.capture(model, TEXTS, tokenizer=tokenizer, record=("predictions", "saliency"))
    for number in range(2):
        predicted = next(capture.predictions(input=number)[0].top())[0]
        found = capture.saliency("gradient", input=number)
        assert found.target == f"logit of {predicted!r}"
        assert found.position is None


@pytest.mark.parametrize("target", [1, "bad"])
def test_a_class_is_asked_for_by_its_number_or_its_label(target, tokenizer):
    model = tiny("BertForSequenceClassification", num_labels=3, id2label={0: "good", 1: "bad", 2: "ugly"})
    how = Saliency(methods="gradient", target=target)
    capture = attnlog.capture(model, TEXTS, tokenizer=tokenizer, record="saliency", saliency=how)
    assert capture.saliency("gradient").target == "logit of 'bad'"


def test_of_a_decoder_the_top_next_token_is_explained(plain_tokenizer):
    capture = attnlog.capture(build("llama"), TEXTS, tokenizer=plain_tokenizer, record=("predictions", "saliency"))
    top = next(capture.predictions()[0].top(5))[0]
    found = capture.saliency("gradient")
    assert found.position == 5
    assert found.target == f"logit of {top!r} at token 5 ('mat')"


def test_of_a_masked_language_model_the_first_mask_is_explained(tokenizer):
    tokenizer.add_special_tokens({"mask_token": "[MASK]"})
    try:
        capture = attnlog.capture(build("bert"), "the cat [MASK] on the [MASK]", tokenizer=tokenizer, record="saliency")
        assert capture.saliency("gradient").position == 3
        capture = attnlog.capture(build("bert"), "the cat sat", tokenizer=tokenizer, record="saliency")
        assert capture.saliency("gradient").position == 3  # the last token that is not special
    finally:
        tokenizer.mask_token = None


def test_the_loss_of_a_decoders_own_input_is_explained(plain_tokenizer):
    model = build("llama")
    how = Saliency(methods=("gradient_x_input",), target="loss")
    capture = attnlog.capture(model, TEXTS, tokenizer=plain_tokenizer, record="saliency", saliency=how)
    ids = plain_tokenizer(TEXTS[1], return_tensors="pt")["input_ids"]
    embeddings = model.get_input_embeddings()(ids).detach().requires_grad_(True)
    loss = torch.nn.functional.cross_entropy(model(inputs_embeds=embeddings).logits[0, :-1], ids[0, 1:])
    (gradient,) = torch.autograd.grad(loss, embeddings)
    found = capture.saliency("gradient_x_input", input=1)
    assert found.target == "loss"
    np.testing.assert_allclose(found.values, (gradient * embeddings).sum(-1)[0].detach().numpy(), rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("problem", [None, "multi_label_classification"])
def test_the_loss_of_a_classifier_needs_labels(problem):
    model = tiny("BertForSequenceClassification", num_labels=2, problem_type=problem)
    given = {"input_ids": torch.arange(4, 12).reshape(2, 4)}
    how = Saliency(target="loss")
    without = attnlog.capture(model, given, record="saliency", saliency=how)
    with pytest.raises(NotRecordedError, match="have no labels"):
        without.saliency("gradient")
    labels = torch.tensor([[0.0, 1.0], [1.0, 1.0]]) if problem else torch.tensor([0, 1])
    capture = attnlog.capture(model, {**given, "labels": labels}, record="saliency", saliency=how)
    assert capture.saliency("integrated_gradients", input=1).error <= 0.01


def test_where_an_answer_lies_is_explained(tokenizer):
    model = tiny("BertForQuestionAnswering")
    capture = attnlog.capture(model, [("the cat", "the dog sat")], tokenizer=tokenizer, record=("predictions", "saliency"))
    start, end = capture.predictions()
    found = capture.saliency("integrated_gradients")
    assert f"start {start.labels[0][0]!r}" in found.target
    assert f"end {end.labels[0][0]!r}" in found.target


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"target": 64}, "tokens 0 to 63"),
        ({"target": -1}, "tokens 0 to 63"),
        ({"target": "elephants"}, "no token of the tokenizer"),
        ({"position": 6}, "input 0 has 6 tokens"),
        ({"position": -7}, "input 0 has 6 tokens"),
    ],
    ids=str,
)
def test_a_target_that_is_not_there_is_an_error_before_any_work(how, message, plain_tokenizer):
    model = build("llama")
    model.register_forward_pre_hook(lambda *_: pytest.fail("the model ran"))
    with pytest.raises(TargetError, match=message):
        attnlog.capture(model, TEXTS, tokenizer=plain_tokenizer, record=("attention", "saliency"), saliency=Saliency(**how))


@pytest.mark.parametrize("target", [3, "splendid"])
def test_a_class_that_is_not_there_is_an_error(target, tokenizer):
    model = tiny("BertForSequenceClassification", num_labels=3, id2label={0: "good", 1: "bad", 2: "ugly"})
    with pytest.raises(TargetError, match=r"classes 0 to 2|labels 'good', 'bad', 'ugly'"):
        attnlog.capture(model, TEXTS, tokenizer=tokenizer, record="saliency", saliency=Saliency(target=target))


@pytest.mark.parametrize(
    "how",
    [{"methods": ()}, {"methods": "lime"}, {"target": ""}, {"target": True}, {"steps": 0}, {"position": "last"}, {"most_steps": 0.5}],
    ids=str,
)
def test_a_wrong_argument_is_an_error(how):
    with pytest.raises(ArgumentError, match="of saliency"):
        Saliency(**how)


def test_saliency_that_is_not_recorded_is_an_error():
    with pytest.raises(ArgumentError, match="name 'saliency' in record"):
        attnlog.capture(build("bert"), {"input_ids": torch.tensor([[4, 5]])}, saliency=Saliency())
    with pytest.raises(ArgumentError, match=r"give an attnlog\.Saliency"):
        attnlog.capture(build("bert"), {"input_ids": torch.tensor([[4, 5]])}, record="saliency", saliency="gradient")


# --- what cannot be is said -------------------------------------------------------------------------------------------------


def test_a_model_without_logits_says_so_and_attention_is_recorded():
    capture = attnlog.capture(tiny("BertModel"), {"input_ids": torch.arange(4, 12)[None]}, record=("attention", "saliency"))
    assert capture.weights("self", 0).shape == (4, 8, 8)
    with pytest.raises(NotRecordedError, match="gives no logits"):
        capture.saliency("gradient")


def test_integrated_gradients_that_are_not_complete_say_how_far_off_they_are(monkeypatch):
    import_module("attnlog.capture.saliency")
    monkeypatch.setattr(sys.modules["attnlog.capture.saliency"], "COMPLETE", 0.0)
    capture = attnlog.capture(
        build("t5"), ids_for(build("t5")), record="saliency", saliency=Saliency("integrated_gradients", steps=2, most_steps=4)
    )
    assert capture.saliency("integrated_gradients", "encoder").steps == 4
    assert any("off after 4 steps (raise most_steps)" in str(m) for m in capture.missing)


def test_integrated_gradients_without_captum_name_the_pip_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "captum.attr", None)
    given = {"input_ids": torch.arange(4, 12)[None]}
    with pytest.raises(MissingExtraError, match=r"pip install 'attnlog\[saliency\]'"):
        attnlog.capture(build("llama"), given, record="saliency")
    capture = attnlog.capture(build("llama"), given, record="saliency", saliency=Saliency(methods=METHODS[:2]))
    assert capture.saliency("gradient").values.shape == (8,)


def test_saliency_that_is_no_number_is_said_to_be_none():
    model = build("llama")
    with torch.no_grad():
        model.model.embed_tokens.weight[5] = torch.nan
    capture = attnlog.capture(model, {"input_ids": torch.tensor([[4, 5, 6]])}, record="saliency", saliency=Saliency("gradient"))
    with pytest.raises(NotRecordedError, match="not a number"):
        capture.saliency("gradient")


def test_saliency_is_the_same_read_from_a_run(tmp_path):
    capture = attnlog.capture(build("bart"), ids_for(build("bart")), record=("attention", "saliency"))
    with attnlog.Run(tmp_path / "run", precision="u8") as run:
        run.log(capture, step=0)
    opened = attnlog.open(tmp_path / "run").read()
    for method in METHODS:
        for axis in ("encoder", "decoder"):
            mine, theirs = capture.saliency(method, axis, 1), opened.saliency(method, axis, 1)
            np.testing.assert_array_equal(mine.values, theirs.values)
            assert (mine.target, mine.position, mine.steps) == (theirs.target, theirs.position, theirs.steps)
