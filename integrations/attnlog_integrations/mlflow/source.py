"""Reads a run back from MLflow: out of its artifact folder where that is on this machine, else from the server, by parts if it can."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeAlias, TypeVar
from urllib.parse import quote, urlsplit
from urllib.request import url2pathname

from attnlog.delivery.redact import describe, redact
from attnlog.errors import AssetTooLarge, AttnlogError, RunNotFoundError, TrackerError
from attnlog.store.kept import Kept
from attnlog.store.manifest import NAME, PATH
from attnlog.store.source import LONGEST, FolderSource, Paths, Range, Source, check_path, not_there
from attnlog_integrations.mlflow.bounded import bounded

TOP = "attnlog"
_PIECE = 1 << 20
_CONTENT_RANGE = re.compile(r"bytes ([0-9]+)-([0-9]+)/")
#: How MLflow's client says what a gateway answers, of which it knows no error code.
_REFUSED = re.compile(r"error code 40[13]\b")
_NOT_FOUND = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")
LOGIN = "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN"
_DELIVERS = "MLflow says that this run still runs: a training that delivers to it would name again what is pruned"
#: Path in the run's artifacts, whether it is a folder, bytes where the store says.
Listing: TypeAlias = list[tuple[str, bool, int | None]]
Sizes: TypeAlias = dict[str, int]
Answer = TypeVar("Answer")


def open_run(run: str) -> Source:
    """Open what an MLflow run holds, at the tracking URI that MLflow is set to.

    Raises:
        RunNotFoundError: there is no such run.
        TrackerError: MLflow cannot be reached, or refuses.
    """
    import mlflow

    return find_source(str(mlflow.get_tracking_uri()), run)


def find_run(uri: str, run: str) -> Any:
    """What MLflow says of a run.

    Raises:
        RunNotFoundError: there is no such run.
        TrackerError: MLflow cannot be reached, or refuses.
    """
    from mlflow import MlflowClient

    if uri.startswith("sqlite:///") and not Path(uri.removeprefix("sqlite:///")).exists():
        # MLflow's client would make an empty database there.
        raise RunNotFoundError(f"there is no MLflow database {redact(uri)}: set MLFLOW_TRACKING_URI to where run {run} was logged")
    client = asked(uri, lambda: MlflowClient(tracking_uri=uri))
    nobody = f"MLflow at {redact(uri)} has no run {run}: check the run's id and MLFLOW_TRACKING_URI"
    return asked(uri, lambda: client.get_run(run), missing=nobody).info


def find_source(uri: str, run: str) -> LocalArtifacts | MlflowSource:
    """Open what the MLflow at a tracking URI holds of a run.

    Raises:
        RunNotFoundError: there is no such run.
        TrackerError: MLflow cannot be reached, or refuses.
    """
    info = find_run(uri, run)
    running = str(info.status) == "RUNNING"
    folder = _folder(str(info.artifact_uri))
    if folder is not None and folder.is_dir():
        return LocalArtifacts(folder / TOP, run, running=running)
    return MlflowSource(uri, run, str(info.artifact_uri), running=running)


class LocalArtifacts(FolderSource):
    """Artifacts that lie on this machine."""

    def __init__(self, directory: Path, run: str, *, running: bool) -> None:
        super().__init__(directory)
        self.place = f"mlflow:{run}"
        self._running = running

    def sizes(self) -> Sizes:
        """Path inside the run → bytes, of each of its files that is there."""
        if not self.directory.is_dir():
            return {}
        return {path: (self.directory / path).stat().st_size for path in self.list() if is_run_file(path)}

    def caution(self) -> str | None:
        """Say what a person should know before something is pruned here."""
        return _DELIVERS if self._running else None


class MlflowSource:
    """Artifacts that only MLflow can reach."""

    def __init__(self, uri: str, run: str, artifacts: str, *, running: bool) -> None:
        from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

        self.place = f"mlflow:{run}"
        self._uri, self._artifacts = uri, artifacts
        self._store = asked(uri, lambda: get_artifact_repository(artifacts, tracking_uri=uri))
        self._running = running
        self._server = Server(uri, artifacts, run) if uri.startswith(("http://", "https://")) else None
        self._parts = self._server is not None  # until an answer comes whole
        self._kept = Kept()

    def list(self, *, deep: bool = True) -> Paths:
        """Name the artifacts under ``attnlog/``."""
        return sorted(path for path, _ in self._files(deep=deep))

    def sizes(self) -> Sizes:
        """Path inside the run → bytes, of each of its files that is there; one whose size the store does not say is left out."""
        return {path: size for path, size in self._files(deep=True) if size is not None and is_run_file(path)}

    def _files(self, *, deep: bool) -> Iterator[tuple[str, int | None]]:
        folders = [TOP]
        while folders:
            for path, is_folder, size in self._listed(folders.pop()):
                if not path.startswith(f"{TOP}/"):
                    continue
                if not is_folder:
                    yield path.removeprefix(f"{TOP}/"), size
                elif deep:
                    folders.append(path)

    def get(self, path: str, range: Range | None = None) -> bytes:
        """Get an artifact, or ask the server for a part of it."""
        check_path(path)
        if range is None:  # a manifest, which grows, is never kept
            return _joined(self._whole(path), path)
        if not range[1]:
            return b""
        if self._parts and self._server is not None:
            answer = self._server.ask(path, {"Range": f"bytes={range[0]}-{range[0] + range[1] - 1}"})
            with answer:
                if answer.status_code == 416:
                    return b""  # the file ends before
                if answer.status_code == 206 and _is_part(answer, range):
                    return _joined(self._server.stream(answer, path), path)
                self._server.check(answer, path, self.place)
                self._parts = False
                if answer.status_code == 200:  # the whole file is on its way already
                    return self._kept.get(path, range, lambda: self._server.stream(answer, path))  # type: ignore[union-attr]
        return self._kept.get(path, range, lambda: self._whole(path))

    def close(self) -> None:
        """Remove what was fetched whole."""
        self._kept.close()

    def caution(self) -> str | None:
        """Say what a person should know before something is pruned here."""
        return _DELIVERS if self._running else None

    def refusal(self) -> str | None:
        """Say why nothing can be pruned here, or None."""
        from mlflow.store.artifact.artifact_repo import ArtifactRepository

        if type(self._store).delete_artifacts is ArtifactRepository.delete_artifacts:
            return f"MLflow cannot delete artifacts from {redact(self._artifacts)}: prune the run folder, and log it to another run"
        return None

    def replace(self, path: str, data: bytes) -> None:
        """Put a file in the place of another."""
        with tempfile.TemporaryDirectory(prefix="attnlog-") as scratch:
            file = Path(scratch, check_path(path))
            file.write_bytes(data)
            asked(self._uri, lambda: self._store.log_artifact(str(file), TOP))

    def remove(self, paths: Sequence[str]) -> None:
        """Delete files."""
        for path in map(check_path, paths):
            asked(self._uri, lambda path=path: self._store.delete_artifacts(f"{TOP}/{path}"))  # type: ignore[misc]

    def _listed(self, folder: str) -> Listing:
        # A server whose artifacts lie in a folder of its own machine lists them itself; the client would look on this one.
        if self._server is not None and not self._server.proxied and (said := self._server.listed(folder)) is not None:
            return said
        entries = asked(self._uri, lambda: self._store.list_artifacts(folder))
        return [(str(entry.path), bool(entry.is_dir), entry.file_size) for entry in entries]

    def _whole(self, path: str) -> Iterable[bytes]:
        if self._server is not None:
            answer = self._server.ask(path, {})
            if answer.status_code == 200:
                return self._server.stream(answer, path)
            with answer:
                self._server.check(answer, path, self.place)
        return self._downloaded(path)

    def _downloaded(self, path: str) -> Iterator[bytes]:
        """By MLflow's client, which goes to the store itself with the credentials of this machine."""
        with tempfile.TemporaryDirectory(prefix="attnlog-") as scratch:
            try:
                found = asked(self._uri, lambda: self._store.download_artifacts(f"{TOP}/{path}", scratch))
                with Path(found).open("rb") as file:
                    while piece := file.read(_PIECE):
                        yield piece
            except (RunNotFoundError, FileNotFoundError) as error:
                raise not_there(self.place, path) from error


