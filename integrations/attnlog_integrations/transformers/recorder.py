"""From a moment of training to one commit: one capture per step and weights, whatever number of events that step has."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attnlog.boundary import Boundary
from attnlog.say import say
from attnlog_integrations.transformers.cost import input_lengths, said, step_cost
from attnlog_integrations.transformers.options import Options
from attnlog_integrations.transformers.sharded import captured, rows_of
from attnlog_integrations.transformers.trainer_state import Moment

if TYPE_CHECKING:
    from attnlog.record import Capture
    from attnlog.run import Run


class Recorder:
    """Records one training into one run folder."""

    def __init__(self, options: Options, directory: Path, *, report_to: Sequence[str], boundary: Boundary) -> None:
        self._options = options
        self._report_to = tuple(report_to)
        self._boundary = boundary
        self._inputs: Any = options.inputs
        self._told = False
        self._said: dict[int, Moment] = {}  # what the run says of each step
        self._closed = False
        self._unsettled = False  # whether the last step waits for its checkpoint before it is delivered
        self.run = self._open(directory)

    @property
    def last(self) -> int:
        """The last step that was recorded, or 0."""
        return max(self._said, default=0)

    @property
    def directory(self) -> Path:
        """The run folder."""
        return Path(self.run.directory)

    def _open(self, directory: Path) -> Run:
        from attnlog.run import Run

        trackers: list[Any] = list(self._options.tracker)
        return Run(
            directory,
            tracker=trackers,
            precision=self._options.precision,
            vector_precision=self._options.vector_precision,
            dense_tokens=self._options.dense_tokens,
            budget=self._options.budget,
            scalars=self._options.scalars,
            name=directory.name,
            report_to=self._report_to,
            boundary=self._boundary,
        )

    def record(self, moment: Moment, model: Any, *, tokenizer: Any, dataloader: Any) -> None:
        """Capture and log, or add to the step what is new about it when it was recorded already."""
        if moment.step in self._said:
            self.amend(moment)
            return
        inputs = self._ready(model, dataloader)
        self.tell(model, inputs, tokenizer)
        self.log(moment, captured(self._options, model, inputs, tokenizer))

    def log(self, moment: Moment, captured: Capture) -> None:
        """Log what was captured at a moment."""
        if self._closed:  # what comes after an end goes on in the same folder, as another writer
            self.run, self._closed = self._open(self.directory), False
        self.run.log(
            captured,
            step=moment.step,
            epoch=moment.epoch,
            checkpoint=moment.checkpoint,
            loss=moment.loss,
            metrics=dict(moment.metrics),
            settled=moment.settled,
        )
        self._said[moment.step] = moment
        self._unsettled = not moment.settled

    def amend(self, moment: Moment) -> None:
        """Add a checkpoint or metrics to a step that was recorded."""
        known = self._said.get(moment.step)
        if known is None or self._closed:
            return
        checkpoint = moment.checkpoint if moment.checkpoint != known.checkpoint else None
        metrics = {name: value for name, value in moment.metrics.items() if known.metrics.get(name) != value}
        if checkpoint is not None or metrics:
            self._said[moment.step] = replace(known, checkpoint=moment.checkpoint or known.checkpoint, metrics={**known.metrics, **metrics})
            self.run.amend(moment.step, checkpoint=checkpoint, metrics=metrics)

    def settle(self) -> None:
        """Nothing more is said of the last step for now: let it be delivered."""
        if self._unsettled and not self._closed:
            self._unsettled = False
            self.run.settle()

    def flush(self) -> None:
        """Write what waits and let it be delivered, within a bounded time; the run stays open."""
        self.run.flush()

    def close(self) -> None:
        """Write and deliver what is left, within a bounded time."""
        self._closed = True
        self.run.close()

    def _ready(self, model: Any, dataloader: Any) -> Any:
        if self._inputs is None:
            # Kept: the same inputs at every step are what makes steps comparable.
            self._inputs = rows_of(self._options, model, dataloader)
        return self._inputs

    def tell(self, model: Any, inputs: Any, tokenizer: Any) -> None:
        """Say once what a step will cost, and where it is recorded."""
        if self._told:
            return
        self._told = True
        options = self._options
        try:
            tokenizer = options.tokenizer if options.tokenizer is not None else tokenizer
            lengths = input_lengths(inputs, tokenizer, max_tokens=options.max_tokens)
            heads, cost = step_cost(
                model,
                lengths,
                precision=options.precision,
                vector_precision=options.vector_precision,
                dense_tokens=options.dense_tokens,
                record=options.record,
                layers=options.layers,
                heads=options.heads,
            )
        except Exception:
            say(f"attention is recorded in {self.directory}")
            return
        say(f"{said(len(lengths), heads, cost)}, recorded in {self.directory}")
