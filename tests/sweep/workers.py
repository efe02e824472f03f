"""Runs a function on many names, each in a process of its own with limits, so that a crash or a hang of one ends nothing else."""

from __future__ import annotations

import multiprocessing as mp
import os
import resource
import signal
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from multiprocessing.connection import Connection, wait
from typing import Any

MEMORY = 3 << 30  # bytes beyond what the imported libraries take


def each(function: Callable[[str], Any], names: Iterable[str], *, at_once: int = 2, seconds: float = 60) -> Iterator[tuple[str, Any]]:
    """Yield each name with what the function returns for it, or with the exception that ended it, in the order of finishing.

    Processes are forks: what is imported before is there, and what one does to it stays its own.
    """
    context = mp.get_context("fork")
    left = list(names)[::-1]
    running: dict[Connection, tuple[str, Any, float]] = {}
    while left or running:
        while left and len(running) < at_once:
            name = left.pop()
            receive, send = context.Pipe(duplex=False)
            process = context.Process(target=_work, args=(function, name, send), daemon=True)
            process.start()
            send.close()
            running[receive] = (name, process, time.monotonic() + seconds)
        soonest = min(deadline for _, _, deadline in running.values())
        for ready in wait(list(running), timeout=max(0.05, soonest - time.monotonic())):
            assert isinstance(ready, Connection)
            name, process, _ = running.pop(ready)
            try:
                answer = ready.recv()
            except EOFError:
                process.join()
                answer = RuntimeError(f"the process ended with {process.exitcode}")
            process.join()
            ready.close()
            yield name, answer
        for pipe in [pipe for pipe, (_, _, deadline) in running.items() if deadline < time.monotonic()]:
            name, process, _ = running.pop(pipe)
            os.kill(process.pid, signal.SIGKILL)
            process.join()
            pipe.close()
            yield name, TimeoutError(f"it took more than {seconds:.0f} s")


def _work(function: Callable[[str], Any], name: str, send: Connection) -> None:
    quiet = os.open(os.devnull, os.O_WRONLY)
    os.dup2(quiet, 1)
    os.dup2(quiet, 2)
    with open("/proc/self/statm") as status:
        used = int(status.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, used + MEMORY))
    try:
        answer = function(name)
    except BaseException as error:
        place = traceback.extract_tb(error.__traceback__)[-1]
        answer = RuntimeError(f"{type(error).__name__}: {str(error)[:300]} ({os.path.basename(place.filename)}:{place.lineno})")
    send.send(answer)
    send.close()
