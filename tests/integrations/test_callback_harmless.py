"""A training with the callback, without it, and with a broken one ends bit for bit the same."""

from __future__ import annotations

import importlib
import threading
from pathlib import Path
from typing import Any

import pytest

from attnlog.boundary import AttnlogWarning
from attnlog.delivery.tracker import Entry
from attnlog_integrations.transformers import AttentionCallback
from tests.integrations.training import TEXTS, fingerprint, trainer


def replace(monkeypatch: pytest.MonkeyPatch, module: str, part: str, by: Any) -> None:
    """Put something in the place of a part; the module by its full name, since attnlog.capture is also a function."""
    *owners, name = part.split(".")
    owner = importlib.import_module(module)
    for attribute in owners:
        owner = getattr(owner, attribute)
    monkeypatch.setattr(owner, name, by)


class BrokenTracker:
    """A tracker that fails at everything."""

    name = "broken"

    def put(self, entry: Entry, file: Path) -> None:
        raise ConnectionError("put: nobody there")

    def refresh(self, run: Path) -> None:
        raise ConnectionError("refresh: nobody there")

    def where(self) -> str | None:
        raise ConnectionError("where: nobody there")

    def close(self) -> None:
        raise ConnectionError("close: nobody there")


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the training leaves when nobody looks."""
    trained = trainer(tmp_path_factory.mktemp("plain"), [])
    trained.train()
    return fingerprint(trained)


def test_a_training_with_the_callback_is_the_training_without(tmp_path: Path, plain: dict[str, Any], tokenizer: Any) -> None:
    callback = AttentionCallback(TEXTS, directory=tmp_path / "runs", tokenizer=tokenizer, on=("begin", "evaluate", "save", "end"), every=1)
    trained = trainer(tmp_path, [callback])
    trained.train()
    left = fingerprint(trained)
    callback.close()
    assert left == plain
    assert len(list((tmp_path / "runs").glob("out/step-*"))) == 5


def test_rows_of_the_evaluation_set_are_taken_without_a_trace(tmp_path: Path, plain: dict[str, Any]) -> None:
    callback = AttentionCallback(directory=tmp_path / "runs", examples=3)
    trained = trainer(tmp_path, [callback])
    trained.train()
    left = fingerprint(trained)
    callback.close()
    assert left == plain


PARTS = [
    ("attnlog.run", "Run.__init__"),
    ("attnlog.run", "Run.log"),
    ("attnlog.run", "Run.amend"),
    ("attnlog.delivery.queue", "Delivery.finish"),
    ("attnlog.capture.api", "capture"),
    ("attnlog.capture.passes", "interface_tap"),
    ("attnlog.capture.functions", "FunctionTap._through"),
    ("attnlog.capture.recorder", "Recorder.see"),
    ("attnlog.format.write", "write_assets"),
    ("attnlog.store.folder", "Writer.commit"),
    ("attnlog.delivery.discovery", "find_trackers"),
    ("attnlog_integrations.transformers.recorder", "Recorder.record"),
    ("attnlog_integrations.transformers.callback", "moment"),
    ("attnlog_integrations.transformers.callback", "run_folder"),
    ("attnlog_integrations.transformers.callback", "is_sharded"),
]


@pytest.mark.filterwarnings("ignore::attnlog.boundary.AttnlogWarning")
@pytest.mark.parametrize(("module", "part"), PARTS)
def test_whatever_part_fails_the_training_is_the_same(
    module: str, part: str, tmp_path: Path, plain: dict[str, Any], tokenizer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    def fail(*_: Any, **__: Any) -> Any:
        if threading.current_thread() is threading.main_thread():
            torch.rand(3)  # a part that fails may have drawn before
        raise RuntimeError(f"{part} is broken")

    callback = AttentionCallback(TEXTS, directory=tmp_path / "runs", tokenizer=tokenizer, on=("begin", "evaluate", "save", "end"))
    replace(monkeypatch, module, part, fail)
    trained = trainer(tmp_path, [callback])
    trained.train()
    left = fingerprint(trained)
    callback.close()
    assert left == plain


def test_a_tracker_that_fails_warns_once_and_the_run_folder_is_whole(
    tmp_path: Path, plain: dict[str, Any], tokenizer: Any, recwarn: Any
) -> None:
    callback = AttentionCallback(TEXTS, directory=tmp_path / "runs", tokenizer=tokenizer, tracker=BrokenTracker())
    trained = trainer(tmp_path, [callback])
    trained.train()
    left = fingerprint(trained)
    callback.close()
    said = [str(w.message) for w in recwarn if issubclass(w.category, AttnlogWarning)]
    assert left == plain
    assert len([text for text in said if "deliver to broken" in text]) == 1
    assert len(list((tmp_path / "runs").glob("out/step-*/*/index.arrow"))) == 2


def test_strict_mode_raises_instead(tmp_path: Path, tokenizer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ATTNLOG_STRICT", "1")

    def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError("broken on purpose")

    replace(monkeypatch, "attnlog.capture.passes", "interface_tap", fail)
    with pytest.raises(RuntimeError, match="broken on purpose"):
        trainer(tmp_path, [AttentionCallback(TEXTS, directory=tmp_path / "runs", tokenizer=tokenizer)]).train()


def test_strict_mode_raises_what_a_tracker_failed_with_at_the_end(tmp_path: Path, tokenizer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from attnlog.errors import TrackerError

    monkeypatch.setenv("ATTNLOG_STRICT", "1")
    callback = AttentionCallback(TEXTS, directory=tmp_path / "runs", tokenizer=tokenizer, tracker=BrokenTracker())
    trainer(tmp_path, [callback]).train()
    with pytest.raises(TrackerError, match="nobody there"):
        callback.close()


def test_a_failure_at_every_step_is_said_once(tmp_path: Path, tokenizer: Any, recwarn: Any) -> None:
    callback = AttentionCallback(["the cat"], directory=tmp_path / "runs", every=1)  # a text, and no tokenizer anywhere
    trainer(tmp_path, [callback]).train()
    said = [str(w.message) for w in recwarn if issubclass(w.category, AttnlogWarning)]
    assert len(said) == 1
    assert "needs a tokenizer" in said[0]
