"""`attnlog view`: the studio over one or more run folders, on loopback."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attnlog.errors import ArgumentError, AttnlogError, RunNotFoundError
from attnlog.view.web import ARROW, HEADERS, STATIC, byte_range, entity_tag, is_known, studio_page

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response

PORT = 7007


def find_runs(places: Sequence[str | os.PathLike[str]]) -> dict[str, Path]:
    """Name the runs at some places: each a run folder, or a folder that holds run folders, the last written first.

    A run is called as its folder is, so that an address that names it means the same when other runs are added; of folders that are
    called alike those after the first get a number.

    Raises:
        RunNotFoundError: a place holds no run.
    """
    from attnlog.store.open import manifest_names, open_run

    found: list[Path] = []
    for place in places:
        path = Path(place)
        if path.is_dir() and not manifest_names(path):
            # What was written last is what a person wants to see first.
            inside = sorted((p for p in path.iterdir() if p.is_dir() and manifest_names(p)), key=_written, reverse=True)
            if not inside:
                raise RunNotFoundError(f"there is no run in {path}: no manifest-….jsonl there nor one folder below")
            found += inside
        else:
            open_run(path)  # says what is wrong with it
            found.append(path)
    named: dict[str, Path] = {}
    for path in dict.fromkeys(p.resolve() for p in found):
        name, number = _shown(path.name), 1
        while name in named:
            number += 1
            name = f"{_shown(path.name)}-{number}"
        named[name] = path
    return named


def application(runs: Mapping[str, Path]) -> Starlette:
    """Make the ASGI application that serves the studio and the assets of some runs.

    Only manifests and files with the name of an asset can be read through it, and only inside their run folder.
    """
    from starlette.applications import Starlette
    from starlette.middleware.trustedhost import TrustedHostMiddleware
    from starlette.responses import FileResponse, HTMLResponse, JSONResponse, Response
    from starlette.routing import Route

    from attnlog.store.manifest import PATH
    from attnlog.store.open import manifest_names

    def page(_: Request) -> Response:
        names = ", ".join(_shown(path.name) for path in runs.values())
        return HTMLResponse(studio_page(f"attnlog: {names}", {"host": "server", "base": ""}), headers=HEADERS)

    def studio(_: Request) -> Response:
        return FileResponse(STATIC / "studio.js", media_type="text/javascript", headers=HEADERS)

    def listed(_: Request) -> Response:
        return JSONResponse(
            {"runs": [{"id": run, "name": _name(path), "place": _shown(str(path))} for run, path in runs.items()]}, headers=HEADERS
        )

    def manifests(request: Request) -> Response:
        path = runs.get(request.path_params["run"])
        if path is None:
            return _refuse(404, "no such run")
        texts = [{"name": name, "text": (path / name).read_bytes().decode("utf-8", "replace")} for name in manifest_names(path)]
        response = JSONResponse({"manifests": texts}, headers=HEADERS)
        tag = entity_tag(bytes(response.body))
        if is_known(request.headers.get("if-none-match"), tag):
            return Response(status_code=304, headers={**HEADERS, "ETag": tag})
        response.headers["ETag"] = tag
        return response

    def asset(request: Request) -> Response:
        path, inside = runs.get(request.path_params["run"]), request.path_params["path"]
        if path is None or not PATH.fullmatch(inside):
            return _refuse(404, "no such asset")
        file = path / inside
        if not file.is_file() or not file.resolve().is_relative_to(path):
            return _refuse(404, f"{inside} is named by a manifest but is not there")
        headers = {**HEADERS, "Accept-Ranges": "bytes"}
        size = file.stat().st_size
        wanted = byte_range(request.headers.get("range"), size)
        with open(file, "rb") as opened:
            if wanted is None:
                return Response(opened.read(), media_type=ARROW, headers=headers)
            start, end = wanted
            if start > end:
                return _refuse(416, f"{inside} has {size} bytes", {"Content-Range": f"bytes */{size}"})
            opened.seek(start)
            headers["Content-Range"] = f"bytes {start}-{end}/{size}"
            return Response(opened.read(end - start + 1), 206, media_type="application/octet-stream", headers=headers)

    def _refuse(status: int, why: str, headers: Mapping[str, str] | None = None) -> Response:
        return JSONResponse({"error": why}, status, headers={**HEADERS, **(headers or {})})

    app = Starlette(
        routes=[
            Route("/", page),
            Route("/studio.js", studio),
            Route("/api/runs", listed),
            Route("/api/runs/{run}/manifests", manifests),
            Route("/api/runs/{run}/assets/{path:path}", asset),
        ]
    )
    # A website must not reach this server by a name of its own that resolves to loopback (DNS rebinding).
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=["127.0.0.1", "localhost", "[::1]"])
    return app


def _written(run: Path) -> tuple[float, str]:
    return max(manifest.stat().st_mtime for manifest in run.glob("manifest-*.jsonl")), run.name


def _name(run: Path) -> str:
    """Name a run as it names itself; one that cannot be read keeps its folder's name, and its page says what is wrong with it."""
    from attnlog.store.open import SavedRun

    try:
        return _shown(SavedRun(run).name)
    except (AttnlogError, OSError):
        return _shown(run.name)


def _shown(name: str) -> str:
    return name.encode("utf-8", "replace").decode()


def listen(port: int | None, host: str = "127.0.0.1") -> socket.socket:
    """Open the socket to serve on: `port`, else the default one, else any free one.

    Raises:
        ArgumentError: the port that was asked for is taken.
    """
    for candidate in (PORT, 0) if port is None else (port,):
        made = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            made.bind((host, candidate))
            made.listen(128)
            return made
        except OSError as error:
            made.close()
            if port is not None or error.errno not in (errno.EADDRINUSE, errno.EACCES):
                raise ArgumentError(f"port {candidate} cannot be used ({error.strerror}): name another, or none for a free one") from error
    raise AssertionError  # port 0 is always to be had


def serve(places: Sequence[str | os.PathLike[str]], *, port: int | None = None, open_browser: bool = True) -> None:
    """Serve the studio until interrupted.

    Args:
        places: run folders, or folders of run folders.
        port: on loopback; default 7007, or a free one when that is taken.
        open_browser: whether to open a browser window.

    Raises:
        RunNotFoundError: a place holds no run.
        ArgumentError: the port is taken.
    """
    import uvicorn

    runs = find_runs(places)
    made = listen(port)
    address = f"http://127.0.0.1:{made.getsockname()[1]}/"
    names = ", ".join(path.name for path in runs.values())
    print(f"attnlog: {names} at {address} (Ctrl-C ends it)", flush=True)
    if open_browser:
        import webbrowser

        webbrowser.open(address)
    server = uvicorn.Server(uvicorn.Config(application(runs), log_level="warning", lifespan="off"))
    try:
        server.run(sockets=[made])
    except KeyboardInterrupt:
        pass
    finally:
        made.close()


def view(run: Any, *, port: int | None = None, open_browser: bool = True) -> None:
    """Open the studio over a saved run, a run being written, or the path of one; returns when interrupted (Ctrl-C).

    Raises:
        RunNotFoundError: there is no run.
    """
    serve([getattr(run, "directory", run)], port=port, open_browser=open_browser)
