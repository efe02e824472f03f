"""Keeps those who change one manifest apart: a writer that appends a line, and whoever replaces the file to prune it."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from attnlog.errors import RunError

#: Seconds to wait for another process; a lock is held for as long as a manifest takes to write.
PATIENCE = 30.0
_PAUSE = 0.02
# What a file system says that has no locks, or a system that refuses them: some network folders.
_NO_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL)


@contextmanager
def locked(path: str | os.PathLike[str], *, wait: float = PATIENCE) -> Iterator[bool]:
    """Hold the lock of a file while the body runs; nobody else who asks for it appends to the file or puts another in its place.

    The lock is advisory and belongs to this call: the body may open the file as it likes. A file that does not exist is made, empty.

    Args:
        path: the file; its folder must exist.
        wait: seconds to wait for another holder at most. One that hangs must not hold up a training for good.

    Yields:
        Whether there is a lock: False where the system or the file system has none.

    Raises:
        RunError: another process held it all the time.
    """
    end = time.monotonic() + wait
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o666)
        try:
            held = _take(handle, end)
            if held is None:
                raise RunError(f"{path} was locked by another process for {wait:.0f} s: see whether an attnlog prune hangs there")
            # While this call waited, the file may have been replaced: then its lock is worth nothing.
            if not _is_still(handle, Path(path)):
                continue
            if not held:  # where there are no locks, a file that is open perhaps cannot be replaced either
                handle = _closed(handle)
            yield held
            return
        finally:
            _closed(handle)  # which gives the lock back


def _take(handle: int, end: float) -> bool | None:
    """Take the lock: True; False where there is none to take; None when the time is over."""
    try:
        import fcntl
    except ImportError:
        return False
    while True:
        try:
            # Not lockf: its locks are lost as soon as any other handle of the same file is closed in this process.
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in _NO_LOCKS:
                return False
            if error.errno not in (errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES, errno.EINTR):
                raise
            if time.monotonic() >= end:
                return None
            time.sleep(_PAUSE)
        else:
            return True


def _closed(handle: int) -> int:
    if handle >= 0:
        os.close(handle)
    return -1


def _is_still(handle: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), os.stat(path))
    except FileNotFoundError:
        return False
