"""Keeps secrets out of what trackers' errors say: passwords in URLs, and the values of secret environment variables."""

from __future__ import annotations

import os
import re

_USERINFO = re.compile(r"(?<=://)[^/\s]+@")  # up to the last @: a password may hold one
_QUERY = re.compile(r"(?<=[?&])((?:[a-z_-]*(?:key|token|password|secret))=)(?!<)[^&\s]+", re.IGNORECASE)
_SECRET_NAME = re.compile(r"KEY|TOKEN|PASSWORD|SECRET|CREDENTIAL", re.IGNORECASE)


def redact(text: str) -> str:
    """Return the text without userinfo in URLs and without the value of any environment variable named like a secret."""
    text = _USERINFO.sub("", text)
    for name, value in os.environ.items():
        if _SECRET_NAME.search(name):
            # A value read from a file often ends in a line break, which an error shows as \\n.
            for said in {value, value.strip(), repr(value)[1:-1]}:
                if len(said) >= 8:
                    text = text.replace(said, f"<{name}>")
    return _QUERY.sub(r"\1…", text)


def describe(error: BaseException) -> str:
    """Name an error in one line that is safe to show."""
    text = redact(str(error)).strip()
    first = text.splitlines()[0] if text else ""
    if len(first) > 300:  # what went wrong stands first, and why last
        first = f"{first[:120]} … {first[-170:]}"
    return f"{type(error).__name__}: {first}" if first else type(error).__name__
