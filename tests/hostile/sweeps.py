"""Cases by rule over every byte: cut short anywhere, flipped anywhere, and every number of the metadata replaced."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from pathlib import Path

from attnlog.format.flatbuffers import Table
from attnlog.store.open import open_run
from tests.hostile.case import BEHIND, REFUSED, Base, Case

Swept = tuple[tuple[str, str, int], ...]
GOLDEN = Path(__file__).parent.parent / "golden"
#: Of each kind of asset one small golden file; of the larger ones bodies are swept at every so many bytes.
SWEPT = (
    ("decoder", "attention", 1),
    ("decoder", "vectors", 11),
    ("decoder", "index", 11),
    ("decoder", "pictures", 1),
    ("decoder", "inputs", 1),
    ("pair", "attention", 11),
    ("long", "vectors", 29),
    ("long", "indexes", 11),
    ("exact", "sparse", 29),
)
#: The same of what lies beside attention.
SWEPT_BESIDE = (("beside", "states", 11), ("beside", "hidden", 1), ("beside", "outputs", 11), ("beside", "vectors", 29))
#: `make sweep` says "full"; the rest is a part of it, alike in kind.
FULL = os.environ.get("ATTNLOG_HOSTILE") == "full"
_EXTREMES = (0, 1, 0x7FFFFFFF, 0xFFFFFFFF, 0x80000000, 1 << 20) if FULL else (0, 0x7FFFFFFF, 1 << 20)
_WIDE = (-1, 1 << 40, (1 << 63) - 1, -(1 << 63), 1 << 20) if FULL else (-1, 1 << 40)


def base_of(run: str, kind: str) -> Base:
    """Take one golden asset."""
    saved = open_run(GOLDEN / run)
    if kind == "indexes":
        assert saved.manifests[0].roll_up is not None
        record = saved.manifests[0].roll_up.asset
    else:
        commit = saved.commit(saved.steps[0])
        record = commit.inputs if kind == "inputs" else commit.asset(kind)
        assert record is not None
    return Base(f"{run}-{kind}", kind, (GOLDEN / run / record.path).read_bytes(), record.decoded, record.rows)


def bases(swept: Swept = SWEPT) -> list[Base]:
    """Every asset that is swept."""
    return [base_of(run, kind) for run, kind, _ in swept]


def metadata(data: bytes) -> list[tuple[int, int]]:
    """Say where a file's flatbuffers lie: schema, batches, footer."""
    found, at = [], 8
    while True:
        mark, size = struct.unpack_from("<II", data, at)
        assert mark == 0xFFFFFFFF
        if size == 0:
            break
        found.append((at + 8, size))
        at += 8 + size + Table.root(memoryview(data)[at + 8 : at + 8 + size]).scalar(3, "<q")
    (size,) = struct.unpack_from("<I", data, len(data) - 10)
    return [*found, (at + 8, size)]


def sweeps(swept: Swept = SWEPT) -> Iterator[Case]:
    """Make all of them."""
    for run, kind, stride in swept:
        base = base_of(run, kind)
        yield from _cuts(base, stride)
        yield from _flips(base, stride)
        yield from _numbers(base)


def _cuts(base: Base, stride: int) -> Iterator[Case]:
    for length in range(0, len(base.data), stride):
        yield Case("cut short", base.name, ("AssetSchemaError",), cut=length)
    yield Case("made longer", base.name, ("AssetSchemaError",), tail="00")
    yield Case("said twice", base.name, ("AssetSchemaError",), tail=base.data.hex() if len(base.data) < 5000 else base.data[:999].hex())


def _flips(base: Base, stride: int) -> Iterator[Case]:
    inside = {at for start, size in metadata(base.data) for at in range(start - 8, start + size)}
    for at in range(len(base.data)):
        if at in inside or at % stride == 0:
            for mask in (1 << at % 8, 0xFF) if FULL else (1 << at % 8 if at % 2 else 0xFF,):
                yield Case("byte flipped", base.name, BEHIND, patches=((at, f"{base.data[at] ^ mask:02x}"),))


def _numbers(base: Base) -> Iterator[Case]:
    """Replace every aligned number of the flatbuffers, whatever it means: lengths, offsets, counts, vtables."""
    for start, size in metadata(base.data):
        for at in range(start, start + size - 3, 4):
            for value in _EXTREMES:
                new = struct.pack("<I", value)
                if base.data[at : at + 4] != new:
                    yield Case("number replaced", base.name, BEHIND, patches=((at, new.hex()),))
        for at in range(start, start + size - 7, 8):
            for wide in _WIDE:
                new = struct.pack("<q", wide)
                if base.data[at : at + 8] != new:
                    yield Case("wide number replaced", base.name, BEHIND, patches=((at, new.hex()),))


def refused(case: Case) -> bool:
    """Whether nothing of a case may be decoded."""
    return set(case.signed) <= set(REFUSED)
