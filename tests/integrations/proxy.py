"""A server on loopback that stands before a real one and fails in the ways servers fail; it counts what passed."""

from __future__ import annotations

import http.client
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

#: closed: nobody listens; refused: connections are dropped; hanging: no answer; cut: the connection breaks within an upload; lost: within
#: the answer to an upload that was taken; numbers: that status, at once.
FAULTS = ("closed", "refused", "hanging", "cut", "lost", "429", "403", "500")


class Proxy:
    """The proxy's state, which a test may change at any time."""

    def __init__(self, target: str) -> None:
        self.target = urlsplit(target)
        self.fault: str | None = None
        self.address = ""
        self.hanging = 0  # requests that wait for an answer that does not come
        self.asked = 0
        self.put: Counter[str] = Counter()  # path → uploads that the real server took
        self.released = threading.Event()
        self._server: ThreadingHTTPServer | None = None
        self._port = 0

    def fail(self, fault: str) -> None:
        """Fail in one of these ways from now on."""
        self.fault = fault
        if fault == "closed":
            self.stop()

    def mend(self) -> None:
        """Work again, and let go of whoever waits."""
        self.fault = None
        self.released.set()
        if self._server is None:
            self.start()

    def start(self) -> None:
        """Listen, where it was listened before."""

        class Handler(_Handler):
            proxy = self

        self._server = ThreadingHTTPServer(("127.0.0.1", self._port), Handler)
        self._server.daemon_threads = True
        self._port = self._server.server_address[1]
        self.address = f"http://127.0.0.1:{self._port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        """Listen no longer."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None


@contextmanager
def proxy(target: str) -> Iterator[Proxy]:
    """Run a proxy before a server."""
    state = Proxy(target)
    state.start()
    try:
        yield state
    finally:
        state.mend()
        state.stop()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    proxy: Proxy

    def answer(self) -> None:
        """Fail as told, or pass the request on."""
        proxy, length = self.proxy, int(self.headers.get("Content-Length") or 0)
        proxy.asked += 1
        if proxy.fault == "lost" and self.command == "PUT":
            self._real(self.rfile.read(length))
            self.connection.close()
            self.close_connection = True
        elif proxy.fault in ("refused", "closed"):  # a connection that was kept from before
            self.connection.close()
            self.close_connection = True
        elif proxy.fault == "hanging":
            proxy.hanging += 1
            proxy.released.wait(600)
            proxy.hanging -= 1
            self.close_connection = True
        elif proxy.fault == "cut" and self.command in ("PUT", "POST"):
            self.rfile.read(length // 2)
            self.connection.close()
            self.close_connection = True
        elif proxy.fault is not None and proxy.fault.isdigit():
            self.rfile.read(length)
            self.send_response(int(proxy.fault))
            if proxy.fault == "429":
                self.send_header("Retry-After", "3600")
            self.send_header("Content-Length", "0")
            self.end_headers()
        else:
            self._pass_on(self.rfile.read(length))

    do_GET = do_PUT = do_POST = do_PATCH = do_DELETE = do_HEAD = answer

    def _pass_on(self, body: bytes) -> None:
        answer, data = self._real(body)
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in ("content-length", "transfer-encoding", "connection", "date", "server"):
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _real(self, body: bytes) -> tuple[http.client.HTTPResponse, bytes]:
        """Ask the real server."""
        target = self.proxy.target
        real = http.client.HTTPConnection(target.hostname or "", target.port)
        headers = {name: value for name, value in self.headers.items() if name.lower() not in ("host", "connection")}
        real.request(self.command, self.path, body or None, {**headers, "Host": target.netloc})
        answer = real.getresponse()
        data = answer.read()
        if self.command == "PUT" and answer.status < 300:
            self.proxy.put[urlsplit(self.path).path] += 1
        real.close()
        return answer, data

    def log_message(self, *_: object) -> None:
        """Nothing."""
