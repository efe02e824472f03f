"""Reads a run back from Comet: from an experiment by its key, or from the archive that its client wrote offline."""

from __future__ import annotations

import json
import re
import tempfile
import threading
import zipfile
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, TypeVar

from attnlog.delivery.redact import describe, redact
from attnlog.errors import ArgumentError, RunError, RunNotFoundError, TrackerError
from attnlog.store.kept import Kept
from attnlog.store.source import LONGEST, Paths, Range, Source, check_path, not_there

TOP = "attnlog/"
#: Seconds that Comet may take to answer a question that is not for an asset's bytes.
PATIENCE = 60.0
#: So many questions may wait for an answer after that; then nothing more is asked until one of them is over.
UNANSWERED = 4
_PIECE = 1 << 20
KEY = re.compile(r"[A-Za-z0-9]{20,64}")
_LONGEST_MESSAGES = 256_000_000
Answer = TypeVar("Answer")
#: Threads whose questions went unanswered, by the address that was asked: Comet's client tries on for many minutes.
_unanswered: dict[str, list[threading.Thread]] = {}
_counting = threading.Lock()


class UnreadableError(TrackerError):
    """Comet answers, and lets this API key not read the experiment; whether it may be written to is another question."""


def open_run(run: str) -> Source:
    """Open the assets of an experiment, or an archive of one.

    Raises:
        RunNotFoundError: there is no such experiment or archive.
        TrackerError: Comet cannot be reached, or refuses.
        ArgumentError: it is neither a key nor a zip file.
    """
    if run.endswith(".zip"):
        return ArchiveSource(Path(run))
    if not KEY.fullmatch(run):
        raise ArgumentError(f"comet:{run} is neither an experiment's key (letters and digits, as in its page's address) nor a .zip file")
    return CometSource(run)


