"""Weights that are many wait in a file: the same numbers, with little memory, and nothing left behind."""

from __future__ import annotations

import errno
import gc
import os
from typing import Any

import numpy as np
import pytest

from attnlog.capture import spill as module
from attnlog.capture.spill import Spill


def test_small_captures_stay_in_memory() -> None:
    array = np.arange(1000, dtype=np.uint8)
    kept = Spill().keep(array)
    assert kept is not None
    assert kept.flags.owndata
    array[:] = 0  # the caller's memory is used again
    assert np.array_equal(kept, np.arange(1000, dtype=np.uint8))
    assert Spill().keep(None) is None


def test_many_weights_are_the_same_numbers_in_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "IN_MEMORY", 100)
    arrays = [np.random.default_rng(n).integers(0, 255, (3, 50, 7 + n)).astype(kind) for n, kind in enumerate(["u1", "f2", "f4"])]
    kept = Spill()
    found = [kept.keep(array) for array in arrays]
    del kept
    for array, again in zip(arrays, found, strict=True):
        assert again is not array
        assert again.dtype == array.dtype
        assert np.array_equal(again, array)


def test_many_arrays_hold_few_files_open(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "IN_MEMORY", 0)
    before = len(os.listdir("/proc/self/fd"))
    kept = Spill()
    found = [kept.keep(np.full(1000, n % 256, dtype=np.uint8)) for n in range(300)]
    assert len(os.listdir("/proc/self/fd")) <= before + 4
    assert [int(array[0]) for array in found if array is not None] == [n % 256 for n in range(300)]


def test_without_room_on_the_disk_they_stay_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any, **__: Any) -> Any:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(module, "IN_MEMORY", 100)
    monkeypatch.setattr(module.tempfile, "TemporaryFile", full)
    monkeypatch.setattr(module, "_free", [])
    array = np.ones((20, 20), dtype=np.uint8)
    kept = Spill().keep(array)
    assert kept is not None
    assert kept.flags.owndata
    assert np.array_equal(kept, array)


def test_a_file_is_used_again_only_when_nothing_of_it_is_held(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "IN_MEMORY", 0)
    monkeypatch.setattr(module, "_free", [])
    array = np.arange(200, dtype=np.uint8)
    first, second = Spill().keep(array), Spill().keep(array[::-1])
    assert np.array_equal(first, array)
    assert np.array_equal(second, array[::-1])
    assert module._free == []
    del second
    gc.collect()
    assert len(module._free) == 1
    third = Spill().keep(array * 0)
    assert module._free == []
    assert np.array_equal(first, array)
    assert not third.any()


def test_a_forked_process_leaves_its_parents_files_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "IN_MEMORY", 0)
    monkeypatch.setattr(module, "_free", [])
    kept = Spill().keep(np.arange(200, dtype=np.uint8))
    monkeypatch.setattr(module.os, "getpid", lambda: -1)  # as in a child
    del kept
    gc.collect()
    assert module._free == []


def test_a_capture_of_a_model_is_the_same_whether_it_waits_in_a_file_or_not(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    import attnlog
    from tests.conftest import build

    model, inputs = build("llama"), {"input_ids": torch.arange(4, 24).reshape(1, 20)}
    whole = attnlog.capture(model, inputs, precision="u8")
    monkeypatch.setattr(module, "IN_MEMORY", 0)
    spilled = attnlog.capture(model, inputs, precision="u8")
    assert not spilled.layers[0].weights.flags.owndata
    for layer in range(2):
        assert np.array_equal(whole.weights("self", layer), spilled.weights("self", layer))
