"""Tiny real trainings for the tests of this folder."""

from __future__ import annotations

import hashlib
import random
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import Trainer, TrainingArguments

from tests.conftest import build

TEXTS = ["the cat sat on the mat", ("the nurse said that he was tired", "the dog saw the cat")]


def rows(count: int = 16, *, tokens: int = 12, seed: int = 5) -> list[dict[str, torch.Tensor]]:
    """Rows of a language-model data set."""
    generator = torch.Generator().manual_seed(seed)
    made = [torch.randint(4, 24, (tokens,), generator=generator) for _ in range(count)]
    return [{"input_ids": ids, "attention_mask": torch.ones_like(ids), "labels": ids.clone()} for ids in made]


def arguments(folder: Path, kind: type[TrainingArguments] = TrainingArguments, **more: Any) -> Any:
    """Arguments of a training of four steps that evaluates and saves at every second."""
    given = {
        "output_dir": str(folder / "out"),
        "max_steps": 4,
        "per_device_train_batch_size": 4,
        "per_device_eval_batch_size": 4,
        "logging_steps": 1,
        "eval_strategy": "steps",
        "eval_steps": 2,
        "save_strategy": "steps",
        "save_steps": 2,
        "learning_rate": 1e-2,
        "report_to": "none",
        "use_cpu": True,
        "disable_tqdm": True,
        "seed": 3,
    }
    return kind(**{**given, **more})


def trainer(
    folder: Path, callbacks: list[Any], *, model: Any = "bert", tokenizer: Any = None, evaluate: Any = None, **more: Any
) -> Trainer:
    """A Trainer of a tiny model; BERT trains with dropout."""
    return Trainer(
        build(model) if isinstance(model, str) else model,
        arguments(folder, **more),
        train_dataset=rows(),
        eval_dataset=rows(4, seed=6) if evaluate is None else evaluate,
        processing_class=tokenizer,
        callbacks=callbacks,
    )


def fingerprint(trained: Trainer) -> dict[str, Any]:
    """Everything a training leaves: weights, what it logged, and every random state."""
    digest = hashlib.sha256()
    for name, value in sorted(trained.model.state_dict().items()):
        digest.update(name.encode() + value.numpy().tobytes())
    timings = ("runtime", "per_second")
    return {
        "weights": digest.hexdigest(),
        "log": [{k: v for k, v in entry.items() if not any(t in k for t in timings)} for entry in trained.state.log_history],
        "python": random.getstate(),
        "numpy": str(np.random.get_state()),
        "torch": torch.get_rng_state().numpy().tobytes(),
        "mode": trained.model.training,
        "gradients": [p.grad is None for p in trained.model.parameters()],
    }
