"""A Comet server on loopback, as much of one as the real client needs to log assets and read them back.

It stands for comet.com, which cannot exist here; the client that talks to it is the real one.
"""

from __future__ import annotations

import gzip
import json
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.parser import BytesParser
from email.policy import HTTP
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4


@dataclass
class Asset:
    """One uploaded asset."""

    id: str
    experiment: str
    name: str
    data: bytes
    metadata: dict[str, Any]
    step: str | None
    created: int


@dataclass
class Metric:
    """One logged value."""

    experiment: str
    name: str
    value: float
    step: int | None
    epoch: float | None


@dataclass
class Loopback:
    """What the server holds."""

    address: str = ""
    assets: list[Asset] = field(default_factory=list)
    metrics: list[Metric] = field(default_factory=list)
    #: Panels that were uploaded: the query, and the file.
    panels: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    #: Names of experiments that have one of their own, by key.
    names: dict[str, str] = field(default_factory=dict)
    #: Assets whose bytes were asked for, by experiment and name.
    read: Counter[tuple[str, str]] = field(default_factory=Counter)
    #: What was asked to be written, as paths, in order.
    written: list[str] = field(default_factory=list)
    #: The key that is taken, and what is answered to a panel's upload.
    key: str = "loopback-key-0123456789ab"
    panel_status: int = 200
    #: A status that is answered to everything but the question whether the server is alive; 0: none.
    refuse: int = 0
    #: What becomes of uploads: a status, "cut" (the connection breaks within), "lost" (taken, and no answer comes), "lost-once" (the same
    #: for the first try of each name); "": they are taken.
    fault: str = ""
    #: Uploads whose names end so are answered with 500.
    refused: str = "…"
    #: Uploads that were tried while there was a fault, by name.
    tried: Counter[str] = field(default_factory=Counter)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def of(self, experiment: str) -> dict[str, Asset]:
        """Assets of an experiment by name."""
        with self.lock:
            return {asset.name: asset for asset in self.assets if asset.experiment == experiment}

    def points(self, experiment: str, metric: str) -> list[tuple[int, float]]:
        """Step and value of everything logged to a metric."""
        with self.lock:
            found = [one for one in self.metrics if (one.experiment, one.name) == (experiment, metric)]
        return [(one.step or 0, one.value) for one in found]

    def environment(self) -> dict[str, str]:
        """What makes the real client talk to this server and to nobody else."""
        return {
            "COMET_URL_OVERRIDE": f"{self.address}/clientlib/",
            "COMET_API_KEY": self.key,
            "COMET_WORKSPACE": "workspace",
            "COMET_PROJECT_NAME": "project",
            "COMET_DISABLE_AUTO_LOGGING": "1",
            "COMET_INTERNAL_SENTRY_DSN": "",
            "COMET_AUTO_LOG_CODE": "0",
            "COMET_AUTO_LOG_GRAPH": "0",
            "COMET_AUTO_LOG_GIT_METADATA": "0",
            "COMET_AUTO_LOG_GIT_PATCH": "0",
            "COMET_AUTO_LOG_ENV_DETAILS": "0",
            "COMET_AUTO_LOG_PARAMETERS": "0",
            "COMET_AUTO_LOG_METRICS": "0",
            "COMET_AUTO_LOG_OUTPUT_LOGGER": "",
            "COMET_DISPLAY_SUMMARY_LEVEL": "0",
            "COMET_LOGGING_CONSOLE": "ERROR",
        }


