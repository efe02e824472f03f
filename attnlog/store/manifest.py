"""Manifests: the lines that say what was written, by whom, and which of it counts."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from attnlog.errors import AssetSchemaError, AssetTooLarge, AssetVersionError
from attnlog.format.encode import Asset, Span
from attnlog.record import Missing

VERSION = 1
MAX_LINE = 16_000_000
MAX_DEPTH = 64
_WRITER = r"[a-z0-9][a-z0-9-]{0,63}"
NAME = re.compile(rf"manifest-({_WRITER})\.jsonl")
PATH = re.compile(rf"inputs-[0-9a-f]{{16}}\.arrow|indexes-{_WRITER}\.arrow|step-[0-9]{{8,}}/{_WRITER}-[0-9]+/[a-z0-9-]+\.arrow")


@dataclass(frozen=True, slots=True)
class AssetRecord:
    """What a manifest says of one asset."""

    path: str
    kind: str
    bytes: int
    sha256: str
    decoded: int
    rows: int
    schema: Span

    @classmethod
    def of(cls, asset: Asset, path: str) -> AssetRecord:
        """Describe an asset that lies at `path`."""
        return cls(path, asset.kind, len(asset.data), asset.sha256, asset.decoded, asset.rows, asset.schema)

    def to_json(self) -> dict[str, Any]:
        """Say it as the manifest does."""
        span = {"offset": self.schema.offset, "length": self.schema.length, "sha256": self.schema.sha256}
        return {**{k: getattr(self, k) for k in ("path", "kind", "bytes", "sha256", "decoded", "rows")}, "schema": span}

    @classmethod
    def from_json(cls, said: Mapping[str, Any]) -> AssetRecord:
        """Read it back; a path that leads elsewhere is refused."""
        path = str(said["path"])
        if not PATH.fullmatch(path):
            raise AssetSchemaError(f"a manifest names the path {path!r}, which is not one of a run")
        span = said["schema"]
        counts = [_count(said, k) for k in ("bytes", "decoded", "rows")] + [_count(span, "offset"), _count(span, "length")]
        schema = Span(counts[3], counts[4], str(span["sha256"]))
        return cls(path, str(said["kind"]), counts[0], str(said["sha256"]), counts[1], counts[2], schema)


@dataclass(frozen=True, kw_only=True, slots=True)
class Commit:
    """One manifest line: what one writer recorded at one step, updates merged in."""

    writer: str
    n: int
    step: int
    epoch: float | None = None
    checkpoint: str | None = None
    loss: float | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    scalars: Mapping[str, float] = field(default_factory=dict)
    time: float = 0.0
    precision: str = "u8"
    complete: bool = True
    inputs: AssetRecord
    assets: tuple[AssetRecord, ...]
    missing: tuple[Missing, ...] = ()

    @property
    def order(self) -> tuple[float, str, int]:
        """Order by which the newest commit of a step wins."""
        return (self.time, self.writer, self.n)

    def asset(self, kind: str) -> AssetRecord | None:
        """Find the one asset of a kind, or None."""
        return next((a for a in self.assets if a.kind == kind), None)

    def to_json(self) -> dict[str, Any]:
        """Say it as the manifest does."""
        return {
            "type": "commit",
            "n": self.n,
            "step": self.step,
            "epoch": _finite(self.epoch),
            "checkpoint": self.checkpoint,
            "loss": _finite(self.loss),
            "metrics": {k: _finite(v) for k, v in self.metrics.items()},
            **({"scalars": dict(self.scalars)} if self.scalars else {}),
            "time": self.time,
            "precision": self.precision,
            "complete": self.complete,
            "inputs": self.inputs.to_json(),
            "assets": [asset.to_json() for asset in self.assets],
            "missing": [{"kind": m.kind, "layer": m.layer, "what": m.what, "reason": m.reason} for m in self.missing],
        }

    @classmethod
    def from_json(cls, writer: str, said: Mapping[str, Any]) -> Commit:
        """Read a commit line back."""
        return cls(
            writer=writer,
            n=_count(said, "n", 32),
            step=_count(said, "step"),
            epoch=_number(said.get("epoch")),
            checkpoint=_text(said.get("checkpoint")),
            loss=_number(said.get("loss")),
            metrics=_numbers(said.get("metrics")),
            scalars=_numbers(said.get("scalars")),
            time=_number(said.get("time")) or 0.0,
            precision=str(said.get("precision", "u8")),
            complete=said.get("complete", True) is not False,
            inputs=AssetRecord.from_json(said["inputs"]),
            assets=tuple(AssetRecord.from_json(a) for a in said["assets"]),
            missing=tuple(Missing(m["kind"], m["layer"], m["what"], m["reason"]) for m in said.get("missing") or ()),
        )

    def updated(self, said: Mapping[str, Any]) -> Commit:
        """Merge an update line in."""
        return replace(
            self,
            checkpoint=_text(said.get("checkpoint")) or self.checkpoint,
            metrics={**self.metrics, **_numbers(said.get("metrics"))},
        )


@dataclass(frozen=True)
class RollUp:
    """The roll-up of a writer's index assets, and the commits that it covers."""

    asset: AssetRecord
    commits: tuple[int, ...]

    def to_json(self) -> dict[str, Any]:
        """Say it as the manifest does."""
        return {"type": "indexes", "commits": list(self.commits), "asset": self.asset.to_json()}

    @classmethod
    def from_json(cls, said: Mapping[str, Any]) -> RollUp:
        """Read it back."""
        if not isinstance(said["commits"], list):
            raise ValueError("commits is not a list")
        return cls(AssetRecord.from_json(said["asset"]), tuple(_count({"commits": n}, "commits") for n in said["commits"]))


