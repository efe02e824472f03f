"""The page on a server where people sign in, below a static prefix: who is not shown a run gets neither its name nor its bytes."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import pytest
import requests
from mlflow import MlflowClient

from attnlog_integrations.mlflow.page import RULES
from tests.integrations.conftest import ADMIN
from tests.integrations.files import files, small_run
from tests.integrations.screen import shows
from tests.integrations.test_mlflow_page import asset, deliver, experiment, listed

READER, STRANGER = ("reader", "a-password-of-18"), ("stranger", "a-password-of-19")


class Place(NamedTuple):
    uri: str
    run: str
    folder: Path
    summary: str


@pytest.fixture(scope="module")
def place(mlflow_login: str, tmp_path_factory: pytest.TempPathFactory) -> Place:
    """A run that the tracker delivered as the admin, which `READER` may read and `STRANGER` may not."""
    from mlflow.server import get_app_client

    with pytest.MonkeyPatch.context() as patch:
        for name, value in zip(("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"), ADMIN, strict=True):
            patch.setenv(name, value)
        secret = experiment(mlflow_login, "secret")
        users: Any = get_app_client("basic-auth", tracking_uri=mlflow_login)
        for name, password in (READER, STRANGER):
            users.create_user(name, password)
        users.grant_user_permission(READER[0], "experiment", secret, "READ")
        run = MlflowClient(mlflow_login).create_run(secret, run_name="in confidence").info.run_id
        folder = small_run(tmp_path_factory.mktemp("login") / "run")
        with pytest.MonkeyPatch.context() as tracking:
            summary = deliver(mlflow_login, run, folder, tracking)
        tags = MlflowClient(mlflow_login).get_run(run).data.tags
        assert tags["attnlog.viewer"] == f"{mlflow_login}/attnlog/?run={run}"
    return Place(mlflow_login, run, folder, summary)


def test_who_may_read_is_shown_everything(place: Place) -> None:
    assert f"{place.uri}/attnlog/?run={place.run}" in place.summary
    for who in (ADMIN, READER):
        assert listed(place.uri, auth=who)[place.run]["group"] == "secret"
        for path, data in files(place.folder).items():
            assert asset(place.uri, place.run, path, auth=who).content == data
            assert asset(place.uri, place.run, path, auth=who, headers={"Range": "bytes=1-4"}).content == data[1:5]


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "POST"])
def test_who_may_not_read_gets_nothing(place: Place, method: str) -> None:
    assert listed(place.uri, auth=STRANGER) == {}
    query = {"run_id": place.run, "path": next(iter(files(place.folder)))}
    for path, of_run in RULES:
        address = f"{place.uri}/attnlog{path}"
        stranger = requests.request(method, address, params=query, auth=STRANGER, timeout=60)
        if of_run:
            assert stranger.status_code in (403, 405)
            assert place.run not in stranger.text
            assert "Content-Range" not in stranger.headers
            # What is not there looks as what is not shown.
            assert requests.get(address, params={**query, "run_id": "0" * 32}, auth=STRANGER, timeout=60).status_code == 403
        assert requests.request(method, address, params=query, timeout=60).status_code == 401


def test_another_parameter_does_not_pass_for_the_run(place: Place) -> None:
    path = next(iter(files(place.folder)))
    for query in (f"run_uuid={place.run}", f"run_id=&run_uuid={place.run}", "", f"run_id={'0' * 32}&run_id={place.run}"):
        for who in (READER, STRANGER):
            said = requests.get(f"{place.uri}/attnlog/asset?path={path}&{query}", auth=who, timeout=60)
            assert said.status_code in (400, 403, 404)


def opened(browser: Any, place: Place, who: tuple[str, str]) -> Any:
    context = browser.new_context(viewport={"width": 1300, "height": 900}, http_credentials={"username": who[0], "password": who[1]})
    page = context.new_page()
    page.goto(f"{place.uri}/attnlog/?run={place.run}")
    return page


def test_a_reader_sees_the_run_below_the_prefix(place: Place, browser: Any) -> None:
    page = opened(browser, place, READER)
    shows(page)
    assert page.locator(".picker").first.text_content().startswith("in confidence")
    page.goto(f"{place.uri}/#/experiments/{listed(place.uri, auth=READER)[place.run]['link'].split('/')[3]}/runs/{place.run}")
    with page.context.expect_page() as other:
        page.get_by_role("link", name="Attention viewer").click(timeout=60_000)
    shows(other.value)
    assert other.value.url.startswith(f"{place.uri}/attnlog/?run={place.run}")
    page.context.close()


def test_a_stranger_sees_no_run(place: Place, browser: Any) -> None:
    page = opened(browser, place, STRANGER)
    page.locator('[data-attnlog-state="empty"]').wait_for(timeout=60_000)
    assert "in confidence" not in page.content()
    page.context.close()
