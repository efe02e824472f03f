"""Bounds how long MLflow's client may try, for the calling thread only: by default it tries a dead server for four minutes."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

_TIMEOUT = "MLFLOW_HTTP_REQUEST_TIMEOUT"
#: Of the client's own settings at most these; delivery tries again by itself. Its jitter is drawn from Python's global random
#: state, which belongs to the training. A server that is busy may ask for an hour's patience; the queue has its own.
MOST: dict[str, float] = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": 1,
    _TIMEOUT: 30,
    "MLFLOW_HTTP_REQUEST_BACKOFF_JITTER": 0.0,
    "MLFLOW_HTTP_RESPECT_RETRY_AFTER_HEADER": False,
}

_here = threading.local()
_lock = threading.Lock()


@contextmanager
def bounded(upload: int = 0) -> Iterator[None]:
    """Within the body, and on this thread, MLflow retries at most once and waits at most 30 s for an answer.

    MLflow reads both settings from the environment at every request and has no argument for them. Changing the environment
    would change the user's own logging, so the readers are wrapped once, and answer otherwise on a bounded thread only.

    Args:
        upload: bytes of a file that is sent. A server that passes it on to a store of its own answers when that has it: it gets a
            second more for each megabyte, and as long as the user's own ``MLFLOW_HTTP_REQUEST_TIMEOUT`` says, where that is set.
    """
    _install()
    before = getattr(_here, "most", None)
    _here.most = {**MOST, _TIMEOUT: MOST[_TIMEOUT] + upload // 1_000_000}
    if upload and os.environ.get(_TIMEOUT, "").isdigit():
        _here.most[_TIMEOUT] = max(_here.most[_TIMEOUT], int(os.environ[_TIMEOUT]))
    try:
        yield
    finally:
        _here.most = before


def _install() -> None:
    from mlflow import environment_variables as settings

    with _lock:
        for name in MOST:
            variable = getattr(settings, name, None)
            # An MLflow without this setting only retries longer, on a thread nobody waits for.
            if variable is not None and not hasattr(variable.get, "attnlog_bounded"):
                variable.get = _limited(variable.get, name)


def _limited(read: Callable[[], Any], name: str) -> Callable[[], Any]:
    def get() -> Any:
        value = read()
        most = getattr(_here, "most", None)
        return value if most is None or not isinstance(value, (int, float)) else min(value, most[name])

    get.attnlog_bounded = True  # type: ignore[attr-defined]
    return get