@dataclass(frozen=True)
class Manifest:
    """One writer's manifest."""

    writer: str
    header: Mapping[str, Any]
    commits: tuple[Commit, ...]
    roll_up: RollUp | None = None


def line(said: Mapping[str, Any]) -> bytes:
    """Write one manifest line."""
    return (
        json.dumps(_plain(said), ensure_ascii=False, separators=(",", ":"), allow_nan=False, default=str).encode("utf-8", "replace") + b"\n"
    )


def _plain(value: Any) -> Any:
    """Replace the numbers that JSON cannot say by null."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return _finite(value) if isinstance(value, float) else value


def parse(name: str, data: bytes) -> Manifest:
    """Read one manifest file; an unfinished last line is ignored.

    Raises:
        AssetVersionError: a later format wrote it.
        AssetTooLarge: a line is longer than any reader takes.
        AssetSchemaError: it is not a manifest; the message names file and line.
    """
    match = NAME.fullmatch(name)
    if match is None:
        raise AssetSchemaError(f"{name!r} is not the name of a manifest")
    header: Mapping[str, Any] = {}
    commits: dict[int, Commit] = {}
    roll_up: RollUp | None = None
    for number, raw in enumerate(data.split(b"\n")[:-1], start=1):
        try:
            if len(raw) > MAX_LINE:
                raise AssetTooLarge(f"{name} line {number} has {len(raw)} bytes, at most {MAX_LINE} are read")
            said = json.loads(raw, parse_constant=_no_number)
            _check_depth(said)
            kind = said["type"]
            if number == 1 and (kind != "writer" or said["writer"] != match[1]):
                raise ValueError("the first line does not say that its writer writes")
            if kind == "writer":
                header = said
                if _count(said, "attnlog") > VERSION:
                    raise AssetVersionError(f"{name} has format version {said['attnlog']}; this attnlog reads {VERSION}: update attnlog")
            elif kind == "commit":
                commit = Commit.from_json(match[1], said)
                commits[commit.n] = commit
            elif kind == "update" and (n := _count(said, "n")) in commits:
                commits[n] = commits[n].updated(said)
            elif kind == "indexes":
                roll_up = RollUp.from_json(said)
        except (ValueError, KeyError, TypeError, AttributeError, ArithmeticError, RecursionError) as error:
            why = f"it lacks {error}" if isinstance(error, KeyError) else str(error) or type(error).__name__
            raise AssetSchemaError(
                f"{name} line {number} is not a manifest line: {why}. "
                "Copy the run again, or move this manifest away to read what others wrote"
            ) from error
    return Manifest(match[1], header, tuple(commits.values()), roll_up)


def merge(manifests: Iterable[Manifest]) -> dict[int, Commit]:
    """Give the commit that counts for each step, steps in order."""
    newest: dict[int, Commit] = {}
    for manifest in manifests:
        for commit in manifest.commits:
            if commit.step not in newest or newest[commit.step].order < commit.order:
                newest[commit.step] = commit
    return dict(sorted(newest.items()))


def _no_number(said: str) -> float:
    raise ValueError(f"{said} is no number of JSON")


def _check_depth(said: object) -> None:
    """Refuse what nests deeper than any reader need go."""
    level = [said]
    for _ in range(MAX_DEPTH):
        level = [item for one in level if isinstance(one, (dict, list)) for item in (one.values() if isinstance(one, dict) else one)]
        if not level:
            return
    if any(isinstance(one, (dict, list)) for one in level):
        raise ValueError(f"it nests more than {MAX_DEPTH} deep")


def _count(said: Mapping[str, Any], key: str, bits: int = 53) -> int:
    value = said[key]
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 1 << bits:
        raise ValueError(f"{key} is {str(value)[:40]!r}, not a whole number from 0 below 2^{bits}")
    return value


def _number(value: Any) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError(f"{str(value)[:40]!r} is not a number")
    return _finite(float(value))


def _numbers(said: Any) -> dict[str, float]:
    return {str(key): number for key, value in dict(said or {}).items() if (number := _number(value)) is not None}


def _text(value: Any) -> str | None:
    if value is not None and not isinstance(value, str):
        raise ValueError(f"{str(value)[:40]!r} is not a text")
    return value


def _finite(value: float | None) -> float | None:
    return value if value is None or math.isfinite(value) else None
