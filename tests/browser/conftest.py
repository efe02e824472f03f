"""Chromium for the browser tests; a page that logs an error, raises one or reaches out of its host fails its test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

LOCAL = ("file", "data", "blob", "about", "")


@pytest.fixture
def complaints() -> list[str]:
    """What pages complained about; a test that expects a complaint empties it."""
    return []


@pytest.fixture
def new_page(browser: Browser, complaints: list[str]) -> Iterator[Callable[..., Page]]:
    """Open pages of any size; each is watched."""
    contexts = []

    def make(width: int = 1280, height: int = 800, **options: object) -> Page:
        context = browser.new_context(viewport={"width": width, "height": height}, **options)  # type: ignore[arg-type]
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda said: complaints.append(said.text) if said.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda asked: None if _is_local(asked.url) else complaints.append(f"reached out to {asked.url}"))
        return page

    yield make
    for context in contexts:
        context.close()
    assert complaints == []


@pytest.fixture
def page(new_page: Callable[..., Page]) -> Page:
    """A wide page."""
    return new_page()


@pytest.fixture
def show(tmp_path: Path) -> Callable[..., None]:
    """Open HTML text as a file in a page, with a hash; waits until the studio has settled."""

    def open_html(page: Page, text: str, address: str = "", *, state: str = "ready") -> None:
        file = tmp_path / "page.html"
        file.write_text(text, encoding="utf-8")
        page.goto(f"{file.as_uri()}{address}")
        page.wait_for_selector(f'[data-attnlog-state="{state}"]')

    return open_html


def _is_local(url: str) -> bool:
    parts = urlsplit(url)
    return parts.scheme in LOCAL or parts.hostname in ("127.0.0.1", "localhost")
