"""The error boundary: nothing attnlog does inside a training run may raise into it; it warns once and goes on."""

from __future__ import annotations

import os
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager


class AttnlogWarning(UserWarning):
    """Something was not recorded or not delivered; training was not touched."""


def strict() -> bool:
    """Whether ``ATTNLOG_STRICT=1`` asks for errors to be raised instead of warned about."""
    return os.environ.get("ATTNLOG_STRICT", "") not in ("", "0")


class Boundary:
    """Guards what runs beside a training: each kind of failure is warned about once, all are counted."""

    def __init__(self) -> None:
        self.failures: dict[str, int] = {}
        self._lock = threading.Lock()

    @contextmanager
    def guard(self, doing: str, remedy: str = "") -> Iterator[None]:
        """Run the body; an exception becomes one warning per `doing`, or is raised when strict.

        Args:
            doing: what was attempted, as in "could not <doing>"; also the key by which a warning is given once.
            remedy: what the user can do, a full sentence.
        """
        try:
            yield
        except Exception as error:
            if strict():
                raise
            from attnlog.delivery.redact import describe

            self.warn(doing, f"attnlog could not {doing}: {describe(error)}. Training goes on. {remedy}".rstrip())

    def warn(self, key: str, message: str) -> None:
        """Warn once for this key and count every time."""
        with self._lock:
            self.failures[key] = self.failures.get(key, 0) + 1
            first = self.failures[key] == 1
        if first:
            # A warning filter set to "error" would turn this into an exception inside the user's training.
            try:
                warnings.warn(message, AttnlogWarning, stacklevel=4)
            except AttnlogWarning:
                if strict():
                    raise
