"""The Trainer callback: listens to a training and hands its moments to the recorder, never raising into it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from attnlog.boundary import Boundary
from attnlog.delivery.discovery import Named
from attnlog.saliency import Saliency
from attnlog_integrations.transformers.naming import run_folder, run_name
from attnlog_integrations.transformers.options import Options
from attnlog_integrations.transformers.recorder import Recorder
from attnlog_integrations.transformers.sharded import Shards, is_sharded
from attnlog_integrations.transformers.trainer_state import Moment, moment
from attnlog_integrations.transformers.untouched import untouched
from transformers import TrainerCallback

_REMEDY = "Set ATTNLOG_STRICT=1 to see where it comes from."


class AttentionCallback(TrainerCallback):
    """Records what attention does on the same few inputs at every evaluation and checkpoint of a `transformers.Trainer`.

    The inputs go through the model once more, in eval mode and without gradients; mode, random states and gradients are
    afterwards as before. Whatever fails is warned about once, and the training goes on (``ATTNLOG_STRICT=1`` raises instead).

    Args:
        inputs: texts, text pairs, or a mapping of ready-made model inputs; None: the first `examples` rows of the evaluation set.
        tokenizer: default: the Trainer's processing class.
        tracker: where to deliver beside the local folder: ``"auto"`` (what the Trainer reports to and what is active), names,
            tracker classes, or a tracker (which serves one run: give its class for a hyperparameter search).
        directory: the folder of run folders.
        on: any of ``"evaluate"``, ``"save"``, ``"begin"``, ``"end"``.
        every: besides, every so many steps.
        layers: layers to record; default all.
        heads: query heads to record; default all.
        record: any of ``"attention"``, ``"vectors"``, ``"values"``; ``"states"`` (statistics of hidden states), ``"hidden"`` (the states
            too), ``"predictions"`` (top answers, loss per token), ``"saliency"``.
        saliency: an `attnlog.Saliency`: by which methods and of what, where ``"saliency"`` is recorded.
        max_tokens: longer inputs are cut to this length, and say so.
        dense_tokens: of inputs longer than this the top keys of each query row are kept, and the mass left out.
        precision: of the weights: ``"u8"``, ``"f16"`` or ``"f32"``.
        vector_precision: of queries, keys and values: ``"f16"``, ``"i8"`` (one scale per token) or ``"f32"``.
        budget: bytes the run may take on disk, as in ``"1GB"``; past it only head metrics and pictures are kept.
        scalars: head metrics that the tracker gets as numbers of each step, for its charts: ``"induction"`` is its mean and maximum over
            heads, ``"induction@2.5"`` that of layer 2, head 5.
        examples: how many rows of the evaluation set, when no inputs are given.

    Raises:
        ArgumentError: an argument cannot be used; raised here, before any training.
    """

    def __init__(
        self,
        inputs: Any = None,
        *,
        tokenizer: Any = None,
        tracker: Named | Iterable[Named] = "auto",
        directory: str | Path = "attnlog-runs",
        on: str | Iterable[str] = ("evaluate", "save"),
        every: int | None = None,
        layers: int | Iterable[int] | None = None,
        heads: int | Iterable[int] | None = None,
        record: str | Iterable[str] = ("attention", "vectors"),
        saliency: Saliency | None = None,
        max_tokens: int = 256,
        dense_tokens: int = 512,
        precision: str = "u8",
        vector_precision: str = "f16",
        budget: str | int | None = None,
        scalars: str | Iterable[str] | None = None,
        examples: int = 8,
    ) -> None:
        options = Options.of(
            inputs=inputs,
            tokenizer=tokenizer,
            tracker=tracker,
            directory=directory,
            on=on,
            every=every,
            layers=layers,
            heads=heads,
            record=record,
            saliency=saliency,
            max_tokens=max_tokens,
            dense_tokens=dense_tokens,
            precision=precision,
            vector_precision=vector_precision,
            budget=budget,
            scalars=scalars,
            examples=examples,
        )
        self._begin(options)

    def _begin(self, options: Options) -> None:
        self.options = options
        self._boundary = Boundary()
        self._recorder: Recorder | None = None
        self._shards: Shards | None = None  # where the model's weights are spread over ranks
        self._in_training = False
        self._trained = False  # a training ended: the best weights may be loaded again
        self._trial = 0

    def __getstate__(self) -> dict[str, Any]:
        """What a copy needs: search backends copy a whole Trainer, and a run that is open cannot be copied."""
        return {"options": self.options}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Begin anew with the same options."""
        self._begin(state["options"])

    @property
    def directory(self) -> Path | None:
        """The run folder of the training at hand, or of the last one; None before the first."""
        return self._recorder.directory if self._recorder is not None else None

    def close(self) -> None:
        """Write and deliver what is left now; else it is done in the background and when the process ends."""
        with self._boundary.guard("finish the run", _REMEDY):
            self._finish()

    # Events of the Trainer. None of them lets an exception pass.

    def on_train_begin(self, args: Any, state: Any, control: Any, **more: Any) -> None:
        """Begin a run, or go on with one."""
        # Said as recording is: a folder that cannot be written fails both here and there, and is told once.
        with self._guard("record attention", more):
            self._in_training, self._trained = True, False
            recorder = self._recorder
            continued = recorder is not None and recorder.last <= int(state.global_step)
            if state.is_hyper_param_search or not continued:
                self._finish()
                self._recorder = None
            if state.is_hyper_param_search:
                self._trial += 1
            if "begin" in self.options.on:
                self._record(args, state, more, moment(args, state))
            else:
                # Now, not at the first evaluation: which tracker run is active is sure while reporters have theirs open.
                self._recorder_of(args, state)

    def on_step_begin(self, args: Any, state: Any, control: Any, **more: Any) -> None:
        """What the last step was waiting for will not come any more."""
        if self._recorder is not None:
            with self._boundary.guard("record attention", _REMEDY):
                self._recorder.settle()

    def on_step_end(self, args: Any, state: Any, control: Any, **more: Any) -> None:
        """Record every so many steps."""
        every = self.options.every
        if every is not None and int(state.global_step) % every == 0:
            with self._guard("record attention", more):
                more_comes = control.should_evaluate or _may_save(args, control)
                self._record(args, state, more, moment(args, state, settled=not more_comes))

    def on_evaluate(self, args: Any, state: Any, control: Any, metrics: Any = None, **more: Any) -> None:
        """Record at an evaluation, with its metrics."""
        with self._guard("record attention", more):
            settled = not (self._in_training and _may_save(args, control))
            now = moment(args, state, metrics=metrics, best=self._best_is_loaded(args, state), settled=settled)
            if "evaluate" in self.options.on:
                self._record(args, state, more, now)
            elif self._recorder is not None:
                self._recorder.amend(now)

    def on_save(self, args: Any, state: Any, control: Any, **more: Any) -> None:
        """Record at a checkpoint, with its path."""
        with self._guard("record attention", more):
            now = moment(args, state, saved=True)
            if "save" in self.options.on:
                self._record(args, state, more, now)
            elif self._recorder is not None:
                self._recorder.amend(now)
            if self._recorder is not None:
                self._recorder.settle()

    def on_train_end(self, args: Any, state: Any, control: Any, **more: Any) -> None:
        """Record the weights that the training leaves, if asked for, and say where the run is."""
        with self._guard("record attention", more):
            self._in_training, self._trained = False, True
            if "end" in self.options.on:
                self._record(args, state, more, moment(args, state, best=self._best_is_loaded(args, state)))
        with self._guard("finish the run", more):
            # Not closed: an evaluation after the training adds its metrics to the last step. A trial gets none.
            if state.is_hyper_param_search:
                self._finish()
            elif self._recorder is not None:
                self._recorder.flush()

    @contextmanager
    def _guard(self, doing: str, more: Mapping[str, Any]) -> Iterator[None]:
        with self._boundary.guard(doing, _REMEDY), untouched(more.get("model")):
            yield

    def _record(self, args: Any, state: Any, more: dict[str, Any], now: Moment) -> None:
        model = more.get("model")
        sharded = is_sharded(args, model)
        recorder = None if sharded else self._recorder_of(args, state)
        if (recorder is None and not sharded) or model is None:
            return
        loader = more.get("eval_dataloader")
        if loader is None and self.options.inputs is None:
            if self._in_training and str(getattr(args.eval_strategy, "value", args.eval_strategy)) != "no":
                # Other rows now would not compare with those of the evaluation set later.
                message = "the rows to record are known at the first evaluation; give AttentionCallback the inputs to record from the start"
                self._boundary.warn("no rows", f"attnlog did not record step {now.step}: {message}.")
                return
            loader = more.get("train_dataloader")
        if sharded:
            self._record_together(args, state, now, model, tokenizer=more.get("processing_class"), dataloader=loader)
        elif recorder is not None:
            recorder.record(now, model, tokenizer=more.get("processing_class"), dataloader=loader)

    def _record_together(self, args: Any, state: Any, now: Moment, model: Any, *, tokenizer: Any, dataloader: Any) -> None:
        """Record on all ranks of a sharded model; only rank zero has a recorder."""
        if self._shards is None:
            self._shards = Shards()
        if now.step in self._shards.steps:
            if self._recorder is not None:
                self._recorder.amend(now)
            return
        found = self._shards.capture(self.options, model, tokenizer, dataloader, begin=lambda: self._recorder_of(args, state))
        self._shards.steps.add(now.step)
        if self._recorder is not None:
            self._recorder.log(now, found)

    def _recorder_of(self, args: Any, state: Any) -> Recorder | None:
        if not state.is_world_process_zero:
            return None
        if self._recorder is None:
            name = run_name(getattr(args, "run_name", None), getattr(args, "output_dir", None))
            if state.is_hyper_param_search:
                name = f"{name}-{run_name(state.trial_name, None) if state.trial_name else f'trial-{self._trial}'}"
            folder = run_folder(self.options.directory, name, resumed=int(state.global_step) > 0)
            self._recorder = Recorder(self.options, folder, report_to=_reporters(args), boundary=self._boundary)
        return self._recorder

    def _finish(self) -> None:
        if self._recorder is not None:
            self._recorder.close()

    def _best_is_loaded(self, args: Any, state: Any) -> bool:
        return self._trained and bool(args.load_best_model_at_end) and state.best_model_checkpoint is not None


def _may_save(args: Any, control: Any) -> bool:
    """Whether a checkpoint may follow an evaluation; with the strategy "best" that is decided after it."""
    return bool(control.should_save) or str(getattr(args.save_strategy, "value", args.save_strategy)) == "best"


def _reporters(args: Any) -> list[str]:
    reporters = getattr(args, "report_to", None) or []
    return [reporters] if isinstance(reporters, str) else list(reporters)
