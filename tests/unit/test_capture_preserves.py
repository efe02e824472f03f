"""A capture leaves the model, its modes, gradients and every random state as they were, also when it fails half-way."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch

import attnlog
from tests.conftest import build


def state(model):
    return {
        "modes": [module.training for module in model.modules()],
        "weights": [parameter.clone() for parameter in model.parameters()],
        "gradients": [None if p.grad is None else p.grad.clone() for p in model.parameters()],
        "config": model.config.to_dict(),
        "implementation": model.config._attn_implementation,
        "random": (torch.get_rng_state().tolist(), random.getstate(), repr(np.random.get_state())),
        "grad enabled": torch.is_grad_enabled(),
        "hooks": sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules()),
    }


def same(a, b):
    return all(torch.equal(x, y) if isinstance(x, torch.Tensor) else x == y for x, y in zip(a, b, strict=True))


def assert_same(before, after):
    for name in before:
        if name in ("weights", "gradients"):
            assert same(before[name], after[name]), name
        else:
            assert before[name] == after[name], name


def in_the_middle_of_training():
    model = build("bert").train()
    model.bert.encoder.layer[1].eval()  # a mode that is not the same everywhere
    model(input_ids=torch.arange(4, 12)[None], labels=torch.arange(4, 12)[None]).loss.backward()
    return model


def test_nothing_is_changed():
    model = in_the_middle_of_training()
    before = state(model)
    attnlog.capture(model, {"input_ids": torch.arange(4, 12)[None]})
    assert_same(before, state(model))


@pytest.mark.parametrize("where", ["forward", "tap"])
def test_nothing_is_changed_when_it_fails_half_way(where, monkeypatch):
    from transformers.modeling_utils import AttentionInterface

    model = in_the_middle_of_training()
    before = state(model)
    lookups = AttentionInterface.get_interface, AttentionInterface.__getitem__

    def broken(*_, **__):
        torch.rand(3), random.random(), np.random.rand()  # draws, then fails
        raise RuntimeError("made to fail")

    if where == "forward":
        monkeypatch.setattr(model.bert.encoder.layer[1], "forward", broken)
    else:
        from attnlog.capture import recorder

        monkeypatch.setattr(recorder, "compute", broken)
    with pytest.raises(RuntimeError, match="made to fail"):
        attnlog.capture(model, {"input_ids": torch.arange(4, 12)[None]})
    assert_same(before, state(model))
    assert (AttentionInterface.get_interface, AttentionInterface.__getitem__) == lookups


def test_dropout_is_off_while_capturing():
    model = in_the_middle_of_training()
    first = attnlog.capture(model, {"input_ids": torch.arange(4, 12)[None]})
    second = attnlog.capture(model, {"input_ids": torch.arange(4, 12)[None]})
    np.testing.assert_array_equal(first.weights("self", 1), second.weights("self", 1))
    assert second.weights("self", 1).sum(-1) == pytest.approx(1, abs=1e-5)


def test_another_thread_is_not_tapped():
    import threading

    from attnlog.capture.interface import interface_tap

    model = build("llama")
    mine, go, done = [], threading.Event(), threading.Event()

    def elsewhere():
        go.wait()
        with torch.no_grad():
            model(input_ids=torch.arange(4, 12)[None])
        done.set()

    thread = threading.Thread(target=elsewhere)
    thread.start()
    with interface_tap(mine.append):
        go.set()
        done.wait()
    thread.join()
    assert mine == []


def test_a_compiled_models_wrapper_is_looked_through():
    model = build("llama")
    wrapped = torch.compile(model, backend="eager")
    capture = attnlog.capture(wrapped, {"input_ids": torch.arange(4, 12)[None]})
    np.testing.assert_array_equal(
        capture.weights("self", 0), attnlog.capture(model, {"input_ids": torch.arange(4, 12)[None]}).weights("self", 0)
    )


class Merging(torch.nn.Linear):
    """A layer that changes its weight when it goes into eval mode, as some adapters do."""

    def train(self, mode=True):
        super().train(mode)
        with torch.no_grad():
            self.weight += 1 if mode else -1
        return self


def test_layers_that_act_on_a_change_of_mode_are_not_told_of_one():
    model = build("llama")
    layer = model.model.layers[0].self_attn
    layer.o_proj = Merging(32, 32, bias=False)
    model.train()
    before = state(model)
    attnlog.capture(model, {"input_ids": torch.arange(4, 12)[None]})
    assert_same(before, state(model))


def test_buffers_and_lengths_that_a_forward_adapts_are_put_back():
    import transformers as t

    config = t.LlamaConfig(
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=4,
        intermediate_size=64,
        vocab_size=64,
        max_position_embeddings=16,
        rope_parameters={"rope_type": "dynamic", "factor": 2.0, "rope_theta": 10000.0},
    )
    torch.manual_seed(0)
    model = t.LlamaForCausalLM(config)
    with torch.no_grad():
        model(input_ids=torch.randint(0, 60, (1, 40)))  # longer than the model was made for: the rotary base grows
        before = [b.clone() for b in model.buffers()]
        attnlog.capture(model, {"input_ids": torch.arange(4, 12)[None]})
    assert same(before, list(model.buffers()))


def test_a_model_compiled_in_place_is_captured_without_compiling_ours():
    model = build("llama")
    model.model.layers[0].self_attn.compile(backend="eager")
    given = {"input_ids": torch.arange(4, 12)[None]}
    with torch.no_grad():
        model(**given)  # the compiled graph exists, and looks attention up no more
    capture = attnlog.capture(model, given)
    assert {layer.layer for layer in capture.layers} == {0, 1}


def test_captures_of_one_model_from_several_threads_leave_its_mode_alone():
    from concurrent.futures import ThreadPoolExecutor

    model = build("llama").train()
    with ThreadPoolExecutor(3) as pool:
        done = list(pool.map(lambda _: attnlog.capture(model, {"input_ids": torch.arange(4, 12)[None]}), range(6)))
    assert len(done) == 6
    assert all(module.training for module in model.modules())
