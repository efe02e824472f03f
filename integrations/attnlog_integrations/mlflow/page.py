"""Routes of the page on a tracking server: the studio, the list of runs, and manifests and assets of a run."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from functools import wraps
from typing import TYPE_CHECKING, Any, BinaryIO

from attnlog.errors import AssetMissing, AssetSchemaError, AttnlogError
from attnlog.view.web import ARROW, HEADERS, STATIC, byte_range, entity_tag, is_known, studio_page
from attnlog_integrations.mlflow.internals import TrackingServer
from attnlog_integrations.mlflow.link import TAG
from attnlog_integrations.mlflow.stored import Reader

if TYPE_CHECKING:
    from flask import Blueprint, Response

#: Runs listed at a time.
LISTED = 100
#: Path of each route, and whether it names a run that whoever asks has to be allowed to read. MLflow's login knows exact paths
#: only, hence parameters where other servers of ours have paths.
RULES = (
    ("", False),  # which is sent on to the next
    ("/", False),
    ("/studio.js", False),
    ("/about", False),
    ("/runs", False),
    ("/run", True),
    ("/manifests", True),
    ("/asset", True),
)
_HEADERS = {**HEADERS, "Cache-Control": "private, no-cache"}
_PIECE = 1 << 20
_log = logging.getLogger("attnlog.mlflow")


def routes(server: TrackingServer) -> Blueprint:
    """Make the page's routes; `RULES` names them all."""
    from flask import Blueprint, jsonify, make_response, request, send_file

    from mlflow.exceptions import MlflowException

    page = Blueprint("attnlog", __name__)
    reader = Reader()

    def route(path: str) -> Callable[[Callable[[], Any]], Callable[[], Any]]:
        def add(answer: Callable[[], Any]) -> Callable[[], Any]:
            @wraps(answer)
            def answered() -> Response:
                try:
                    made = make_response(answer())
                except (AttnlogError, MlflowException) as error:
                    made = _refused(error)
                for name, value in _HEADERS.items():
                    made.headers[name] = value
                return made

            # OPTIONS would be answered without a rule of MLflow's login.
            page.add_url_rule(path, answer.__name__, answered, methods=["GET"], provide_automatic_options=False)
            return answered

        return add

    def asked_run() -> tuple[Any, str]:
        run_id = request.args.get("run_id", "")
        found = server.run(run_id) if run_id else None
        if found is None:
            raise AssetMissing(f"this server has no run {run_id!r}")
        return found

    @route("/")
    def studio() -> str:
        return studio_page("attnlog · MLflow", {"host": "mlflow"})

    @route("/studio.js")
    def script() -> Response:
        return send_file(STATIC / "studio.js", mimetype="text/javascript")

    @route("/about")
    def about() -> Response:
        from importlib.metadata import version

        return jsonify({"attnlog": version("attnlog")})

    @route("/runs")
    def runs() -> Response:
        readable = {one.id: one.name for one in server.experiments()}
        found, token = server.search(list(readable), TAG, LISTED, request.args.get("token")) if readable else ([], None)
        return jsonify({"runs": [run_record(run, readable[run.info.experiment_id]) for run in found], "next": token})

    @route("/run")
    def one_run() -> Response:
        return jsonify(run_record(*asked_run()))

    @route("/manifests")
    def manifests() -> Response:
        run, _ = asked_run()
        made = jsonify({"manifests": reader.manifests(run.info.run_id, server.artifacts(run))})
        tag = entity_tag(made.get_data())
        made = make_response("", 304) if is_known(request.headers.get("If-None-Match"), tag) else made
        made.headers["ETag"] = tag
        return made

    @route("/asset")
    def asset() -> Response:
        run, _ = asked_run()
        file = reader.open(run.info.run_id, server.artifacts(run), request.args.get("path", ""))
        return _file_response(file, request.headers.get("Range"))

    return page


def run_record(run: Any, experiment: str) -> dict[str, Any]:
    """What the studio is told of a run: enough to find it again in a long list."""
    info = run.info
    return {
        "id": info.run_id,
        "name": info.run_name or info.run_id,
        "place": f"mlflow:{info.run_id}",
        "group": experiment,
        "status": str(info.status).lower(),
        "time": info.start_time,
        # From the page, which lies one folder below MLflow's own.
        "link": f"../#/experiments/{info.experiment_id}/runs/{info.run_id}",
    }


def _file_response(file: BinaryIO, asked: str | None) -> Response:
    """An open file, or the part of it that was asked for; it is closed when all was sent."""
    from flask import Response

    size = os.fstat(file.fileno()).st_size
    headers = {"Accept-Ranges": "bytes"}
    wanted = byte_range(asked, size)
    if wanted is not None and wanted[0] > wanted[1]:
        file.close()
        return Response(status=416, headers={**headers, "Content-Range": f"bytes */{size}"})
    start, end = wanted or (0, size - 1)
    headers["Content-Length"] = str(end - start + 1)
    if wanted is not None:
        headers["Content-Range"] = f"bytes {start}-{end}/{size}"
    status, kind = (200, ARROW) if wanted is None else (206, "application/octet-stream")
    made = Response(_pieces(file, start, end - start + 1), status, headers, mimetype=kind)
    made.call_on_close(file.close)
    return made


def _pieces(file: BinaryIO, start: int, length: int) -> Iterator[bytes]:
    file.seek(start)
    while length > 0 and (piece := file.read(min(length, _PIECE))):
        length -= len(piece)
        yield piece


def _refused(error: Exception) -> Any:
    from flask import jsonify, make_response

    from mlflow.exceptions import MlflowException

    said = str(error)
    if isinstance(error, MlflowException):
        status = int(error.get_http_status_code())
        if status >= 500:
            _log.error("attnlog's page: %s", error)
            said = "MLflow's store does not answer; the log of the server says why"
    else:
        status = 404 if isinstance(error, (AssetMissing, AssetSchemaError)) else 502
    return make_response(jsonify({"error": said}), status)
