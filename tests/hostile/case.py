"""What a hostile case is, and how both readers get it: patches of a base asset, or a file of its own, with what must come of it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

#: Whatever stands behind the digest may refuse by one of these; `ok` means decoded, and every number in its range.
BEHIND = ("AssetSchemaError", "AssetTooLarge", "AssetVersionError", "AssetValueError", "ok")
REFUSED = tuple(name for name in BEHIND if name != "ok")


@dataclass(frozen=True)
class Base:
    """An asset as it was written, and what its manifest says of it."""

    name: str
    kind: str
    data: bytes
    decoded: int
    rows: int

    @property
    def sha256(self) -> str:
        """Digest of the bytes."""
        return hashlib.sha256(self.data).hexdigest()


@dataclass(frozen=True)
class Case:
    """One asset made hostile: the first `cut` bytes of its base, patched, and then `tail`."""

    rule: str
    base: str
    signed: tuple[str, ...]  # what may come of it when manifest and index are signed again to match
    cut: int | None = None
    patches: tuple[tuple[int, str], ...] = field(default=())  # offset, bytes in hexadecimal
    tail: str = ""
    decoded: int | None = None  # what its manifest says where it is signed again; default: what that of its base says
    rows: int | None = None

    def bytes(self, base: Base) -> bytes:
        """Make it."""
        data = bytearray(base.data if self.cut is None else base.data[: self.cut])
        for offset, new in self.patches:
            found = bytes.fromhex(new)
            data[offset : offset + len(found)] = found
        return bytes(data) + bytes.fromhex(self.tail)

    def unsigned(self, base: Base) -> str:
        """Name the error by which it is refused where the manifest is as it was."""
        length = (len(base.data) if self.cut is None else self.cut) + len(self.tail) // 2
        if length < len(base.data):
            return "AssetTruncated"
        return "AssetTooLarge" if length > len(base.data) else "AssetDigestMismatch"


def write(folder: Path, bases: Iterable[Base], cases: Iterable[Case]) -> None:
    """Write a corpus for a reader in another language."""
    folder.mkdir(parents=True, exist_ok=True)
    known = {base.name: base for base in bases}
    said = []
    for base in known.values():
        (folder / f"{base.name}.arrow").write_bytes(base.data)
        said.append(
            {
                "name": base.name,
                "kind": base.kind,
                "bytes": len(base.data),
                "sha256": base.sha256,
                "decoded": base.decoded,
                "rows": base.rows,
            }
        )
    (folder / "bases.json").write_text(json.dumps(said))
    with open(folder / "cases.jsonl", "w") as file:
        for case in cases:
            line: dict[str, Any] = {**asdict(case), "unsigned": case.unsigned(known[case.base])}
            file.write(json.dumps(line) + "\n")


def read(folder: Path) -> Iterator[tuple[Case, Base]]:
    """Read it back."""
    bases = {
        said["name"]: Base(said["name"], said["kind"], (folder / f"{said['name']}.arrow").read_bytes(), said["decoded"], said["rows"])
        for said in json.loads((folder / "bases.json").read_text())
    }
    with open(folder / "cases.jsonl") as file:
        for raw in file:
            said = json.loads(raw)
            case = Case(
                said["rule"],
                said["base"],
                tuple(said["signed"]),
                said["cut"],
                tuple((offset, new) for offset, new in said["patches"]),
                said["tail"],
                said["decoded"],
                said["rows"],
            )
            yield case, bases[case.base]
