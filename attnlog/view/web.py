"""What pages that a server of ours gives have in common: their policy, their headers, and byte ranges."""

from __future__ import annotations

import hashlib
import html
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

STATIC = Path(__file__).parent / "static"
ARROW = "application/vnd.apache.arrow.file"
_RANGE = re.compile(r"bytes=([0-9]{1,18})-([0-9]{1,18})")
# Nothing on the page may reach beyond this server; the worker is started from a blob that the page makes.
_POLICY = (
    "default-src 'none'; script-src 'self'; worker-src blob:; connect-src 'self'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}


def studio_page(title: str, host: Mapping[str, Any]) -> str:
    """Return the page that loads the studio from ``studio.js`` beside it and says which host it is."""
    # JSON in a script element: nothing in it may end the element.
    said = json.dumps(host).replace("<", "\\u003c")
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{html.escape(title)}</title><link rel='icon' href='data:,'></head><body>"
        f'<script type="application/json" id="attnlog-host">{said}</script><script src="studio.js"></script></body></html>'
    )


def entity_tag(answer: bytes) -> str:
    """Name an answer's bytes, so that who has them already need not be sent them again."""
    return f'"{hashlib.sha256(answer).hexdigest()[:32]}"'


def is_known(asked: str | None, tag: str) -> bool:
    """Whether an If-None-Match header names this answer."""
    # A proxy that compresses may have made the tag a weak one.
    return any(one.strip().removeprefix("W/") in (tag, "*") for one in (asked or "").split(","))


def byte_range(asked: str | None, size: int) -> tuple[int, int] | None:
    """Read a Range header as first and last byte of a file of `size` bytes; the last lies before the first where the file ends before.

    None: all of it, because nothing was asked for, or several parts, or what is not understood; that is what HTTP allows.
    """
    wanted = _RANGE.fullmatch(asked or "")
    if wanted is None or int(wanted[2]) < int(wanted[1]):
        return None
    return int(wanted[1]), min(int(wanted[2]), size - 1)
