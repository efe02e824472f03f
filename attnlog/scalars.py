"""Numbers out of what trainers report."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any


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
