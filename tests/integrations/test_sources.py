"""Reading runs back from real trackers: MLflow's server and its local store, Comet's client against a loopback server, and archives."""

from __future__ import annotations

import json
import os
import shutil
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import comet_ml
import mlflow
import numpy as np
import pytest
from mlflow import MlflowClient

import attnlog
from attnlog.errors import ArgumentError, AssetDigestMismatch, AssetMissing, RunError, RunNotFoundError, TrackerError
from attnlog.store.prune import carry_out, plan
from attnlog.store.source import FolderSource, Source
from attnlog_integrations.comet import source as comet_source
from attnlog_integrations.comet.source import ArchiveSource, CometSource
from attnlog_integrations.mlflow.source import MlflowSource
from tests.integrations.comet_loopback import Loopback, loopback
from tests.integrations.conftest import free_port
from tests.integrations.files import entries, files, small_run
from tests.integrations.test_comet import deliver as deliver_to_comet


@pytest.fixture(autouse=True)
def nowhere() -> Iterator[None]:
    """Leave MLflow as it was found."""
    yield
    mlflow.set_tracking_uri(None)


RANGES = ((0, 1), (8, 100), (0, 10**9))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return small_run(tmp_path / "run")


@pytest.fixture
def comet(monkeypatch: pytest.MonkeyPatch) -> Iterator[Loopback]:
    with loopback() as server:
        for name, value in server.environment().items():
            monkeypatch.setenv(name, value)
        yield server
        running = comet_ml.get_running_experiment()
        if running is not None:
            running.end()


def log(uri: str, folder: Path, experiment: str = "0", run: str | None = None) -> str:
    """Log a run folder as MLflow's client does."""
    client = MlflowClient(uri)
    run = run or client.create_run(experiment).info.run_id
    client.log_artifacts(run, str(folder), "attnlog")
    client.set_terminated(run)
    return run


