"""Real MLflow servers on loopback, each a process of its own with its database in a folder of its own, and a gateway before one."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def mlflow_server_process(folder: Path, *options: str, prefix: str = "", environment: Mapping[str, str] | None = None) -> Iterator[str]:
    """Start `mlflow server` with sqlite and more options; gives its tracking URI once it answers.

    Artifacts are proxied to a local folder unless the options say otherwise.
    """
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--backend-store-uri", f"sqlite:///{folder}/server.db", *options]
    if "--workers" not in options:
        command += ["--workers", "1"]
    if "--artifacts-destination" not in options:
        command += ["--artifacts-destination", str(folder / "artifacts")]
    if prefix:
        command += ["--static-prefix", prefix]
    clean = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
    # Jobs are no part of what is tested, and their processes take long to start.
    clean |= {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", **(environment or {})}
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log, env=clean, start_new_session=True)
    try:
        for _ in range(600):
            try:
                with urllib.request.urlopen(f"{address}{prefix}/health", timeout=5):
                    break
            except OSError:
                if server.poll() is not None:
                    break
                time.sleep(0.2)
        else:
            raise AssertionError("mlflow server did not start: " + (folder / "log").read_text()[-2000:])
        assert server.poll() is None, (folder / "log").read_text()[-2000:]
        yield f"{address}{prefix}"
    finally:
        # Its workers are children in a process group of their own.
        with suppress(ProcessLookupError):
            os.killpg(server.pid, 15)
        server.wait(30)


@contextmanager
def demanding(upstream: str, authorization: str) -> Iterator[str]:
    """Stand before a server as a company's gateway does, which lets nobody through without this Authorization header."""

    class Gateway(BaseHTTPRequestHandler):
        def passed(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            kept = {name: value for name, value in self.headers.items() if name.lower() not in ("host", "authorization", "content-length")}
            status, headers, data = 401, {}, b"who are you?"
            if self.headers.get("Authorization") == authorization:
                asked = urllib.request.Request(upstream + self.path, data=body or None, headers=kept, method=self.command)
                try:
                    with urllib.request.urlopen(asked, timeout=60) as answer:
                        status, headers, data = answer.status, dict(answer.headers), answer.read()
                except urllib.error.HTTPError as error:
                    status, headers, data = error.code, dict(error.headers), error.read()
            self.send_response(status)
            for name in ("Content-Type", "Content-Range"):
                if name in headers:
                    self.send_header(name, headers[name])
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = passed

        def log_message(self, format: str, *args: Any) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Gateway)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
