"""The exported page in a real Chromium, opened from disk: it draws, and asks nobody for anything."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from attnlog.view.export import export_html
from tests.integrations.files import small_run
from tests.integrations.screen import shows


def test_a_page_from_disk_draws_and_reaches_no_network(tmp_path: Path, browser: Any) -> None:
    page = browser.new_page(viewport={"width": 1400, "height": 900})
    asked: list[str] = []
    said: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: said.append(message.text))
    try:
        out = export_html(small_run(tmp_path / "run"), tmp_path / "page.html")
        page.goto(out.as_uri())
        shows(page)
        assert [url for url in asked if not url.startswith(("file:", "blob:", "data:"))] == []
        assert not [text for text in said if "Content Security Policy" in text]
        reached = page.evaluate("fetch('http://127.0.0.1:9/').then(() => true, () => false)")
        assert reached is False
        assert any("Content Security Policy" in text for text in said)
    finally:
        page.close()


def test_a_page_with_a_budget_says_what_it_leaves_out(tmp_path: Path, browser: Any) -> None:
    folder = small_run(tmp_path / "run")
    least = len(export_html(folder, budget=0))
    out = export_html(folder, tmp_path / "page.html", budget=least + 40_000)
    page = browser.new_page()
    try:
        page.goto(out.as_uri())
        page.get_by_text("are not in this file").first.wait_for(state="attached", timeout=60_000)
    finally:
        page.close()
