"""Logs many tiny steps, 10 000 unless told otherwise, to a run folder and a local MLflow (sqlite), and prints what the process holds on the way:
memory, threads, open files. Prints JSON. A third of the way is a warm-up in which Python and Arrow take what they keep.

``steps.py [STEPS] [TRACKER]``: the tracker is mlflow or local.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import tempfile
import threading
import time
from pathlib import Path

os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
os.environ["COMET_DISABLE_AUTO_LOGGING"] = "1"

import numpy as np

import attnlog
from attnlog.record import Axis, Capture, Input, Layer


def held() -> dict[str, float]:
    """What this process holds now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return {
        "megabytes": round(pages * os.sysconf("SC_PAGE_SIZE") / 1e6, 1),
        "threads": threading.active_count(),
        "open files": len(os.listdir("/proc/self/fd")),
    }


def tiny() -> Capture:
    """One head of two tokens."""
    weights = np.full((1, 2, 2), 0.5, np.float32)
    layer = Layer(input=0, kind="self", layer=0, heads=(0,), groups=(0,), shape=(2, 2), weights=weights)
    return Capture((Input({"self": Axis(tokens=("a", "b"))}),), (layer,))


def log_steps(folder: Path, steps: int, tracker: object, marks: int = 6) -> list[dict[str, float]]:
    """Log so many steps, none dropped, and look at the process a few times on the way."""
    capture, seen = tiny(), []
    with attnlog.Run(folder, tracker=tracker) as run:  # type: ignore[arg-type]  # a bench takes any tracker
        for step in range(steps):
            run.log(capture, step=step)
            while len(run._work) > 1:
                time.sleep(0.0005)
            if (step + 1) % (steps // marks) == 0:
                seen.append({"step": step + 1, "waiting for delivery": run._delivery.left, **held()})
    return seen


def main() -> None:
    steps = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    tracker = sys.argv[2] if len(sys.argv) > 2 else "mlflow"
    logging.disable(logging.WARNING)
    with tempfile.TemporaryDirectory() as scratch:
        os.chdir(scratch)
        os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{scratch}/mlflow.db"
        started = time.perf_counter()
        seen = log_steps(Path(scratch, "run"), steps, tracker)
        took = time.perf_counter() - started
        third = seen[len(seen) // 3 - 1]
        grown = {name: round(seen[-1][name] - third[name], 1) for name in ("megabytes", "threads", "open files")}
        print(
            json.dumps(
                {"steps": steps, "tracker": tracker, "seconds": round(took, 1), "on the way": seen, "from a third to the end": grown},
                indent=1,
            )
        )


if __name__ == "__main__":
    main()