@contextmanager
def loopback() -> Iterator[Loopback]:
    """Run the server."""
    state = Loopback()

    class Handler(_Handler):
        comet = state

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    comet: Loopback
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        experiment = query.get("experimentKey", "")
        if url.path.endswith("/isAlive/ver"):
            self._json({"version": "99.0.0"})
        elif self.comet.refuse:
            self._send(b'{"msg": "refused"}', "application/json", self.comet.refuse)
        elif url.path.endswith("/experiment/asset/list"):
            with self.comet.lock:
                self._json({"assets": [self._said(asset) for asset in self.comet.assets if asset.experiment == experiment]})
        elif url.path.endswith("/experiment/asset/get-asset"):
            with self.comet.lock:
                found = [a for a in self.comet.assets if (a.experiment, a.id) == (experiment, query.get("assetId"))]
            self.comet.read.update((asset.experiment, asset.name) for asset in found)
            self._send(found[0].data if found else b"", "application/octet-stream", 200 if found else 404)
        elif url.path.endswith("/experiment/metrics/get-metric"):
            name = query["metricName"]
            said = [{"metricName": name, "metricValue": str(value), "step": step} for step, value in self.comet.points(experiment, name)]
            self._json({"metrics": said})
        elif url.path.endswith("/write/experiment/asset/delete"):
            with self.comet.lock:
                self.comet.assets[:] = [a for a in self.comet.assets if (a.experiment, a.id) != (experiment, query["assetId"])]
            self._json({})
        elif url.path.endswith("/experiment/metadata"):
            self._json(
                {
                    "experimentKey": experiment,
                    "experimentName": self.comet.names.get(experiment, f"loopback {experiment[:4]}"),
                    "workspaceName": "workspace",
                    "projectName": "project",
                }
            )
        else:
            self._json({})

    def do_POST(self) -> None:
        url, length = urlsplit(self.path), int(self.headers.get("Content-Length") or 0)
        upload = url.path.endswith(("/asset/upload", "/upload-asset"))
        fault = self.comet.fault if upload else ""
        if upload and parse_qs(url.query)["fileName"][0].endswith(self.comet.refused):
            fault = "500"
        if fault:
            with self.comet.lock:
                name = parse_qs(url.query)["fileName"][0]
                self.comet.tried[name] += 1
                if fault == "lost-once":
                    fault = "lost" if self.comet.tried[name] == 1 else ""
        if fault == "cut":
            self.rfile.read(length // 2)
            self._hang_up()
            return
        body = self.rfile.read(length)
        if fault.isdigit():
            self._send(b'{"msg": "no"}', "application/json", int(fault))
            return
        self._take(body)
        if fault == "lost":
            self._hang_up()
        elif upload:
            self._json({"success": True})

    def _take(self, body: bytes) -> None:
        url = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        with self.comet.lock:
            self.comet.written.append(url.path)
        if url.path.endswith("/write/template/upload"):
            self._panel(query, body)
        elif url.path.endswith("/write/experiment/upload-asset"):
            # By its REST name the experiment is a key, and the asset gets its id here.
            self._upload({**query, "assetId": uuid4().hex, "experimentId": query["experimentKey"]}, body)
        elif url.path.endswith("/write/experiment/metric"):
            self._metric(json.loads(body))
            self._json({"success": True})
        elif url.path.endswith("/logger/add/run"):
            project = f"{self.comet.address}/workspace/project/"
            self._json({"runId": "run", "focusUrl": project, "project_id": "p", "workspaceName": "workspace", "projectName": "project"})
        elif url.path.endswith("/asset/upload"):
            self._upload(query, body)
        elif url.path.endswith("/batch/logger/experiment/metric"):
            self._batch(body)
            self._json({"success": True})
        else:
            self._json({"success": True, "code": 200, "is_alive_beat_duration_millis": 60_000, "gpu_monitor_interval_millis": 60_000})

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet."""

    def _upload(self, query: dict[str, str], body: bytes) -> None:
        head = f"Content-Type: {self.headers['Content-Type']}\r\n\r\n".encode()
        parts = {}
        for part in BytesParser(policy=HTTP).parsebytes(head + body).iter_parts():
            parts[part.get_param("name", header="content-disposition")] = part.get_payload(decode=True)
        asset = Asset(
            id=query["assetId"],
            experiment=query["experimentId"],
            name=query["fileName"],
            data=_part(body, self.headers["Content-Type"]),
            metadata=json.loads(parts.get("metadata") or b"{}"),
            step=query.get("step"),
            created=time.time_ns() // 1_000_000,
        )
        with self.comet.lock:
            # One id is one asset, however often its client tries.
            kept = [a for a in self.comet.assets if a.id != asset.id]
            if query.get("overwrite") == "True":
                kept = [a for a in kept if (a.experiment, a.name) != (asset.experiment, asset.name)]
            self.comet.assets[:] = [*kept, asset]

    def _metric(self, said: dict[str, Any]) -> None:
        with self.comet.lock:
            self.comet.metrics.append(
                Metric(said["experimentKey"], said["metricName"], said["metricValue"], said.get("step"), said.get("epoch"))
            )

    def _batch(self, body: bytes) -> None:
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        said = json.loads(body)
        for value in said["values"]:
            self._metric({**value, "experimentKey": said["experimentKey"]})

    def _panel(self, query: dict[str, str], body: bytes) -> None:
        if self.headers.get("Authorization") != self.comet.key:
            self._send(b'{"msg": "invalid key"}', "application/json", 401)
        elif self.comet.panel_status != 200:
            self._send(b"{}", "application/json", self.comet.panel_status)
        else:
            self.comet.panels.append((query, _part(body, self.headers["Content-Type"])))
            self._json({"templateId": query.get("templateId") or "new-panel"})

    def _hang_up(self) -> None:
        self.connection.close()
        self.close_connection = True

    def _said(self, asset: Asset) -> dict[str, Any]:
        return {
            "assetId": asset.id,
            "fileName": asset.name,
            "fileSize": len(asset.data),
            "createdAt": asset.created,
            "metadata": json.dumps(asset.metadata),
            "step": asset.step,
            "dir": "others",
            "type": "asset",
            "link": f"{self.comet.address}/api/asset/download?experimentKey={asset.experiment}&assetId={asset.id}",
        }

    def _json(self, said: dict[str, Any]) -> None:
        self._send(json.dumps(said).encode(), "application/json")

    def _send(self, data: bytes, kind: str, status: int = 200) -> None:
        self.send_response(status)
        if status == 429:
            self.send_header("Retry-After-Custom", "1")
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


def _part(body: bytes, content_type: str) -> bytes:
    """The file part byte for byte: the mail parser treats line ends in binary parts as text."""
    boundary = b"--" + content_type.partition("boundary=")[2].encode()
    for part in body.split(boundary)[1:-1]:
        head, _, data = part.partition(b"\r\n\r\n")
        if b'name="file"' in head:
            return data.removesuffix(b"\r\n")
    raise AssertionError("an upload without a file")
