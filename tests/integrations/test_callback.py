"""What AttentionCallback records in real trainings, and when."""

from __future__ import annotations

import pickle
import time
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from transformers import TrainerCallback

import attnlog
from attnlog.delivery.tracker import Entry
from attnlog.errors import ArgumentError, InputError
from attnlog_integrations.transformers import AttentionCallback
from tests.conftest import build
from tests.integrations.training import TEXTS, arguments, rows, trainer


def train(folder: Path, callback: AttentionCallback, *, resume: str | None = None, **more: Any) -> Any:
    trained = trainer(folder, [callback], **more)
    trained.train(resume_from_checkpoint=resume)
    callback.close()
    return trained


def commits(folder: Path) -> list[Any]:
    """Every commit in a run folder, of every writer."""
    return [commit for manifest in attnlog.open(folder).manifests for commit in manifest.commits]


class Kept:
    """A tracker that keeps what each asset is said to be of."""

    name = "kept"
    entries: ClassVar[list[Entry]] = []

    def __init__(self, directory: Path) -> None:
        Kept.entries = []

    def put(self, entry: Entry, file: Path) -> None:
        Kept.entries.append(entry)

    def refresh(self, run: Path) -> None: ...
    def where(self) -> str | None: ...
    def close(self) -> None: ...


@pytest.mark.parametrize("strategy", ["steps", "best"])
def test_assets_go_to_a_tracker_with_the_checkpoint_that_follows_their_evaluation(tmp_path: Path, tokenizer: Any, strategy: str) -> None:
    best = {"metric_for_best_model": "eval_loss"} if strategy == "best" else {}
    callback = AttentionCallback(TEXTS, tracker=Kept, directory=tmp_path / "runs", tokenizer=tokenizer)
    train(tmp_path, callback, save_strategy=strategy, **best)
    assets = {entry.path: entry for entry in Kept.entries if entry.kind == "attention"}
    assert {entry.step: entry.checkpoint for entry in assets.values()} == {n: str(tmp_path / "out" / f"checkpoint-{n}") for n in (2, 4)}
    assert all("eval_loss" in entry.metrics for entry in assets.values())


def test_what_no_checkpoint_follows_is_delivered_while_the_training_goes_on(tmp_path: Path, tokenizer: Any) -> None:
    class Looks(TrainerCallback):
        def on_step_end(self, args: Any, state: Any, control: Any, **more: Any) -> None:
            while state.global_step == 4 and not any(entry.step == 2 for entry in Kept.entries):
                time.sleep(0.01)

    callback = AttentionCallback(TEXTS, tracker=Kept, directory=tmp_path / "runs", tokenizer=tokenizer)
    trained = trainer(tmp_path, [callback, Looks()], save_strategy="best", metric_for_best_model="eval_loss")
    trained._determine_best_metric = lambda metrics, trial: False  # none is the best: nothing is saved
    trained.train()
    callback.close()
    assert {entry.checkpoint for entry in Kept.entries if entry.kind == "attention"} == {None}


@pytest.mark.parametrize(
    "mistake",
    [
        {"on": ("evaluation",)},
        {"on": ()},
        {"every": 0},
        {"record": ("weights",)},
        {"record": ()},
        {"precision": "int8"},
        {"max_tokens": 1},
        {"tracker": "mlfow"},
        {"tracker": 3},
        {"layers": [-1]},
        {"budget": "a lot"},
        {"examples": 0},
    ],
    ids=str,
)
def test_a_wrong_argument_is_an_error_before_training(mistake: dict[str, Any]) -> None:
    with pytest.raises(ArgumentError, match="is|takes|no tracker"):
        AttentionCallback(TEXTS, **mistake)


def test_inputs_that_are_none_are_an_error_before_training() -> None:
    with pytest.raises(InputError, match="empty"):
        AttentionCallback([])


def test_an_unknown_tracker_is_named_with_the_known_ones() -> None:
    with pytest.raises(ArgumentError, match="'mlfow'.*'auto', 'comet', 'local', 'mlflow'"):
        AttentionCallback(TEXTS, tracker="mlfow")