def at(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    mlflow.set_tracking_uri(uri)


def same(place: str, folder: Path) -> attnlog.SavedRun:
    """Check that a place gives every byte of a folder, whole and by parts, and reads as it does."""
    here, there = attnlog.open(folder), attnlog.open(place)
    assert isinstance(there.source, Source)
    assert there.source.list() == sorted(files(folder))
    assert there.source.list(deep=False) == sorted(path for path in files(folder) if "/" not in path)
    for path, data in files(folder).items():
        assert there.source.get(path) == data
        for offset, length in RANGES:
            assert there.source.get(path, (offset, length)) == data[offset : offset + length]
        assert there.source.get(path, (len(data), 10)) == b""
    assert there.steps == here.steps
    for step in here.steps:
        np.testing.assert_array_equal(there.read(step, 1).weights("self", 1), here.read(step, 1).weights("self", 1))
    with pytest.raises(AssetMissing, match=place):
        there.source.get("step-00000999/nobody-0/index.arrow")
    return there


def test_mlflows_server_gives_parts(mlflow_server: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = log(mlflow_server, folder)
    at(mlflow_server, monkeypatch)
    saved = same(f"mlflow:{run}", folder)
    source = saved.source
    assert isinstance(source, MlflowSource)
    assert source._parts
    assert source._kept._folder is None  # nothing was fetched whole
    assert saved.name == "run"
    saved.close()


def test_an_artifact_folder_on_this_machine_is_read_as_one(mlflow_sqlite: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = log(mlflow_sqlite, folder, "1")
    at(mlflow_sqlite, monkeypatch)
    saved = same(f"mlflow:{run}", folder)
    assert isinstance(saved.source, FolderSource)
    assert (saved.directory / "inputs.txt").parent.is_dir()


def test_mlflows_file_store(tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")  # MLflow keeps it in maintenance
    uri = (tmp_path / "mlruns").as_uri()
    run = log(uri, folder)
    at(uri, monkeypatch)
    same(f"mlflow:{run}", folder)


class Whole(BaseHTTPRequestHandler):
    """Stands before a real MLflow server as a proxy does that knows no ranges."""

    upstream = ""
    asked: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        import urllib.error
        import urllib.request

        kept = {name: value for name, value in self.headers.items() if name.lower() not in ("range", "host")}
        self.asked.append(self.path)
        try:
            with urllib.request.urlopen(urllib.request.Request(self.upstream + self.path, headers=kept)) as answer:
                status, data = answer.status, answer.read()
        except urllib.error.HTTPError as error:
            status, data = error.code, error.read()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet."""


@pytest.fixture
def whole(mlflow_server: str) -> Iterator[str]:
    Whole.upstream, Whole.asked = mlflow_server, []
    server = ThreadingHTTPServer(("127.0.0.1", 0), Whole)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_where_a_server_knows_no_parts_each_asset_is_fetched_once(
    mlflow_server: str, whole: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = log(mlflow_server, folder)
    at(whole, monkeypatch)
    with attnlog.open(f"mlflow:{run}") as saved:
        for _ in range(2):
            for layer in (0, 1):
                saved.read(200).weights("self", layer)
                saved.read(200).vectors("k", "self", layer)
        asked = [path for path in Whole.asked if path.endswith(".arrow")]
        assert len(asked) == len(set(asked)) == 4  # inputs, index, attention, vectors
    same(f"mlflow:{run}", folder).close()


def test_artifacts_in_a_folder_of_the_servers_own_machine_come_by_get_artifact(
    mlflow_server: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with --no-serve-artifacts; that the folder cannot be seen from here is played, since both are this machine."""
    from attnlog_integrations.mlflow import source

    client = MlflowClient(mlflow_server)
    experiment = client.create_experiment(str(tmp_path), artifact_location=(tmp_path / "theirs").as_uri())
    run = log(mlflow_server, folder, experiment)
    at(mlflow_server, monkeypatch)
    monkeypatch.setattr(source, "_folder", lambda _: None)
    saved = same(f"mlflow:{run}", folder)
    assert isinstance(saved.source, MlflowSource)
    assert saved.source._parts
    # A server that neither lists nor gives: the client goes to the store itself.
    monkeypatch.setattr(source.Server, "_get", lambda *_: Refusing())
    saved = same(f"mlflow:{run}", folder)
    assert not saved.source._parts  # type: ignore[attr-defined]
    saved.close()


class Refusing:
    status_code = 500

    def __enter__(self) -> Refusing:
        return self

    def __exit__(self, *_: object) -> None: ...


def test_a_login_that_is_refused_says_what_to_set(mlflow_server: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from attnlog_integrations.mlflow import source

    run = log(mlflow_server, folder)
    at(mlflow_server, monkeypatch)
    saved = attnlog.open(f"mlflow:{run}")
    monkeypatch.setattr(Refusing, "status_code", 403)
    monkeypatch.setattr(source.Server, "_get", lambda *_: Refusing())
    with pytest.raises(TrackerError, match=r"refuses inputs-.*\(403\): set MLFLOW_TRACKING_USERNAME"):
        saved.read()


def test_what_is_not_in_mlflow_is_said_to_be_missing(mlflow_server: str, mlflow_sqlite: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for uri in (mlflow_server, mlflow_sqlite):
        at(uri, monkeypatch)
        for run in ("0" * 32, "no such run"):
            with pytest.raises(RunNotFoundError, match=f"has no run {run}"):
                attnlog.open(f"mlflow:{run}")
        empty = MlflowClient(uri).create_run("0").info.run_id
        with pytest.raises(RunNotFoundError, match=f"no manifest in mlflow:{empty}|no run at mlflow:{empty}"):
            attnlog.open(f"mlflow:{empty}")


def test_no_database_is_made_where_none_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    at(f"sqlite:///{tmp_path}/mlflow.db", monkeypatch)
    with pytest.raises(RunNotFoundError, match="no MLflow database.*set MLFLOW_TRACKING_URI"):
        attnlog.open(f"mlflow:{'0' * 32}")
    assert list(tmp_path.iterdir()) == []


def test_an_mlflow_that_is_down_is_named_without_its_password(monkeypatch: pytest.MonkeyPatch) -> None:
    address = f"127.0.0.1:{free_port()}"
    at(f"http://me:pass-word@{address}", monkeypatch)
    with pytest.raises(TrackerError, match=f"MLflow at http://{address} cannot be read") as said:
        attnlog.open(f"mlflow:{'0' * 32}")
    assert "pass-word" not in str(said.value)


def test_damage_in_a_tracker_has_its_name(mlflow_sqlite: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    index = next(folder.glob("step-00000200/*/index.arrow"))
    data = bytearray(index.read_bytes())
    data[500] ^= 1
    index.write_bytes(data)
    run = log(mlflow_sqlite, folder, "1")
    at(mlflow_sqlite, monkeypatch)
    with pytest.raises(AssetDigestMismatch):
        _ = attnlog.open(f"mlflow:{run}").read(200).layers


def test_comet_gives_whole_assets_and_each_is_fetched_once(comet: Loopback, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    experiment = comet_ml.start()
    deliver_to_comet(folder)
    experiment.end()
    asked = []
    fetch = CometSource._fetch
    monkeypatch.setattr(CometSource, "_fetch", lambda self, path: asked.append(path) or fetch(self, path))
    saved = same(f"comet:{experiment.id}", folder)
    assert len(asked) == len(set(asked)) == len(files(folder))
    kept = Path(saved.source._kept._folder.name)  # type: ignore[attr-defined]
    saved.close()
    assert not kept.exists()


def test_of_several_comet_assets_of_one_name_the_newest_counts(comet: Loopback, folder: Path) -> None:
    experiment = comet_ml.start()
    deliver_to_comet(folder)
    experiment.end()
    saved = attnlog.open(f"comet:{experiment.id}")
    [manifest] = [a for a in comet.assets if a.name.endswith(".jsonl")]
    whole = manifest.data
    comet.assets.append(type(manifest)(**{**vars(manifest), "id": "newer", "created": manifest.created + 5}))
    lines = whole.splitlines(keepends=True)
    manifest.data = b"".join(lines[:2])
    # The loopback server lists one asset a name; Comet lists them all.
    listed = [{"assetId": a.id, "fileName": a.name, "createdAt": a.created} for a in comet.assets]
    saved.source._experiment.get_asset_list = lambda **_: listed  # type: ignore[attr-defined]
    comet.of = lambda experiment: {a.id: a for a in comet.assets}  # type: ignore[method-assign]
    saved.reload()
    assert saved.steps == (100, 200, 300)


def test_a_comet_experiment_that_is_not_there(comet: Loopback, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RunNotFoundError, match="no manifest in comet:"):
        attnlog.open("comet:" + "a" * 32)
    with pytest.raises(ArgumentError, match=r"neither an experiment's key .* nor a \.zip file"):
        attnlog.open("comet:my experiment")
    monkeypatch.setattr(comet_source, "_experiment", lambda *_: None)
    with pytest.raises(RunNotFoundError, match=f"Comet at {comet.address} has no experiment aaaa"):
        attnlog.open("comet:" + "a" * 32)


def test_a_comet_that_does_not_answer_is_left_after_a_while(comet: Loopback, monkeypatch: pytest.MonkeyPatch) -> None:
    go = threading.Event()
    monkeypatch.setattr(comet_source, "PATIENCE", 0.2)
    monkeypatch.setattr(comet_source, "_experiment", lambda key, *_: go.wait())
    with pytest.raises(TrackerError, match=f"Comet at {comet.address} cannot be read .no answer within"):
        attnlog.open("comet:" + "a" * 32)
    go.set()


def test_an_archive_that_was_written_offline(comet: Loopback, folder: Path, tmp_path: Path) -> None:
    experiment = comet_ml.OfflineExperiment(offline_directory=str(tmp_path / "archives"))
    deliver_to_comet(folder)
    experiment.end()
    [archive] = (tmp_path / "archives").glob("*.zip")
    saved = same(f"comet:{archive}", folder)
    assert isinstance(saved.source, ArchiveSource)
    saved.close()


def test_an_archive_that_is_none(tmp_path: Path) -> None:
    import zipfile

    (tmp_path / "text.zip").write_text("no zip")
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as other:
        other.writestr("x.txt", "x")
    with zipfile.ZipFile(tmp_path / "odd.zip", "w") as odd:
        odd.writestr("messages.json", "[]\n")
    for name in ("text", "other", "odd"):
        with pytest.raises(RunError, match="is not an archive of Comet's client"):
            attnlog.open(f"comet:{tmp_path / name}.zip")
    with pytest.raises(RunNotFoundError, match="no archive"):
        attnlog.open(f"comet:{tmp_path / 'nothing'}.zip")


def test_a_name_in_an_archive_leads_nowhere_else(tmp_path: Path) -> None:
    import zipfile

    payloads = [
        {"additional_params": {"fileName": "attnlog/../../evil.arrow"}, "file_path": "../../../etc/passwd"},
        {"additional_params": {"fileName": "attnlog/manifest-a.jsonl"}, "file_path": "/tmp/x/../stored"},
        {"additional_params": {"fileName": "else.txt"}, "file_path": "stored"},
    ]
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("messages.json", "".join(json.dumps({"payload": p}) + "\n" for p in payloads))
        archive.writestr("stored", '{"type": "writer", "attnlog": 1}\n')
        archive.writestr("passwd", "stranger")
    source = ArchiveSource(tmp_path / "a.zip")
    assert source.list(deep=False) == ["manifest-a.jsonl"]
    assert source.get("manifest-a.jsonl").startswith(b'{"type"')
    with pytest.raises(attnlog.AttnlogError, match="not the path of a file of a run"):
        source.get("../../evil.arrow")


def test_the_entries_that_were_delivered_are_those_that_are_listed(comet: Loopback, folder: Path) -> None:
    experiment = comet_ml.start()
    deliver_to_comet(folder)
    experiment.end()
    assert {entry.path for entry in entries(folder)} == set(attnlog.open(f"comet:{experiment.id}").source.list())
    shutil.rmtree(folder)
    assert attnlog.open(f"comet:{experiment.id}").read().inputs
    assert os.environ["COMET_API_KEY"] not in repr(attnlog.open(f"comet:{experiment.id}"))


def test_a_plain_web_server_that_knows_no_parts(folder: Path) -> None:
    from functools import partial
    from http.server import SimpleHTTPRequestHandler

    pytest.importorskip("aiohttp")

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: Any) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder.parent)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        saved = same(f"http://127.0.0.1:{server.server_port}/run", folder)
        planned = plan(saved, keep_last=1)
        with pytest.raises(RunError, match="cannot be changed"):
            carry_out(saved, planned)
    finally:
        server.shutdown()
        server.server_close()
