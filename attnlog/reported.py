"""Head metrics as a few numbers of a step, for the charts of a tracker: which ones were asked for, and what they are."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from attnlog.errors import ArgumentError

if TYPE_CHECKING:
    from attnlog.record import Capture

#: Head metrics by name; here too, so that a training's options are checked without loading numpy. A test holds it to attnlog.metrics.
NAMES = ("entropy", "distance", "previous", "next", "self", "first", "separator", "induction")
_WANTED = re.compile(r"([a-z]+)(?:@([0-9]+)\.([0-9]+))?")


@dataclass(frozen=True)
class Wanted:
    """One metric: over all heads, or of one."""

    metric: str
    layer: int | None = None
    head: int | None = None

    def __str__(self) -> str:
        return self.metric if self.layer is None else f"{self.metric}@{self.layer}.{self.head}"


def wanted(scalars: str | Iterable[str] | None) -> tuple[Wanted, ...]:
    """Read what was asked for: ``"induction"`` is its mean and maximum over heads, ``"induction@2.5"`` that of layer 2, head 5.

    Raises:
        ArgumentError: a name is no head metric's.
    """
    several = isinstance(scalars, Iterable) and not isinstance(scalars, str)
    asked = () if scalars is None else tuple(scalars) if several else (scalars,)
    found = []
    for said in asked:
        parts = _WANTED.fullmatch(said) if isinstance(said, str) else None
        if parts is None or parts[1] not in NAMES:
            offered = ", ".join(map(repr, NAMES))
            raise ArgumentError(
                f"scalars has {said!r}; it takes head metrics ({offered}), or one head's, such as 'induction@2.5' (layer 2, head 5)"
            )
        found.append(Wanted(parts[1], None if parts[2] is None else int(parts[2]), None if parts[3] is None else int(parts[3])))
    return tuple(dict.fromkeys(found))


def scalars_of(capture: Capture, asked: Iterable[Wanted]) -> dict[str, float]:
    """Compute what was asked for from a capture's head metrics.

    Of a head that was recorded for several inputs the mean over them counts. A metric that is defined nowhere is left out.

    Returns:
        ``attention/<metric>/mean`` and ``…/max`` over all heads, and ``attention/<metric>/<layer>.<head>``; of other kinds than
        self-attention ``attention/<kind>/<metric>/…``.
    """
    found: dict[str, float] = {}
    for one in asked:
        for kind, heads in _heads(capture, one.metric).items():
            # No tracker's names take the ">" of a kind such as latents>vision.
            name = f"attention/{one.metric}" if kind == "self" else f"attention/{kind.replace('>', '-')}/{one.metric}"
            if one.layer is None:
                found[f"{name}/mean"] = sum(heads.values()) / len(heads)
                found[f"{name}/max"] = max(heads.values())
            elif (one.layer, one.head) in heads:
                found[f"{name}/{one.layer}.{one.head}"] = heads[one.layer, one.head]
    return found


def without(capture: Capture, asked: Iterable[Wanted]) -> list[Wanted]:
    """What was asked for and has no number in a capture: its head was not recorded, or the metric is defined for none."""
    return [one for one in asked if not scalars_of(capture, (one,))]


def _heads(capture: Capture, metric: str) -> dict[str, dict[tuple[int, int | None], float]]:
    """Kind → (layer, head) → the metric's mean over inputs and calls, of heads for which it is defined."""
    seen: dict[str, dict[tuple[int, int | None], list[float]]] = {}
    for kind, place, value in _values(capture, metric):
        if value == value:  # NaN says that it is not defined
            seen.setdefault(kind, {}).setdefault(place, []).append(value)
    return {kind: {place: sum(values) / len(values) for place, values in heads.items()} for kind, heads in seen.items()}


def _values(capture: Capture, metric: str) -> Iterator[tuple[str, tuple[int, int | None], float]]:
    for layer in capture.layers:
        values = layer.metrics.get(metric)
        if values is not None:
            for head, value in zip(layer.heads, values.tolist(), strict=True):
                yield layer.kind, (layer.layer, head), float(value)
