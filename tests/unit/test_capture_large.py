"""Models as people have them: in half precision, with adapters, compiled, offloaded, quantised, wrapped for data-parallel training."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import attnlog
from attnlog.errors import ModelError
from tests.conftest import build

GIVEN = {"input_ids": torch.arange(4, 20).view(2, 8)}
RECORD = ("attention", "vectors", "values")


def eager(model, given=GIVEN):
    model.set_attn_implementation("eager")
    with torch.no_grad():
        attentions = model(**given, output_attentions=True).attentions
    model.set_attn_implementation("sdpa")
    return attentions


def assert_weights(capture, attentions, *, worst=1e-6):
    assert {layer.layer for layer in capture.layers} == set(range(len(attentions)))
    for number, weights in enumerate(attentions):
        for row in range(len(weights)):
            np.testing.assert_allclose(capture.weights("self", number, row), weights[row].float().numpy(), atol=worst, rtol=0)


@pytest.mark.parametrize(("dtype", "worst"), [(torch.bfloat16, 2e-2), (torch.float16, 2e-3)])
@pytest.mark.parametrize("name", ["llama", "gemma2", "bert", "bloom"])
def test_half_precision_weights_are_recorded_to_its_own_rounding(name, dtype, worst):
    model = build(name).to(dtype)
    capture = attnlog.capture(model, GIVEN, record=RECORD)
    assert not capture.missing
    with torch.no_grad():
        if name != "bloom":
            model.set_attn_implementation("eager")
        attentions = model(**GIVEN, output_attentions=True).attentions
    assert_weights(capture, attentions, worst=worst)
    assert {p.dtype for p in model.parameters()} == {dtype}
    assert capture.weights("self", 0).dtype == np.float32


def adapted(name, **how):
    from peft import LoraConfig, get_peft_model

    modules = {"llama": ["q_proj", "v_proj", "o_proj"], "gpt2": ["c_attn", "c_proj"]}[name]
    model = get_peft_model(build(name), LoraConfig(r=4, target_modules=modules, init_lora_weights=False, **how))
    return model.eval()


@pytest.mark.parametrize("dora", [False, True], ids=["lora", "dora"])
@pytest.mark.parametrize("name", ["llama", "gpt2"])
def test_adapters_are_part_of_what_is_recorded(name, dora):
    """The weights of an adapted model are those of the model that the adapter was merged into."""
    model = adapted(name, fan_in_fan_out=name == "gpt2", use_dora=dora)
    before = {n: p.clone() for n, p in model.named_parameters()}
    capture = attnlog.capture(model, GIVEN, record=RECORD)
    assert not capture.missing
    assert all(torch.equal(p, before[n]) for n, p in model.named_parameters())
    merged = attnlog.capture(model.merge_and_unload(), GIVEN, record=RECORD)
    for layer in merged.layers:
        found = next(one for one in capture.layers if (one.input, one.layer) == (layer.input, layer.layer))
        np.testing.assert_allclose(found.weights, layer.weights, atol=1e-5)
        np.testing.assert_allclose(found.vectors.norms, layer.vectors.norms, rtol=1e-4)


def test_an_adapted_model_in_training_is_afterwards_still_so():
    model = adapted("llama", lora_dropout=0.3).train()
    trainable = [p.requires_grad for p in model.parameters()]
    first, second = (attnlog.capture(model, GIVEN) for _ in range(2))
    np.testing.assert_array_equal(first.weights("self", 1), second.weights("self", 1))
    assert all(module.training for module in model.modules())
    assert [p.requires_grad for p in model.parameters()] == trainable


def test_a_compiled_model_is_captured_without_compiling_anything():
    from torch._dynamo.utils import counters

    model = build("llama")
    plain = attnlog.capture(model, GIVEN)
    counters.clear()
    capture = attnlog.capture(torch.compile(model), GIVEN)
    assert not counters["stats"]
    for number in range(2):
        np.testing.assert_array_equal(capture.weights("self", number), plain.weights("self", number))


def test_what_a_compiled_model_compiled_before_is_not_compiled_anew():
    from torch._dynamo.utils import counters

    model = build("llama")
    compiled = torch.compile(model, backend="eager")
    with torch.no_grad():
        compiled(**GIVEN)
        attnlog.capture(compiled, GIVEN, record=("attention", "states"))
        counters.clear()
        compiled(**GIVEN)
    assert not counters["stats"]


def test_a_model_that_recomputes_its_layers_is_captured_and_goes_on_recomputing():
    model = build("bert").train()
    plain = attnlog.capture(model, GIVEN)
    model.gradient_checkpointing_enable({"use_reentrant": False})
    capture = attnlog.capture(model, GIVEN)
    assert model.is_gradient_checkpointing
    assert not capture.missing
    for number in range(2):
        np.testing.assert_array_equal(capture.weights("self", number), plain.weights("self", number))


@pytest.mark.parametrize("where", ["cpu", "disk"])
def test_weights_that_accelerate_keeps_elsewhere_are_fetched_as_for_any_forward(where, tmp_path):
    from accelerate import cpu_offload, disk_offload

    expected = attnlog.capture(build("llama"), GIVEN, record=RECORD)
    model = build("llama")
    if where == "cpu":
        cpu_offload(model, torch.device("cpu"))
    else:
        disk_offload(model, str(tmp_path), torch.device("cpu"))
    assert {p.device.type for p in model.parameters()} == {"meta"}
    capture = attnlog.capture(model, GIVEN, record=RECORD)
    assert {p.device.type for p in model.parameters()} == {"meta"}
    assert not capture.missing
    for layer in expected.layers:
        np.testing.assert_array_equal(capture.weights("self", layer.layer, layer.input), layer.weights)
        found = capture.find("self", layer.layer, layer.input, what="vectors")
        np.testing.assert_allclose(found.vectors.norms, layer.vectors.norms, rtol=1e-5)


def test_a_model_dispatched_by_a_device_map_is_captured(tmp_path):
    import transformers as t

    build("llama").save_pretrained(tmp_path)
    model = t.AutoModelForCausalLM.from_pretrained(tmp_path, device_map="cpu")
    assert_weights(attnlog.capture(model, GIVEN), eager(build("llama")))


class Quantised(nn.Module):
    """A linear layer that holds whole numbers and a scale for each row, as int8 quantisers do; a stand-in for theirs."""

    def __init__(self, linear):
        super().__init__()
        self.in_features, self.out_features = linear.in_features, linear.out_features
        scale = linear.weight.detach().abs().amax(1, keepdim=True) / 127
        self.register_buffer("weight", (linear.weight.detach() / scale).round().to(torch.int8))
        self.register_buffer("scale", scale)

    def forward(self, x):
        return nn.functional.linear(x, self.weight.float() * self.scale)


def replaced(model, make):
    for module in list(model.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, nn.Linear):
                setattr(module, name, make(child))
    return model


@pytest.mark.parametrize("dequantised", [False, True])
def test_quantised_projections_are_captured_with_the_norms_of_their_values(dequantised):
    model = replaced(build("llama"), Quantised)
    if dequantised:  # the same numbers in plain layers: what the other is compared with

        def plain(layer):
            made = nn.Linear(layer.in_features, layer.out_features, bias=False)
            made.weight.data = layer.weight.float() * layer.scale
            return made

        for module in list(model.modules()):
            for name, child in list(module.named_children()):
                if isinstance(child, Quantised):
                    setattr(module, name, plain(child))
    capture = attnlog.capture(model, GIVEN, record=RECORD)
    assert not capture.missing
    assert_weights(capture, eager(model))
    wanted = model.model.layers[0].self_attn.o_proj
    weight = wanted.weight.float() if dequantised else wanted.weight.float() * wanted.scale
    values = torch.from_numpy(capture.vectors("v", "self", 0)).repeat_interleave(2, 0)  # [heads, keys, width]
    norms = torch.einsum("hkd,ohd->hko", values, weight.view(32, 4, 8)).norm(dim=-1)
    np.testing.assert_allclose(capture.find("self", 0, 0, what="vectors").vectors.norms, norms.detach().numpy(), rtol=1e-3)


@pytest.mark.filterwarnings("ignore")
def test_a_model_that_torch_quantised_dynamically_is_captured():
    if not torch.backends.quantized.supported_engines:
        pytest.skip("this torch has no quantised kernels")
    torch.backends.quantized.engine = next(e for e in torch.backends.quantized.supported_engines if e != "none")
    model = torch.ao.quantization.quantize_dynamic(build("llama"), {nn.Linear}, dtype=torch.qint8)
    capture = attnlog.capture(model, GIVEN)
    assert not capture.missing
    assert_weights(capture, eager(model))


def test_a_model_on_the_meta_device_is_refused_before_any_work():
    with torch.device("meta"):
        model = build("llama")
    model.forward = pytest.fail
    with pytest.raises(ModelError, match=r"is on the meta device.*load the model's weights first"):
        attnlog.capture(model, GIVEN)


@pytest.fixture
def one_process(tmp_path):
    torch.distributed.init_process_group("gloo", init_method=f"file://{tmp_path}/meeting", rank=0, world_size=1)
    yield
    torch.distributed.destroy_process_group()


def test_a_model_wrapped_for_data_parallel_training_is_looked_through(one_process):
    model = build("llama").train()
    expected = attnlog.capture(model, GIVEN)
    wrapped = nn.parallel.DistributedDataParallel(model)
    capture = attnlog.capture(wrapped, GIVEN)
    assert capture.model["class"] == "LlamaForCausalLM"
    with attnlog.watch(wrapped, precision="f32") as watched:
        wrapped(**GIVEN, labels=GIVEN["input_ids"]).loss.backward()
    seen = watched.take()
    for layer in expected.layers:
        np.testing.assert_array_equal(capture.weights("self", layer.layer, layer.input), layer.weights)
        np.testing.assert_allclose(seen.weights("self", layer.layer, layer.input), layer.weights, atol=1e-6)
    assert all(p.grad is not None for p in wrapped.parameters())