def test_evaluation_and_checkpoint_of_one_step_are_one_commit(tmp_path: Path, tokenizer: Any) -> None:
    callback = AttentionCallback(TEXTS, directory=tmp_path / "runs", tokenizer=tokenizer)
    train(tmp_path, callback)
    recorded = commits(tmp_path / "runs" / "out")
    assert [commit.step for commit in recorded] == [2, 4]
    assert [commit.checkpoint for commit in recorded] == [str(tmp_path / f"out/checkpoint-{step}") for step in (2, 4)]
    assert all("eval_loss" in commit.metrics for commit in recorded)


def test_a_step_carries_epoch_and_the_loss_of_that_step(tmp_path: Path, tokenizer: Any) -> None:
    callback = AttentionCallback(TEXTS, directory=tmp_path / "runs", tokenizer=tokenizer)
    trained = train(tmp_path, callback)
    logged = {entry["step"]: entry["loss"] for entry in trained.state.log_history if "loss" in entry}
    for commit in commits(tmp_path / "runs" / "out"):
        assert commit.loss == pytest.approx(logged[commit.step])
        assert commit.epoch == pytest.approx(commit.step / 4)


def test_a_loss_that_was_logged_at_another_step_is_not_given(tmp_path: Path, tokenizer: Any) -> None:
    callback = AttentionCallback(TEXTS, directory=tmp_path / "runs", tokenizer=tokenizer)
    train(tmp_path, callback, logging_steps=3)
    assert [commit.loss for commit in commits(tmp_path / "runs" / "out")] == [None, None]


def test_what_is_recorded_is_what_the_checkpoint_computes(tmp_path: Path, tokenizer: Any) -> None:
    from transformers import BertForMaskedLM

    callback = AttentionCallback(TEXTS, directory=tmp_path / "runs", tokenizer=tokenizer, precision="f32")
    train(tmp_path, callback)
    saved = attnlog.open(tmp_path / "runs" / "out")
    model = BertForMaskedLM.from_pretrained(saved.commit(2).checkpoint, attn_implementation="eager").eval()
    with torch.no_grad():
        expected = model(**tokenizer(TEXTS[0], return_tensors="pt"), output_attentions=True).attentions[1][0]
    assert torch.allclose(torch.tensor(saved.read(step=2).weights("self", layer=1)), expected, atol=1e-6)


def test_several_evaluation_sets_add_to_one_commit(tmp_path: Path, tokenizer: Any) -> None:
    callback = AttentionCallback(TEXTS, directory=tmp_path / "runs", tokenizer=tokenizer)
    train(tmp_path, callback, evaluate={"one": rows(4, seed=6), "two": rows(4, seed=7)})
    recorded = commits(tmp_path / "runs" / "out")
    assert [commit.step for commit in recorded] == [2, 4]
    assert all({"eval_one_loss", "eval_two_loss"} <= set(commit.metrics) for commit in recorded)


def test_rows_of_the_evaluation_set_are_the_inputs_when_none_are_given(tmp_path: Path) -> None:
    callback = AttentionCallback(directory=tmp_path / "runs", examples=2, max_tokens=8)
    train(tmp_path, callback)
    inputs = attnlog.open(tmp_path / "runs" / "out").read(step=2).inputs
    assert [axis.ids for axis in (one.axes["self"] for one in inputs)] == [tuple(r["input_ids"][:8].tolist()) for r in rows(2, seed=6)]


def test_a_data_set_that_can_only_be_iterated_is_left_alone(tmp_path: Path, recwarn: Any) -> None:
    class Stream(torch.utils.data.IterableDataset):  # type: ignore[type-arg]
        opened = 0

        def __iter__(self) -> Any:
            Stream.opened += 1
            return iter(rows(4, seed=6))

    callback = AttentionCallback(directory=tmp_path / "runs")
    train(tmp_path, callback, evaluate=Stream())
    assert Stream.opened == 2  # the Trainer's own two evaluations
    assert any("can only be iterated" in str(w.message) for w in recwarn)


