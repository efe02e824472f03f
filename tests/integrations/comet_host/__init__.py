"""A page that plays Comet's panel frame: `Comet.Panel`, its `api`, and the panel's own code, html and css from its zip.

It stands for Comet's page, which cannot exist here; how its calls deliver bytes is chosen by the test.
"""

from __future__ import annotations

import json
import threading
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

_PAGE = """<!doctype html>
<html><head><meta charset="utf-8"><style>%(css)s</style></head><body>%(html)s
<script>
const delivery = %(delivery)s, keys = %(keys)s, asked = [];
globalThis.Comet = {
  Panel: class {
    constructor() {
      this.id = "panel-1";
      this.options = %(options)s;
      this.api = {
        experimentName: async (key) => "experiment " + key,
        experimentAssets: async (key) => {
          const answer = await fetch("/list/" + key);
          if (!answer.ok) throw new Error("HTTP " + answer.status);
          return answer.json();
        },
        experimentAsset: async (key, id, type) => {
          asked.push(type);
          const answer = await fetch("/bytes/" + id);
          // A Comet that knows one type of answer gives text for every other.
          if (type === "text" || type !== delivery) return answer.text();
          return type === "blob" ? answer.blob() : answer.arrayBuffer();
        },
      };
    }
    print(html) { document.body.insertAdjacentHTML("beforeend", html); }
  },
};
</script>
<script src="/code.js"></script>
<script>
const panel = new AttnlogPanel();
panel.setup();
panel.draw(keys);
</script></body></html>
"""


def panel_parts(zip_file: Path) -> dict[str, str]:
    """The panel's code, html and css, as Comet takes them from the zip."""
    with zipfile.ZipFile(zip_file) as archive:
        parts: dict[str, str] = json.loads(archive.read("tempVisualizationTemplate.json"))["code"]
    return parts


def offline_assets(archive_file: Path) -> dict[str, bytes]:
    """Assets in the archive that the real `OfflineExperiment` wrote, by name; the last of several."""
    found = {}
    with zipfile.ZipFile(archive_file) as archive:
        for line in archive.read("messages.json").decode().splitlines():
            payload = json.loads(line)["payload"]
            name = (payload.get("additional_params") or {}).get("fileName")
            if name and payload.get("file_path"):
                found[name] = archive.read(Path(payload["file_path"]).name)
    return found


@contextmanager
def host_page(
    zip_file: Path,
    experiments: Mapping[str, Mapping[str, bytes]],
    *,
    delivery: str = "arraybuffer",
    options: Mapping[str, Any] | None = None,
) -> Iterator[str]:
    """Serve the page.

    Args:
        zip_file: the panel.
        experiments: names and bytes of the assets of each experiment;
        delivery: which typed call gives bytes, ``arraybuffer`` or ``blob``; with ``link`` every call gives text and the assets'
            links give bytes, with ``text`` these refuse.
        options: the panel's, as a user wrote them.
    """
    parts = panel_parts(zip_file)
    assets = {f"{key}-{n}": (key, name, data) for key, of in experiments.items() for n, (name, data) in enumerate(of.items())}
    said = {"delivery": json.dumps(delivery), "keys": json.dumps(list(experiments)), "options": json.dumps(dict(options or {}))}
    page = _PAGE % {"css": parts["css"], "html": parts["html"], **said}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = unquote(urlsplit(self.path).path)
            if path == "/":
                self._send(page.encode(), "text/html")
            elif path == "/code.js":
                self._send(parts["code"].encode(), "text/javascript; charset=utf-8")
            elif path.startswith("/list/") and path[6:] in experiments:
                listed = [_record(id, name, data) for id, (key, name, data) in assets.items() if key == path[6:]]
                self._send(json.dumps(listed).encode(), "application/json")
            elif path.startswith("/bytes/") and path[7:] in assets:
                self._send(assets[path[7:]][2], "application/octet-stream")
            elif delivery == "link" and path.startswith("/link/") and path[6:] in assets:
                self._send(assets[path[6:]][2], "application/octet-stream")
            else:
                self._send(b"", "text/plain", 403)

        def log_message(self, format: str, *args: Any) -> None:
            """Quiet."""

        def _send(self, data: bytes, kind: str, status: int = 200) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        server.server_close()


def _record(id: str, name: str, data: bytes) -> dict[str, Any]:
    return {"assetId": id, "fileName": name, "fileSize": len(data), "createdAt": 1, "dir": "others", "link": f"/link/{id}"}
