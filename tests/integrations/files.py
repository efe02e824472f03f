"""Small run folders, and their files as they are on disk and as trackers give them back."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path
from shutil import copytree
from tempfile import mkdtemp
from typing import Any

from attnlog.delivery.tracker import Entry
from tests.conftest import build

IDS = [[2, 5, 6, 7, 8, 9, 10, 3], [2, 11, 12, 13, 6, 7, 14, 3]]


def small_run(folder: Path, *, scale: float = 1.0) -> Path:
    """A run of three steps of a tiny Llama, weights and vectors; with another scale of its parameters attention is another."""
    copytree(_made(scale), folder)
    return folder


@cache
def _made(scale: float) -> Path:
    import torch

    from attnlog.capture.api import capture
    from attnlog.run import Run

    folder = Path(mkdtemp(prefix="attnlog-test-"), "run")
    model = build("llama")
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(scale)
    with Run(folder) as run:
        for step in (100, 200, 300):
            with torch.no_grad():
                for parameter in model.parameters():
                    parameter.mul_(1.05)
            run.log(capture(model, {"input_ids": torch.tensor(IDS)}), step=step, metrics={"eval_loss": 3 - step / 200})
            run.flush()  # on a slow machine steps that come without a pause are dropped
    return folder


def files(folder: Path) -> dict[str, bytes]:
    """Every asset and manifest of a run folder, by its path inside."""
    found = [*folder.glob("*.arrow"), *folder.glob("step-*/*/*.arrow"), *folder.glob("manifest-*.jsonl")]
    return {str(path.relative_to(folder)): path.read_bytes() for path in found}


def entries(folder: Path) -> list[Entry]:
    """What a run would offer for delivery, the manifest last."""
    ordered = sorted(files(folder).items(), key=lambda item: item[0].endswith(".jsonl"))
    return [
        Entry(
            path=path,
            kind="manifest" if path.endswith(".jsonl") else Path(path).stem.partition("-")[0],
            bytes=len(data),
            sha256=hashlib.sha256(data).hexdigest(),
            step=int(path.split("/")[0][5:]) if path.startswith("step-") else None,
        )
        for path, data in ordered
    ]


def artifacts(uri: str, run: str, scratch: Path) -> dict[str, bytes]:
    """Every file under ``attnlog/`` of an MLflow run, downloaded."""
    from mlflow import MlflowClient

    target = Path(mkdtemp(dir=scratch))
    client: Any = MlflowClient(uri)
    client.download_artifacts(run, "attnlog", str(target))
    return {str(path.relative_to(target)): path.read_bytes() for path in target.rglob("*") if path.is_file()}
