"""Where a run is read from: a folder, anything fsspec can open, or a tracker. A reader sees paths and bytes, and no more."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Callable, Iterator
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, Protocol, TypeAlias, runtime_checkable
from urllib.request import url2pathname

from attnlog.errors import (
    ArgumentError,
    AssetMissing,
    AssetSchemaError,
    AssetTooLarge,
    AttnlogError,
    MissingExtraError,
    MissingPackageError,
    RunError,
    RunNotFoundError,
)
from attnlog.store.manifest import NAME, PATH

GROUP = "attnlog.sources"
#: Nothing longer is read whole; the cap of the format's readers.
LONGEST = 1 << 30
Paths: TypeAlias = list[str]
Folders: TypeAlias = list["FolderSource"]
Urls: TypeAlias = list["FsspecSource"]
#: Offset and length in bytes; fewer bytes come where the file ends before.
Range: TypeAlias = tuple[int, int]

_URL = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]+(?:::|://)")
_TRACKER = re.compile(r"([a-z][a-z0-9_-]+):(.+)", re.DOTALL)
#: The package that brings a file system to fsspec, by the protocol in its URLs.
_PACKAGES = {
    "s3": "s3fs",
    "s3a": "s3fs",
    "gs": "gcsfs",
    "gcs": "gcsfs",
    "az": "adlfs",
    "abfs": "adlfs",
    "abfss": "adlfs",
    "adl": "adlfs",
    "hf": "huggingface_hub",
    "http": "aiohttp",
    "https": "aiohttp",
    "ssh": "paramiko",
    "sftp": "paramiko",
    "smb": "smbprotocol",
    "oci": "ocifs",
    "webdav": "webdav4",
    "webhdfs": "requests",
    "github": "requests",
}


@runtime_checkable
class Source(Protocol):
    """A run as it lies somewhere. What it gives is not to be trusted: the reader verifies every byte."""

    place: str  # as a person would name it, without secrets

    def list(self, *, deep: bool = True) -> Paths:
        """Name the files of the run, in order, relative to it and with ``/``; without `deep` only those that lie at its top.

        Raises:
            RunNotFoundError: there is nothing at this place.
        """
        ...

    def get(self, path: str, range: Range | None = None) -> bytes:
        """Return a file, or so many bytes of it from an offset on; fewer where it ends before.

        Raises:
            AssetSchemaError: no file of a run has this path.
            AssetMissing: it is not there.
            AssetTooLarge: it is longer than any asset.
        """
        ...

    def close(self) -> None:
        """Release what is held; nothing is asked after this."""


def check_path(path: str) -> str:
    """Return a path if a file of a run may have it: whatever a tracker or a manifest says, no other is ever asked for.

    Raises:
        AssetSchemaError: it leads elsewhere.
    """
    if not (PATH.fullmatch(path) or NAME.fullmatch(path)):
        raise AssetSchemaError(f"{path!r} is not the path of a file of a run")
    return path


def not_there(place: str, path: str) -> AssetMissing:
    """Make the error for a file that a manifest names in vain."""
    return AssetMissing(f"{path} is named by a manifest but is not in {place}; copy the run again or fetch it from its tracker")


class FolderSource:
    """A run folder on this machine."""

    def __init__(self, directory: str | os.PathLike[str]) -> None:
        self.directory = Path(directory)
        self.place = str(self.directory)

    def list(self, *, deep: bool = True) -> Paths:
        """Name the files; links are not followed, and a folder that goes while it is looked at is left out."""
        try:
            return sorted(_files(self.directory, "", deep=deep))
        except FileNotFoundError as error:
            raise RunNotFoundError(f"there is no run at {self.place}: no such folder") from error
        except OSError as error:
            raise RunError(f"{self.place} cannot be read: {error.strerror or error}") from error

    def get(self, path: str, range: Range | None = None) -> bytes:
        """Read a file, or a part of it."""
        try:
            with open(self.directory / check_path(path), "rb") as file:
                if range is not None:
                    file.seek(range[0])
                    return file.read(range[1])
                data = file.read(LONGEST + 1)
        except (FileNotFoundError, NotADirectoryError) as error:
            raise not_there(self.place, path) from error
        except OSError as error:
            raise RunError(f"{self.place}/{path} cannot be read: {error.strerror or error}") from error
        if len(data) > LONGEST:
            raise AssetTooLarge(f"{self.place}/{path} is longer than {LONGEST} bytes")
        return data

    def close(self) -> None:
        """Nothing is held."""

    def inside(self) -> Folders:
        """The runs one folder below, the last written first."""
        folders = (entry for entry in self.directory.iterdir() if entry.is_dir() and not entry.is_symlink())
        found = [(run, manifests) for run in map(FolderSource, folders) if (manifests := manifests_in(run))]
        written = {run.place: max((run.directory / name).stat().st_mtime for name in manifests) for run, manifests in found}
        return sorted((run for run, _ in found), key=lambda run: (-written[run.place], run.place))


class FsspecSource:
    """A run at a URL that fsspec can open: ``s3://``, ``gs://``, ``memory://`` and many others."""

    def __init__(self, url: str) -> None:
        """Find the file system.

        Raises:
            MissingPackageError: its package is not installed.
            ArgumentError: no file system has this protocol.
            RunError: it cannot be used.
        """
        from attnlog.delivery.redact import describe, redact

        self.url = url.rstrip("/")
        self.place = redact(self.url)
        self._describe = describe
        protocol = re.split(r"::|://", url, maxsplit=1)[0].lower()
        try:
            from fsspec.core import url_to_fs

            made, root = url_to_fs(url)
        except ImportError as error:
            package = _PACKAGES.get(protocol)
            raise MissingPackageError(package, f"{protocol}://", redact(str(error))) from error
        except ValueError as error:
            raise ArgumentError(f"{self.place} cannot be opened: {describe(error)}") from None
        except Exception as error:
            raise RunError(f"{self.place} cannot be reached: {describe(error)}") from None
        self.files: Any = made
        self.root = str(root).rstrip("/")

    def list(self, *, deep: bool = True) -> Paths:
        """Name the files, as they are now."""
        try:
            self.files.invalidate_cache()
            found = self.files.find(self.root, maxdepth=None if deep else 1)
            if not found:
                self.files.info(self.root)  # some file systems find nothing where they reach nobody
        except FileNotFoundError as error:
            raise RunNotFoundError(f"there is no run at {self.place}: no such folder") from error
        except Exception as error:
            raise RunError(f"{self.place} cannot be read: {self._describe(error)}") from None
        start = f"{self.root}/"
        return sorted(name[len(start) :] for name in found if name.startswith(start))

    def get(self, path: str, range: Range | None = None) -> bytes:
        """Read a file, or ask for a part of it."""
        start, end = (0, LONGEST + 1) if range is None else (range[0], range[0] + range[1])
        if start == end:
            return b""
        try:
            # Without a range the end is not named: some file systems refuse one that lies behind the file's.
            where = f"{self.root}/{check_path(path)}"
            data = bytes(self.files.cat_file(where) if range is None else self.files.cat_file(where, start=start, end=end))
        except FileNotFoundError as error:
            raise not_there(self.place, path) from error
        except AttnlogError:
            raise
        except Exception as error:
            raise RunError(f"{self.place}/{path} cannot be read: {self._describe(error)}") from None
        if len(data) > LONGEST:
            raise AssetTooLarge(f"{self.place}/{path} is longer than {LONGEST} bytes")
        if range is not None and len(data) > range[1]:  # a web server that knows no ranges gives the whole file
            return data[start:end]
        return data

    def inside(self) -> Urls:
        """The runs one folder below, by their names."""
        try:
            found = {name.rsplit("/", 2)[-2] for name in self.files.glob(f"{self.root}/*/manifest-*.jsonl")}
        except Exception as error:
            raise RunError(f"{self.place} cannot be read: {self._describe(error)}") from None
        return [FsspecSource(f"{self.url}/{name}") for name in sorted(found)]

    def close(self) -> None:
        """Nothing: fsspec keeps its connections for the next user of the same file system."""


