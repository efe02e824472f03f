"""The little of FlatBuffers that walking Arrow's messages takes: tables, vectors and scalars, each checked to lie inside its buffer.

A table begins with a signed offset back to its vtable, which gives for each field where it lies in the table, or 0
(https://flatbuffers.dev/internals).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator


class Table:
    """One table of a buffer."""

    def __init__(self, data: memoryview, at: int) -> None:
        """Take the table that begins at a position.

        Raises:
            ValueError: it or its vtable lies outside.
        """
        self._data, self._at = data, at
        vtable = at - _unpack("<i", data, at)
        self._fields = _unpack("<H", data, vtable)
        if self._fields < 4 or vtable + self._fields > len(data):
            raise ValueError(f"a table at {at} has a vtable outside its message")
        self._vtable = vtable

    @classmethod
    def root(cls, data: memoryview) -> Table:
        """Take the table that a buffer holds."""
        return cls(data, _unpack("<I", data, 0))

    def scalar(self, field: int, kind: str, default: int = 0) -> int:
        """Read a number, by its `struct` format."""
        at = self._slot(field)
        return default if at is None else _unpack(kind, self._data, at)

    def table(self, field: int) -> Table | None:
        """Read a table, or None where the field is not set."""
        at = self._slot(field)
        return None if at is None else Table(self._data, at + _unpack("<I", self._data, at))

    def tables(self, field: int) -> Iterator[Table]:
        """Read a vector of tables."""
        start, count = self._vector(field, 4)
        for at in range(start, start + 4 * count, 4):
            yield Table(self._data, at + _unpack("<I", self._data, at))

    def structs(self, field: int, kind: str) -> list[tuple[int, ...]]:
        """Read a vector of structs, by their `struct` format."""
        start, count = self._vector(field, struct.calcsize(kind))
        return list(struct.iter_unpack(kind, self._data[start : start + count * struct.calcsize(kind)]))

    def text(self, field: int) -> str | None:
        """Read a text, or None where the field is not set."""
        if self._slot(field) is None:
            return None
        start, count = self._vector(field, 1)
        return bytes(self._data[start : start + count]).decode()

    def _slot(self, field: int) -> int | None:
        entry = 4 + 2 * field
        if entry + 2 > self._fields:
            return None
        offset = _unpack("<H", self._data, self._vtable + entry)
        return self._at + offset if offset else None

    def _vector(self, field: int, size: int) -> tuple[int, int]:
        at = self._slot(field)
        if at is None:
            return 0, 0
        start = at + _unpack("<I", self._data, at)
        count = _unpack("<I", self._data, start)
        if start + 4 + count * size > len(self._data):
            raise ValueError(f"a vector of {count} items at {start} passes the end of its message")
        return start + 4, count


def _unpack(kind: str, data: memoryview, at: int) -> int:
    if at < 0:  # struct would count from the end
        raise ValueError("an offset points before its message")
    return int(struct.unpack_from(kind, data, at)[0])
