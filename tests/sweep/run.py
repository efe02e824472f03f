"""Runs `attnlog.capture` on every model of the list and compares: ``python -m tests.sweep.run [--only bloom,falcon] [--json FILE]``."""

from __future__ import annotations

import argparse
import importlib
import json
import pkgutil
import sys
import time
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
import transformers

import attnlog
from attnlog.errors import AttnlogError
from tests.sweep import build as building
from tests.sweep.compare import Found, compared
from tests.sweep.harmless import Broken, Witness, breaking, changed, digest, state
from tests.sweep.reference import Reference, reference, run
from tests.sweep.table import SORTS, failures, table
from tests.sweep.workers import each

SECONDS = 180
RECORD = ("attention", "vectors", "values")


@dataclass
class Result:
    """What the sweep found of one model."""

    name: str
    category: str = ""
    model: str = ""
    sorts: dict[str, Found] = field(default_factory=dict)  # plain, tower, folded → how it came out
    reason: str = ""  # why there is nothing to compare with
    crash: str = ""
    harm: list[str] = field(default_factory=list)
    said: str = ""
    recorded: int = 0  # layers of a model that has no reference
    seconds: float = 0.0


def sweep(name: str) -> Result:
    """Build one model, capture it, and compare weights, vectors, outputs and state."""
    started = time.monotonic()
    warnings.simplefilter("ignore")
    built = building.build(name)
    result = Result(name, built.category, built.base)
    output = run(built.model, built.inputs)
    again = run(built.model, built.inputs)
    known = reference(built, output) if digest(output) == digest(again) else Reference(reason="its outputs differ from run to run")
    before = state(built.model)
    witness = Witness()
    torch.manual_seed(5)  # as the reference began, for models that draw random numbers
    before["random numbers"] = state(built.model)["random numbers"]
    try:
        with witness.of(built.model):
            capture = attnlog.capture(built.model, dict(built.inputs), record=RECORD)
    except AttnlogError as error:
        result.said = str(error)
        for matrix in known.matrices:
            result.sorts[matrix.sort] = Found("missing", vectors="missing", said=str(error), where=matrix.path)
    except Exception as error:
        result.crash = _place(error)
        for matrix in known.matrices:
            result.sorts[matrix.sort] = Found("crash", vectors="crash", said=result.crash, where=matrix.path)
    else:
        result.sorts = compared(capture, known)
        result.recorded = len(capture.layers)
        result.said = "; ".join(dict.fromkeys(str(missing) for missing in capture.missing))
    result.reason = known.reason
    result.harm = [f"{what} changed" for what in changed(before, state(built.model))]
    if witness.differs(built.model):
        result.harm.append("outputs are not the same bits while it is captured")
    result.harm += _broken(built)
    result.seconds = time.monotonic() - started
    return result


def _place(error: BaseException) -> str:
    frames = [f for f in traceback.extract_tb(error.__traceback__) if "/attnlog/" in f.filename]
    place = f" ({Path(frames[-1].filename).name}:{frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}: {str(error)[:200]}{place}"


def _broken(built: building.Built) -> list[str]:
    """Capture once more with an exception out of the model, and once with one out of the recorder, and say what is left changed."""
    harm = []
    for what, thrown in (("the model fails", breaking(built.model)), ("the recorder fails", _recorder_breaks())):
        before = state(built.model)
        try:
            with thrown:
                inside = state(built.model)
                try:
                    attnlog.capture(built.model, dict(built.inputs), record=RECORD)
                finally:
                    harm += [f"{name} changed when {what}" for name in changed(inside, state(built.model))]
        except (Broken, AttnlogError):
            pass
        except Exception as error:
            harm.append(f"{type(error).__name__} when {what}")
        harm += [f"{name} stays changed when {what}" for name in changed(before, state(built.model))]
    return harm


@contextmanager
def _recorder_breaks() -> Iterator[None]:
    from attnlog.capture.recorder import Recorder

    kept = Recorder.see

    def see(self: Any, *args: Any, **keywords: Any) -> Any:
        raise Broken("thrown by the sweep")

    Recorder.see = see  # type: ignore[method-assign]
    try:
        yield
    finally:
        Recorder.see = kept  # type: ignore[method-assign]


def main() -> int:
    """Sweep, print the table and the rest by name, and say by the exit status whether all is well."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", help="names, with commas between them")
    parser.add_argument("--json", type=Path, help="write every result here")
    parser.add_argument("--jobs", type=int, default=2)
    given = parser.parse_args()
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    _import_all()
    names = given.only.split(",") if given.only else building.names()
    results = []
    for number, (name, answer) in enumerate(each(sweep, names, at_once=given.jobs, seconds=SECONDS), 1):
        result = answer if isinstance(answer, Result) else Result(name, crash=f"the sweep itself: {answer}")
        results.append(result)
        if given.only:
            print(told(result))
        elif number % 50 == 0:
            print(f"{number} of {len(names)}", file=sys.stderr)
    results.sort(key=lambda one: one.name)
    if given.json:
        given.json.write_text(json.dumps([asdict(one) for one in results], indent=1) + "\n", encoding="utf-8")
    plain = [asdict(one) for one in results]
    print(table(plain))
    wrong = failures(plain, whole=not given.only)
    print("\n".join(wrong) if wrong else "all is well")
    return 1 if wrong else 0


def _import_all() -> None:
    """Import what a capture uses before the processes fork: all of them run the same code, whatever is saved meanwhile."""
    for room in ("attnlog", "attnlog.capture"):
        for module in pkgutil.iter_modules(importlib.import_module(room).__path__, f"{room}."):
            if not module.ispkg and not module.name.endswith("__main__"):
                importlib.import_module(module.name)


def told(result: Result) -> str:
    """Tell one result in a line or a few."""
    lines = [f"{result.name} ({result.category}, {result.model}, {result.seconds:.1f} s) {result.reason}"]
    for sort in SORTS:
        if sort in result.sorts:
            one = result.sorts[sort]
            vectors = f"{one.vectors} (own word)" if one.owned else one.vectors
            lines.append(f"  {sort}: {one.outcome} {one.worst:.1e} by {'+'.join(one.taps)}, q·k {vectors} {one.said} {one.where}")
    lines += [f"  said: {result.said}"] if result.said else []
    lines += [f"  crash: {result.crash}"] if result.crash else []
    lines += [f"  harm: {harm}" for harm in result.harm]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
