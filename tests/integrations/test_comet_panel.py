"""The panel from its zip, in a page that plays Comet's frame, over what the real client wrote and read back."""

from __future__ import annotations

import json
import shutil
import subprocess
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import comet_ml
import pytest

from attnlog.boundary import Boundary
from attnlog.delivery.queue import Delivery
from attnlog_integrations.comet.panel import upload_command, write_panel
from attnlog_integrations.comet.tracker import CometTracker
from tests.integrations.comet_host import host_page, offline_assets, panel_parts
from tests.integrations.comet_loopback import Loopback, loopback
from tests.integrations.files import entries, small_run
from tests.integrations.screen import shows

ROOT = Path(__file__).parents[2]


@pytest.fixture
def comet(monkeypatch: pytest.MonkeyPatch) -> Iterator[Loopback]:
    with loopback() as server:
        for name, value in server.environment().items():
            monkeypatch.setenv(name, value)
        yield server


@pytest.fixture(scope="module")
def panel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_panel(tmp_path_factory.mktemp("panel") / "panel.zip")


@pytest.fixture
def page(browser: Any) -> Iterator[Any]:
    opened = browser.new_page(viewport={"width": 1400, "height": 900})
    yield opened
    opened.close()


def deliver(folder: Path) -> None:
    delivery = Delivery(folder, [CometTracker(folder)], Boundary())
    delivery.offer(entries(folder))
    delivery.finish(wait=120)


def offline(tmp_path: Path) -> dict[str, bytes]:
    """Assets of a run as the real OfflineExperiment archived them."""
    experiment = comet_ml.OfflineExperiment(offline_directory=str(tmp_path / "archives"))
    deliver(small_run(tmp_path / "run"))
    experiment.end()
    [archive] = (tmp_path / "archives").glob("*.zip")
    return offline_assets(archive)


def test_the_zip_is_a_javascript_template_with_everything_in_it(panel: Path) -> None:
    with zipfile.ZipFile(panel) as archive:
        assert archive.namelist() == ["tempVisualizationTemplate.json"]
        template = json.loads(archive.read("tempVisualizationTemplate.json"))
    code = template["code"]
    assert code["type"] == "js"
    assert "class AttnlogPanel extends Comet.Panel" in code["code"]
    assert code["internalResources"] == code["userResources"] == []
    assert '<div id="attnlog">' in code["html"]


def test_the_same_viewer_makes_the_same_zip(panel: Path, tmp_path: Path) -> None:
    assert write_panel(tmp_path / "again.zip").read_bytes() == panel.read_bytes()


def test_the_upload_command_names_no_key(panel: Path) -> None:
    said = upload_command(panel, "team")
    assert "teamName=team" in said and "$COMET_API_KEY" in said and str(panel) in said


def test_the_host_part_of_the_panel_is_what_its_source_builds() -> None:
    esbuild = ROOT / "panels" / "node_modules" / ".bin" / "esbuild"
    if shutil.which("node") is None or not esbuild.exists():
        pytest.skip("needs node and npm ci in panels/")
    flags = ["--bundle", "--minify", "--format=iife", "--charset=ascii", "--legal-comments=none"]
    flags += ["--target=chrome109,firefox115,safari16.4"]
    built = subprocess.run([esbuild, "src/host/comet.ts", *flags], cwd=ROOT / "panels", check=True, capture_output=True).stdout
    assert (ROOT / "integrations/attnlog_integrations/comet/panel.js").read_bytes() == built


def test_the_panel_shows_an_offline_archive(tmp_path: Path, comet: Loopback, panel: Path, page: Any) -> None:
    with host_page(panel, {"one": offline(tmp_path)}) as address:
        page.goto(address)
        shows(page)


def test_a_panel_as_narrow_as_comets_shows_every_view(tmp_path: Path, comet: Loopback, panel: Path, page: Any) -> None:
    page.set_viewport_size({"width": 400, "height": 480})
    with host_page(panel, {"one": offline(tmp_path)}) as address:
        page.goto(address)
        shows(page)


def test_the_panel_shows_what_the_real_client_reads_back(tmp_path: Path, comet: Loopback, panel: Path, page: Any) -> None:
    experiment = comet_ml.start()
    deliver(small_run(tmp_path / "run"))
    experiment.end()
    api = comet_ml.APIExperiment(previous_experiment=experiment.id, cache=False)
    read = {asset["fileName"]: api.get_asset(asset["assetId"], return_type="binary") for asset in api.get_asset_list()}
    with host_page(panel, {experiment.id: read}) as address:
        page.goto(address)
        shows(page)


def test_a_comet_that_gives_text_is_refused_with_the_remedy(tmp_path: Path, comet: Loopback, panel: Path, page: Any) -> None:
    with host_page(panel, {"one": offline(tmp_path)}, delivery="text") as address:
        page.goto(address)
        page.get_by_text("ATTNLOG_COMET_TWIN=1").first.wait_for(timeout=60_000)
        assert "bytes were replaced" in page.locator("body").inner_text()


def test_a_comet_that_gives_text_is_served_by_the_text_copies(
    tmp_path: Path, comet: Loopback, panel: Path, page: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ATTNLOG_COMET_TWIN", "1")
    with host_page(panel, {"one": offline(tmp_path)}, delivery="text") as address:
        page.goto(address)
        shows(page)


def test_two_experiments_are_two_runs_of_one_panel(tmp_path: Path, comet: Loopback, panel: Path, page: Any) -> None:
    assets = offline(tmp_path)
    with host_page(panel, {"one": assets, "two": assets}) as address:
        page.goto(address)
        shows(page)
        assert "experiment two" in page.locator("body").text_content()


def test_the_panel_asks_nobody_but_its_host(tmp_path: Path, comet: Loopback, panel: Path, page: Any) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    with host_page(panel, {"one": offline(tmp_path)}) as address:
        page.goto(address)
        shows(page)
    assert all(url.startswith((address, "blob:", "data:")) for url in asked)
    assert "://" not in panel_parts(panel)["html"]
