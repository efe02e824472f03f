"""The guides of other trainers, each run as it is written: the code blocks of a page, in order, with tiny models."""

from __future__ import annotations

import copy
import re
from pathlib import Path
from typing import Any

import mlflow
import pytest
import torch
from mlflow import MlflowClient

import attnlog
from tests.conftest import build
from tests.integrations.files import artifacts, files
from tests.integrations.training import rows

GUIDES = Path(__file__).parents[2] / "docs" / "guides"
SENTENCES = ["the cat sat on the mat and the cat saw the mat"]


def follow(page: str, *, more: tuple[str, str] = ("", ""), **given: Any) -> dict[str, Any]:
    """Run a page's Python, with what it takes for granted; after the first of two texts the second is added, where that is a GPU's."""
    text = (GUIDES / page).read_text().replace(more[0], "".join(more)) if more[0] else (GUIDES / page).read_text()
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert blocks
    names = dict(given)
    for block in blocks:
        exec(compile(block, page, "exec"), names)
    return names


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "attention")


def of_mlflow(uri: str, folder: Path, scratch: Path) -> MlflowClient:
    """Check that the one MLflow run holds what the folder does, and head metrics as its own."""
    client = MlflowClient(uri)
    [run] = client.search_runs(["1"])
    arrived = artifacts(uri, run.info.run_id, scratch)
    assert {path: arrived[f"attnlog/{path}"] for path in files(folder)} == files(folder)
    points = client.get_metric_history(run.info.run_id, "attention/induction/max")
    assert [point.step for point in points] == list(attnlog.open(folder).steps)
    return client


@pytest.fixture
def ending(tokenizer: Any) -> Any:
    """The tokenizer with a token that ends a text, which TRL appends."""
    found = copy.deepcopy(tokenizer)
    found.eos_token = "[SEP]"
    return found


def test_trl(tmp_path: Path, mlflow_sqlite: str, ending: Any) -> None:
    from datasets import Dataset

    data = Dataset.from_list([{"text": SENTENCES[0]} for _ in range(8)])
    here = ("SFTConfig(", "use_cpu=True, bf16=False, ")
    names = follow("trl.md", more=here, model=build("llama"), tokenizer=ending, train_dataset=data, eval_dataset=data)
    [callback] = [one for one in names["trainer"].callback_handler.callbacks if isinstance(one, attnlog.AttentionCallback)]
    callback.close()
    saved = attnlog.open(callback.directory)
    assert saved.steps
    step = saved.steps[-1]
    assert "eval_loss" in saved.commit(step).metrics
    of_mlflow(mlflow_sqlite, callback.directory, tmp_path)


def test_trl_with_an_adapter_records_the_adapted_model(tmp_path: Path, ending: Any) -> None:
    from datasets import Dataset
    from peft import LoraConfig
    from trl import SFTConfig, SFTTrainer

    data = Dataset.from_list([{"text": SENTENCES[0]} for _ in range(8)])
    callback = attnlog.AttentionCallback(SENTENCES, directory=tmp_path / "runs", tracker="local", on=("begin", "end"))
    trainer = SFTTrainer(
        model=build("llama"),
        args=SFTConfig(output_dir="out", max_steps=3, learning_rate=0.5, report_to="none", save_strategy="no", use_cpu=True, bf16=False),
        train_dataset=data,
        processing_class=ending,
        peft_config=LoraConfig(task_type="CAUSAL_LM", target_modules=["q_proj"]),
        callbacks=[callback],
    )
    trainer.train()
    callback.close()
    saved = attnlog.open(callback.directory)
    first, last = (saved.read(step).weights("self", 1) for step in saved.steps)
    assert abs(first - last).max() > 1e-3


def test_accelerate(tmp_path: Path, mlflow_sqlite: str, tokenizer: Any) -> None:
    model = build("llama")
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    loader = torch.utils.data.DataLoader(rows(8), batch_size=2)
    with mlflow.start_run():
        names = follow("accelerate.md", model=model, optimizer=optimizer, loader=loader, sentences=SENTENCES, tokenizer=tokenizer)
    assert list(attnlog.open("attnlog-runs/mine").steps) == [2, 4]
    assert names["run"].boundary.failures == {}
    of_mlflow(mlflow_sqlite, Path("attnlog-runs/mine"), tmp_path)


def test_lightning(tmp_path: Path, mlflow_sqlite: str, tokenizer: Any) -> None:
    import lightning

    class Module(lightning.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.model = build("llama")

        def training_step(self, batch: Any, number: int) -> Any:
            return self.model(**batch).loss

        def validation_step(self, batch: Any, number: int) -> None:
            self.log("val_loss", self.model(**batch).loss)

        def configure_optimizers(self) -> Any:
            return torch.optim.SGD(self.parameters(), 0.1)

    loaders = {
        "train_loader": torch.utils.data.DataLoader(rows(8), batch_size=4),
        "val_loader": torch.utils.data.DataLoader(rows(4), batch_size=4),
    }
    follow("lightning.md", module=Module(), sentences=SENTENCES, tokenizer=tokenizer, tracking_uri=mlflow_sqlite, **loaders)
    saved = attnlog.open("attnlog-runs/mine")
    assert list(saved.steps) == [2, 4]
    assert "val_loss" in saved.commit(4).metrics
    client = of_mlflow(mlflow_sqlite, Path("attnlog-runs/mine"), tmp_path)
    [run] = client.search_runs(["1"])
    assert "val_loss" in run.data.metrics  # Lightning's own logger writes to the same run
