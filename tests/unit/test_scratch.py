"""Room to compute in is lent, not made anew; what a capture returns never lies in it."""

from __future__ import annotations

import numpy as np
import torch

import attnlog
from attnlog.capture.scratch import Scratch
from tests.conftest import build

CPU = torch.device("cpu")


def test_the_same_memory_is_lent_again_by_the_same_name_only() -> None:
    scratch = Scratch()
    first = scratch.take("a", (2, 3), CPU)
    assert scratch.take("a", (3,), CPU).data_ptr() == first.data_ptr()
    assert scratch.take("b", (3,), CPU).data_ptr() != first.data_ptr()


def test_it_grows_and_changes_its_type_as_asked() -> None:
    scratch = Scratch()
    scratch.take("a", (2,), CPU)
    assert scratch.take("a", (40, 50), CPU).shape == (40, 50)
    assert scratch.take("a", (40, 50), CPU, torch.uint8).dtype == torch.uint8


def test_what_inference_mode_made_is_not_lent_outside_of_it() -> None:
    scratch = Scratch()
    with torch.inference_mode():
        scratch.take("a", (4,), CPU)
    scratch.take("a", (4,), CPU).zero_()  # raises for an inference tensor
    with torch.inference_mode():
        scratch.take("a", (4,), CPU).zero_()


def test_layers_and_captures_do_not_write_over_one_another() -> None:
    model = build("llama")
    ids = [torch.arange(start, start + 20).reshape(1, 20) for start in (4, 40)]
    alone = [attnlog.capture(model, {"input_ids": one}, precision="u8", layers=[layer]) for one in ids for layer in (0, 1)]
    together = attnlog.capture(model, {"input_ids": torch.cat(ids)}, precision="u8", batch_size=1)
    again = attnlog.capture(model, {"input_ids": ids[0] + 7}, precision="u8")
    assert again.layers
    for number in range(2):
        for layer in range(2):
            one = alone[2 * number + layer]
            assert np.array_equal(one.weights("self", layer), together.weights("self", layer, input=number))
            assert np.array_equal(one.vectors("q", "self", layer), together.vectors("q", "self", layer, input=number))