def test_a_model_that_takes_anything_gets_the_rows_too(tmp_path: Path) -> None:
    from attnlog_integrations.transformers.examples import first_rows

    class Adapter(torch.nn.Module):  # as PEFT's: forward names no input
        def forward(self, *args: Any, **kwargs: Any) -> None: ...

    loader = torch.utils.data.DataLoader(rows(4, seed=6), shuffle=True, batch_size=2)
    assert set(first_rows(loader, Adapter(), count=2, max_tokens=8)) == {"input_ids", "attention_mask", "labels"}


def test_a_start_that_has_no_rows_yet_is_said_once(tmp_path: Path, recwarn: Any) -> None:
    callback = AttentionCallback(directory=tmp_path / "runs", on=("begin", "evaluate"))
    train(tmp_path, callback)
    assert [commit.step for commit in commits(tmp_path / "runs" / "out")] == [2, 4]
    assert len([w for w in recwarn if "first evaluation" in str(w.message)]) == 1


def test_a_copy_of_the_callback_begins_anew(tmp_path: Path, tokenizer: Any) -> None:
    callback = AttentionCallback(TEXTS, directory=tmp_path / "runs", tokenizer=tokenizer)
    train(tmp_path, callback)
    copied = pickle.loads(pickle.dumps(callback))  # as search backends do with a whole Trainer
    assert copied.directory is None
    assert copied.options.inputs == callback.options.inputs


def test_begin_every_and_end_are_moments_of_their_own(tmp_path: Path, tokenizer: Any) -> None:
    callback = AttentionCallback(TEXTS, directory=tmp_path / "runs", tokenizer=tokenizer, on=("begin", "end"), every=3)
    train(tmp_path, callback)
    assert [commit.step for commit in commits(tmp_path / "runs" / "out")] == [0, 3, 4]


def test_an_evaluation_after_the_training_adds_to_the_last_step(tmp_path: Path, tokenizer: Any) -> None:
    callback = AttentionCallback(TEXTS, directory=tmp_path / "runs", tokenizer=tokenizer)
    trained = trainer(tmp_path, [callback])
    trained.train()
    trained.evaluate(rows(4, seed=9), metric_key_prefix="test")
    callback.close()
    recorded = commits(tmp_path / "runs" / "out")
    assert [commit.step for commit in recorded] == [2, 4]
    assert "test_loss" in recorded[-1].metrics


def test_evaluating_without_training_records_step_zero(tmp_path: Path, tokenizer: Any) -> None:
    callback = AttentionCallback(TEXTS, directory=tmp_path / "runs", tokenizer=tokenizer)
    trainer(tmp_path, [callback]).evaluate()
    callback.close()
    assert [commit.step for commit in commits(tmp_path / "runs" / "out")] == [0]


def test_a_resumed_training_is_another_writer_of_the_same_run(tmp_path: Path, tokenizer: Any) -> None:
    train(tmp_path, AttentionCallback(TEXTS, directory=tmp_path / "runs", tokenizer=tokenizer))
    checkpoint = str(tmp_path / "out" / "checkpoint-4")
    train(tmp_path, AttentionCallback(TEXTS, directory=tmp_path / "runs", tokenizer=tokenizer), resume=checkpoint, max_steps=8)
    saved = attnlog.open(tmp_path / "runs" / "out")
    assert saved.steps == (2, 4, 6, 8)
    assert len(saved.manifests) == 2
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["out"]


def test_a_new_training_of_the_same_name_does_not_mix_with_the_old(tmp_path: Path, tokenizer: Any) -> None:
    for _ in range(2):
        train(tmp_path, AttentionCallback(TEXTS, directory=tmp_path / "runs", tokenizer=tokenizer))
    assert sorted(path.name for path in (tmp_path / "runs").iterdir()) == ["out", "out-2"]


def test_best_weights_loaded_at_the_end_keep_the_step_they_came_from(tmp_path: Path, tokenizer: Any) -> None:
    callback = AttentionCallback(TEXTS, directory=tmp_path / "runs", tokenizer=tokenizer, on=("end",))
    trained = train(tmp_path, callback, load_best_model_at_end=True, metric_for_best_model="eval_loss", greater_is_better=True)
    assert trained.state.best_global_step == 2  # the worse loss, told to be the better
    [commit] = commits(tmp_path / "runs" / "out")
    assert (commit.step, commit.checkpoint) == (2, str(tmp_path / "out" / "checkpoint-2"))


