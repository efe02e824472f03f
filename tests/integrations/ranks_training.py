"""One rank of a small training, run by torchrun: ``ranks_training.py FOLDER {ddp,fsdp} [callback] [broken PART]``; prints what it left."""

from __future__ import annotations

import hashlib
import importlib
import json
import os
import sys
import warnings
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from tests.conftest import build
from tests.integrations.training import arguments, rows

warnings.simplefilter("ignore")
INPUTS = {"input_ids": torch.arange(4, 14).reshape(1, 10)}


def broken(part: str) -> None:
    """Let one part fail on the last rank only."""

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError(f"{part} is broken on rank {dist.get_rank()}")

    if dist.get_rank() != dist.get_world_size() - 1:
        return
    if part == "see":
        from attnlog.capture.recorder import Recorder

        Recorder._record = fail  # type: ignore[method-assign]
    else:
        # By its module: `attnlog.capture` is the function.
        importlib.import_module("attnlog.capture.api").capture = fail


def sharded(model: Any) -> Any:
    """Spread a model's weights over the ranks, each layer by itself, as FSDP does; accelerate would do so on accelerators only."""
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    mesh = init_device_mesh("cpu", (dist.get_world_size(),))
    for layer in model.model.layers:
        fully_shard(layer, mesh=mesh)
    return fully_shard(model, mesh=mesh)


def main() -> None:
    folder, kind, *more = sys.argv[1:]
    from transformers import Trainer

    from attnlog import AttentionCallback

    given = arguments(Path(folder), save_strategy="no", per_device_train_batch_size=2, max_grad_norm=0)
    model = build("llama")
    ours = AttentionCallback(INPUTS, directory=Path(folder) / "runs", tracker="local", on=("begin", "evaluate"))
    callbacks = [ours] if "callback" in more else []
    if kind == "fsdp":
        assert given.device is not None  # which begins the process group
        model = sharded(model)
    trainer = Trainer(model, given, train_dataset=rows(), eval_dataset=rows(4, seed=6), callbacks=callbacks)
    if kind == "fsdp":
        trainer.accelerator.prepare_model = lambda prepared, **_: prepared
    if "broken" in more:
        broken(more[more.index("broken") + 1])
    trainer.train()
    for callback in callbacks:
        callback.close()
    digest = hashlib.sha256()
    for _, value in sorted(trainer.model.state_dict().items()):
        whole = value.full_tensor() if hasattr(value, "full_tensor") else value
        digest.update(whole.detach().cpu().numpy().tobytes())
    if dist.get_rank() == 0:
        failures = callbacks[0]._boundary.failures if callbacks else {}
        print("LEFT", json.dumps({"weights": digest.hexdigest(), "failures": failures}))
    dist.barrier()
    sys.stdout.flush()
    os._exit(0)  # gloo's threads now and then keep a process from ending, with or without a callback


if __name__ == "__main__":
    main()
