"""Delivers a run to the active Weights & Biases run, as files under ``attnlog/``; online, or offline for ``wandb sync`` later."""

from __future__ import annotations

import os
import shlex
import sys
from collections import deque
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from attnlog.delivery.tracker import Entry
from attnlog.errors import MissingExtraError, TrackerError

_REMEDY = "Start one with wandb.init() before the training, or leave 'wandb' out of tracker="
#: The charts' horizontal axis: the step of the training, not W&B's own, which counts calls of wandb.log.
STEP = "attention/step"


class WandbTracker:
    """Writes to the run that was active when it was made; it never starts one, which might have other settings.

    A point of a chart cannot be replaced in W&B, and a client that writes is not told which there are. So numbers are logged once by
    one process, and not again for a file that the run folder remembers; a process that is killed between the two leaves a point that
    the next one logs again.
    """

    name = "wandb"

    def __init__(self, directory: Path) -> None:
        # Nobody can have started a run without importing the package, and importing it takes a second.
        wandb = sys.modules.get("wandb")
        if wandb is None and find_spec("wandb") is None:
            raise MissingExtraError("wandb", "wandb", "the tracker 'wandb'")
        run = getattr(wandb, "run", None)
        if run is None:
            raise TrackerError(f"no Weights & Biases run is active. {_REMEDY}.")
        self._wandb: Any = wandb
        self._run: Any = run
        self._top = Path(run.dir, "attnlog")
        self._offline = bool(run.offline)
        self._row: int | None = None  # W&B's step whose row holds numbers of ours
        self._waiting: deque[dict[str, float]] = deque()  # rows that have to wait for the next of W&B's steps
        self._logged: set[tuple[int | None, str]] = set()

    @property
    def destination(self) -> str:
        """The run."""
        return f"{self._run.entity or ''}/{self._run.project or ''}/{self._run.id}"

    def put(self, entry: Entry, file: Path) -> None:
        """Copy one file into the run's folder and ask W&B to upload it.

        Raises:
            TrackerError: the run has ended.
        """
        if self._wandb.run is not self._run:
            raise TrackerError(
                f"the Weights & Biases run {self._run.id} ended before {entry.path} was handed to it; end it after the training"
            )
        target = self._top / entry.path
        target.parent.mkdir(parents=True, exist_ok=True)
        draft = target.with_name(f".{target.name}.part")
        draft.write_bytes(file.read_bytes())
        os.replace(draft, target)  # a manifest may be read while it is replaced
        self._run.save(str(target), base_path=self._run.dir, policy="now")
        self._chart(entry)

    def holds(self) -> None:
        """Nobody can say: a run that is resumed has a new, empty folder, and what lies in a folder W&B may not have yet.

        So what the run folder remembers counts.
        """

    def refresh(self, run: Path) -> None:
        """Nothing is derived from the run."""

    def where(self) -> str | None:
        """The run's page, or how an offline run gets there."""
        return f"wandb sync {shlex.quote(str(Path(self._run.dir).parent))}" if self._offline else getattr(self._run, "url", None)

    def close(self) -> None:
        """Log what waits; the run is left to whoever started it."""
        while self._waiting and self._wandb.run is self._run:
            self._run.log({}, commit=True)
            self._drain()

    def _chart(self, entry: Entry) -> None:
        new = {name: value for name, value in entry.scalars.items() if (entry.step, name) not in self._logged}
        for name in new:
            self._run.define_metric(name, step_metric=STEP)
            self._logged.add((entry.step, name))
        if new and entry.step is not None:
            self._waiting.append({**new, STEP: entry.step})
        self._drain()

    def _drain(self) -> None:
        """Log one row, never moving W&B's step on: whoever logs with ``step=`` must find it where it was left.

        Ours goes into the row that the training will finish, one of ours a row.
        """
        if self._waiting and self._run.step != self._row:
            self._row = self._run.step
            self._run.log(self._waiting.popleft(), commit=False)
