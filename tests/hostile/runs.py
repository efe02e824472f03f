"""Runs whose manifests or indexes lie: each a whole run folder, signed to match, with the name of what must come of reading all of it."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from tests.hostile.built import file, put
from tests.hostile.sweeps import GOLDEN

_RUN = GOLDEN / "decoder"
_MANIFEST = "manifest-golden-1.jsonl"
Lines = list[dict[str, Any]]


@dataclass(frozen=True)
class Lie:
    """One run folder and what comes of reading everything that its manifest names."""

    rule: str
    folder: Path
    expected: str


def lies(folder: Path) -> Iterator[Lie]:
    """Write every one of them into a folder."""
    for number, (rule, make, expected) in enumerate([*_paths(), *_numbers(), *_texts(), *_files(), *_indexes()]):
        run = folder / f"lie-{number:03d}"
        shutil.copytree(_RUN, run, ignore=shutil.ignore_patterns("expected.json"))
        make(run)
        yield Lie(rule, run, expected)


Make = tuple[str, Callable[[Path], None], str]


def _said(change: Callable[[Lines], None]) -> Callable[[Path], None]:
    def make(run: Path) -> None:
        path = run / _MANIFEST
        lines = [json.loads(raw) for raw in path.read_text().splitlines()]
        change(lines)
        path.write_text("".join(json.dumps(line) + "\n" for line in lines))

    return make


def _raw(change: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    def make(run: Path) -> None:
        path = run / _MANIFEST
        path.write_bytes(change(path.read_bytes()))

    return make


def _record(lines: Lines, kind: str) -> dict[str, Any]:
    found: dict[str, Any] = next(a for a in lines[1]["assets"] if a["kind"] == kind)
    return found


def _paths() -> Iterator[Make]:
    for path in (
        "../../etc/passwd",
        "/etc/passwd",
        "step-00000000/../../../etc/passwd",
        "step-00000000/golden-1-0/../../inputs.arrow",
        "step-00000000\\golden-1-0\\index.arrow",
        "file:///etc/passwd",
        "https://example.org/x.arrow",
        "inputs-../../../0000.arrow",
        "step-00000000/golden-1-0/index.arrow\x00.png",
        "step-00000000/golden-1-0/index.arrow\n",
        "step-0000000０/golden-1-0/index.arrow",
        "STEP-00000000/golden-1-0/index.arrow",
        "indexes-..arrow/x",
        "",
        "." * 5000,
    ):
        yield f"path {path[:40]!r}", _said(lambda lines, p=path: _record(lines, "index").update(path=p)), "AssetSchemaError"
        yield f"inputs at {path[:40]!r}", _said(lambda lines, p=path: lines[1]["inputs"].update(path=p)), "AssetSchemaError"
    for path in (5, None, ["index.arrow"], {"a": 1}):
        yield f"path {path!r}", _said(lambda lines, p=path: _record(lines, "index").update(path=p)), "AssetSchemaError"


def _numbers() -> Iterator[Make]:
    for key in ("bytes", "decoded", "rows"):
        for value in (-1, 1.5, "9", None, True, 1 << 60, [1], 1e300):
            yield f"{key} {value!r}", _said(lambda lines, k=key, v=value: _record(lines, "index").update({k: v})), "AssetSchemaError"
    for key, value, expected in (
        ("bytes", 10, "AssetTooLarge"),
        ("bytes", 10**6, "AssetTruncated"),
        ("bytes", 1 << 40, "AssetTooLarge"),
        ("decoded", 1 << 40, "AssetTooLarge"),
        ("rows", 0, "AssetSchemaError"),
        ("rows", 7, "AssetSchemaError"),
        ("rows", 1 << 40, "AssetSchemaError"),
        ("sha256", "0" * 64, "AssetDigestMismatch"),
        ("sha256", "", "AssetDigestMismatch"),
    ):
        for kind in ("index", "pictures"):
            change = _said(lambda lines, i=kind, k=key, v=value: _record(lines, i).update({k: v}))
            yield f"{kind}: {key} {str(value)[:12]}", change, expected
    for key in ("path", "kind", "bytes", "sha256", "decoded", "rows", "schema"):
        yield f"no {key}", _said(lambda lines, k=key: _record(lines, "attention").pop(k)), "AssetSchemaError"
    for key, value, expected in (
        ("offset", 9, "AssetDigestMismatch"),
        ("offset", 1 << 40, "AssetSchemaError"),
        ("offset", -8, "AssetSchemaError"),
        ("length", 8, "AssetDigestMismatch"),
        ("length", 1 << 40, "AssetSchemaError"),
        ("sha256", "0" * 64, "AssetDigestMismatch"),
    ):
        change = _said(lambda lines, k=key, v=value: _record(lines, "attention")["schema"].update({k: v}))
        yield f"schema message: {key} {str(value)[:12]}", change, expected
    for key, values in (
        ("n", (-1, 0.5, "0", None, 1 << 60)),
        ("step", (-1, 0.5, "0", None, 1 << 60)),
        ("epoch", ("1", [], True)),
        ("metrics", ("x", {"a": "b"})),
    ):
        for value in values:
            yield f"{key} {value!r}", _said(lambda lines, k=key, v=value: lines[1].update({k: v})), "AssetSchemaError"


def _texts() -> Iterator[Make]:
    schema, version = "AssetSchemaError", "AssetVersionError"
    yield "version 2", _said(lambda lines: lines[0].update(attnlog=2)), version
    for value in ("1", None, 1.5, -1, True):
        yield f"version {value!r}", _said(lambda lines, v=value: lines[0].update(attnlog=v)), schema
    yield "nobody writes", _said(lambda lines: lines.pop(0)), schema
    yield "somebody else writes", _said(lambda lines: lines[0].update(writer="golden-2")), schema
    yield "no assets", _said(lambda lines: lines[1].pop("assets")), schema
    yield "assets no list", _said(lambda lines: lines[1].update(assets={})), schema
    yield "no inputs", _said(lambda lines: lines[1].pop("inputs")), schema
    yield "no type", _said(lambda lines: lines[1].pop("type")), schema
    yield "an unknown type", _said(lambda lines: lines.insert(2, {"type": "later", "n": -5})), "ok"
    yield "an unknown kind", _said(lambda lines: lines[1]["assets"].append({**_record(lines, "pictures"), "kind": "later"})), "ok"
    yield "an unknown key", _said(lambda lines: lines[1].update(later={"a": [1]})), "ok"
    yield "an update of no commit", _said(lambda lines: lines.append({"type": "update", "n": 99, "checkpoint": None, "metrics": {}})), "ok"
    yield (
        "commits of a roll-up no list",
        _said(lambda lines: lines.append({"type": "indexes", "commits": 3, "asset": _record(lines, "index")})),
        schema,
    )
    for rule, raw in (
        ("not JSON", b"{\n"),
        ("a number", b"5\n"),
        ("a list", b"[]\n"),
        ("null", b"null\n"),
        ("NaN", b'{"type":"later","x":NaN}\n'),
        ("not UTF-8", b'{"type":"later","x":"\xff"}\n'),
        ("65 deep", b'{"type":"later","x":' + b"[" * 64 + b"]" * 64 + b"}\n"),
        ("100 000 deep", b'{"type":"later","x":' + b"[" * 100_000 + b"]" * 100_000 + b"}\n"),
        ("half of 100 000 deep", b"[" * 100_000 + b"\n"),
    ):
        yield f"a line that is {rule}", _raw(lambda data, r=raw: data + r), schema
    yield "a line of 64 deep", _raw(lambda data: data + b'{"type":"later","x":' + b"[" * 63 + b"]" * 63 + b"}\n"), "ok"
    yield "a line of 17 MB", _raw(lambda data: data + b'{"type":"later","x":"' + b"x" * 17_000_000 + b'"}\n'), "AssetTooLarge"
    yield "an unfinished last line", _raw(lambda data: data + b'{"type":"com'), "ok"


def _files() -> Iterator[Make]:
    for name in ("index.arrow", "attention.arrow", "vectors.arrow", "pictures.arrow"):
        yield f"no {name}", lambda run, n=name: (run / "step-00000000/golden-1-0" / n).unlink(), "AssetMissing"
    yield "no inputs", lambda run: next(run.glob("inputs-*")).unlink(), "AssetMissing"
    yield "a stray file", lambda run: (run / "step-00000000/golden-1-0/later.arrow").write_bytes(b"?"), "ok"


def _indexes() -> Iterator[Make]:
    def index(change: Callable[[pa.Table], pa.Table]) -> Callable[[Path], None]:
        def make(run: Path) -> None:
            path = run / "step-00000000/golden-1-0/index.arrow"
            path.write_bytes(data := file(change(pa.ipc.open_file(pa.py_buffer(path.read_bytes())).read_all())))
            digest = hashlib.sha256(data).hexdigest()
            _said(lambda lines: _record(lines, "index").update(bytes=len(data), sha256=digest))(run)

        return make

    def column(name: str, change: Callable[[list[Any]], list[Any]]) -> Callable[[Path], None]:
        return index(lambda table: put(table, name, change(table.column(name).to_pylist())))

    def swap(values: list[Any]) -> list[Any]:
        return values[4:] + values[:4]  # two layers of four heads: each says where the other lies

    schema, digest = "AssetSchemaError", "AssetDigestMismatch"
    for place in ("attention", "vectors"):
        yield f"{place} past the end", column(f"{place}_offset", lambda v: [1 << 40] * len(v)), schema
        yield f"{place} at 2⁶⁴−1", column(f"{place}_offset", lambda v: [(1 << 64) - 1] * len(v)), schema
        yield f"{place} too long", column(f"{place}_length", lambda v: [0xFFFFFFFF] * len(v)), schema
        yield f"{place} of length 0", column(f"{place}_length", lambda v: [0] * len(v)), digest
        yield f"{place} of another digest", column(f"{place}_sha256", lambda v: ["0" * 64] * len(v)), digest
        yield f"{place} of an empty digest", column(f"{place}_sha256", lambda v: [""] * len(v)), digest
        yield f"{place} in a file that is not named", column(f"{place}_path", lambda v: ["later.arrow"] * len(v)), schema
        yield f"{place} in the index", column(f"{place}_path", lambda v: ["index.arrow"] * len(v)), schema

        def other_layer(table: pa.Table, where: str = place) -> pa.Table:
            for part in ("offset", "length", "sha256"):
                name = f"{where}_{part}"
                table = put(table, name, swap(table.column(name).to_pylist()))
            return table

        yield f"{place} of the other layer", index(other_layer), schema

    # Of heads that lie nowhere only the inputs can say how many tokens there are.
    def nowhere(table: pa.Table) -> pa.Table:
        for place in ("attention", "vectors"):
            for part in ("path", "offset", "length", "sha256"):
                table = put(table, f"{place}_{part}", [None] * table.num_rows)
        return put(table, "keys", [200] * table.num_rows)

    yield "more keys than tokens", index(nowhere), schema
    yield "more queries", column("queries", lambda v: [14] * len(v)), schema
    yield "2³²−1 keys", column("keys", lambda v: [0xFFFFFFFF] * len(v)), schema
    yield "other heads", column("head", lambda v: [h + 1 for h in v]), schema
    yield "another input", column("input", lambda v: [9] * len(v)), schema
    yield "other groups", column("group", lambda v: [0] * len(v)), schema
