"""Weights and vectors of a capture that are many wait in a temporary file, not in memory, until somebody reads or writes them."""

from __future__ import annotations

import mmap
import os
import tempfile
import weakref
from typing import Any

import numpy as np

from attnlog.record import Array

IN_MEMORY = 8_000_000  # bytes of arrays that one capture keeps in memory; more of them go to the file
PIECE = 64_000_000  # bytes that are mapped at a time: each mapping holds a file open
FREE = 8  # files kept for later captures: to write over one costs a fraction of what a new one does

_free: list[tuple[int, Any]] = []  # process that made it, file


class Spill:
    """Keeps the arrays of one capture: the first few megabytes in memory, the others in files that are free again when they go."""

    def __init__(self) -> None:
        """Begin; no file is made before it is needed."""
        self._held = 0
        self._file: Any = None
        self._map: Any = None
        self._end = 0

    def keep(self, array: Array | None) -> Array | None:
        """Return a copy of an array, which may lie in a file."""
        if array is None:
            return None
        if self._held + array.nbytes <= IN_MEMORY:
            self._held += array.nbytes
            return array.copy()
        try:
            return self._written(np.ascontiguousarray(array))
        except OSError:
            self._map = None
            return array.copy()  # no room on the disk: memory it is

    def _written(self, array: Array) -> Array:
        if self._map is None or self._end + array.nbytes > len(self._map):
            self._file = _taken(max(PIECE, array.nbytes))
            self._map = mmap.mmap(self._file.fileno(), 0, access=mmap.ACCESS_READ)
            # When the last array in it goes, the mapping does.
            weakref.finalize(self._map, _given_back, os.getpid(), self._file).atexit = False
            self._end = 0
        # Written through the file, not the mapping: a full disk is an error there, and the end of the process here.
        start = self._end
        self._file.seek(start)
        left = array.data.cast("B")
        while left:
            left = left[self._file.write(left) :]
        self._end = start + -(-array.nbytes // 64) * 64
        found: Array = np.frombuffer(self._map, dtype=array.dtype, count=array.size, offset=start).reshape(array.shape)
        return found


def _taken(size: int) -> Any:
    """Take a free file, or make one. It has no name (or loses it when it is closed): whatever ends the process leaves nothing behind."""
    while _free and size == PIECE:
        made_by, file = _free.pop()
        if made_by == os.getpid():
            return file
    file = tempfile.TemporaryFile(prefix="attnlog-", buffering=0)  # noqa: SIM115  # arrays outlive every block
    file.truncate(size)
    return file


def _given_back(made_by: int, file: Any) -> None:
    # A forked process shares the file with its parent, whose it is.
    if made_by == os.getpid() and len(_free) < FREE and os.fstat(file.fileno()).st_size == PIECE:
        _free.append((made_by, file))
