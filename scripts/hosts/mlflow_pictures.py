"""Makes the pictures of docs/guides/mlflow.md: the viewer in the artifact pane, and the page, each on a real server in Chromium.

python scripts/hosts/mlflow_pictures.py [FOLDER]    a run, or a folder of runs of which the newest is taken; default: demo-runs/, else a
small one made here
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from io import BytesIO
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
IMAGES = ROOT / "docs" / "images"
sys.path[:0] = [str(ROOT), str(ROOT / "integrations")]


def main() -> None:
    """Start a server, log two runs, look at both hosts."""
    from playwright.sync_api import sync_playwright

    from tests.chromium import launch
    from tests.integrations.mlflow_servers import mlflow_server_process

    with tempfile.TemporaryDirectory() as scratch, sync_playwright() as playwright:
        # A copy: delivering leaves notes in the folder.
        place = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "demo-runs"
        folder = shutil.copytree(newest_or_small(place, Path(scratch)), Path(scratch, "copy"))
        server = Path(scratch, "server")
        server.mkdir()
        with mlflow_server_process(server, "--app-name", "attnlog") as uri:
            runs = [logged(uri, folder, name) for name in ("warm-up 100", "warm-up 500")]
            browser = launch(playwright)
            page = browser.new_page()
            artifact_pane(page, uri, runs[1])
            own_page(page, uri, runs)
            browser.close()


def newest_or_small(place: Path, scratch: Path) -> Path:
    """The newest run of a folder, else a small one."""
    from attnlog.errors import RunNotFoundError
    from scripts.hosts.moment import newest

    try:
        return newest([place])
    except RunNotFoundError:
        from tests.integrations.files import small_run

        return small_run(scratch / "run")


def logged(uri: str, folder: Path, name: str) -> str:
    """Deliver a run folder to a new run, as a training does."""
    import mlflow

    from attnlog.delivery.sync import sync
    from attnlog_integrations.mlflow.tracker import MlflowTracker

    mlflow.set_tracking_uri(uri)
    client = mlflow.MlflowClient()
    run = str(client.create_run("0", run_name=name).info.run_id)
    for step in (100, 200, 300):
        client.log_metric(run, "eval_loss", 3 - step / 200, step=step)
    print(sync(folder, MlflowTracker(folder, run=run)))
    client.set_terminated(run)
    return run


def artifact_pane(page: Any, uri: str, run: str) -> None:
    """The viewer artifact, opened in MLflow's page."""
    page.set_viewport_size({"width": 1680, "height": 1000})
    page.goto(f"{uri}/#/experiments/0/runs/{run}/artifacts/attnlog/viewer.html")
    frame = page.frame_locator("iframe")
    frame.locator('[data-view="head"][data-ready]').first.wait_for(timeout=120_000)
    assistant = page.get_by_role("button", name="close").or_(page.get_by_label("Close")).first
    if assistant.is_visible():
        assistant.click()
    frame.get_by_label("layer", exact=True).select_option("1")
    frame.locator('[data-view="head"][data-ready$="/1"]').first.wait_for()
    taken(page, "mlflow-artifact.png")


def own_page(page: Any, uri: str, runs: list[str]) -> None:
    """The page, at the second run."""
    page.set_viewport_size({"width": 1440, "height": 900})
    page.goto(f"{uri}/attnlog/?run={runs[1]}#view=head&layer=1")
    page.locator('[data-view="neuron"][data-ready]').first.wait_for(timeout=120_000)
    taken(page, "mlflow-page.png")


def taken(page: Any, name: str) -> None:
    """Keep a picture of what is on screen."""
    page.mouse.move(0, 0)
    page.wait_for_timeout(1_000)  # MLflow's own page fades things in
    IMAGES.mkdir(exist_ok=True)
    from PIL import Image

    # A palette is a third of the size, and the eye sees no difference.
    Image.open(BytesIO(page.screenshot())).convert("RGB").quantize(256).save(IMAGES / name, optimize=True)
    print(IMAGES / name, (IMAGES / name).stat().st_size)


if __name__ == "__main__":
    main()
