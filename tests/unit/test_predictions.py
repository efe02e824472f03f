"""Predictions and losses: those of the model's own logits, named by tokenizer and configuration."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import attnlog
from attnlog.errors import NotRecordedError
from tests.conftest import FAMILIES, TEXT, build
from tests.unit.test_capture_families import batch

TEXTS = ["the cat sat on the mat", "the nurse said that he was tired of the dog"]


def tiny(name, **config):
    import transformers as t

    torch.manual_seed(0)
    small = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64, "vocab_size": 64}
    return getattr(t, name)(t.BertConfig(**small, **config)).eval()


@pytest.mark.parametrize("name", FAMILIES)
def test_predictions_are_the_top_of_a_softmax_over_the_models_logits(name):
    model = build(name)
    given = batch(model)
    capture = attnlog.capture(model, given, record="predictions")
    axis = "decoder" if model.config.is_encoder_decoder else "self"
    for row in range(3):
        kept = given["attention_mask"][row].bool()
        alone = {"input_ids": given["input_ids"][row][kept][None]}
        if axis == "decoder":
            alone["decoder_input_ids"] = given["decoder_input_ids"][row][None]
        with torch.no_grad():
            logits = model(**alone).logits[0].float()
        (found,) = capture.predictions(axis, row)
        assert found.task == ("masked" if name == "bert" else "next")
        expected = torch.softmax(logits, -1).topk(5)
        np.testing.assert_allclose(found.probabilities, expected.values.numpy(), rtol=1e-4, atol=1e-6)
        assert (found.ids == expected.indices.numpy()).mean() > 0.99  # but for ties
        assert found.labels[0][0] == str(found.ids[0, 0])
        if name == "bert":
            with pytest.raises(NotRecordedError, match="no labels"):
                capture.losses(axis, row)
        else:
            ids = alone.get("decoder_input_ids", alone["input_ids"])[0]
            wanted = torch.nn.functional.cross_entropy(logits[:-1], ids[1:], reduction="none")
            np.testing.assert_allclose(capture.losses(axis, row)[:-1], wanted.numpy(), rtol=1e-4)
            assert np.isnan(capture.losses(axis, row)[-1])


def test_tokens_are_named_by_the_tokenizer(plain_tokenizer):
    capture = attnlog.capture(build("llama"), TEXTS, tokenizer=plain_tokenizer, record="predictions")
    named = {label for row in capture.predictions()[0].labels for label in row}
    assert named & {"<pad>", "<unk>", *TEXT}
    assert all(label in {"<pad>", "<unk>", "<s>", "</s>", *TEXT} or label.isdigit() for label in named)


def test_predictions_are_the_same_read_from_a_run(tmp_path, plain_tokenizer):
    capture = attnlog.capture(build("llama"), TEXTS, tokenizer=plain_tokenizer, record=("attention", "predictions"))
    with attnlog.Run(tmp_path / "run", precision="u8") as run:
        run.log(capture, step=3)
    opened = attnlog.open(tmp_path / "run").read()
    for number in range(2):
        (mine,), (theirs,) = capture.predictions(input=number), opened.predictions(input=number)
        assert mine.labels == theirs.labels
        np.testing.assert_array_equal(mine.ids, theirs.ids)
        np.testing.assert_array_equal(mine.probabilities, theirs.probabilities)
        np.testing.assert_array_equal(capture.losses(input=number), opened.losses(input=number))


@pytest.mark.parametrize("problem", ["single_label_classification", "multi_label_classification"])
def test_classes_are_named_by_the_configuration(problem, tokenizer):
    names = {0: "good", 1: "bad", 2: "ugly"}
    model = tiny("BertForSequenceClassification", num_labels=3, id2label=names, problem_type=problem)
    capture = attnlog.capture(model, TEXTS, tokenizer=tokenizer, record="predictions")
    (found,) = capture.predictions(input=1)
    with torch.no_grad():
        logits = model(**tokenizer(TEXTS[1], return_tensors="pt")).logits[0]
    several = problem == "multi_label_classification"
    probabilities = logits.sigmoid() if several else logits.softmax(-1)
    assert found.task == ("labels" if several else "class")
    assert [label for label, _ in found.top()] == [names[int(n)] for n in logits.argsort(descending=True)]
    np.testing.assert_allclose(sorted(found.probabilities[0]), sorted(probabilities.numpy()), rtol=1e-4)


def test_labels_of_tokens_have_a_loss_where_labels_are_given(tmp_path):
    model = tiny("BertForTokenClassification", num_labels=3, id2label={0: "O", 1: "B", 2: "I"})
    labels = torch.tensor([[0, 1, 2, -100], [2, 1, -100, -100]])
    mask = torch.tensor([[1, 1, 1, 1], [1, 1, 1, 0]])
    capture = attnlog.capture(
        model, {"input_ids": torch.arange(4, 12).reshape(2, 4), "attention_mask": mask, "labels": labels}, record="predictions"
    )
    (found,) = capture.predictions(input=1)
    assert found.task == "tokens"
    assert found.ids.shape == (3, 3)
    assert set(found.labels[0]) == {"O", "B", "I"}
    with torch.no_grad():
        logits = model(torch.arange(8, 11)[None]).logits[0]
    expected = torch.nn.functional.cross_entropy(logits[:2], labels[1, :2], reduction="none")
    np.testing.assert_allclose(capture.losses(input=1)[:2], expected.numpy(), rtol=1e-4)
    assert np.isnan(capture.losses(input=1)[2])


def test_a_masked_language_model_has_a_loss_where_labels_are_given():
    model = build("bert")
    labels = torch.tensor([[-100, 7, -100]])
    capture = attnlog.capture(model, {"input_ids": torch.tensor([[4, 5, 6]]), "labels": labels}, record="predictions")
    with torch.no_grad():
        logits = model(torch.tensor([[4, 5, 6]])).logits[0]
    assert capture.losses()[1] == pytest.approx(float(-logits[1].log_softmax(-1)[7]), rel=1e-4)
    assert np.isnan(capture.losses()[[0, 2]]).all()


def test_answers_are_places_of_tokens(tokenizer):
    model = tiny("BertForQuestionAnswering")
    capture = attnlog.capture(model, [("the cat", "the dog sat on the mat")], tokenizer=tokenizer, record="predictions")
    start, end = capture.predictions()
    assert (start.task, end.task) == ("start", "end")
    tokens = capture.inputs[0].tokens()
    assert start.labels[0] == tuple(tokens[n] for n in start.ids[0])
    assert start.probabilities.shape == (1, 5)


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: tiny("BertModel"), "gives no logits"),
        (lambda: tiny("BertForSequenceClassification", num_labels=1), "a number, not a class"),
        (lambda: tiny("BertForMultipleChoice"), "not known"),
    ],
    ids=["no head", "a regression", "a head of its own kind"],
)
def test_what_has_no_predictions_says_so(make, reason):
    model = make()
    ids = torch.arange(4, 10)[None]
    if type(model).__name__ == "BertForMultipleChoice":
        model.forward = lambda input_ids, **_: type("Out", (), {"logits": torch.zeros(1, 2)})()
        record = "predictions"
    else:
        record = ("attention", "predictions")
    capture = attnlog.capture(model, {"input_ids": ids}, record=record)
    with pytest.raises(NotRecordedError, match=reason):
        capture.predictions()


def test_predictions_that_are_no_numbers_are_said_to_be_none():
    model = build("llama")
    with torch.no_grad():
        model.model.embed_tokens.weight[5] = torch.nan
    capture = attnlog.capture(model, {"input_ids": torch.tensor([[4, 5, 6]])}, record="predictions")
    with pytest.raises(NotRecordedError, match="not numbers"):
        capture.predictions()