def known_sources() -> dict[str, EntryPoint]:
    """Every tracker that runs can be read from, by name, none of them loaded."""
    return {entry.name: entry for entry in entry_points(group=GROUP)}


def open_source(place: str | os.PathLike[str] | Source) -> Source:
    """Find the source that a place names: a path, a URL, or ``tracker:run``.

    Raises:
        ArgumentError: it names no place that could be.
        RunNotFoundError, RunError, TrackerError: it is not there, or cannot be reached.
        MissingExtraError: a package that it needs is not installed.
    """
    if isinstance(place, Source):
        return place
    if (folder := local_folder(place)) is not None:
        return FolderSource(folder)
    text = str(place)
    if _URL.match(text):
        return FsspecSource(text)
    name, _, run = text.partition(":")
    known = known_sources()
    if name not in known:
        raise ArgumentError(
            f"{text!r} is no folder, and no run can be read from {name!r}; known: {', '.join(f'{n}:' for n in sorted(known))}"
        )
    return _tracker_source(known[name], name, run)


def local_folder(place: str | os.PathLike[str]) -> Path | None:
    """The folder of this machine that a place names, whether it is there or not; None: it names a URL or a tracker's run."""
    if not isinstance(place, str):
        return Path(place)
    if place.startswith("file://"):
        return Path(url2pathname(place.removeprefix("file://")))
    named = _TRACKER.fullmatch(place)
    if _URL.match(place) or (named is not None and named[1] in known_sources()):
        return None
    # What looks like tracker:run is one, though nobody knows the tracker, unless a folder is called so.
    return Path(place) if named is None or Path(place).exists() else None


def _tracker_source(entry: EntryPoint, name: str, run: str) -> Source:
    from attnlog.delivery.redact import describe
    from attnlog.errors import TrackerError

    try:
        factory: Callable[[str], Source] = entry.load()
        made = factory(run)
    except AttnlogError:
        raise
    except ModuleNotFoundError as error:
        package = (error.name or name).partition(".")[0]
        raise MissingExtraError(package, name, f"reading {name}:{run}") from error
    except Exception as error:
        # Said in our words: a tracker's own error can name an address with a password in it.
        raise TrackerError(f"{name}:{run} cannot be read: {describe(error)}") from None
    if not isinstance(made, Source):
        raise ArgumentError(f"the source {name!r} made a {type(made).__name__}, which lacks part of attnlog.store.source.Source")
    return made


def manifests_in(source: Source) -> Paths:
    """Name the manifests of a run, in the order of their writers' names."""
    return sorted(name for name in source.list(deep=False) if NAME.fullmatch(name))


def _files(directory: Path, inside: str, *, deep: bool) -> Iterator[str]:
    with os.scandir(directory / inside) as entries:
        for entry in entries:
            if entry.is_file(follow_symlinks=False):
                yield inside + entry.name
            elif deep and entry.is_dir(follow_symlinks=False):
                with contextlib.suppress(FileNotFoundError):
                    yield from _files(directory, f"{inside}{entry.name}/", deep=True)
