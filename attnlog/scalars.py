"""Numbers that users and trainers give."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from attnlog.errors import ArgumentError


def whole_number(name: str, given: Any, least: int, more: str = "") -> int:
    """Return an argument that has to be a whole number.

    Raises:
        ArgumentError: it is none, or below `least`; `more` says what else there is to give.
    """
    if isinstance(given, bool) or not isinstance(given, int) or given < least:
        raise ArgumentError(f"{name} is {given!r}; it is a whole number from {least}{more}")
    return given


def finite_numbers(metrics: Mapping[str, Any] | None) -> dict[str, float]:
    """Keep what of a trainer's metrics is one finite number: Python's, numpy's or a tensor's, but no text and no truth value."""
    kept = {}
    for name, value in (metrics or {}).items():
        if value is None or isinstance(value, (str, bytes, bool)):
            continue
        try:
            number = float(value)
        except (TypeError, ValueError, RuntimeError, OverflowError):
            continue  # arrays and tables are among metrics too
        if math.isfinite(number):
            kept[str(name)] = number
    return kept