class Server:
    """The routes of a tracking server that give an artifact, asked with the credentials that MLflow's client would use."""

    def __init__(self, uri: str, artifacts: str, run: str) -> None:
        self.uri, self.run = uri.rstrip("/"), run
        self.proxied = artifacts.startswith("mlflow-artifacts:")
        self._artifacts = artifacts

    def ask(self, path: str, headers: dict[str, str]) -> Any:
        """Ask for an artifact; the answer is to be read and closed."""
        # Not compressed on the way: a part of a compressed answer would be no part of the file.
        headers = {"Accept-Encoding": "identity", **headers}
        if self.proxied:
            from mlflow.store.artifact.mlflow_artifacts_repo import MlflowArtifactsRepository

            return self._get(MlflowArtifactsRepository.resolve_uri(self._artifacts, self.uri), f"/{TOP}/{quote(path)}", headers, {})
        return self._get(self.uri, "/get-artifact", headers, {"path": f"{TOP}/{path}", "run_uuid": self.run})

    def listed(self, folder: str) -> Listing | None:
        """What the server says lies in a folder; None when it does not say."""
        found: Listing = []
        token = ""
        while True:
            query = {"run_id": self.run, "path": folder, **({"page_token": token} if token else {})}
            with self._get(self.uri, "/api/2.0/mlflow/artifacts/list", {}, query) as answer:
                if answer.status_code != 200:
                    return None
                said = answer.json()
            for entry in said.get("files", []):
                # JSON has no integers of 64 bits: MLflow writes them as text.
                size = int(entry["file_size"]) if "file_size" in entry else None
                found.append((str(entry["path"]), bool(entry.get("is_dir")), size))
            if not (token := str(said.get("next_page_token") or "")):
                return found

    def check(self, answer: Any, path: str, place: str) -> None:
        """Raise what an answer says that gives no artifact, where nobody else can do better."""
        status, uri = answer.status_code, redact(self.uri)
        if status == 404:
            raise not_there(place, path)
        if status in (401, 403):
            raise TrackerError(f"{uri} refuses {path} of {place} ({status}): set {LOGIN}, of somebody who may read the run")
        if self.proxied and status not in (200, 206):
            raise TrackerError(f"{uri} answers {status} for {path} of {place}; its log says why")

    def stream(self, answer: Any, path: str) -> Iterator[bytes]:
        """The bytes of an answer."""
        import requests

        try:
            with answer:
                yield from answer.iter_content(_PIECE)
        except requests.RequestException as error:
            raise TrackerError(f"{redact(self.uri)} broke off within {path}: {describe(error)}") from None

    def _get(self, host: str, endpoint: str, headers: dict[str, str], query: dict[str, str]) -> Any:
        from mlflow.utils.credentials import get_default_host_creds
        from mlflow.utils.rest_utils import http_request

        def get() -> Any:
            credentials = get_default_host_creds(host)
            more = {"extra_headers": headers, "params": query, "stream": True}
            return http_request(credentials, endpoint, "GET", raise_on_status=False, **more)

        return asked(self.uri, get)


