"""Tensors that somebody already has become a capture; what does not fit is refused with both shapes."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import attnlog
from attnlog.errors import InputError


def uniform(*shape):
    return np.full(shape, 1 / shape[-1], dtype="f4")


def test_bertviz_tuples_are_taken_as_they_are():
    attentions = tuple(torch.softmax(torch.randn(1, 4, 5, 5), -1) for _ in range(3))
    capture = attnlog.from_tensors(attentions, ["[CLS]", "a", "[SEP]", "b", "[SEP]"], sentence_b_start=3)
    np.testing.assert_array_equal(capture.weights("self", 2), attentions[2][0].numpy())
    assert capture.inputs[0].axes["self"].segments == (0, 0, 0, 1, 1)
    assert capture.inputs[0].axes["self"].special == (True, False, True, False, True)


def test_three_kinds_have_two_axes():
    capture = attnlog.from_tensors(
        {"encoder": [uniform(2, 4, 4)], "decoder": [uniform(2, 3, 3)] * 2, "cross": [uniform(2, 3, 4)] * 2},
        {"encoder": list("abcd"), "decoder": list("xyz")},
    )
    assert capture.weights("cross", 1).shape == (2, 3, 4)


def test_rows_of_a_batch_are_inputs():
    capture = attnlog.from_tensors([uniform(2, 4, 3, 3)], [list("abc"), list("xyz")])
    assert capture.inputs[1].tokens() == ("x", "y", "z")


def test_queries_and_keys_tell_how_much_they_explain():
    q, k = np.random.default_rng(0).normal(size=(2, 1, 4, 3, 8)).astype("f4")[:, 0]
    scores = q @ k.transpose(0, 2, 1) * 8**-0.5
    weights = np.exp(scores) / np.exp(scores).sum(-1, keepdims=True)
    explained = attnlog.from_tensors([weights], list("abc"), queries=[q], keys=[k]).layers[0].explained
    assert explained.max() < 1e-6
    biased = attnlog.from_tensors([uniform(4, 3, 3)], list("abc"), queries=[q], keys=[k]).layers[0].explained
    assert biased.min() > 0.05


@pytest.mark.parametrize(
    ("attentions", "tokens", "says"),
    [
        ([], ["a"], "attentions is empty"),
        ([uniform(2, 3, 3)], [], "tokens is empty"),
        ([uniform(2, 3, 3)], "abc", "give a list of tokens"),
        ([uniform(2, 3, 3)], ["a", "b"], "shape 3 × 3, its tokens are 2 × 2"),
        ([uniform(3, 3)], ["a"] * 3, r"shape \(3, 3\)"),
        ([uniform(2, 1, 3, 3)], ["a"] * 3, "holds 2 inputs, tokens are of 1"),
        ([uniform(1, 3, 3) - 1], ["a"] * 3, "before the softmax"),
        ([uniform(1, 3, 3) * np.nan], ["a"] * 3, "before the softmax"),
        ([uniform(1, 3, 3) * 3], ["a"] * 3, "before the softmax"),
        ({"cross": [uniform(1, 2, 3)]}, {"decoder": ["a", "b"]}, "needs tokens of the axis 'encoder'"),
    ],
)
def test_what_does_not_fit_is_refused(attentions, tokens, says):
    with pytest.raises(InputError, match=says):
        attnlog.from_tensors(attentions, tokens)


def test_vectors_that_do_not_fit_are_refused():
    with pytest.raises(InputError, match="do not fit weights of 2 heads"):
        attnlog.from_tensors([uniform(2, 3, 3)], list("abc"), queries=[np.ones((3, 3, 4))], keys=[np.ones((3, 3, 4))])
