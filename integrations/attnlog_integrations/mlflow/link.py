"""The way to a run's viewer in MLflow's page: its addresses, and one line about it in the run's description."""

from __future__ import annotations

from typing import Any

from attnlog.delivery.redact import redact

VIEWER = "attnlog/viewer.html"
PAGE = "attnlog/"
NOTE = "mlflow.note.content"
TAG = "attnlog.viewer"


def is_server(tracking_uri: str) -> bool:
    """Whether a tracking URI is a server's address; then MLflow's page lies there, below a ``--static-prefix`` too."""
    return tracking_uri.startswith(("http://", "https://"))


def artifact_link(experiment: str, run: str) -> str:
    """The viewer in the artifact pane, seen from MLflow's page."""
    return f"#/experiments/{experiment}/runs/{run}/artifacts/{VIEWER}"


def page_link(run: str) -> str:
    """The run in our own page on the server, seen from MLflow's page."""
    return f"{PAGE}?run={run}"


def address(tracking_uri: str, link: str) -> str:
    """A link as an address to open from elsewhere; without a server's address it stays as it is."""
    return f"{redact(tracking_uri).rstrip('/')}/{link}" if is_server(tracking_uri) else link


def with_line(note: str, experiment: str, run: str, *, page: bool) -> str | None:
    """Put the line about the viewer before what the user wrote; None when a line about it is there already.

    Its links are relative: people often see MLflow at another address than the training does.
    """
    if VIEWER in note:
        return None
    artifact = artifact_link(experiment, run)
    line = f"[Attention viewer]({page_link(run)}) ([as artifact]({artifact}))" if page else f"[Attention viewer]({artifact})"
    return f"{line}\n\n{note}" if note else line


def has_page(tracking_uri: str) -> bool:
    """Ask a server, once and for a few seconds, whether our page is on it."""
    if not is_server(tracking_uri):
        return False
    import requests

    from mlflow.exceptions import MlflowException
    from mlflow.utils.credentials import get_default_host_creds
    from mlflow.utils.rest_utils import http_request

    try:
        # With the credentials that MLflow's client would use.
        answer: Any = http_request(get_default_host_creds(tracking_uri.rstrip("/")), f"/{PAGE}about", "GET", raise_on_status=False)
        return answer.status_code == 200 and "attnlog" in answer.json()
    except (MlflowException, requests.RequestException, ValueError):
        return False  # a server, or something before it, that has no such route may say so in any way; the artifact is there all the same
