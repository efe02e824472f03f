"""Whether a tracker answers: one short request each, and never longer than a few seconds, whatever the line does."""

from __future__ import annotations

import base64
import configparser
import os
import socket
import ssl
import threading
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from attnlog.delivery.redact import describe, redact
from attnlog.errors import ArgumentError, AttnlogError

#: Seconds for one answer, and for everything that a check does: names can take long to resolve.
TIMEOUT, PATIENCE = 5.0, 10.0
COMET = "https://www.comet.com"
_LOGIN = "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN"
_PORTS = {"postgresql": 5432, "mysql": 3306, "mssql": 1433}


class Unreachable(Exception):
    """A tracker that is configured does not answer, or refuses; the text says what to do."""


def within(check: Callable[[], str], seconds: float = PATIENCE) -> str:
    """Run a check for so many seconds at most.

    Raises:
        Unreachable: it failed, or was not done by then.
    """
    said: list[str] = []
    failed: list[Exception] = []

    def run() -> None:
        try:
            said.append(check())
        except Exception as error:
            failed.append(error)

    thread = threading.Thread(target=run, name="attnlog-doctor", daemon=True)
    thread.start()
    thread.join(seconds)
    if said:
        return said[0]
    if failed:
        ours = isinstance(failed[0], (Unreachable, AttnlogError))
        raise Unreachable(str(failed[0]) if ours else describe(failed[0]))
    raise Unreachable(f"no answer within {seconds:.0f} s")


def mlflow(uri: str) -> str:
    """Ask whatever MLflow's tracking URI names; return what was found.

    Raises:
        Unreachable: it does not answer, or refuses.
    """
    parts = urlsplit(uri)
    scheme = parts.scheme.partition("+")[0].lower()
    if scheme in ("http", "https"):
        return _mlflow_server(uri)
    if scheme == "sqlite":
        file = Path(uri.partition("///")[2])
        if file.exists():
            return f"{redact(uri)} is there"
        if not file.absolute().parent.is_dir():
            raise Unreachable(f"{redact(uri)}: there is no folder {file.absolute().parent}")
        return f"{redact(uri)} is not there yet; MLflow makes it"
    if scheme in _PORTS:
        with socket.create_connection((parts.hostname or "localhost", parts.port or _PORTS[scheme]), timeout=TIMEOUT):
            return f"the database server {parts.hostname} answers; whether it lets you in was not tried"
    if scheme in ("", "file"):
        folder = Path(url2pathname(parts.path) if scheme else uri)
        if folder.exists() and not os.access(folder, os.W_OK):
            raise Unreachable(f"{folder} cannot be written")
        return f"{folder} {'is there' if folder.exists() else 'is not there yet; MLflow makes it'}"
    return f"{redact(uri)} was not tried: {scheme} is not known here"


def _mlflow_server(uri: str) -> str:
    headers = {}
    user, password, token = (os.environ.get(f"MLFLOW_TRACKING_{name}") for name in ("USERNAME", "PASSWORD", "TOKEN"))
    parts = urlsplit(uri)
    if parts.username:  # urllib takes no userinfo in an address
        user, password = parts.username, parts.password or ""
        uri = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
    if user:
        headers["Authorization"] = "Basic " + base64.b64encode(f"{user}:{password or ''}".encode()).decode()
    elif token:
        headers["Authorization"] = f"Bearer {token}"
    context = ssl.create_default_context(cafile=os.environ.get("MLFLOW_TRACKING_SERVER_CERT_PATH") or None)
    if os.environ.get("MLFLOW_TRACKING_INSECURE_TLS", "").lower() == "true":
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    status = _status(f"{uri.rstrip('/')}/api/2.0/mlflow/experiments/get?experiment_id=0", headers, context)
    shown = redact(uri)
    if status == 401:  # 403: whoever asks is known, and may not see this experiment
        raise Unreachable(
            f"{shown} refuses ({status}): set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN"
        )
    if status >= 500:
        raise Unreachable(f"{shown} answers {status}: see the server's log")
    return f"{shown} answers"


def comet_key() -> tuple[str | None, str]:
    """Find Comet's API key and address where its client looks: the environment, then .comet.config here, then in the home folder.

    Raises:
        ArgumentError: it is no key.
    """
    key, address = os.environ.get("COMET_API_KEY"), os.environ.get("COMET_URL_OVERRIDE")
    named = os.environ.get("COMET_CONFIG")
    for file in [Path(named)] if named else [Path(".comet.config"), Path.home() / ".comet.config"]:
        parser = configparser.ConfigParser(interpolation=None)
        try:
            parser.read(file, encoding="utf-8")
        except (configparser.Error, OSError, UnicodeDecodeError):
            continue
        key = key or parser.get("comet", "api_key", fallback=None)
        address = address or parser.get("comet", "url_override", fallback=None)
    key = (key or "").strip()  # a key out of a file often ends in a line break
    if not key.isprintable() or not key.isascii():
        raise ArgumentError("COMET_API_KEY, or api_key in .comet.config, holds characters that no key has: copy it again")
    return key or None, (address or COMET).rstrip("/").removesuffix("/clientlib")


def comet(key: str, address: str) -> str:
    """Ask Comet who the key belongs to; return what was found.

    Raises:
        Unreachable: it does not answer, or refuses the key.
    """
    if urlsplit(address).scheme not in ("http", "https"):
        raise Unreachable(f"{redact(address)} is no address of a Comet: see COMET_URL_OVERRIDE")
    status = _status(f"{address}/api/rest/v2/account-details", {"Authorization": key}, ssl.create_default_context())
    if status in (400, 401, 403):
        raise Unreachable(f"{redact(address)} refuses the API key ({status}): get one in your account's settings, and set COMET_API_KEY")
    if status >= 500:
        raise Unreachable(f"{redact(address)} answers {status}")
    return f"{redact(address)} answers, and takes the API key"


class Stay(urllib.request.HTTPRedirectHandler):
    """Follows no redirect: whoever is redirected to must not be given the key."""

    def redirect_request(self, *_: object) -> None:
        """Take the answer as it is."""


def _status(url: str, headers: dict[str, str], context: ssl.SSLContext) -> int:
    opener = urllib.request.build_opener(Stay, urllib.request.HTTPSHandler(context=context))
    try:
        with opener.open(urllib.request.Request(url, headers=headers), timeout=TIMEOUT) as answer:  # noqa: S310 - http or https, checked
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return int(error.code)
    except urllib.error.URLError as error:
        parts = urlsplit(url)
        raise Unreachable(
            f"{parts.scheme}://{parts.netloc} cannot be reached ({redact(str(error.reason))}): is it up, and the address right?"
        ) from None
