"""Hidden states, predictions, losses, saliency and norms built to deceive, and runs that lie about where they are."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from attnlog.outputs import STATISTICS
from tests.hostile.built import edited, file, item, opened, put, said
from tests.hostile.case import Case
from tests.hostile.runs import Lie
from tests.hostile.sweeps import GOLDEN

_RUN = GOLDEN / "beside"
_SCHEMA, _VALUE = ("AssetSchemaError",), ("AssetValueError",)
Made = tuple[str, str, pa.Table, tuple[str, ...]]


def built_beside() -> Iterator[Case]:
    """Make all of them; each takes the place of a golden asset, whole."""
    for rule, kind, table, names in [*_schemas(), *_values(), *_shapes()]:
        yield Case(rule, f"beside-{kind}", names, cut=0, tail=file(table).hex())
    zeros = np.zeros((3, 1 << 22), dtype="f2")
    bomb = put(put(opened("beside", "hidden"), "values", pa.array(list(zeros), type=item(pa.float16()))), "tokens", [1 << 20] * 3)
    yield Case("24 MB of zeros in a few kB", "beside-hidden", ("AssetTooLarge",), cut=0, tail=file(bomb).hex())


def _schemas() -> Iterator[Made]:
    for kind in ("states", "hidden", "outputs"):
        table = opened("beside", kind)
        for name in table.schema.names:
            yield f"no column {name}", kind, table.drop_columns([name]), _SCHEMA
        yield "a column twice", kind, table.append_column(table.schema.field("axis"), table.column("axis")), _SCHEMA
        yield "an unknown column", kind, table.append_column("later", pa.array([1] * table.num_rows)), ("ok",)
        yield "another kind", kind, said(table, kind="attention"), _SCHEMA
        yield "a version to come", kind, said(table, format="2"), ("AssetVersionError",)
        yield "inputs as floats", kind, put(table, "input", table.column("input").cast(pa.float32()).combine_chunks()), _SCHEMA
        yield "null axis", kind, put(table, "axis", [None, *table.column("axis").to_pylist()[1:]], null=True), _SCHEMA
    hidden = opened("beside", "hidden")
    for precision in ("i8", "f32", "u8", None):
        yield f"precision {precision}", "hidden", said(hidden, precision=precision), _SCHEMA
    vectors = opened("beside", "vectors")
    yield "no norms", "vectors", vectors.drop_columns(["norms"]), ("ok",)
    yield "norms of half precision", "vectors", put(vectors, "norms", vectors.column("norms").to_pylist(), item(pa.float16())), _SCHEMA


def _change(at: int, value: float) -> Callable[[Any], None]:
    def change(values: Any) -> None:
        values[at] = value

    return change


def _with_norm(vectors: pa.Table, value: float) -> pa.Table:
    rows = vectors.column("norms").to_pylist()
    return put(vectors, "norms", [[value, *row[1:]] if row is not None else None for row in rows])


def _values() -> Iterator[Made]:
    states, hidden, outputs, vectors = (opened("beside", kind) for kind in ("states", "hidden", "outputs", "vectors"))
    for number in (np.nan, np.inf, -np.inf):
        for name in STATISTICS:
            if name != "cosine" or np.isinf(number):
                yield f"{name} {number}", "states", edited(states, name, _change(7, number)), _VALUE
        yield f"a state {number}", "hidden", edited(hidden, "values", _change(7, number)), _VALUE
        yield f"a norm {number}", "vectors", _with_norm(vectors, number), _VALUE
        yield f"a probability {number}", "outputs", edited(outputs, "probabilities", _change(1, number)), _VALUE
        errors = [number if e is not None else None for e in outputs.column("error").to_pylist()]
        yield f"an error {number}", "outputs", put(outputs, "error", errors), _VALUE
        yield f"saliency {number}", "outputs", edited(outputs, "values", _change(6, number)), _VALUE
    for name, value in (("std", -1), ("norm", -1), ("cosine", 1.5), ("cosine", -1.5)):
        yield f"{name} {value}", "states", edited(states, name, _change(7, value)), _VALUE
    yield "a norm below 0", "vectors", _with_norm(vectors, -1), _VALUE
    yield "a probability above 1", "outputs", edited(outputs, "probabilities", _change(0, 1.5)), _VALUE
    yield "a loss below 0", "outputs", edited(outputs, "values", _change(0, -1)), _VALUE
    yield "an infinite loss", "outputs", edited(outputs, "values", _change(0, np.inf)), _VALUE


def _shapes() -> Iterator[Made]:
    states, hidden, outputs, vectors = (opened("beside", kind) for kind in ("states", "hidden", "outputs", "vectors"))
    for kind, table in (("states", states), ("hidden", hidden), ("outputs", outputs)):
        for number in (0, 4, 0xFFFFFFFF):
            yield f"{number} tokens", kind, put(table, "tokens", [number] * table.num_rows), _SCHEMA
        yield "fewer rows than said", kind, table.slice(1), _SCHEMA
        yield "a row twice", kind, pa.concat_tables([table.slice(0, table.num_rows - 1), table.slice(0, 1)]), _SCHEMA
    for name in STATISTICS:
        yield f"{name} of too few", "states", put(states, name, [row[:-1] for row in states.column(name).to_pylist()]), _SCHEMA
    yield "2³² × 2³² states", "hidden", put(put(hidden, "tokens", [0xFFFFFFFF] * 3), "width", [0xFFFFFFFF] * 3), _SCHEMA
    yield "a width of 3", "hidden", put(hidden, "width", [3] * 3), _SCHEMA
    for path in ("../../etc/passwd", "hidden.arrow\0", "", "/hidden.arrow"):
        yield f"states at {path!r}", "states", put(states, "hidden_path", [path] * 3), _SCHEMA
    yield "a place without an offset", "states", put(states, "hidden_offset", [None] * 3), _SCHEMA
    count = outputs.num_rows
    for name in ("rows", "top"):
        for number in (0, 2, 0xFFFFFFFF):
            changed = [number if n is not None else None for n in outputs.column(name).to_pylist()]
            yield f"{number} {name}", "outputs", put(outputs, name, changed), _SCHEMA
    for name in ("rows", "top", "ids", "labels", "probabilities", "values", "target"):
        yield f"outputs without {name}", "outputs", put(outputs, name, [None] * count), _SCHEMA
    roles = outputs.column("role").to_pylist()
    yield "a role to come", "outputs", put(outputs, "role", ["later" if r == "saliency" else r for r in roles]), ("ok",)
    yield "predictions for losses", "outputs", put(outputs, "role", ["loss" if r == "prediction" else r for r in roles]), _SCHEMA
    norms = vectors.column("norms").to_pylist()
    yield "norms of keys", "vectors", put(vectors, "norms", [[1.0] * 5] * len(norms)), _SCHEMA


def lies_beside(folder: Path) -> Iterator[Lie]:
    """Write runs whose states say that they lie elsewhere, or are of other tokens than their inputs have."""
    for number, (rule, kind, change, expected) in enumerate(_lies()):
        run = folder / f"lie-{number:03d}"
        shutil.copytree(_RUN, run, ignore=shutil.ignore_patterns("expected.json"))
        path = run / "step-00000000/golden-1-0" / f"{kind}.arrow"
        path.write_bytes(data := file(change(pa.ipc.open_file(pa.py_buffer(path.read_bytes())).read_all())))
        manifest = run / "manifest-golden-1.jsonl"
        lines = [json.loads(raw) for raw in manifest.read_text().splitlines()]
        record = next(a for a in lines[1]["assets"] if a["kind"] == kind)
        record.update(bytes=len(data), sha256=hashlib.sha256(data).hexdigest(), decoded=1_000_000)
        manifest.write_text("".join(json.dumps(line) + "\n" for line in lines))
        yield Lie(rule, run, expected)


def _lies() -> Iterator[tuple[str, str, Callable[[pa.Table], pa.Table], str]]:
    def column(name: str, value: Any) -> Callable[[pa.Table], pa.Table]:
        return lambda table: put(table, name, [value] * table.num_rows)

    def shorter(table: pa.Table) -> pa.Table:
        table = put(table, "tokens", [4] * table.num_rows)
        for name in STATISTICS:
            table = put(table, name, [row[:4] for row in table.column(name).to_pylist()])
        return table

    def other_layer(table: pa.Table) -> pa.Table:
        for part in ("offset", "length", "sha256"):
            values = table.column(f"hidden_{part}").to_pylist()
            table = put(table, f"hidden_{part}", values[1:] + values[:1])
        return table

    schema, digest = "AssetSchemaError", "AssetDigestMismatch"
    yield "as it is", "states", lambda table: table, "ok"
    yield "states past the end", "states", column("hidden_offset", 1 << 40), schema
    yield "states of length 0", "states", column("hidden_length", 0), digest
    yield "states of another digest", "states", column("hidden_sha256", "0" * 64), digest
    yield "states in a file that is not named", "states", column("hidden_path", "later.arrow"), schema
    yield "states in the index", "states", column("hidden_path", "index.arrow"), schema
    yield "states of the other layer", "states", other_layer, schema
    yield "states of another width", "states", column("width", 5), schema
    yield "states of another input", "states", column("input", 9), schema
    yield "states of another axis", "states", column("axis", "decoder"), schema
    yield "states of fewer tokens", "states", shorter, schema
    yield "outputs of another input", "outputs", column("input", 9), schema
    yield "outputs of another axis", "outputs", column("axis", "decoder"), schema
