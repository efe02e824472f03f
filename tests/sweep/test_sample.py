"""A sample of the sweep: models of every sort of inputs and of every tap, compared as the whole sweep compares them."""

from __future__ import annotations

import pytest
import torch

from tests.sweep.run import sweep

EXACT = (
    "bert", "llama", "gemma2", "gpt_oss", "gpt2", "t5", "bart", "albert", "modernbert", "deepseek_v3", "jamba",
    "bloom", "falcon", "gptj", "deberta-v2", "xlnet", "prophetnet", "cpmant", "mpt",
    "vit", "swinv2", "timesformer", "detr", "qwen2_5_vl_vision", "segformer",
    "wav2vec2", "whisper", "wavlm",
    "clip", "qwen2_5_vl", "llava",
)  # fmt: skip

# Models of which there is nothing to record, or not all of it, with what a user is told instead.
SAID = {
    "mamba": "MambaModel has no attention that can be seen",
    "convbert": "positions that could not be followed to tokens",
}


@pytest.fixture(autouse=True)
def _one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.parametrize("name", EXACT)
def test_weights_and_vectors_are_those_of_the_reference_and_nothing_else_changes(name: str) -> None:
    found = sweep(name)
    assert not found.crash
    assert not found.harm
    assert {sort: (one.outcome, one.vectors) for sort, one in found.sorts.items()} == dict.fromkeys(found.sorts, ("exact", "exact"))
    assert found.sorts, found.reason


@pytest.mark.parametrize("name", SAID)
def test_what_is_not_recorded_is_said(name: str) -> None:
    found = sweep(name)
    assert not found.crash
    assert not found.harm
    assert SAID[name] in found.said
