"""How commands speak: tables for people, JSON for programs, and nothing of a run that a terminal would act upon."""

from __future__ import annotations

import json
import math
import os
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from attnlog.sizes import format_size

if TYPE_CHECKING:
    from rich.console import Console

#: Wide enough that a table in a pipe is never folded.
_PIPE = 10_000
# Control characters, and those that turn the direction of what follows: a name in a run is not to move a cursor.
_UNSAFE = re.compile(r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def safe(text: object) -> str:
    """Return a text from a run as it may be shown in a terminal."""
    return _UNSAFE.sub("\ufffd", str(text))


def width_of(text: str) -> int:
    """How many columns of a terminal a safe text takes."""
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def console(*, color: bool | None = None, error: bool = False) -> Console:
    """Make the console to print to.

    Args:
        color: False: none, whatever the terminal can do; True: colours in a pipe, too; None: as the terminal can.
        error: print to standard error.
    """
    from rich.console import Console

    made = Console(stderr=error, highlight=False, markup=False, emoji=False)
    if color:
        rich = os.environ.get("COLORTERM", "").lower() in ("truecolor", "24bit")
        system: Any = "truecolor" if rich else "256"
        made = Console(stderr=error, highlight=False, markup=False, emoji=False, force_terminal=True, no_color=False, color_system=system)
    elif color is False:
        made.no_color = True
    if not made.is_terminal:
        made.width = _PIPE
    return made


def print_table(headings: Sequence[str], rows: Iterable[Sequence[object]], *, right: Sequence[int] = ()) -> None:
    """Print a table without frame; the columns numbered in `right` stand to the right."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for number, heading in enumerate(headings):
        table.add_column(Text(heading), justify="right" if number in right else "left", overflow="fold", header_style="bold")
    for row in rows:
        table.add_row(*(Text("-" if cell is None else safe(cell)) for cell in row))
    console().print(table)


def print_json(value: Any) -> None:
    """Print JSON that any reader takes: numbers that JSON cannot say are null."""
    # ASCII only: escapes keep half surrogate pairs from failing and control characters from the terminal.
    click.echo(json.dumps(_plain(value), indent=2, allow_nan=False))


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if value is None or isinstance(value, (str, int, float, bool)) else str(value)


def size(count: int | None) -> str:
    """Write a size for people."""
    return "-" if count is None else format_size(count)


def number(value: float | None) -> str:
    """Write a number for people."""
    return "-" if value is None else f"{value:.4g}"


def moment(seconds: float | None) -> str:
    """Write a moment for people, UTC."""
    try:
        return "-" if not seconds else datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M")
    except (OverflowError, OSError, ValueError):
        return "-"


def counted(count: int, one: str, many: str | None = None) -> str:
    """Write how many of something there are."""
    return f"{count} {one if count == 1 else many or one + 's'}"


def listed(values: Sequence[object], most: int = 12) -> str:
    """Write some values, and how many more there are."""
    shown = ", ".join(safe(value) for value in values[:most])
    return shown if len(values) <= most else f"{shown} and {len(values) - most} more"


def spans(numbers: Iterable[int]) -> str:
    """Write whole numbers as spans: ``0-5, 8``."""
    found: list[list[int]] = []
    for value in sorted(set(numbers)):
        if found and value == found[-1][1] + 1:
            found[-1][1] = value
        else:
            found.append([value, value])
    return ", ".join(str(a) if a == b else f"{a}-{b}" for a, b in found)


@contextmanager
def progress(doing: str, total: int | None = None, *, quiet: bool = False) -> Iterator[Any]:
    """Show a bar on standard error where that is a terminal; the body calls what it is given after each piece of work.

    Where the number of pieces is not known before, it gives that along.
    """
    from rich.progress import Progress

    shown = console(error=True)
    with Progress(console=shown, transient=True, disable=quiet or not shown.is_terminal) as bar:
        task = bar.add_task(doing, total=total)
        yield lambda total=None: bar.update(task, advance=1, total=total)
