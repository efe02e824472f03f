"""The local server gives what manifests name, by ranges too, and nothing else."""

from __future__ import annotations

import shutil
import socket
from pathlib import Path

import pytest
from click.testing import CliRunner
from starlette.testclient import TestClient

from attnlog.cli import main
from attnlog.errors import ArgumentError, RunNotFoundError
from attnlog.view.server import application, find_runs, listen

GOLDEN = Path(__file__).parent.parent / "golden"


@pytest.fixture
def client():
    return TestClient(application(find_runs([GOLDEN / "decoder", GOLDEN / "pair"])), base_url="http://127.0.0.1")


@pytest.fixture
def path():
    return next((GOLDEN / "decoder").glob("step-00000100/*/attention.arrow"))


def test_runs_are_listed_by_name(client):
    places = {name: str((GOLDEN / name).resolve()) for name in ("decoder", "pair")}
    assert client.get("/api/runs").json() == {
        "runs": [{"id": name, "name": f"golden {name}", "place": place} for name, place in places.items()]
    }


def test_a_folder_of_runs_is_all_of_them_the_last_written_first(tmp_path):
    import os

    for age, name in enumerate(("pair", "decoder", "sequence")):
        shutil.copytree(GOLDEN / name, tmp_path / name)
        os.utime(next((tmp_path / name).glob("manifest-*")), (1e9 - age, 1e9 - age))
    assert [p.name for p in find_runs([tmp_path]).values()] == ["pair", "decoder", "sequence"]


def test_a_run_is_called_as_its_folder_whatever_else_is_there(tmp_path):
    for place in ("one", "two"):
        shutil.copytree(GOLDEN / "pair", tmp_path / place / "pair")
    assert list(find_runs([tmp_path / "one"])) == ["pair"]
    assert list(find_runs([tmp_path / "one", tmp_path / "two"])) == ["pair", "pair-2"]


def test_manifests_come_as_they_are(client):
    found = client.get("/api/runs/decoder/manifests").json()["manifests"]
    assert found == [{"name": "manifest-golden-1.jsonl", "text": (GOLDEN / "decoder/manifest-golden-1.jsonl").read_text()}]


def test_manifests_that_are_known_are_not_sent_again(client):
    first = client.get("/api/runs/decoder/manifests")
    tag = first.headers["etag"]
    for said in (tag, f"W/{tag}", f'"other", {tag}'):
        again = client.get("/api/runs/decoder/manifests", headers={"If-None-Match": said})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
    assert client.get("/api/runs/decoder/manifests", headers={"If-None-Match": '"other"'}).content == first.content


def test_assets_come_whole_and_by_ranges(client, path):
    url = f"/api/runs/decoder/assets/{path.relative_to(GOLDEN / 'decoder')}"
    data = path.read_bytes()
    assert client.get(url).content == data
    part = client.get(url, headers={"Range": "bytes=8-99"})
    assert part.status_code == 206
    assert part.content == data[8:100]
    assert part.headers["content-range"] == f"bytes 8-99/{len(data)}"
    assert client.get(url, headers={"Range": f"bytes={len(data)}-{len(data) + 1}"}).status_code == 416


@pytest.mark.parametrize(
    "path",
    [
        "../pair/manifest-golden-1.jsonl",
        "expected.json",
        "manifest-golden-1.jsonl",
        "%2e%2e/%2e%2e/conftest.py",
        "/etc/passwd",
        "step-1/x/y.arrow",
    ],
)
def test_nothing_but_assets_can_be_read(client, path):
    assert client.get(f"/api/runs/decoder/assets/{path}").status_code == 404


def test_a_link_out_of_the_run_is_not_followed(tmp_path):
    shutil.copytree(GOLDEN / "decoder", tmp_path / "run")
    asset = next(tmp_path.glob("run/step-00000100/*/index.arrow"))
    asset.unlink()
    asset.symlink_to("/etc/passwd")
    client = TestClient(application(find_runs([tmp_path / "run"])), base_url="http://127.0.0.1")
    assert client.get(f"/api/runs/run/assets/{asset.relative_to(tmp_path / 'run')}").status_code == 404


def test_another_host_name_is_refused(client):
    assert client.get("/api/runs", headers={"Host": "evil.example"}).status_code == 400


def test_the_page_forbids_requests_beyond_the_server(client):
    policy = client.get("/").headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "connect-src 'self'" in policy


def test_a_name_in_the_page_is_text(tmp_path):
    shutil.copytree(GOLDEN / "decoder", tmp_path / "<img src=x>")
    client = TestClient(application(find_runs([tmp_path / "<img src=x>"])), base_url="http://127.0.0.1")
    assert "<img" not in client.get("/").text


def test_a_taken_default_port_gives_a_free_one_and_a_taken_chosen_one_an_error(monkeypatch):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        import sys

        monkeypatch.setattr(sys.modules["attnlog.view.server"], "PORT", port)
        free = listen(None)
        assert free.getsockname()[1] not in (0, port)
        free.close()
        with pytest.raises(ArgumentError, match=str(port)):
            listen(port)


def test_places_without_a_run_are_refused(tmp_path):
    with pytest.raises(RunNotFoundError, match="there is no run in"):
        find_runs([tmp_path])


@pytest.mark.parametrize(
    ("arguments", "says"), [(["view", "nowhere"], "RunNotFoundError"), (["export", "nowhere", "x.html"], "RunNotFoundError")]
)
def test_the_command_line_says_errors_in_one_line(arguments, says):
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 1
    assert says in result.output
    assert "Traceback" not in result.output


def test_export_writes_one_file(tmp_path):
    result = CliRunner().invoke(main, ["export", str(GOLDEN / "decoder"), str(tmp_path / "out.html")])
    assert result.exit_code == 0, result.output
    assert "<script" in (tmp_path / "out.html").read_text()


def test_the_comet_panel_is_written(tmp_path):
    result = CliRunner().invoke(main, ["panel", "comet", str(tmp_path / "panel.zip")])
    assert result.exit_code == 0, result.output
    assert (tmp_path / "panel.zip").stat().st_size > 10_000


def test_syncing_an_unknown_tracker_names_the_known_ones():
    result = CliRunner().invoke(main, ["sync", str(GOLDEN / "decoder"), "--tracker", "nobody"])
    assert result.exit_code == 1
    assert "'mlflow'" in result.output
