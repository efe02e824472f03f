"""What the format's page says byte by byte is what the golden file holds, and its lists of columns are those of the code."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

import numpy as np
import pyarrow as pa

from attnlog.format.schema import COLUMNS, MAY_BE_ABSENT, place, schema

ROOT = Path(__file__).parent.parent.parent
PAGE = (ROOT / "docs/format.md").read_text(encoding="utf-8")
RUN = ROOT / "tests/golden/decoder"
DATA = (RUN / "step-00000000/golden-1-0/attention.arrow").read_bytes()
EXAMPLE = PAGE[PAGE.index("## A worked example") :]


def test_every_line_of_bytes_is_what_the_file_holds():
    lines = re.findall(r"^([0-9a-f]{8})  ((?:[0-9a-f]{2} ?)+)", EXAMPLE, re.MULTILINE)
    assert len(lines) >= 10
    for offset, said in lines:
        expected = bytes.fromhex(said)
        assert DATA[int(offset, 16) :][: len(expected)] == expected, offset


def test_the_record_shown_is_the_manifests():
    (said,) = re.findall(r"```json\n(\{.*?\})\n```", EXAMPLE, re.DOTALL)
    commit = json.loads((RUN / "manifest-golden-1.jsonl").read_text().splitlines()[1])
    assert json.loads(said) == next(a for a in commit["assets"] if a["kind"] == "attention")
    assert hashlib.sha256(DATA).hexdigest() in said


def test_one_layer_is_put_together_as_the_example_says():
    stream = DATA[8:680] + DATA[2032:3376] + bytes.fromhex("ffffffff00000000")
    batch = pa.ipc.open_stream(stream).read_all()
    assert batch.column("layer").to_pylist() == [1] * 4
    first = pa.ipc.open_file(DATA).read_all().column("weights")[0].as_py()
    np.testing.assert_array_equal(first[:3], [255, 0, 0])
    assert len(first) == 13 * 13


def test_every_column_is_on_the_page():
    for kind in COLUMNS:
        section = PAGE[PAGE.index(f"\n### {kind}\n") :]
        section = section[: section.index("\n### ", 5)] if "\n### " in section[5:] else section
        if kind == "index":
            named = section.replace("<place>", "attention") + section.replace("<place>", "vectors") + section.replace("<place>", "sparse")
        else:
            named = section + PAGE[PAGE.index("### index") : PAGE.index("### indexes")] if kind == "indexes" else section
        shown = {name for cell in re.findall(r"^\| (`[^|]*) \|", named, re.MULTILINE) for name in re.findall(r"`([a-z_0-9]+)`", cell)}
        if kind in ("index", "indexes"):
            shown |= set(re.findall(r"^\| `([a-z]+)` \|", PAGE[PAGE.index("Head metrics") :], re.MULTILINE))
        columns = {column.name for column in schema(kind, "i8" if kind == "vectors" else "u8" if kind in ("attention", "sparse") else None)}
        assert columns <= shown, f"{kind}: {columns - shown}"


def test_columns_that_may_be_absent_are_the_ones_the_page_names():
    late = {"left_out", *(column.name for column in place("sparse"))}
    found = {kind: set(names) for kind, names in MAY_BE_ABSENT.items()}
    assert found == {"index": late, "indexes": {"left_out"}, "vectors": {"scales", "norms"}}
    assert "The column may be absent" in PAGE
    assert "the four columns of `sparse` may be absent together" in PAGE
    assert "only in `i8`" in PAGE
