"""What a logged step makes a training wait for delivery (the time in `Run.log`), with a tracking server that is alive, dead, or never answers. Prints JSON.

A step is what `AttentionCallback` does: capture a small Llama on two inputs, and hand the capture to the run. The three servers take turns,
so that whatever else the machine does falls on all of them; only ratios within one run mean anything.
"""

from __future__ import annotations

import json
import logging
import os
import socket
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))
os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
os.environ["COMET_DISABLE_AUTO_LOGGING"] = "1"
os.environ["ATTNLOG_EXIT_WAIT"] = "0"  # the wait at the end is no wait of a step

import torch
from mlflow import MlflowClient

import attnlog
from tests.conftest import build
from tests.integrations.mlflow_servers import mlflow_server_process

TURNS, STEPS, PAUSE = 6, 25, 0.1


@contextmanager
def hanging() -> Iterator[str]:
    """An address that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=256) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


def dead() -> str:
    """An address where nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}"


def turn(folder: Path, uri: str, run: str, model: torch.nn.Module, inputs: dict[str, torch.Tensor]) -> dict[str, list[float]]:
    """Log some steps; seconds that each took in all, and in `Run.log` alone."""
    os.environ["MLFLOW_TRACKING_URI"] = uri
    took: dict[str, list[float]] = {"step": [], "log": []}
    with attnlog.Run(folder, tracker=f"mlflow:{run}") as log:
        for step in range(STEPS):
            started = time.perf_counter()
            capture = attnlog.capture(model, inputs, precision="u8")
            captured = time.perf_counter()
            log.log(capture, step=step)
            ended = time.perf_counter()
            took["step"].append(ended - started)
            took["log"].append(ended - captured)
            time.sleep(PAUSE)  # the training that goes on between two evaluations, in which delivery works
        if log.dropped:
            raise SystemExit(f"{log.dropped} captures were dropped: the disk is too slow for this bench")
    return took


def main() -> None:
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    torch.set_num_threads(1)
    model = build("llama")
    inputs = {"input_ids": torch.randint(5, 60, (2, 48), generator=torch.Generator().manual_seed(0))}
    with tempfile.TemporaryDirectory() as scratch, mlflow_server_process(Path(scratch)) as server, hanging() as silent:
        addresses = {"alive": server, "dead": dead(), "hanging": silent}
        client = MlflowClient(server)
        took: dict[str, dict[str, list[float]]] = {name: {"step": [], "log": []} for name in addresses}
        turn(Path(scratch, "warm"), server, client.create_run("0").info.run_id, model, inputs)
        for number in range(TURNS):
            for name, uri in addresses.items():
                found = turn(Path(scratch, f"{name}-{number}"), uri, client.create_run("0").info.run_id, model, inputs)
                for what, seconds in found.items():
                    took[name][what] += seconds
    medians = {name: {what: statistics.median(seconds) for what, seconds in of.items()} for name, of in took.items()}
    print(
        json.dumps(
            {
                "steps": TURNS * STEPS,
                "seconds of a logged step, capture included": {name: round(of["step"], 5) for name, of in medians.items()},
                "seconds in Run.log": {name: round(of["log"], 6) for name, of in medians.items()},
                "dead beside alive": round(medians["dead"]["log"] / medians["alive"]["log"], 3),
                "hanging beside alive": round(medians["hanging"]["log"] / medians["alive"]["log"], 3),
            },
            indent=1,
        )
    )


if __name__ == "__main__":
    main()
