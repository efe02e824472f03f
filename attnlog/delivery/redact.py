"""Keeps secrets out of what trackers' errors say: passwords in URLs, and the values of secret environment variables."""

from __future__ import annotations

import os
import re

_USERINFO = re.compile(r"(?<=://)[^/\s@]+@")
_SECRET_NAME = re.compile(r"KEY|TOKEN|PASSWORD|SECRET|CREDENTIAL", re.IGNORECASE)


def redact(text: str) -> str:
    """Return the text without userinfo in URLs and without the value of any environment variable named like a secret."""
    text = _USERINFO.sub("", text)
    for name, value in os.environ.items():
        if len(value) >= 8 and _SECRET_NAME.search(name) and value in text:
            text = text.replace(value, f"<{name}>")
    return text


def describe(error: BaseException) -> str:
    """Name an error in one line that is safe to show."""
    text = redact(str(error)).strip()
    first = text.splitlines()[0][:300] if text else ""
    return f"{type(error).__name__}: {first}" if first else type(error).__name__