def asked(uri: str, question: Callable[[], Answer], *, missing: str | None = None) -> Answer:
    """Ask MLflow something for a bounded time, and say its errors in our words."""
    from mlflow.exceptions import MlflowException

    try:
        with bounded():
            return question()
    except AttnlogError:
        raise
    except Exception as error:
        if isinstance(error, MlflowException) and error.error_code in _NOT_FOUND:
            raise RunNotFoundError(missing or f"MLflow at {redact(uri)} has no such run or artifact: {describe(error)}") from None
        remedy = f"set {LOGIN}, of somebody who may" if is_refusal(error) else "check MLFLOW_TRACKING_URI, and that the server is up"
        raise TrackerError(f"MLflow at {redact(uri)} cannot be read ({describe(error)}): {remedy}") from None


def is_refusal(error: Exception) -> bool:
    """Whether MLflow lets whoever asks not do so."""
    from mlflow.exceptions import MlflowException

    return isinstance(error, MlflowException) and bool(error.get_http_status_code() in (401, 403) or _REFUSED.search(str(error)))


def is_run_file(path: str) -> bool:
    """Whether this is the path of an asset or a manifest, not of what MLflow's own artifacts have beside them."""
    return bool(PATH.fullmatch(path) or NAME.fullmatch(path))


def _is_part(answer: Any, range: Range) -> bool:
    said = _CONTENT_RANGE.match(answer.headers.get("Content-Range", ""))
    return said is not None and int(said[1]) == range[0] and int(said[2]) < range[0] + range[1]


def _joined(pieces: Iterable[bytes], path: str) -> bytes:
    data = bytearray()
    for piece in pieces:
        data += piece
        if len(data) > LONGEST:
            raise AssetTooLarge(f"{path} is longer than {LONGEST} bytes")
    return bytes(data)


def _folder(artifacts: str) -> Path | None:
    """The folder that an artifact URI names, where it names one of this machine."""
    parts = urlsplit(artifacts)
    if parts.scheme == "file" and parts.netloc in ("", "localhost"):
        return Path(url2pathname(parts.path))
    return Path(artifacts) if not parts.scheme or os.path.isabs(artifacts) else None
