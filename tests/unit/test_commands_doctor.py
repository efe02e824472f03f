"""Doctor: says what is there without importing it, asks trackers for a bounded time, and fails only where something is wrong."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import metadata

import pytest

from attnlog.commands import doctor as doctoring
from attnlog.commands import reach
from attnlog.store import lock
from tests.unit.test_commands import GOLDEN, read, run


@pytest.fixture(autouse=True)
def plain(tmp_path, monkeypatch):
    """A machine on which no tracker is configured."""
    for name in [name for name in os.environ if name.startswith(("MLFLOW_", "COMET_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")


def findings(*arguments, status=0):
    return {one["what"]: one for one in read("doctor", *arguments, status=status)["findings"]}


@pytest.fixture
def server():
    """A server that answers with the status that the path before it was told, and remembers what it was asked."""
    asked = []

    class Handler(BaseHTTPRequestHandler):
        status = 200

        def do_GET(self):
            asked.append((self.path, dict(self.headers)))
            self.send_response(Handler.status)
            if Handler.status == 302:
                self.send_header("Location", "http://127.0.0.1:1/elsewhere")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_):
            pass

    made = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made.asked, made.handler, made.address = asked, Handler, f"http://127.0.0.1:{made.server_port}"
    threading.Thread(target=made.serve_forever, daemon=True).start()
    yield made
    made.shutdown()
    made.server_close()


def test_a_machine_in_order_is_said_to_be(tmp_path):
    found = findings()
    assert found["attnlog"]["state"] == "ok"
    assert found["pyarrow"]["detail"] == metadata.version("pyarrow")
    assert (found["MLflow"]["state"], found["Comet"]["state"]) == ("absent", "absent")
    assert found["run folder"]["state"] == found["disk"]["state"] == "ok"
    assert list((tmp_path / "here").iterdir()) == []  # nothing is left behind
    out, _ = run("doctor")
    assert "!!" not in out


def test_nothing_heavy_is_imported_to_find_out():
    code = "import sys, json; from attnlog.cli import main\ntry: main(['doctor', '--json'])\nexcept SystemExit: pass\n"
    code += "print(json.dumps([m for m in ('torch', 'transformers', 'mlflow', 'comet_ml') if m in sys.modules]))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert json.loads(out.splitlines()[-1]) == []


def test_what_is_not_installed_is_named_with_its_pip_line_and_is_no_fault(monkeypatch):
    version = metadata.version

    def without(package):
        if package in ("mlflow", "torch"):
            raise metadata.PackageNotFoundError(package)
        return version(package)

    monkeypatch.setattr(metadata, "version", without)
    found = findings()
    assert found["mlflow"] == {"what": "mlflow", "state": "absent", "detail": "not installed: pip install 'attnlog[mlflow]'"}
    assert "attnlog[transformers]" in found["torch"]["detail"]
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///mlflow.db")
    out, _ = run("doctor", status=1)
    assert "MLFLOW_TRACKING_URI is set, but mlflow is not installed" in out


def test_a_package_that_is_too_old_is_a_problem(monkeypatch):
    version = metadata.version
    monkeypatch.setattr(metadata, "version", lambda package: "4.0.0" if package == "transformers" else version(package))
    found = findings(status=1)["transformers"]
    assert found["state"] == "problem"
    assert found["detail"].startswith("4.0.0, but attnlog needs >=")


def test_an_mlflow_that_cannot_be_reached_is_a_problem_named_without_its_password(monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://me:pass-word@127.0.0.1:9")
    found = findings(status=1)["MLflow"]
    assert found["state"] == "problem"
    assert found["detail"].startswith("http://127.0.0.1:9 cannot be reached")
    assert "pass-word" not in json.dumps(found)


def test_an_mlflow_that_never_answers_is_left_after_a_bounded_time(monkeypatch):
    import socket

    silent = socket.create_server(("127.0.0.1", 0))
    monkeypatch.setattr(reach, "TIMEOUT", 0.2)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{silent.getsockname()[1]}")
    assert findings(status=1)["MLflow"]["state"] == "problem"
    silent.close()
    with pytest.raises(reach.Unreachable, match="no answer within"):
        reach.within(lambda: time.sleep(60) or "", 0.05)


@pytest.mark.parametrize(
    ("status", "state", "said"),
    [
        (200, "ok", "answers"),
        (404, "ok", "answers"),
        (401, "problem", "MLFLOW_TRACKING_USERNAME"),
        (403, "ok", "answers"),
        (503, "problem", "answers 503"),
    ],
)
def test_what_an_mlflow_server_says_is_understood(server, monkeypatch, status, state, said):
    server.handler.status = status
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.address)
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "token-of-mine")
    found = findings(status=int(state == "problem"))["MLflow"]
    assert found["state"] == state
    assert said in found["detail"]
    assert server.asked[0][1]["Authorization"] == "Bearer token-of-mine"


def test_who_one_is_redirected_to_is_given_no_key(server, monkeypatch):
    server.handler.status = 302
    monkeypatch.setenv("COMET_API_KEY", "key-of-mine-0123456789")
    monkeypatch.setenv("COMET_URL_OVERRIDE", f"{server.address}/clientlib/")
    findings()  # answered, and not followed to where nobody listens
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    ("uri", "state", "said"),
    [
        ("sqlite:///mlflow.db", "ok", "not there yet"),
        ("sqlite:////nowhere/at/all/mlflow.db", "problem", "there is no folder"),
        ("mlruns", "ok", "not there yet"),
        ("postgresql://me:pass-word@127.0.0.1:9/db", "problem", "refused"),
        ("databricks", "ok", "databricks"),
    ],
)
def test_an_mlflow_without_a_server(monkeypatch, uri, state, said, tmp_path):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    found = findings(status=int(state == "problem"))["MLflow"]
    assert found["state"] == state
    assert said in found["detail"]
    assert "pass-word" not in found["detail"]
    assert list((tmp_path / "here").iterdir()) == []


@pytest.mark.parametrize(("status", "state"), [(200, "ok"), (401, "problem"), (500, "problem")])
def test_comet_is_asked_with_the_key_that_its_own_configuration_has(server, tmp_path, monkeypatch, status, state):
    server.handler.status = status
    (tmp_path / "here/.comet.config").write_text(f"[comet]\napi_key=key-of-mine-0123456789\nurl_override={server.address}/clientlib/\n")
    found = findings(status=int(state == "problem"))["Comet"]
    assert found["state"] == state
    assert server.asked[0][0] == "/api/rest/v2/account-details"
    assert server.asked[0][1]["Authorization"] == "key-of-mine-0123456789"
    assert "key-of-mine" not in found["detail"]


def test_a_comet_address_that_is_none_is_a_problem(monkeypatch):
    monkeypatch.setenv("COMET_API_KEY", "key-of-mine-0123456789")
    monkeypatch.setenv("COMET_URL_OVERRIDE", "file:///etc/passwd")
    assert "is no address of a Comet" in findings(status=1)["Comet"]["detail"]


def test_a_run_folder_that_can_be_written_and_one_that_cannot(tmp_path, monkeypatch):
    assert "room for" in findings(GOLDEN / "decoder")["disk"]["detail"]
    assert "which is not there yet" in findings(tmp_path / "new/run")["run folder"]["detail"]
    (tmp_path / "file").touch()
    assert findings(tmp_path / "file", status=1)["run folder"]["state"] == "problem"

    def refuse(**_):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(doctoring.tempfile, "NamedTemporaryFile", refuse)
    assert "cannot be written: Read-only file system" in findings(tmp_path, status=1)["run folder"]["detail"]


def test_a_disk_that_is_nearly_full_is_a_problem(monkeypatch):
    monkeypatch.setattr(doctoring, "LEAST_FREE", 10**18)
    found = findings(status=1)["disk"]
    assert "thin runs out with attnlog prune" in found["detail"]


def test_a_file_system_without_locks_is_noted(monkeypatch):
    monkeypatch.setattr(lock, "_take", lambda *_: False)
    assert "prune a run only when nobody writes to it" in findings()["locks"]["detail"]


def test_a_run_elsewhere_is_opened_to_see():
    assert "there is no run at memory://nothing" in findings("memory://nothing", status=1)["run"]["detail"]
    assert "no run can be read from 'nobody'" in findings("nobody:run", status=1)["run"]["detail"]


def test_without_the_viewer_it_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setattr(doctoring.resources, "files", lambda _: tmp_path)
    assert "npm run build" in findings(status=1)["viewer"]["detail"]
