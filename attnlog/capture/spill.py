"""Weights of a capture that are many wait in a temporary file, not in memory, until somebody reads or writes them."""

from __future__ import annotations

import tempfile
from typing import Any

import numpy as np

from attnlog.record import Array

IN_MEMORY = 8_000_000  # bytes of encoded weights that one capture keeps in memory; more of them go to the file


class Spill:
    """Keeps the arrays of one capture: the first few megabytes in memory, the others in one file that goes when they go."""

    def __init__(self) -> None:
        """Begin; no file is made before it is needed."""
        self._held = 0
        self._file: Any = None
        self._end = 0

    def keep(self, array: Array | None) -> Array | None:
        """Return an array of the same numbers, which may lie in a file."""
        if array is None or self._held + array.nbytes <= IN_MEMORY:
            self._held += 0 if array is None else array.nbytes
            return array
        try:
            if self._file is None:
                # It has no name (or loses it when it is closed): whatever ends the process leaves nothing behind.
                self._file = tempfile.TemporaryFile(prefix="attnlog-")  # noqa: SIM115  # arrays outlive every block
            start = self._end
            self._file.seek(start)
            self._file.write(np.ascontiguousarray(array).data)
            self._file.flush()
            self._end = start + -(-array.nbytes // 4096) * 4096
            return np.memmap(self._file, dtype=array.dtype, mode="r", offset=start, shape=array.shape)
        except OSError:
            return array  # no room on the disk: memory it is
