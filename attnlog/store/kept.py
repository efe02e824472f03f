"""Files fetched whole from where no part of one can be had, kept in a temporary folder so that each is fetched once."""

from __future__ import annotations

import hashlib
import tempfile
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import BinaryIO

from attnlog.errors import AssetTooLarge, RunError
from attnlog.store.source import LONGEST, Range

#: Bytes that one run may keep; those that were not asked for longest go first.
ROOM = 2 << 30


class Kept:
    """The temporary folder of one source. It goes with `close`, with the object, and with the process."""

    def __init__(self, room: int = ROOM) -> None:
        self._room = room
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._sizes: OrderedDict[str, int] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, path: str, range: Range | None, fetch: Callable[[], Iterable[bytes]]) -> bytes:
        """Return a file or a part of it; what is not kept yet comes from `fetch`, in pieces.

        Raises:
            AssetTooLarge: more pieces came than any asset has.
            RunError: there is no room for them on this machine.
        """
        with self.opened(path, fetch) as file:
            file.seek(range[0] if range else 0)
            return file.read(range[1] if range else -1)

    def opened(self, path: str, fetch: Callable[[], Iterable[bytes]]) -> BinaryIO:
        """Return a file open for reading; it stays readable when it is no longer kept.

        Raises:
            AssetTooLarge: more pieces came than any asset has.
            RunError: there is no room for them on this machine.
        """
        with self._lock:
            try:
                file = self._file(path)
                if path not in self._sizes:
                    self._sizes[path] = _written(file, path, fetch)
                    self._make_room(path)
                self._sizes.move_to_end(path)
                return file.open("rb")
            except OSError as error:
                raise RunError(f"{path} cannot be kept in {tempfile.gettempdir()}: {error.strerror or error}") from error

    def close(self) -> None:
        """Remove the folder."""
        with self._lock:
            self._sizes.clear()
            if self._folder is not None:
                self._folder.cleanup()
                self._folder = None

    def _file(self, path: str) -> Path:
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(prefix="attnlog-")
        # Named by a digest: what a tracker calls an asset is no path of this machine.
        return Path(self._folder.name, hashlib.sha256(path.encode()).hexdigest())

    def _make_room(self, newest: str) -> None:
        while sum(self._sizes.values()) > self._room and len(self._sizes) > 1:
            oldest = next(path for path in self._sizes if path != newest)
            del self._sizes[oldest]
            self._file(oldest).unlink(missing_ok=True)


def _written(file: Path, path: str, fetch: Callable[[], Iterable[bytes]]) -> int:
    size = 0
    try:
        pieces = fetch()
        with file.open("wb") as out:
            for piece in pieces:
                size += len(piece)
                if size > LONGEST:
                    raise AssetTooLarge(f"{path} is longer than {LONGEST} bytes")
                out.write(piece)
    except BaseException:
        file.unlink(missing_ok=True)
        raise
    return size
