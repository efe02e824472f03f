"""How far heads are apart: the divergence is what its definition says, and shapes that do not fit are refused."""

from __future__ import annotations

import numpy as np
import pytest

import attnlog
from attnlog.errors import ArgumentError


def test_rows_that_agree_are_0_bits_apart_and_rows_that_share_nothing_1():
    same = np.array([[[0.25, 0.75], [1, 0]]])
    assert attnlog.drift(same, same) == pytest.approx([0])
    assert attnlog.drift([[1, 0], [1, 0]], [[0, 1], [0, 1]]) == pytest.approx(1)


def test_it_is_the_mean_of_the_rows_divergence_by_its_definition():
    draw = np.random.default_rng(0)
    a, b = draw.dirichlet(np.ones(7), (3, 5)), draw.dirichlet(np.ones(7), (3, 5))
    m = (a + b) / 2
    wanted = ((a * np.log2(a / m)).sum(-1) + (b * np.log2(b / m)).sum(-1)) / 2
    assert attnlog.drift(a, b) == pytest.approx(wanted.mean(-1), abs=1e-6)
    assert attnlog.drift(b, a) == pytest.approx(attnlog.drift(a, b))


def test_rows_that_do_not_sum_to_1_are_made_to_and_empty_ones_left_out():
    assert attnlog.drift([[0.2, 0.2], [0, 0]], [[0.4, 0.4], [1, 0]]) == pytest.approx(0)
    assert np.isnan(attnlog.drift([[0.0, 0.0]], [[1.0, 0.0]]))


@pytest.mark.parametrize(("a", "b"), [(np.ones((2, 3)), np.ones((3, 3))), (np.ones(3), np.ones(3))])
def test_shapes_that_do_not_fit_are_named(a, b):
    with pytest.raises(ArgumentError, match=r"have one shape .* these have \("):
        attnlog.drift(a, b)
