"""Bounds how long MLflow's client may try, for the calling thread only: by default it tries a dead server for four minutes."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

#: Of the client's own settings at most these; delivery tries again by itself. Its jitter is drawn from Python's global random
#: state, which belongs to the training. A server that is busy may ask for an hour's patience; the queue has its own.
MOST = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": 1,
    "MLFLOW_HTTP_REQUEST_TIMEOUT": 30,
    "MLFLOW_HTTP_REQUEST_BACKOFF_JITTER": 0.0,
    "MLFLOW_HTTP_RESPECT_RETRY_AFTER_HEADER": False,
}

_here = threading.local()
_lock = threading.Lock()


@contextmanager
def bounded() -> Iterator[None]:
    """Within the body, and on this thread, MLflow retries at most once and waits at most 30 s for an answer.

    MLflow reads both settings from the environment at every request and has no argument for them. Changing the environment
    would change the user's own logging, so the two readers are wrapped once, and answer otherwise on a bounded thread only.
    """
    _install()
    depth = getattr(_here, "depth", 0)
    _here.depth = depth + 1
    try:
        yield
    finally:
        _here.depth = depth


def _install() -> None:
    from mlflow import environment_variables as settings

    with _lock:
        for name, most in MOST.items():
            variable = getattr(settings, name, None)
            # An MLflow without this setting only retries longer, on a thread nobody waits for.
            if variable is not None and not hasattr(variable.get, "attnlog_bounded"):
                variable.get = _limited(variable.get, most)


def _limited(read: Callable[[], Any], most: float) -> Callable[[], Any]:
    def get() -> Any:
        value = read()
        if getattr(_here, "depth", 0) and isinstance(value, (int, float)):
            return min(value, most)
        return value

    get.attnlog_bounded = True  # type: ignore[attr-defined]
    return get