def test_best_weights_that_were_recorded_are_not_recorded_again(tmp_path: Path, tokenizer: Any) -> None:
    callback = AttentionCallback(TEXTS, directory=tmp_path / "runs", tokenizer=tokenizer, on=("evaluate", "end"))
    train(tmp_path, callback, load_best_model_at_end=True, metric_for_best_model="eval_loss", greater_is_better=True)
    assert [commit.step for commit in commits(tmp_path / "runs" / "out")] == [2, 4]


def test_each_trial_of_a_search_is_a_run_of_its_own(tmp_path: Path, tokenizer: Any) -> None:
    from transformers import Trainer

    callback = AttentionCallback(TEXTS, directory=tmp_path / "runs", tokenizer=tokenizer)
    search = Trainer(
        model_init=lambda: build("bert"),
        args=arguments(tmp_path),
        train_dataset=rows(),
        eval_dataset=rows(4, seed=6),
        callbacks=[callback],
    )
    search.hyperparameter_search(
        hp_space=lambda trial: {"learning_rate": trial.suggest_float("learning_rate", 1e-4, 1e-2)},
        n_trials=2,
        backend="optuna",
        direction="minimize",
    )
    assert sorted(path.name for path in (tmp_path / "runs").iterdir()) == ["out-trial-1", "out-trial-2"]
    for number in (1, 2):
        recorded = commits(tmp_path / "runs" / f"out-trial-{number}")
        assert [commit.step for commit in recorded] == [2, 4]
        assert recorded[0].checkpoint == str(tmp_path / "out" / f"run-{number - 1}" / "checkpoint-2")


def test_a_sequence_to_sequence_training_records_three_kinds(tmp_path: Path, plain_tokenizer: Any) -> None:
    from transformers import Seq2SeqTrainer, Seq2SeqTrainingArguments

    callback = AttentionCallback([("the cat sat", "the dog saw")], directory=tmp_path / "runs")
    trained = Seq2SeqTrainer(
        build("t5"),
        arguments(tmp_path, Seq2SeqTrainingArguments, predict_with_generate=True),
        train_dataset=rows(),
        eval_dataset=rows(4, seed=6),
        processing_class=plain_tokenizer,
        callbacks=[callback],
    )
    trained.train()
    callback.close()
    step = attnlog.open(tmp_path / "runs" / "out").read(step=4)
    assert {layer.kind for layer in step.layers} == {"encoder", "decoder", "cross"}


def test_what_a_step_will_cost_is_said_before_the_first_capture(tmp_path: Path, tokenizer: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", logger="attnlog")
    train(tmp_path, AttentionCallback(TEXTS, directory=tmp_path / "runs", tokenizer=tokenizer))
    said = [record.message for record in caplog.records if "a step" in record.message]
    assert len(said) == 1
    assert said[0].startswith("2 inputs × 8 heads: about ")


def test_only_rank_zero_records(tmp_path: Path, tokenizer: Any) -> None:
    from transformers import TrainerControl, TrainerState

    callback = AttentionCallback(TEXTS, directory=tmp_path / "runs", tokenizer=tokenizer)
    state = TrainerState(global_step=2, is_world_process_zero=False)
    callback.on_evaluate(arguments(tmp_path), state, TrainerControl(), model=build("bert"), metrics={})
    assert callback.directory is None
    assert not (tmp_path / "runs").exists()


def test_what_comes_after_a_close_goes_on_in_the_same_folder(tmp_path: Path, tokenizer: Any) -> None:
    callback = AttentionCallback(TEXTS, directory=tmp_path / "runs", tokenizer=tokenizer)
    trained = trainer(tmp_path, [callback])
    trained.evaluate()
    callback.close()
    trained.evaluate()  # the same step and weights: nothing new
    trained.train()
    callback.close()
    saved = attnlog.open(tmp_path / "runs" / "out")
    assert saved.steps == (0, 2, 4)
    assert sorted(len(manifest.commits) for manifest in saved.manifests) == [1, 2]
