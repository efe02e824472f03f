"""A matrix of weights in a terminal: two rows to a line in colour, or a table of numbers where there is none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise, zip_longest
from typing import TYPE_CHECKING

import numpy as np

from attnlog.commands.output import safe, width_of
from attnlog.record import FloatArray

if TYPE_CHECKING:
    from rich.text import Text

LABEL = 8  # columns that a token may take beside the map, and lines under it
_CELL = 4  # columns of a number
# From almost nothing to all: dark to light, so that it reads without hue, too.
_RAMP = np.array([(8, 6, 28), (60, 18, 110), (140, 41, 129), (222, 73, 104), (254, 159, 109), (252, 253, 191)], dtype=np.float64)


@dataclass(frozen=True)
class Cells:
    """What is drawn: the greatest weight of each cell, and which rows and columns a cell stands for."""

    values: FloatArray
    rows: tuple[int, ...]  # the first query of each row of cells
    columns: tuple[int, ...]  # the first key of each column
    per_row: int  # queries of a cell, at most
    per_column: int

    @property
    def pooled(self) -> bool:
        """Whether a cell stands for more than one weight."""
        return self.per_row > 1 or self.per_column > 1


def pool(weights: FloatArray, columns: int, *, shape: tuple[int, int] | None = None) -> Cells:
    """Pool a matrix to at most so many columns, and rows, by the greatest weight of each cell.

    Args:
        weights: float32 ``[rows, columns]``: every weight, or a picture of them.
        columns: cells that fit.
        shape: queries and keys, where `weights` is a picture.
    """
    queries, keys = shape or weights.shape
    n, m = (max(1, -(-length // max(1, columns))) for length in weights.shape)
    starts = np.arange(0, weights.shape[0], n), np.arange(0, weights.shape[1], m)
    values = np.maximum.reduceat(np.maximum.reduceat(weights, starts[0], axis=0), starts[1], axis=1)
    first = [tuple(int(s) * of // have for s in at) for at, of, have in zip(starts, (queries, keys), weights.shape, strict=True)]
    most = [max(b - a for a, b in pairwise([*at, of])) for at, of in zip(first, (queries, keys), strict=True)]
    return Cells(np.asarray(values, dtype=np.float32), first[0], first[1], most[0], most[1])


def colour_columns(width: int) -> int:
    """How many columns of cells fit beside the labels of a map."""
    return max(1, width - 2 * LABEL - 2)


def number_columns(width: int) -> int:
    """How many columns of numbers fit beside the labels of a table."""
    return max(1, (width - LABEL - 5) // _CELL)


def colour_map(cells: Cells, queries: Sequence[str], keys: Sequence[str]) -> list[Text]:
    """Draw cells as half blocks, the labels of queries to the left and those of keys below, from top to bottom."""
    from rich.color import Color
    from rich.style import Style
    from rich.text import Text

    codes = np.sqrt(np.clip(cells.values, 0, 1))
    at = codes * (len(_RAMP) - 1)
    low = np.minimum(at.astype(int), len(_RAMP) - 2)
    part = (at - low)[..., None]
    colours = np.rint(_RAMP[low] * (1 - part) + _RAMP[low + 1] * part).astype(int)
    margin = 2 * LABEL + 2
    lines = []
    for row in range(0, len(codes), 2):
        upper, *lower = (_label(queries[number], cells, number) for number in cells.rows[row : row + 2])
        text = Text(_right(upper) + ("/" + _left(lower[0]) if lower else " " * (LABEL + 1)) + " ", no_wrap=True)
        for column in range(codes.shape[1]):
            below = Color.from_rgb(*colours[row + 1, column]) if lower else None
            text.append("▀", Style(color=Color.from_rgb(*colours[row, column]), bgcolor=below))
        lines.append(text)
    if cells.pooled:
        return [*lines, Text(" " * margin + _ticks(cells.columns), no_wrap=True)]
    names = [_upright(keys[column]) for column in cells.columns]
    upright = ("".join(letters) for letters in zip_longest(*names, fillvalue=" "))
    return [*lines, *(Text(" " * margin + letters, no_wrap=True) for letters in upright)]


def number_table(cells: Cells, queries: Sequence[str], keys: Sequence[str]) -> list[str]:
    """Write cells as numbers, a line for each row, keys by their numbers."""
    head = " " * (LABEL + 5) + "".join(f"{column:>{_CELL}}" for column in cells.columns)
    lines = [head]
    for row, values in zip(cells.rows, cells.values, strict=True):
        numbers = "".join(f"{_number(value):>{_CELL}}" for value in values)
        lines.append(f"{row:>4} " + _left(safe(queries[row])) + numbers)
    if not cells.pooled:
        lines.append("keys: " + " ".join(f"{column}={safe(keys[column])}" for column in cells.columns))
    return lines


def _number(value: float) -> str:
    if value != value:
        return "?"
    shown = f"{value:.2f}"
    return "·" if shown == "0.00" else shown[1:] if shown.startswith("0") else shown[:3]


def _label(token: str, cells: Cells, number: int) -> str:
    return str(number) if cells.pooled else safe(token)


def _left(text: str, width: int = LABEL) -> str:
    """Cut and fill a text to a width, from the left."""
    while width_of(text) > width:
        text = text[:-1]
    return text + " " * (width - width_of(text))


def _right(text: str, width: int = LABEL) -> str:
    cut = _left(text, width).rstrip(" ")
    return " " * (width - width_of(cut)) + cut


def _upright(token: str) -> str:
    """A token from top to bottom; what is wider or narrower than a column becomes a dot."""
    return "".join(c if width_of(c) == 1 else "·" for c in safe(token)[:LABEL])


def _ticks(columns: Sequence[int]) -> str:
    """Numbers of keys under their columns, as many as have room."""
    text = ""
    for position, number in enumerate(columns):
        if len(text) <= position and (position % 10 == 0 or not text):
            text = text.ljust(position) + str(number)
            text += " "
    return text.rstrip()
