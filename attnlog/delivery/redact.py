"""Keeps secrets out of what trackers' errors say: passwords in URLs, and the values of secret environment variables."""

from __future__ import annotations

import os
import re

#: Up to the last @ of the authority; where that has none, a password may hold a slash: what stands before it is no port then.
#: All lengths are bounded, so that a long text takes no longer than its length.
_USERINFO = re.compile(r"(?<=://)(?:[^/\s\"'<>]{1,1000}@|[^/\s:@\"'<>]{0,200}:(?![0-9]{1,5}(?:/|$))[^\s@\"'<>]{0,1000}@)")
#: The same without a scheme, as in user:password@host.name.
_BARE = re.compile(r"(?<![\w/.%-])[\w.%+-]{1,200}:[^\s:@/\"'<>]{1,1000}@(?=[\w-]+[.:/])")
#: Whole words: a tokenizer, a keyword and an author are none.
_WORD = r"(?:key|token|passw(?:or)?d|pwd|secret|signature|credential|odbc_connect)s?(?-i:(?![a-z]))[\w.-]{0,50}"
_SECRETS = rf"[\w.-]{{0,50}}{_WORD}|(?:[\w.-]{{0,50}}[_.-])?(?:auth|authorization|sig)"
_QUERY = re.compile(rf"(?<=[?&;])((?:{_SECRETS})=)(?!<)[^&;\s\"']+", re.IGNORECASE)
#: Of JSON, Python's dictionaries and HTTP's headers.
_NAMED = re.compile(rf"""([\"'](?:{_SECRETS})[\"']\s*[:=]\s*[\"'])(?!<)[^\"'\s]+""", re.IGNORECASE)
_HEADER = re.compile(r"\b(Bearer|Basic)\s+(?:(?<=Bearer )|(?=[\w.~+/=-]*(?:[0-9=+/]|[a-z][A-Z])))[\w.~+/=-]{8,}")
_SECRET_NAME = re.compile(r"KEY|TOKEN|PASSWORD|SECRET|CREDENTIAL", re.IGNORECASE)


def redact(text: str) -> str:
    """Return the text without what gives access.

    That is: user and password of addresses, values that the text itself names like a secret (in the query of an address, in JSON, in
    a header), and the value of any environment variable named like one.
    """
    text = _BARE.sub("", _USERINFO.sub("", text))
    for name, value in os.environ.items():
        if _SECRET_NAME.search(name):
            # A value read from a file often ends in a line break, which an error shows as \\n.
            for said in {value, value.strip(), repr(value)[1:-1]}:
                if len(said) >= 8:
                    text = text.replace(said, f"<{name}>")
    for pattern in (_QUERY, _NAMED):
        text = pattern.sub(r"\1…", text)
    return _HEADER.sub(r"\1 …", text)


def describe(error: BaseException) -> str:
    """Name an error in one line that is safe to show."""
    text = redact(str(error)).strip()
    first = text.splitlines()[0] if text else ""
    if len(first) > 400:  # what went wrong stands first, and why last
        first = f"{first[:200]} … {first[-190:]}"
    return f"{type(error).__name__}: {first}" if first else type(error).__name__
