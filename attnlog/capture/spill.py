"""Weights of a capture that are many wait in a temporary file, not in memory, until somebody reads or writes them."""

from __future__ import annotations

import mmap
import tempfile
from typing import Any

import numpy as np

from attnlog.record import Array

IN_MEMORY = 8_000_000  # bytes of encoded weights that one capture keeps in memory; more of them go to the file
PIECE = 64_000_000  # bytes that are mapped at a time: each mapping holds a file open


class Spill:
    """Keeps the arrays of one capture: the first few megabytes in memory, the others in files that go when they go."""

    def __init__(self) -> None:
        """Begin; no file is made before it is needed."""
        self._held = 0
        self._file: Any = None
        self._map: Any = None
        self._end = 0

    def keep(self, array: Array | None) -> Array | None:
        """Return an array of the same numbers, which may lie in a file."""
        if array is None or self._held + array.nbytes <= IN_MEMORY:
            self._held += 0 if array is None else array.nbytes
            return array
        try:
            return self._written(np.ascontiguousarray(array))
        except OSError:
            self._map = None
            return array  # no room on the disk: memory it is

    def _written(self, array: Array) -> Array:
        if self._map is None or self._end + array.nbytes > len(self._map):
            # It has no name (or loses it when it is closed): whatever ends the process leaves nothing behind.
            self._file = tempfile.TemporaryFile(prefix="attnlog-")  # noqa: SIM115  # arrays outlive every block
            self._file.truncate(max(PIECE, array.nbytes))
            self._map = mmap.mmap(self._file.fileno(), 0, access=mmap.ACCESS_READ)
            self._end = 0
        # Written through the file, not the mapping: a full disk is an error there, and the end of the process here.
        start = self._end
        self._file.seek(start)
        self._file.write(array.data)
        self._file.flush()
        self._end = start + -(-array.nbytes // 64) * 64
        found: Array = np.frombuffer(self._map, dtype=array.dtype, count=array.size, offset=start).reshape(array.shape)
        return found
