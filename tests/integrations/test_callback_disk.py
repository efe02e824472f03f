"""Disks that are full, folders that cannot be written, and no file handles left: training goes on as if nothing were."""

from __future__ import annotations

import contextlib
import os
import resource
import subprocess
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import TrainerCallback

import attnlog
from attnlog import AttentionCallback
from attnlog.boundary import AttnlogWarning
from tests.conftest import build
from tests.integrations.training import TEXTS, fingerprint, trainer
from tests.whole import check_whole

DISK = 2_000_000


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory, tokenizer: Any) -> dict[str, Any]:
    """What a training without attnlog leaves."""
    trained = trainer(tmp_path_factory.mktemp("plain"), [], tokenizer=tokenizer)
    trained.train()
    return fingerprint(trained)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of two megabytes."""
    place = tmp_path / "disk"
    place.mkdir()
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK}", "tmpfs", str(place)], capture_output=True, text=True)
    if made.returncode:
        pytest.skip(f"a small file system needs the right to mount one: {made.stderr.strip()}")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


class At(TrainerCallback):  # type: ignore[misc]
    """Does something after a step of the training."""

    def __init__(self, step: int, what: Any) -> None:
        self.step, self.what = step, what

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if state.global_step == self.step:
            self.what()


def run_with(callback: AttentionCallback, tmp_path: Path, tokenizer: Any, at: At) -> tuple[dict[str, Any], list[str]]:
    """Train, and say what it left and what was warned about."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        trained = trainer(tmp_path, [callback, at], tokenizer=tokenizer)
        trained.train()
        left = fingerprint(trained)
        callback.close()
    return left, [str(w.message) for w in caught if issubclass(w.category, AttnlogWarning)]


def test_a_disk_that_fills_up_costs_the_later_steps_and_nothing_else(
    disk: Path, tmp_path: Path, plain: dict[str, Any], tokenizer: Any
) -> None:
    callback = AttentionCallback(TEXTS, directory=disk / "runs", tokenizer=tokenizer)

    def fill() -> None:
        callback._recorder.flush()  # type: ignore[union-attr]  # the first step is on disk
        room = os.statvfs(disk)
        (disk / "ballast").write_bytes(bytes(max(0, room.f_bavail * room.f_frsize - 12_000)))

    left, said = run_with(callback, tmp_path, tokenizer, At(3, fill))
    assert left == plain
    assert len(said) == 1
    assert "No space left" in said[0]
    (run,) = (disk / "runs").iterdir()
    assert check_whole(run) == 1
    assert attnlog.open(run).steps == (2,)
    assert not list(run.glob("step-*/*.tmp"))


def test_when_there_is_room_again_later_steps_are_written(disk: Path, tmp_path: Path, plain: dict[str, Any], tokenizer: Any) -> None:
    (disk / "ballast").write_bytes(bytes(DISK - 30_000))
    callback = AttentionCallback(TEXTS, directory=disk / "runs", tokenizer=tokenizer)

    def free() -> None:
        callback._recorder.flush()  # type: ignore[union-attr]
        (disk / "ballast").unlink()

    left, said = run_with(callback, tmp_path, tokenizer, At(3, free))
    assert left == plain
    assert len(said) == 1
    (run,) = (disk / "runs").iterdir()
    assert attnlog.open(run).steps == (4,)
    assert check_whole(run) == 1


def test_a_folder_that_becomes_read_only_is_warned_about_once(disk: Path, tmp_path: Path, plain: dict[str, Any], tokenizer: Any) -> None:
    callback = AttentionCallback(TEXTS, directory=disk / "runs", tokenizer=tokenizer)

    def close() -> None:
        callback._recorder.flush()  # type: ignore[union-attr]
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)

    left, said = run_with(callback, tmp_path, tokenizer, At(3, close))
    assert left == plain
    assert len(said) == 1
    assert "Read-only" in said[0]
    (run,) = (disk / "runs").iterdir()
    assert check_whole(run) == 1


def test_a_folder_that_never_could_be_written_is_warned_about_once(
    disk: Path, tmp_path: Path, plain: dict[str, Any], tokenizer: Any
) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    callback = AttentionCallback(TEXTS, directory=disk / "runs", tokenizer=tokenizer)
    left, said = run_with(callback, tmp_path, tokenizer, At(3, lambda: None))
    assert left == plain
    assert len(said) == 1
    assert str(disk / "runs") in said[0]


class Handles:
    """Takes every file handle that this process may still open, and gives them back."""

    def __init__(self) -> None:
        self._limit = resource.getrlimit(resource.RLIMIT_NOFILE)
        self._taken: list[int] = []

    def take(self) -> None:
        """Leave none."""
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, self._limit[1]))
        with contextlib.suppress(OSError):
            while True:
                self._taken.append(os.open(os.devnull, os.O_RDONLY))

    def give_back(self) -> None:
        """Leave as many as there were."""
        while self._taken:
            os.close(self._taken.pop())
        resource.setrlimit(resource.RLIMIT_NOFILE, self._limit)


def steps_of(folder: Path | None) -> tuple[list[float], list[str]]:
    """Train five steps in a loop of one's own; with a folder, log attention, the middle steps without a file handle to be had."""
    model = build("llama")
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    ids = torch.arange(4, 36).view(2, 16)
    run = attnlog.Run(folder) if folder else None
    handles, losses = Handles(), []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for step in range(5):
            loss = model(input_ids=ids, labels=ids).loss
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            losses.append(float(loss))
            if run is not None:
                run.log(attnlog.capture(model, {"input_ids": ids}, precision="u8"), step=step)
                run.flush()
                if step == 0:
                    handles.take()
                elif step == 3:
                    handles.give_back()
        if run is not None:
            run.close()
    return losses, [str(w.message) for w in caught if issubclass(w.category, AttnlogWarning)]


def test_without_file_handles_training_goes_on_and_what_was_written_is_whole(tmp_path: Path) -> None:
    losses, said = steps_of(tmp_path / "run")
    assert losses == steps_of(None)[0]
    assert len(said) == 1
    assert "Too many open files" in said[0]
    assert attnlog.open(tmp_path / "run").steps == (0, 4)
    assert check_whole(tmp_path / "run") == 2
