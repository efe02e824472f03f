"""The way to a run's viewer in MLflow's page: its addresses, and one line about it in the run's description."""

from __future__ import annotations

from typing import Any

from attnlog.delivery.redact import redact

ROOT = "attnlog/"
VIEWER = f"{ROOT}viewer.html"
PAGE = "attnlog/"
NOTE = "mlflow.note.content"
TAG = "attnlog.viewer"
#: On runs that attnlog itself began, and so ends.
OWN = "attnlog.began"
#: Characters of a tag's value; MLflow cuts what is longer without a word.
LONGEST = 8000


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


def with_line(note: str, experiment: str, run: str, *, page: bool, viewer: bool = True) -> str | None:
    """Put the line about the viewer before what the user wrote.

    Its links are relative: people often see MLflow at another address than the training does.

    Args:
        note: what the user wrote.
        experiment: the run's.
        run: its id.
        page: whether our page is on the server.
        viewer: whether the viewer is an artifact of the run.

    Returns:
        None where a line about it is there already, or where MLflow would cut off the end of what the user wrote.
    """
    artifact, on_page = artifact_link(experiment, run), page_link(run)
    if VIEWER in note or f"({on_page})" in note:
        return None
    beside = f" ([as artifact]({artifact}))" if page and viewer else ""
    line = f"[Attention viewer]({on_page if page else artifact}){beside}"
    whole = f"{line}\n\n{note}" if note else line
    return whole if len(whole) <= LONGEST else None


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
