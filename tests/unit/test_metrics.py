"""Head metrics say what their formula says, in numpy and torch alike, whole or by blocks of rows."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from attnlog.metrics import METRICS, MetricMeans, head_metrics
from attnlog.record import Axis

TOKENS = tuple("a b c a b d".split())


def at(*keys):
    """Weights of one head whose row i looks only at keys[i]."""
    weights = np.zeros((1, len(keys), len(keys)), dtype=np.float32)
    for row, key in enumerate(keys):
        weights[0, row, key] = 1
    return weights


def metrics(weights, axis=None, *, aligned=True):
    axis = axis or Axis(tokens=TOKENS)
    found = head_metrics(weights, axis, axis, aligned=aligned)
    return {name: float(values[0]) for name, values in found.items()}


def test_a_head_that_looks_at_one_token_has_no_entropy():
    assert metrics(at(0, 0, 0, 0, 0, 0))["entropy"] == 0


def test_a_head_that_looks_at_all_alike_has_the_entropy_of_their_number_in_bits():
    assert metrics(np.full((1, 6, 6), 1 / 6, dtype=np.float32))["entropy"] == pytest.approx(np.log2(6), rel=1e-5)


def test_distance_is_in_tokens():
    assert metrics(at(0, 0, 0, 0, 0, 0))["distance"] == pytest.approx((0 + 1 + 2 + 3 + 4 + 5) / 6)


@pytest.mark.parametrize(
    ("name", "keys"),
    [("previous", (0, 0, 1, 2, 3, 4)), ("next", (1, 2, 3, 4, 5, 5)), ("self", (0, 1, 2, 3, 4, 5)), ("first", (3, 0, 0, 0, 0, 0))],
)
def test_a_head_that_does_one_thing_scores_one_there(name, keys):
    assert metrics(at(*keys))[name] == pytest.approx(1)


def test_induction_looks_at_what_followed_the_same_token_before():
    # tokens a b c a b d: the second a looks at the first b, the second b at c
    found = metrics(at(0, 0, 0, 1, 2, 0))
    assert found["induction"] == pytest.approx(1)


def test_induction_is_not_defined_where_nothing_repeats():
    assert np.isnan(metrics(at(0, 0, 0), Axis(tokens=("a", "b", "c")))["induction"])


def test_special_tokens_repeat_without_induction():
    axis = Axis(tokens=("[SEP]", "a", "[SEP]", "b"), special=(True, False, True, False))
    assert np.isnan(metrics(at(0, 0, 1, 0), axis)["induction"])


def test_separators_are_special_tokens_but_the_first():
    axis = Axis(tokens=("[CLS]", "a", "[SEP]"), special=(True, False, True))
    assert metrics(at(2, 2, 0), axis)["separator"] == pytest.approx(2 / 3)
    assert np.isnan(metrics(at(0, 0, 0), Axis(tokens=("a", "b", "c")))["separator"])


def test_metrics_of_position_are_not_defined_across_axes():
    found = metrics(at(0, 0, 0, 0, 0, 0), aligned=False)
    assert all(np.isnan(found[name]) for name in ("distance", "previous", "next", "self", "induction"))
    assert found["first"] == 1


@pytest.mark.parametrize("blocks", [[6], [1, 5], [2, 2, 2]])
def test_blocks_of_rows_in_torch_give_what_whole_matrices_in_numpy_give(blocks):
    scores = np.random.default_rng(0).normal(size=(3, 6, 6)).astype("f4")
    weights = np.exp(scores) / np.exp(scores).sum(-1, keepdims=True)
    axis = Axis(tokens=TOKENS, special=(True, False, False, False, False, True))
    whole = head_metrics(weights, axis, axis, aligned=True)
    means = MetricMeans(axis, axis, aligned=True, heads=3, xp=torch, asarray=torch.as_tensor)
    start = 0
    for rows in blocks:
        means.add(torch.as_tensor(weights[:, start : start + rows]), start)
        start += rows
    for name, values in means.means().items():
        np.testing.assert_allclose(np.asarray(values), whole[name], rtol=1e-5)


def test_every_metric_names_its_source():
    assert all("Source:" in (metric.__doc__ or "") for metric in METRICS.values())
