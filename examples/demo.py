"""The demo: train a small decoder with the real Trainer, log its attention as it learns, and see induction heads appear.

Everything is made here: the text ships with Python, the tokenizer is trained on it, the model starts from random weights.
On two idle cores the training takes about two minutes, on busy ones longer. Run it with ``make demo``.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import mlflow
import torch
import transformers
from transformers import LlamaConfig, LlamaForCausalLM, Trainer, TrainingArguments, set_seed

import attnlog

sys.path.insert(0, str(Path(__file__).parent))
import demo_data

SENTENCES = [
    "The with statement is used to wrap the execution of a block with methods defined by a context manager.",
    "An object's type determines the operations that the object supports, and the object keeps its type as long as it lives.",
]


def model() -> LlamaForCausalLM:
    """A Llama-style decoder of 0.5 million parameters: 3 layers, 8 query heads in 4 key groups."""
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=demo_data.VOCABULARY,
            hidden_size=128,
            intermediate_size=256,
            num_hidden_layers=3,
            num_attention_heads=8,
            num_key_value_heads=4,
            max_position_embeddings=256,
            tie_word_embeddings=True,
            pad_token_id=0,
            bos_token_id=None,
            eos_token_id=None,
        )
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=Path, default=Path("demo-runs"), help="folder of run folders")
    parser.add_argument("--steps", type=int, default=800)
    parser.add_argument("--every", type=int, default=50, help="evaluate and log attention every so many steps")
    parser.add_argument("--name", default=time.strftime("induction-%Y%m%d-%H%M%S"))
    arguments = parser.parse_args()

    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    transformers.logging.set_verbosity_error()
    torch.set_num_threads(min(2, os.cpu_count() or 1))
    set_seed(1)
    arguments.runs.mkdir(parents=True, exist_ok=True)
    database = f"sqlite:///{(arguments.runs / 'mlflow.db').resolve()}"
    tracking = os.environ.get("MLFLOW_TRACKING_URI") or database
    logging.getLogger("alembic").setLevel(logging.ERROR)
    logging.getLogger("mlflow").setLevel(logging.ERROR)
    mlflow.set_tracking_uri(tracking)
    if tracking == database and mlflow.get_experiment_by_name("attnlog demo") is None:
        mlflow.create_experiment("attnlog demo", artifact_location=(arguments.runs / "mlflow-artifacts").resolve().as_uri())
    mlflow.set_experiment("attnlog demo")

    corpus = demo_data.text()
    tokenizer = demo_data.tokenizer(corpus)
    inputs = [*SENTENCES, demo_data.repeated_text(tokenizer)]
    ids = tokenizer(corpus, verbose=False)["input_ids"]
    split = int(0.95 * len(ids))
    train = demo_data.Rows(ids[:split], arguments.steps * 32, seed=1)
    held_out = demo_data.Rows(ids[split:], 128, seed=2)
    print(
        f"training a 3-layer decoder for {arguments.steps} steps on {len(corpus):,} characters of Python's own documentation …", flush=True
    )

    attention = attnlog.AttentionCallback(
        inputs,
        directory=arguments.runs,
        on=("begin", "evaluate"),
        record=("attention", "vectors", "values", "states", "predictions", "saliency"),
        # Integrated gradients would take several times as long as all the rest.
        saliency=attnlog.Saliency(methods=("gradient", "gradient_x_input")),
        scalars="induction",  # into MLflow's charts, beside the loss
    )
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as output, mlflow.start_run(run_name=arguments.name) as tracked:
        trainer = Trainer(
            model=model(),
            args=TrainingArguments(
                output_dir=output,
                run_name=arguments.name,
                max_steps=arguments.steps,
                per_device_train_batch_size=32,
                per_device_eval_batch_size=64,
                learning_rate=3e-3,
                lr_scheduler_type="constant_with_warmup",
                warmup_steps=20,
                eval_strategy="steps",
                eval_steps=arguments.every,
                logging_steps=arguments.every,
                save_strategy="no",
                report_to=["mlflow"],
                use_cpu=not torch.cuda.is_available(),
                disable_tqdm=True,
                seed=1,
            ),
            train_dataset=train,
            eval_dataset=held_out,
            processing_class=tokenizer,
            callbacks=[attention],
        )
        trainer.remove_callback(transformers.PrinterCallback)
        trainer.add_callback(_Progress(arguments.steps))
        trainer.train()
        took = time.monotonic() - started
        attention.close()  # now rather than when the program ends, so that what is said last is where to look
    run = attention.directory  # another one than the name says, if that was taken
    saved = attnlog.open(run)
    print(f"trained in {took:.0f} s; {len(saved.steps)} steps logged to {run} and to MLflow ({_place(tracking, database)})")
    print(_found(saved))
    artifact = f"#/experiments/{tracked.info.experiment_id}/runs/{tracked.info.run_id}/artifacts/attnlog/viewer.html"
    if tracking == database:
        print(f"in MLflow: .venv/bin/mlflow server --app-name attnlog --backend-store-uri {database}")
        print(f"           then http://127.0.0.1:5000/{artifact}")
        print(f"           and  http://127.0.0.1:5000/attnlog/?run={tracked.info.run_id} for every step, and all other runs")
    print(f"look at it: .venv/bin/attnlog view {run}", flush=True)


class _Progress(transformers.TrainerCallback):
    """One line for every evaluation, so that a person sees that something happens."""

    def __init__(self, steps: int) -> None:
        self.steps = steps

    def on_evaluate(self, args, state, control, metrics=None, **_):
        print(f"  step {state.global_step:>5} of {self.steps}   eval loss {metrics['eval_loss']:.3f}", flush=True)


def _place(tracking: str, database: str) -> str:
    return "mlflow.db" if tracking == database else "the one that MLFLOW_TRACKING_URI names"  # which may hold a password


def _found(saved: attnlog.SavedRun) -> str:
    """Say when the strongest induction head appeared, from the indexes alone."""
    scores: dict[tuple[int, int], list[float]] = {}
    for step in saved.steps:
        for layer in saved.read(step).layers:
            if layer.input == len(SENTENCES):
                for head, score in zip(layer.heads, layer.metrics["induction"], strict=True):
                    scores.setdefault((layer.layer, head), []).append(float(score))
    (layer, head), best = max(scores.items(), key=lambda item: item[1][-1])
    jump = max(range(1, len(best)), key=lambda n: best[n] - best[n - 1])
    return (
        f"strongest induction head on the repeated sequence (input {len(SENTENCES)}): layer {layer} head {head}, "
        f"score {best[0]:.2f} at step {saved.steps[0]} and {best[-1]:.2f} at step {saved.steps[-1]}; "
        f"it rose most between steps {saved.steps[jump - 1]} and {saved.steps[jump]}"
    )


if __name__ == "__main__":
    main()
