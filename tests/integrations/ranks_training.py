"""One rank of a small training, run by torchrun: ``ranks_training.py FOLDER {ddp,fsdp} [callback] [broken PART]``; prints what it left."""

from __future__ import annotations

import hashlib
import json
import sys
import warnings
from pathlib import Path

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
        import attnlog.capture.api

        attnlog.capture.api.capture_on = fail  # type: ignore[assignment]


def main() -> None:
    folder, kind, *more = sys.argv[1:]
    from transformers import Trainer

    from attnlog import AttentionCallback

    sharded = {"fsdp": True, "fsdp_config": {"version": 2, "transformer_layer_cls_to_wrap": ["LlamaDecoderLayer"]}}
    given = arguments(Path(folder), **(sharded if kind == "fsdp" else {}), save_strategy="no", per_device_train_batch_size=2)
    callbacks = [AttentionCallback(INPUTS, directory=Path(folder) / "runs", tracker="local")] if "callback" in more else []
    trainer = Trainer(build("llama"), given, train_dataset=rows(), eval_dataset=rows(4, seed=6), callbacks=callbacks)
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
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
