"""What a studio in a page or a frame has drawn."""

from __future__ import annotations

from typing import Any


def shows(place: Any, views: tuple[str, ...] = ("head", "model", "neuron")) -> None:
    """Wait until the studio is ready and each of the views has drawn; narrow studios show one at a time."""
    place.locator('[data-attnlog-state="ready"]').wait_for(timeout=90_000)
    for view in views:
        if not place.locator(f'[data-view="{view}"]').is_visible():
            place.locator(f'[data-open-view="{view}"]').first.click(timeout=30_000)
        place.locator(f'[data-view="{view}"][data-ready]').first.wait_for(timeout=60_000)
