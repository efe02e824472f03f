"""``attnlog capture``: the attention of checkpoints that are there already, as steps of a run."""

from __future__ import annotations

import gc
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TextIO

import click

from attnlog.commands import models
from attnlog.commands.checkpoints import Checkpoint, find, has_tokenizer, in_order
from attnlog.commands.output import counted, listed, progress, safe
from attnlog.commands.resume import is_written, left_of, saved_at
from attnlog.commands.texts import Text, inputs_of, numbers_of
from attnlog.delivery.redact import describe
from attnlog.errors import ArgumentError, InputError, LayerError, MissingExtraError, RunError, TargetError
from attnlog.run import Run
from attnlog.store.open import SavedRun


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What the command line asks for, as it was written there."""

    checkpoints: tuple[str, ...]
    run: Path
    texts: tuple[str, ...] = ()
    pairs: tuple[tuple[str, str], ...] = ()
    files: tuple[Path, ...] = ()
    tokenizer: str | None = None
    made: str | None = None  # a class of transformers
    record: tuple[str, ...] = ()
    layers: str | None = None
    heads: str | None = None
    steps: tuple[int, ...] = ()
    trackers: tuple[str, ...] = ()
    max_tokens: int = 256
    dense_tokens: int = 512
    precision: str = "u8"
    device: str | None = None
    dtype: str = "auto"


@dataclass(frozen=True)
class _Work:
    """A checkpoint that is to be recorded, and the class that loads it."""

    checkpoint: Checkpoint
    made: Any


def capture(wish: Wish) -> int:
    """Record each checkpoint that the run does not hold yet; return the exit status: 1 when one could not be recorded.

    Raises:
        AttnlogError: something that was asked for cannot be; said before any model is loaded.
    """
    options = _checked(wish)
    places, passed = find(wish.checkpoints)
    checkpoints = in_order(places, wish.steps)
    if passed:
        click.echo(f"passed over, as they hold no model: {listed(passed)}")
    for one in checkpoints:
        if one.source == "by its place in the list":
            click.echo(f"step {one.step} is {safe(one.place)}, {one.source}: no checkpoint-N in its name, no trainer_state.json in it")
    saved = saved_at(wish.run)
    left, skipped = left_of(saved, checkpoints, options.inputs)
    for one in skipped:
        click.echo(f"step {one.step}  {safe(one.place)}  skipped: it is in the run already")
    with models.quiet():
        given = None if wish.tokenizer is None else _named_tokenizer(wish.tokenizer)
        work, failed = _planned(left, saved, wish)
        if work and given is None and not any(one.checkpoint.folder is None or has_tokenizer(one.checkpoint.folder) for one in work):
            raise InputError(
                f"{work[0].checkpoint.place} has no tokenizer, which texts need: name a folder or model that has one with --tokenizer"
            )
        recorded = _record(work, wish, options, given) if work else 0
    failed += len(work) - recorded
    parts = [counted(recorded, "checkpoint") + " recorded"]
    parts += [f"{len(skipped)} skipped"] if skipped else []
    parts += [f"{failed} failed"] if failed else []
    click.echo(f"{', '.join(parts)}: {safe(wish.run)}")
    return int(failed > 0)


def _checked(wish: Wish) -> Any:
    """Check everything that can be told from the command line alone."""
    from attnlog_integrations.transformers.options import Options

    texts: list[Text] = inputs_of(wish.texts, wish.pairs, wish.files)
    record = tuple(name.strip() for one in wish.record for name in one.split(",") if name.strip())
    options = Options.of(
        inputs=texts,
        tokenizer=None,
        tracker=("local", *wish.trackers),
        directory=wish.run,
        on="save",
        every=None,
        layers=numbers_of("--layers", wish.layers),
        heads=numbers_of("--heads", wish.heads),
        record=record or ("attention", "vectors"),
        saliency=None,
        max_tokens=wish.max_tokens,
        dense_tokens=wish.dense_tokens,
        precision=wish.precision,
        vector_precision="f16",
        budget=None,
        examples=1,
    )
    if wish.run.exists() and not wish.run.is_dir():
        raise RunError(f"the run folder {wish.run} is a file: name a folder, or remove the file")
    for package in ("torch", "transformers"):
        if find_spec(package) is None:
            raise MissingExtraError(package, "transformers", "attnlog capture")
    return options


def _planned(left: Sequence[Checkpoint], saved: SavedRun | None, wish: Wish) -> tuple[list[_Work], int]:
    """Read the configurations: checkpoints of one model belong in one run, those of two in two."""
    asked = None if wish.made is None else models.class_named(wish.made)
    known = next((kind for m in (saved.manifests if saved else ()) if m.commits and (kind := models.Kind.said(m.header))), None)
    holder = f"{wish.run} holds"
    work: list[_Work] = []
    failed = 0
    for one in left:
        try:
            kind, made = models.kind_of(one.place, asked)
        except Exception as error:
            failed += 1
            _tell(_failed(one, error), sys.stderr)
            continue
        if known is not None and (why := kind.differs(known)):
            raise ArgumentError(
                f"{one.place} is another model than {holder} ({why}): a run is of one model; "
                "capture the other to a --run folder of its own, and compare the two"
            )
        if known is None:
            known, holder = kind, f"{one.place} is"
        work.append(_Work(one, made))
    return work, failed


def _named_tokenizer(place: str) -> Any:
    try:
        return models.tokenizer_at(place)
    except Exception as error:
        raise InputError(f"--tokenizer {place} cannot be loaded: {describe(error)}") from None


def _record(work: Sequence[_Work], wish: Wish, options: Any, tokenizer: Any) -> int:
    """Load, capture and log one after the other; return how many the run then holds."""
    device = models.device_of(wish.device)
    recorded = 0
    run = Run(wish.run, tracker=options.tracker, precision=options.precision, dense_tokens=options.dense_tokens)
    with run, progress("checkpoints", len(work)) as advance:
        for one in work:
            began = time.monotonic()
            with _freed(device):
                try:
                    notes = _log(run, one, wish, options, tokenizer, device)
                    recorded += 1
                    _tell(_said(one.checkpoint, time.monotonic() - began, notes))
                except (LayerError, TargetError):
                    raise  # of the options, so it would be so of every checkpoint
                except Exception as error:
                    _tell(_failed(one.checkpoint, error), sys.stderr)
            advance()
    return recorded


def _log(run: Run, one: _Work, wish: Wish, options: Any, tokenizer: Any, device: Any) -> list[str]:
    """Record one checkpoint and wait until it is written; return what a user should know of it."""
    from attnlog.capture.inputs import usable_tokens
    from attnlog_integrations.transformers.sharded import captured

    checkpoint = one.checkpoint
    tokenizer = tokenizer if tokenizer is not None else models.tokenizer_at(checkpoint.place)
    model, lacking = models.load(checkpoint.place, one.made, device=device, dtype=wish.dtype)
    allowed = replace(options, max_tokens=usable_tokens(model, options.max_tokens))
    found = captured(allowed, model, options.inputs, tokenizer)
    run.log(
        found,
        step=checkpoint.step,
        epoch=checkpoint.epoch,
        checkpoint=checkpoint.place,
        loss=checkpoint.loss,
        metrics=checkpoint.metrics,
    )
    # Until it is written, or it would wait in memory beside the next model; and a killed command goes on from here.
    run.flush()
    if not is_written(run.directory, checkpoint):
        raise RunError(f"it could not be written to {run.directory}; see the warning above")
    notes = [f"{counted(len(lacking), 'weight')} not in the checkpoint and random: {listed(lacking, 3)}"] if lacking else []
    cut = [number for number, text in enumerate(found.inputs) if any(axis.cut for axis in text.axes.values())]
    notes += [f"inputs {listed(cut)} cut to {allowed.max_tokens} tokens"] if cut else []
    return notes + [safe(missing) for missing in found.missing[:3]]


@contextmanager
def _freed(device: Any) -> Iterator[None]:
    """Give the memory of what the body loaded back before the next is loaded."""
    try:
        yield
    finally:
        gc.collect()
        if device.type == "cuda":
            sys.modules["torch"].cuda.empty_cache()


def _said(one: Checkpoint, seconds: float, notes: Sequence[str]) -> str:
    loss = "" if one.loss is None else f"  loss {one.loss:.4g}"
    return "\n".join([f"step {one.step}  {safe(one.place)}{loss}  recorded in {seconds:.1f} s", *(f"  {note}" for note in notes)])


def _failed(one: Checkpoint, error: Exception) -> str:
    return f"attnlog: {safe(one.place)} (step {one.step}) was not recorded: {safe(describe(error))}"


def _tell(line: str, stream: TextIO | None = None) -> None:
    """Print a line above the bar: click.echo writes past what the bar puts in the place of the streams."""
    print(line, file=stream or sys.stdout, flush=True)
