"""A watch beside other things: captures of the same model, another watch, forward passes that fail, checkpointed regions."""

from __future__ import annotations

import pytest
import torch
from transformers import Swinv2Config, Swinv2Model

import attnlog
from attnlog.capture import interface
from attnlog.errors import ArgumentError
from tests.conftest import build

IDS = torch.arange(4, 12).reshape(1, 8)


def test_a_capture_inside_is_whole_and_not_taken_for_the_users_pass() -> None:
    model = build("llama")
    with attnlog.watch(model) as watched:
        found = attnlog.capture(model, {"input_ids": IDS})
        assert watched.take() is None
        model(input_ids=IDS)
        assert watched.take() is not None
    assert found.provenance("self", 0) == "interface"


def test_two_at_once_are_refused_and_nothing_stays_behind() -> None:
    model = build("llama")
    with attnlog.watch(model), pytest.raises(ArgumentError, match="another attnlog.watch"), attnlog.watch(model):
        pass
    assert getattr(interface._active, "seen", None) is None
    with attnlog.watch(model) as watched:
        model(input_ids=IDS)
    assert watched.take() is not None


def test_a_forward_pass_that_fails_is_not_kept() -> None:
    model = build("llama")
    handle = model.model.layers[1].mlp.register_forward_hook(lambda *_: 1 / 0)
    with attnlog.watch(model) as watched, pytest.raises(ZeroDivisionError):
        model(input_ids=IDS)
    handle.remove()
    assert watched.take() is None


def test_checkpointed_layers_with_a_learned_scale_go_backward() -> None:
    model = Swinv2Model(Swinv2Config(image_size=32, patch_size=4, embed_dim=8, depths=[2], num_heads=[2], window_size=4)).train()
    model.gradient_checkpointing_enable({"use_reentrant": False})
    with attnlog.watch(model):
        model(pixel_values=torch.randn(1, 3, 32, 32)).last_hidden_state.sum().backward()
    assert any(parameter.grad is not None for parameter in model.parameters())
