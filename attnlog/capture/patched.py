"""Patches of classes that all threads share: there while anybody needs them, taken away by the last."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Patch:
    """Counts who needs a patch, over all threads."""

    def __init__(self, install: Callable[[], Callable[[], None]]) -> None:
        """Prepare; `install` puts the patch there and returns what takes it away."""
        self._install = install
        self._remove: Callable[[], None] | None = None
        self._users = 0
        self._lock = threading.Lock()

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep the patch there while inside."""
        with self._lock:
            if self._users == 0:
                self._remove = self._install()
            self._users += 1
        try:
            yield
        finally:
            with self._lock:
                self._users -= 1
                if self._users == 0 and self._remove is not None:
                    self._remove()
                    self._remove = None
