"""The panel from its zip, in a page that plays Comet's frame, over what the real client wrote and read back."""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import comet_ml
import pytest
from click.testing import CliRunner

from attnlog.boundary import Boundary
from attnlog.cli import main
from attnlog.delivery.queue import Delivery
from attnlog_integrations.comet.panel import python_code, write_code, write_panel
from attnlog_integrations.comet.tracker import CometTracker
from tests.integrations.comet_host import host_page, offline_assets, panel_parts
from tests.integrations.comet_loopback import Loopback, loopback
from tests.integrations.conftest import free_port
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


@pytest.fixture(scope="module")
def assets(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Those of one archive, for all tests that need no other."""
    with loopback() as server, pytest.MonkeyPatch.context() as patch:
        for name, value in server.environment().items():
            patch.setenv(name, value)
        return offline(tmp_path_factory.mktemp("offline"))


def text(page: Any) -> str:
    return str(page.locator("body").inner_text())


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


def test_the_texts_to_paste_are_those_of_the_zip(panel: Path, tmp_path: Path) -> None:
    parts = panel_parts(panel)
    written = {file.name: file.read_text(encoding="utf-8") for file in write_code(tmp_path / "code")}
    assert written == {"panel.js": parts["code"], "panel.html": parts["html"], "panel.css": parts["css"]}


def command(*arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(main, ["panel", "comet", *arguments])
    return done.exit_code, done.output


def test_the_texts_to_paste_and_the_python_panel_are_written_by_the_command(panel: Path, tmp_path: Path) -> None:
    status, said = command("--code", str(tmp_path / "code"))
    assert status == 0 and str(tmp_path / "code") in said
    assert (tmp_path / "code" / "panel.js").read_text(encoding="utf-8") == panel_parts(panel)["code"]
    status, said = command("--python", str(tmp_path / "panel.py"))
    assert status == 0 and "panel.py" in said
    assert (tmp_path / "panel.py").read_text(encoding="utf-8") == python_code()


def test_the_panel_is_uploaded_to_a_workspace_and_replaced_there(comet: Loopback, panel: Path) -> None:
    status, said = command("--upload", "--workspace", "team")
    assert (status, comet.panels) == (0, [({"teamName": "team"}, panel.read_bytes())])
    assert "--template-id new-panel replaces it" in said
    status, _ = command("--upload", "--workspace", "team", "--template-id", "panel-7")
    assert (status, comet.panels[1][0]) == (0, {"teamName": "team", "templateId": "panel-7"})


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (401, "refuses the API key .401.: get one in your account's settings"),
        (403, "does not let this API key add panels to the workspace team"),
        (404, "does not know the workspace team .404."),
        (413, "does not take the panel .413.: write it to a file"),
        (503, "answers 503: try again later"),
        (302, "does not take the panel .302."),  # followed, it would hand the key to somebody else
    ],
)
def test_what_comet_refuses_is_said_without_the_key(comet: Loopback, status: int, words: str) -> None:
    comet.panel_status = status
    code, said = command("--upload", "--workspace", "team")
    assert code == 1 and re.search(words, said) and comet.key not in said
    assert "Traceback" not in said


def test_a_wrong_key_no_key_and_no_line_are_told_apart(comet: Loopback, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("COMET_API_KEY", "another-key-0123456789")
    code, said = command("--upload", "--workspace", "team")
    assert code == 1 and "refuses the API key" in said and "another-key" not in said
    monkeypatch.setenv("COMET_URL_OVERRIDE", f"http://127.0.0.1:{free_port()}/clientlib/")
    code, said = command("--upload", "--workspace", "team")
    assert code == 1 and "cannot be reached (" in said and "another-key" not in said
    monkeypatch.delenv("COMET_API_KEY")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    code, said = command("--upload", "--workspace", "team")
    assert code == 1 and "set COMET_API_KEY" in said


def test_what_a_command_lacks_is_said() -> None:
    assert "say what to make" in command()[1]
    assert "--upload needs --workspace" in command("--upload")[1]
    assert "are for --upload" in command("x.zip", "--workspace", "team")[1]
    assert "is not the name of a workspace" in command("--upload", "--workspace", "my team&x=1")[1]


@pytest.mark.parametrize("delivery", ["arraybuffer", "blob", "link"])
def test_bytes_come_by_whichever_way_keeps_them(assets: dict[str, bytes], panel: Path, page: Any, delivery: str) -> None:
    with host_page(panel, {"one": assets}, delivery=delivery) as address:
        page.goto(address)
        shows(page)
        assert "arraybuffer" in page.evaluate("asked")
        assert page.evaluate("asked.slice(-1)") == [{"link": "blob"}.get(delivery, delivery)]


def test_every_choice_is_in_reach_of_a_panel_as_narrow_as_comets(panel: Path, page: Any) -> None:
    golden = Path(__file__).parents[1] / "golden" / "pair"
    names = {str(file.relative_to(golden)): file for file in golden.rglob("*") if file.suffix in (".arrow", ".jsonl")}
    pair = {f"attnlog/{name}": file.read_bytes() for name, file in names.items()}
    page.set_viewport_size({"width": 400, "height": 600})
    with host_page(panel, {"one": pair, "two": pair}) as address:
        page.goto(address)
        shows(page, ("head", "model", "matrix", "neuron", "timeline", "tokens"))
        page.locator('[data-open-view="head"]').click()
        for label in ("experiment", "input", "recorded step", "layer", "pair filter", "compare with another"):
            assert page.get_by_label(label, exact=True).is_visible(), label
            box = page.get_by_label(label, exact=True).bounding_box()
            assert box["x"] >= 0 and box["x"] + box["width"] <= 400, label
        assert [option.inner_text() for option in page.get_by_label("pair filter").locator("option").all()] == [
            "all", "A → A", "A → B", "B → A", "B → B",
        ]  # fmt: skip
        page.locator(".heads-menu summary").click()
        page.get_by_role("checkbox", name="1").uncheck()
        assert page.evaluate(INSPECT)["state"]["heads"] == [0, 2]
        page.get_by_role("checkbox", name="0").uncheck()
        page.get_by_role("checkbox", name="2").click()  # the last head stays
        assert page.evaluate(INSPECT)["state"]["heads"] == [2]
        page.locator(".heads-box").get_by_text("all", exact=True).click()
        assert page.evaluate(INSPECT)["state"]["heads"] is None
        page.keyboard.press("Escape")
        assert not page.locator(".heads-box").is_visible()
        page.get_by_label("experiment", exact=True).select_option(label="experiment two")
        page.wait_for_function(f"({INSPECT}).run?.id === 'two'")


INSPECT = "AttnlogStudio.inspect(document.getElementById('attnlog'))"


def test_the_panel_shows_what_the_real_client_reads_back(tmp_path: Path, comet: Loopback, panel: Path, page: Any) -> None:
    experiment = comet_ml.start()
    deliver(small_run(tmp_path / "run"))
    experiment.end()
    api = comet_ml.APIExperiment(previous_experiment=experiment.id, cache=False)
    read = {asset["fileName"]: api.get_asset(asset["assetId"], return_type="binary") for asset in api.get_asset_list()}
    with host_page(panel, {experiment.id: read}) as address:
        page.goto(address)
        shows(page)


def test_a_comet_that_gives_text_is_refused_with_the_remedy(assets: dict[str, bytes], panel: Path, page: Any) -> None:
    with host_page(panel, {"one": assets}, delivery="text") as address:
        page.goto(address)
        page.get_by_text("ATTNLOG_COMET_TWIN=1").first.wait_for(timeout=60_000)
        assert "bytes were replaced" in text(page)
        assert "CometTransportError" in text(page)
        assert "The viewer failed" not in text(page)


def test_a_comet_that_gives_text_is_served_by_the_text_copies(
    tmp_path: Path, comet: Loopback, panel: Path, page: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ATTNLOG_COMET_TWIN", "1")
    with host_page(panel, {"one": offline(tmp_path)}, delivery="text") as address:
        page.goto(address)
        shows(page)


def test_two_experiments_are_compared(assets: dict[str, bytes], panel: Path, page: Any) -> None:
    with host_page(panel, {"one": assets, "two": assets}, options={"step": 200}) as address:
        page.goto(address)
        shows(page, ("head",))
        page.get_by_label("compare with another").select_option(label="experiment")
        assert page.get_by_label("compared with", exact=True).locator("option:checked").inner_text() == "experiment two"
        page.get_by_label("step compared with").select_option("300")
        page.get_by_role("group", name="side drawn").get_by_text("B − A").click()
        page.wait_for_function(f"({INSPECT}).head.signed && ({INSPECT}).state.compare.step === 300")
        page.get_by_text("B: experiment two, step 300").wait_for()


def test_what_is_shown_stays_when_other_experiments_are_chosen(assets: dict[str, bytes], panel: Path, page: Any) -> None:
    with host_page(panel, {"one": assets, "two": assets}) as address:
        page.goto(address)
        shows(page, ("head",))
        page.get_by_label("experiment", exact=True).select_option("two")
        page.evaluate("AttnlogStudio.inspect && document.querySelector('[aria-label=layer]').focus()")
        page.get_by_label("layer", exact=True).select_option("1")
        page.wait_for_function(f"({INSPECT}).run?.id === 'two' && ({INSPECT}).state.layer === 1")
        page.evaluate("panel.draw(['two', 'removed'])")
        page.wait_for_function(f"({INSPECT}).run?.id === 'two' && document.querySelector('.run-name').textContent === 'experiment two'")
        assert page.evaluate(INSPECT)["state"]["layer"] == 1
        page.evaluate("panel.draw([])")
        page.get_by_text("No experiment is chosen.").wait_for()
        page.evaluate("panel.draw(['one'])")
        page.wait_for_function(f"({INSPECT}).run?.id === 'one' && ({INSPECT}).state.layer === 1")


def test_what_cannot_be_shown_is_told_in_words(assets: dict[str, bytes], panel: Path, page: Any) -> None:
    large = ("attention.arrow", "vectors.arrow")
    within = {name: data for name, data in assets.items() if not (name.startswith("attnlog/step-00000200") and name.endswith(large))}
    with host_page(panel, {"one": within, "empty": {"model.pt": b"x"}}, options={"step": 200, "layer": "three"}) as address:
        page.goto(address)
        page.get_by_text("The weights of step 200 are not in this experiment.").first.wait_for()
        assert "above ATTNLOG_COMET_BUDGET" in text(page)
        assert "AssetMissing" not in text(page)
        assert 'layer is "three", and may be: a layer\'s number' in text(page)
        page.evaluate("panel.draw(['empty'])")
        page.get_by_text("The chosen experiment has no attention that attnlog logged.").wait_for()
        assert 'tracker="comet"' in text(page)


def test_the_panels_options_say_where_it_begins(assets: dict[str, bytes], panel: Path, page: Any) -> None:
    options = {"view": "neuron", "step": 100, "layer": 1, "heads": [1, 2], "theme": "dark"}
    page.set_viewport_size({"width": 420, "height": 500})
    with host_page(panel, {"one": assets}, options=options) as address:
        page.goto(address)
        page.locator('[data-view="neuron"][data-ready]').wait_for()
        state = page.evaluate(INSPECT)["state"]
        assert {name: state[name] for name in ("view", "step", "layer", "heads")} == {
            "view": "neuron",
            "step": 100,
            "layer": 1,
            "heads": [1, 2],
        }
        assert page.locator("#attnlog").get_attribute("data-theme") == "dark"


def test_the_panel_asks_nobody_but_its_host(assets: dict[str, bytes], panel: Path, page: Any) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    with host_page(panel, {"one": assets}) as address:
        page.goto(address)
        shows(page)
    assert all(url.startswith((address, "blob:", "data:")) for url in asked)
    assert "://" not in panel_parts(panel)["html"]
