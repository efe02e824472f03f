"""How large kinds of assets are spread over several files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol, TypeVar

SPLIT = 64_000_000  # batches of one kind that decode to more bytes than this together are spread over several assets


class _OfAnInput(Protocol):
    @property
    def input(self) -> int: ...


T = TypeVar("T", bound=_OfAnInput)


def spread(kind: str, members: Sequence[T], sizes: Sequence[int]) -> Iterator[tuple[str, list[T]]]:
    """Say what goes into which asset: all into one, or where that would be large, cut by input and by size.

    Args:
        kind: of asset.
        members: what is written, in order.
        sizes: what each decodes to, in bytes.
    """
    if sum(sizes) <= SPLIT:
        if members:
            yield f"{kind}.arrow", list(members)
        return
    parts: list[list[T]] = []
    room = 0
    for one, size in zip(members, sizes, strict=True):
        if not parts or size > room or parts[-1][-1].input != one.input:
            parts.append([])
            room = SPLIT
        parts[-1].append(one)
        room -= size
    for number, part in enumerate(parts):
        yield f"{kind}-{number}.arrow", part