class CometSource:
    """The assets of an experiment. Comet gives them whole only."""

    def __init__(self, experiment: str, api_key: str | None = None) -> None:
        """Find the experiment, by this API key or the one in Comet's configuration."""
        self.place = f"comet:{experiment}"
        self._address = _address()
        self._experiment = self._asked(lambda: _experiment(experiment, api_key))
        if self._experiment is None:
            raise RunNotFoundError(f"Comet at {self._address} has no experiment {experiment} that this API key may read")
        self._ids: dict[str, str] = {}
        self._kept = Kept()

    def list(self, *, deep: bool = True) -> Paths:
        """Name the assets under ``attnlog/``; of several of one name the newest counts."""
        self._ids = {path: asset["assetId"] for path, asset in newest(self.assets()).items()}
        return sorted(path for path in self._ids if deep or "/" not in path)

    def get(self, path: str, range: Range | None = None) -> bytes:
        """Get an asset; it is fetched whole, and once."""
        check_path(path)
        if path not in self._ids:
            self.list()
        if path not in self._ids:
            raise not_there(self.place, path)
        # Under its id: an asset that was replaced, as a manifest is, has another.
        return self._kept.get(self._ids[path], range, lambda: self._fetch(path))

    def close(self) -> None:
        """Remove what was fetched."""
        self._kept.close()

    def caution(self) -> str | None:
        """Comet does not say whether an experiment still runs."""
        return "a training that still delivers to this experiment would name again what is pruned"

    def refusal(self) -> str | None:
        """Comet can delete assets."""
        return None

    def replace(self, path: str, data: bytes) -> None:
        """Log an asset in the place of another."""
        with tempfile.TemporaryDirectory(prefix="attnlog-") as scratch:
            file = Path(scratch, check_path(path))
            file.write_bytes(data)
            self.write(file, path)

    def write(
        self,
        file: Path,
        path: str,
        *,
        step: int | None = None,
        metadata: Mapping[str, Any] | None = None,
        replace: bool = True,
        patience: float | None = None,
    ) -> None:
        """Log a file under a path inside the run, in the place of another of its name or beside it."""
        old = [asset["assetId"] for asset in self.assets() if inside(asset) == path] if replace else []
        given = {"name": TOP + path, "overwrite": replace, "step": step, "metadata": metadata}
        said = self._asked(lambda: self._experiment.log_asset(str(file), **given), patience, "written to")
        if said is None:
            raise TrackerError(f"Comet at {self._address} did not take {path}; its client's log says why")
        if replace:
            # Where overwrite= leaves the old one, it must not come back as the newest of its name.
            kept = [asset["assetId"] for asset in self.assets() if inside(asset) == path]
            if len(kept) > 1:
                self._delete([id for id in old if id in kept])
        self._ids.pop(path, None)

    def write_number(self, name: str, value: float, *, step: int | None, epoch: float | None, time: float | None) -> None:
        """Log one value of a metric; ``time`` is in seconds since 1970."""
        given = {"step": step, "epoch": epoch, "timestamp": time}
        self._asked(lambda: self._experiment.log_metric(name, value, **given), None, "written to")

    def steps(self, name: str) -> set[int]:
        """Steps at which a metric has a value."""
        found = self._asked(lambda: self._experiment.get_metrics(name))
        said = [one.get("step") for one in found or [] if isinstance(one, dict)]
        return {int(step) for step in said if isinstance(step, (int, float, str)) and str(step).lstrip("-").isdecimal()}

    def once(self, paths: Container[str]) -> None:
        """Delete, of several assets of one of these paths, all but the newest: the client tries again what may have arrived."""
        assets = self.assets()
        kept = {asset["assetId"] for asset in newest(assets).values()}
        older = [asset for asset in assets if asset["assetId"] not in kept]
        self._delete([asset["assetId"] for asset in older if (path := inside(asset)) is not None and path in paths])

    def page(self) -> str | None:
        """Give the address of the experiment's page."""
        found = self._asked(lambda: self._experiment.url)
        return redact(str(found)) if found else None

    def remove(self, paths: Sequence[str]) -> None:
        """Delete assets, and the copies of them that were logged as text."""
        wanted = {name for path in map(check_path, paths) for name in (path, f"{path}.json")}
        self._delete([asset["assetId"] for asset in self.assets() if inside(asset) in wanted])

    def _delete(self, ids: Iterable[str]) -> None:
        for id in ids:
            self._asked(lambda id=id: self._experiment.delete_asset(id))  # type: ignore[misc]

    def assets(self) -> Sequence[Mapping[str, Any]]:
        """What Comet says of each asset of the experiment, of attnlog or not. It holds the key: show none of it as it is."""
        found = self._asked(lambda: self._experiment.get_asset_list(timeout=int(PATIENCE)))
        return [asset for asset in found or [] if isinstance(asset, dict) and isinstance(asset.get("assetId"), str)]

    def _fetch(self, path: str) -> Iterator[bytes]:
        answer = self._asked(lambda: self._experiment.get_asset(self._ids[path], return_type="response", stream=True))
        try:
            with answer:
                yield from answer.iter_content(_PIECE)
        except Exception as error:
            raise TrackerError(f"Comet at {self._address} broke off within {path}: {describe(error)}") from None

    def _asked(self, question: Callable[[], Answer], patience: float | None = None, doing: str = "read") -> Answer:
        """Ask Comet's client something, for a bounded time: while the line is down, it tries for many minutes."""
        answers: list[Answer] = []
        errors: list[Exception] = []

        def ask() -> None:
            try:
                answers.append(question())
            except Exception as error:
                errors.append(error)

        thread = threading.Thread(target=ask, name="attnlog-comet", daemon=True)
        patience = PATIENCE if patience is None else patience
        with _counting:
            waiting = _unanswered[self._address] = [one for one in _unanswered.get(self._address, ()) if one.is_alive()]
            silent = len(waiting) >= UNANSWERED
        if not silent:
            try:
                thread.start()
            except RuntimeError:  # an interpreter that is going down starts no threads
                ask()
            else:
                thread.join(patience)
                if thread.is_alive():
                    with _counting:
                        waiting.append(thread)
        if answers:
            return answers[0]
        error = errors[0] if errors else None
        why = describe(error) if error else f"{UNANSWERED} questions unanswered" if silent else f"no answer within {patience:.0f} s"
        refused = getattr(getattr(error, "response", None), "status_code", None) in (401, 403)
        raise (UnreadableError if refused else TrackerError)(
            f"Comet at {self._address} cannot be {doing} ({why}): check COMET_API_KEY, or ~/.comet.config, and the line"
        ) from None


