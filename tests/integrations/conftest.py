"""Real parts that several tests of this folder share: MLflow servers and an S3 store on loopback."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integrations.mlflow_servers import free_port as free_port
from tests.integrations.mlflow_servers import mlflow_server_process

# These tests talk to 127.0.0.1 only. Comet's client, once imported, would begin an experiment of its own at mlflow.start_run().
os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
os.environ["COMET_DISABLE_AUTO_LOGGING"] = "1"
os.environ["COMET_INTERNAL_SENTRY_DSN"] = ""
logging.getLogger("werkzeug").setLevel(logging.WARNING)  # the S3 store names every request

#: Name and password of who may see everything on `mlflow_login`.
ADMIN = ("keeper", "a-password-of-17")


@pytest.fixture(autouse=True)
def _mlflow_forgets() -> Iterator[None]:
    """MLflow remembers the last experiment chosen in a process, in itself and in the environment: each test begins without one."""
    before = {name: value for name, value in os.environ.items() if name.startswith("MLFLOW_")}
    yield
    fluent = sys.modules.get("mlflow.tracking.fluent")
    if fluent is not None:
        fluent._active_experiment_id = None  # type: ignore[attr-defined]
    for name in [name for name in os.environ if name.startswith("MLFLOW_") and name not in before]:
        del os.environ[name]
    os.environ.update(before)


@pytest.fixture(scope="session")
def mlflow_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The tracking URI of a real `mlflow server`: sqlite, artifacts proxied to a local folder."""
    with mlflow_server_process(tmp_path_factory.mktemp("mlflow-server")) as address:
        yield address


@pytest.fixture(scope="session")
def s3() -> Iterator[dict[str, str]]:
    """A store that speaks S3, with a bucket `attention`: the environment in which clients and servers find it."""
    import boto3
    from moto.server import ThreadedMotoServer

    made = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    made.start()
    host, port = made.get_host_and_port()
    keys = {"AWS_ACCESS_KEY_ID": "loopback", "AWS_SECRET_ACCESS_KEY": "loopback", "AWS_DEFAULT_REGION": "us-east-1"}
    boto3.client("s3", endpoint_url=f"http://{host}:{port}", aws_access_key_id="x", aws_secret_access_key="x").create_bucket(
        Bucket="attention"
    )
    yield {**keys, "MLFLOW_S3_ENDPOINT_URL": f"http://{host}:{port}"}
    made.stop()


@pytest.fixture(scope="session")
def mlflow_page(tmp_path_factory: pytest.TempPathFactory, s3: dict[str, str]) -> Iterator[str]:
    """The tracking URI of a real server with our page, its artifacts proxied to S3."""
    folder = tmp_path_factory.mktemp("mlflow-page")
    options = ("--app-name", "attnlog", "--artifacts-destination", "s3://attention/proxied")
    with mlflow_server_process(folder, *options, environment=s3) as address:
        yield address


@pytest.fixture(scope="session")
def mlflow_login(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The tracking URI of a real server with our page, basic authentication (`ADMIN`) and a static prefix."""
    folder = tmp_path_factory.mktemp("mlflow-login")
    settings = folder / "auth.ini"
    settings.write_text(
        "[mlflow]\ndefault_permission = NO_PERMISSIONS\nauthorization_function = mlflow.server.auth:authenticate_request_basic_auth\n"
        f"database_uri = sqlite:///{folder}/auth.db\nadmin_username = {ADMIN[0]}\nadmin_password = {ADMIN[1]}\n"
        "auth_cache_ttl_seconds = 600\n"
    )
    environment = {"MLFLOW_AUTH_CONFIG_PATH": str(settings), "MLFLOW_FLASK_SERVER_SECRET_KEY": "loopback"}
    with mlflow_server_process(folder, "--app-name", "attnlog-basic-auth", prefix="/mlflow", environment=environment) as address:
        yield address


@pytest.fixture
def mlflow_sqlite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A tracking URI of its own: sqlite and a local artifact folder, active while the test runs."""
    import mlflow

    for name in [name for name in os.environ if name.startswith("MLFLOW_") and name != "MLFLOW_DISABLE_TELEMETRY"]:
        monkeypatch.delenv(name)
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    mlflow.set_tracking_uri(uri)
    mlflow.create_experiment("attention", artifact_location=(tmp_path / "artifacts").as_uri())
    mlflow.set_experiment("attention")
    yield uri
    while mlflow.active_run() is not None:
        mlflow.end_run()
    mlflow.set_tracking_uri(None)
