"""A process that is killed while it writes leaves a run in which everything that a manifest names is whole."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.whole import check_whole

ROOT = Path(__file__).parent.parent.parent
KILLED = 50

# A writer forks from a process that has imported everything, so that it is killed while it writes and not while it imports.
SCRIPT = """
import os, random, signal, sys, time
import numpy as np
import attnlog
from attnlog.capture.tensors import from_tensors

folder, times, seed = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
scores = np.random.default_rng(0).normal(size=(3, 1, 4, 48, 48))
weights = (np.exp(scores) / np.exp(scores).sum(-1, keepdims=True)).astype("f4")
moments = random.Random(seed)
with attnlog.Run(folder + "-warm") as run:  # imports what is imported on first use
    for step in range(2):
        run.log(from_tensors(list(weights), [f"t{n}" for n in range(48)]), step=step)
for turn in range(times):
    child = os.fork()
    if child == 0:
        step = 0
        while True:  # several short runs in turn, so that a roll-up may be what is cut off
            with attnlog.Run(folder) as run:
                for _ in range(4):
                    run.log(from_tensors(list(weights), [f"t{turn}-{n}" for n in range(48)]), step=step)
                    step += 1
    time.sleep(moments.uniform(0.0, 0.5))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    print(turn, flush=True)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_what_manifests_name_is_whole_after_kill_nine_at_fifty_random_moments(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import attnlog

    seed = random.randrange(1 << 30)
    folder = tmp_path / "run"
    writing = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(folder), str(KILLED), str(seed)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert writing.stdout is not None
    checked = 0
    for _ in writing.stdout:
        if list(folder.glob("manifest-*.jsonl")):
            check_whole(folder)  # also while the next writer writes
            checked += 1
    assert writing.wait() == 0
    commits, writers = check_whole(folder), len(list(folder.glob("manifest-*.jsonl")))
    with capsys.disabled():
        print(f"\nkilled {KILLED} times (seed {seed}): {commits} commits of {writers} writers, all whole")
    assert checked > KILLED // 5
    assert commits > KILLED // 5

    saved = attnlog.open(folder)
    last = saved.steps[-1]
    with attnlog.Run(folder) as resumed:  # goes on with a manifest of its own
        scores = [[[[1.0, 0.0], [0.5, 0.5]]]]
        resumed.log(attnlog.from_tensors(scores, ["a", "b"]), step=last + 1)
    again = attnlog.open(folder)
    assert len(again.manifests) == len(saved.manifests) + 1
    assert again.steps == (*saved.steps, last + 1)
    assert check_whole(folder) == commits + 1


def test_a_writer_that_is_killed_holds_no_lock(tmp_path: Path) -> None:
    code = (
        "import time\nfrom attnlog.store.lock import locked\n"
        f"with locked({str(tmp_path / 'held')!r}):\n    print('held', flush=True)\n    time.sleep(600)\n"
    )
    holding = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert holding.stdout is not None
    while "held" not in holding.stdout.readline():
        time.sleep(0.01)
    holding.send_signal(signal.SIGKILL)
    holding.wait()
    from attnlog.store.lock import locked

    with locked(tmp_path / "held", wait=10) as held:
        assert held