class ArchiveSource:
    """The zip file that Comet's client writes when it is offline, as it is before ``comet upload``."""

    def __init__(self, file: Path) -> None:
        """Read what the archive says it holds."""
        self.place = f"comet:{file}"
        if not file.is_file():
            raise RunNotFoundError(f"there is no archive {file}")
        try:
            self._archive = zipfile.ZipFile(file)
            self._members = {info.filename: info for info in self._archive.infolist()}
            self._assets = dict(self._named())
        except (
            zipfile.BadZipFile,
            OSError,
            ValueError,
            LookupError,
            TypeError,
            AttributeError,
            NotImplementedError,
            RuntimeError,
        ) as error:
            raise RunError(f"{file} is not an archive of Comet's client: {describe(error)}") from None
        self._kept = Kept()

    def list(self, *, deep: bool = True) -> Paths:
        """Name the assets under ``attnlog/``."""
        return sorted(path for path in self._assets if deep or "/" not in path)

    def get(self, path: str, range: Range | None = None) -> bytes:
        """Unpack an asset; it is unpacked once."""
        check_path(path)
        if path not in self._assets:
            raise not_there(self.place, path)
        return self._kept.get(path, range, lambda: self._unpacked(path))

    def close(self) -> None:
        """Close the archive, and remove what was unpacked."""
        self._archive.close()
        self._kept.close()

    def caution(self) -> str | None:
        """Nothing."""
        return None

    def refusal(self) -> str | None:
        """Say what to do instead."""
        return "an offline archive cannot be changed: upload it with comet upload, and prune comet:EXPERIMENT_KEY"

    def _named(self) -> Iterator[tuple[str, str]]:
        """Path inside the run and member of the archive, in the order in which they were logged: of one name the last counts."""
        messages = self._members["messages.json"]
        if messages.file_size > _LONGEST_MESSAGES:
            raise ValueError(f"its messages take {messages.file_size} bytes, at most {_LONGEST_MESSAGES} are read")
        with self._archive.open(messages) as lines:
            for line in lines:
                payload = json.loads(line).get("payload") or {}
                path = inside(payload.get("additional_params") or {})
                # Members lie flat in the archive, and were files of some folder before.
                member = re.split(r"[/\\]", str(payload.get("file_path") or ""))[-1]
                if path is not None and member in self._members:
                    yield path, member

    def _unpacked(self, path: str) -> Iterator[bytes]:
        member = self._members[self._assets[path]]
        if member.file_size > LONGEST:
            raise RunError(f"{path} of {self.place} would unpack to {member.file_size} bytes, at most {LONGEST} are read")
        try:
            with self._archive.open(member) as file:
                while piece := file.read(_PIECE):
                    yield piece
        except (zipfile.BadZipFile, EOFError, OSError, NotImplementedError, RuntimeError) as error:
            raise RunError(f"{path} of {self.place} cannot be unpacked: {describe(error)}") from None


def inside(asset: Mapping[str, Any]) -> str | None:
    """The path inside the run that an asset's name says, or None; some Comets put the folder apart."""
    name = asset.get("fileName")
    if not isinstance(name, str):
        return None
    for said in (name, f"{asset.get('dir') or ''}/{name}"):
        if said.startswith(TOP):
            return said.removeprefix(TOP)
    return None


def newest(assets: Iterable[Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    """Path inside the run → the asset that counts: Comet keeps any number of one name, in no order that it promises."""
    found: dict[str, tuple[float, int, Mapping[str, Any]]] = {}
    for position, asset in enumerate(assets):
        path, when = inside(asset), asset.get("createdAt")
        if path is not None:
            one = (float(when) if isinstance(when, (int, float)) else 0.0, position, asset)
            found[path] = max(found.get(path, one), one, key=lambda one: one[:2])
    return {path: asset for path, (_, _, asset) in found.items()}


def _experiment(key: str, api_key: str | None) -> Any:
    import comet_ml
    from comet_ml.exceptions import CometRestApiException

    try:
        found = comet_ml.APIExperiment(previous_experiment=key, api_key=api_key, cache=False)
    except CometRestApiException as error:
        if error.response.status_code in (400, 404):
            return None
        raise
    return found if found.id else None


def _address() -> str:
    configured = import_module("comet_ml.config").get_config("comet.url_override")
    return redact(str(configured or "https://www.comet.com")).removesuffix("/").removesuffix("/clientlib")
