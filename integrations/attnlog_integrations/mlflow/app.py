"""The page on a tracking server: ``mlflow server --app-name attnlog``, or ``attnlog-basic-auth`` where people sign in."""

from __future__ import annotations

from typing import Any


def create_app() -> Any:
    """MLflow's server with the page, for entry point ``attnlog`` of group ``mlflow.app``."""
    return _create(login=False)


def create_app_with_login() -> Any:
    """MLflow's server with basic authentication and the page, for entry point ``attnlog-basic-auth``."""
    return _create(login=True)


def _create(*, login: bool) -> Any:
    from attnlog_integrations.mlflow.internals import TrackingServer
    from attnlog_integrations.mlflow.page import RULES, routes

    server = TrackingServer(login=login)
    return server.serve(routes(server), RULES)
