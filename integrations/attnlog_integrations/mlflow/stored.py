"""Reads assets on MLflow's server, through its own artifact repositories: in place, or fetched once from an object store."""

from __future__ import annotations

import logging
import posixpath
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from attnlog.errors import TrackerError
from attnlog.store.kept import Kept
from attnlog.store.manifest import NAME
from attnlog.store.source import LONGEST, check_path, not_there
from attnlog_integrations.mlflow.internals import Stored

TOP = "attnlog"
_PIECE = 1 << 20
#: Several, so that whoever waits for an asset from an object store holds up few others; together they keep up to 2 GiB of disk.
_SHELVES = 16
_log = logging.getLogger("attnlog.mlflow")


class Reader:
    """Opens assets and manifests of runs. Repositories give no parts of a file, so what they fetch is kept for the next part."""

    def __init__(self) -> None:
        self._shelves = [Kept((2 << 30) // _SHELVES) for _ in range(_SHELVES)]

    def manifests(self, run: str, stored: Stored) -> list[dict[str, str]]:
        """Names and texts of a run's manifests; none where nothing was logged to it."""
        try:
            listed = stored.repository.list_artifacts(stored.path(TOP))
        except Exception as error:
            raise _unread(run, TOP, error) from None
        names = {posixpath.basename(str(one.path)) for one in listed if not one.is_dir}
        found = []
        for name in sorted(name for name in names if NAME.fullmatch(name)):
            with self.open(run, stored, name) as file:
                found.append({"name": name, "text": file.read(LONGEST).decode("utf-8", "replace")})
        return found

    def open(self, run: str, stored: Stored, path: str) -> BinaryIO:
        """Open an asset or a manifest.

        Raises:
            AssetSchemaError: no file of a run has this path.
            AssetMissing: it is not there.
            TrackerError: the store does not give it.
        """
        inside = stored.path(f"{TOP}/{check_path(path)}")  # before anything is asked of the store
        try:
            local = stored.repository.get_local_path(inside)
            if local is not None:
                return open(local, "rb")
            if NAME.fullmatch(path):  # it grows
                return _spooled(stored, inside)
            key = f"{run}/{path}"
            return self._shelves[hash(key) % _SHELVES].opened(key, lambda: _fetched(stored, inside))
        except Exception as error:
            if _is_absent(error) or not _is_listed(stored, inside):
                raise not_there(f"mlflow:{run}", path) from None
            raise _unread(run, path, error) from None


def _fetched(stored: Stored, inside: str) -> Iterator[bytes]:
    with (
        tempfile.TemporaryDirectory(prefix="attnlog-") as scratch,
        Path(stored.repository.download_artifacts(inside, scratch)).open("rb") as file,
    ):
        while piece := file.read(_PIECE):
            yield piece


def _spooled(stored: Stored, inside: str) -> BinaryIO:
    spool: BinaryIO = tempfile.TemporaryFile(prefix="attnlog-")  # noqa: SIM115 (the caller closes it)
    for piece in _fetched(stored, inside):
        spool.write(piece)
    spool.seek(0)
    return spool


def _is_absent(error: Exception) -> bool:
    from mlflow.exceptions import MlflowException

    if isinstance(error, MlflowException):
        return bool(error.get_http_status_code() == 404)
    return isinstance(error, FileNotFoundError)


def _is_listed(stored: Stored, inside: str) -> bool:
    """Whether a file that could not be had is there: each object store has an error of its own for one that is not."""
    folder, name = posixpath.split(inside)
    try:
        return any(posixpath.basename(str(one.path)) == name for one in stored.repository.list_artifacts(folder))
    except Exception:
        return True  # the store does not answer at all; the first error says why


def _unread(run: str, path: str, error: Exception) -> TrackerError:
    # Its words are for who runs the server: they can name buckets, hosts and accounts.
    _log.error("attnlog could not read %s of run %s: %s: %s", path, run, type(error).__name__, error)
    return TrackerError(f"the artifact store does not give {path} of run {run}; the log of the MLflow server says why")
