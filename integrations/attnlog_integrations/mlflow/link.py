"""The way to a run's viewer in MLflow's page: its address, and one line about it in the run's description."""

from __future__ import annotations

from attnlog.delivery.redact import redact

VIEWER = "attnlog/viewer.html"
NOTE = "mlflow.note.content"
TAG = "attnlog.viewer"


def viewer_link(tracking_uri: str, experiment: str, run: str) -> str:
    """Address of the viewer in the artifact pane; without a server's address, one that works in whatever page shows the run."""
    base = redact(tracking_uri).rstrip("/") + "/" if tracking_uri.startswith(("http://", "https://")) else ""
    return f"{base}#/experiments/{experiment}/runs/{run}/artifacts/{VIEWER}"


def with_line(note: str, link: str) -> str | None:
    """Put the line about the viewer before what the user wrote; None when a line about it is there already."""
    if VIEWER in note:
        return None
    line = f"[Attention viewer]({link})"
    return f"{line}\n\n{note}" if note else line
