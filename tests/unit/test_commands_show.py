"""Show: one head in a terminal, wide or narrow, in colour or in numbers."""

from __future__ import annotations

import re

import numpy as np
import pytest

import attnlog
from attnlog.commands.heat import Cells, colour_map, number_table, pool
from attnlog.commands.output import width_of
from tests.unit.test_commands import GOLDEN, read, run

HEAD = ("--layer", 1, "--head", 2)
ESCAPE = re.compile(r"\x1b\[[0-9;]*m")


def lines(text):
    return ESCAPE.sub("", text).splitlines()


def test_in_a_pipe_it_is_a_table_of_numbers_with_the_tokens():
    out, _ = run("show", GOLDEN / "pair", *HEAD)
    assert "\x1b" not in out
    assert out.startswith("golden pair, step 0, input 0: self layer 1 head 2, 12 queries × 12 keys\n")
    expected = attnlog.open(GOLDEN / "pair").read().weights("self", 1)[2]
    row = next(line for line in out.splitlines() if line.startswith("   2 said"))
    assert [float(cell.replace("·", "0")) for cell in row.split()[2:]] == pytest.approx(np.round(expected[2], 2).tolist(), abs=0.011)
    assert "keys: 0=[CLS] 1=he 2=said" in out
    assert "each cell" not in out


def test_the_greatest_weights_are_listed_with_their_tokens():
    out, _ = run("show", GOLDEN / "pair", *HEAD)
    expected = attnlog.open(GOLDEN / "pair").read().weights("self", 1)[2]
    query, key = np.unravel_index(expected.argmax(), expected.shape)
    listed = out.split("greatest weights (query ← key)\n")[1].splitlines()
    assert len(listed) == 10
    assert listed[0].split()[:2] == [f"{expected.max():.3f}", str(query)]
    top = read("show", GOLDEN / "pair", *HEAD)["top"]
    assert (top[0]["query"], top[0]["key"]) == (query, key)
    assert top[0]["weight"] == pytest.approx(float(expected.max()))


@pytest.mark.parametrize("columns", [30, 60, 200])
def test_in_colour_every_line_fits_the_terminal_and_holds_two_queries(columns, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("COLORTERM", "truecolor")
    out, _ = run("show", GOLDEN / "pair", *HEAD, "--color")
    cells = [line for line in lines(out) if "▀" in line]
    assert all(width_of(line) <= columns for line in cells)
    assert [line.count("▀") for line in cells] == [12] * 6
    assert "\x1b[38;2;" in out
    assert "[CLS]/he" in cells[0]


def test_in_a_narrow_terminal_cells_are_pooled_and_it_is_said(monkeypatch):
    monkeypatch.setenv("COLUMNS", "24")
    out, _ = run("show", GOLDEN / "pair", *HEAD, "--color")
    cells = [line for line in lines(out) if "▀" in line]
    assert [line.count("▀") for line in cells] == [6, 6, 6]
    assert "each cell is the greatest weight of 2 × 2" in out
    out, _ = run("show", GOLDEN / "pair", *HEAD, "--width", 30)
    assert "each cell is the greatest weight of 3 × 3" in out
    assert all(width_of(line) <= 30 for line in out.splitlines() if re.match(r" +\d+ ", line))


def test_a_long_input_that_is_stored_sparse_says_what_is_left_out():
    out, _ = run("show", GOLDEN / "long", "--layer", 0, "--head", 0, "--step", 0, "--width", 80)
    weights = attnlog.open(GOLDEN / "long").read(0).weights("self", 0)
    assert f"{weights.left_out[0].mean():.1%} of the mass is on keys that were left out" in out
    assert "each cell is the greatest weight of 19 × 19" in out
    said = read("show", GOLDEN / "long", "--layer", 0, "--head", 0, "--step", 0)
    assert said["sparse"] and said["weights"] is None
    assert said["left_out"] == pytest.approx(float(weights.left_out[0].mean()))
    best = said["top"][0]
    keys, values = weights.row(0, best["query"])
    assert values[list(keys).index(best["key"])] == pytest.approx(best["weight"])


def test_json_holds_every_weight():
    said = read("show", GOLDEN / "sequence", "--kind", "cross", "--layer", 0, "--head", 1)
    expected = attnlog.open(GOLDEN / "sequence").read().weights("cross", 0)[1]
    np.testing.assert_array_equal(np.array(said["weights"], dtype=np.float32), expected)
    assert (len(said["queries"]), len(said["keys"]), said["shape"]) == (6, 40, [6, 40])


def test_without_a_kind_it_is_self_or_the_first():
    assert read("show", GOLDEN / "decoder", *HEAD)["kind"] == "self"
    assert read("show", GOLDEN / "sequence", "--layer", 0, "--head", 0)["kind"] in ("cross", "decoder", "encoder")


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--layer", 1, "--head", 9), "LayerError: head 9 of self layer 1 was not recorded; heads 0-2 were"),
        (("--layer", 7, "--head", 0), "self layer 7 of input 0 was not recorded; layers 0, 1, 2 were"),
        (("--layer", 0, "--head", 0, "--kind", "cross"), "no attention of kind 'cross' was recorded; recorded: self"),
        (("--layer", 0, "--head", 0, "--step", 5), "step 5 was not recorded; recorded: 0"),
        (("--layer", 0, "--head", 0, "--input", 3), "there is no input 3"),
    ],
)
def test_what_was_not_recorded_is_said_in_one_line(more, said):
    _, error = run("show", GOLDEN / "pair", *more, status=1)
    assert said in error
    assert len(error.splitlines()) == 1


def test_weights_that_a_budget_left_out_are_said_to_be(tmp_path):
    weights = np.full((1, 2, 2), 0.5)
    with pytest.warns(attnlog.AttnlogWarning), attnlog.Run(tmp_path / "run", budget=1) as opened:
        for step in (1, 2):
            opened.log(attnlog.from_tensors([weights], ["a", "b"]), step=step)
    _, error = run("show", tmp_path / "run", "--layer", 0, "--head", 0, "--step", 1, status=1)
    assert "budget" in error


def test_pooling_takes_the_greatest_weight_and_says_how_many():
    weights = np.arange(35, dtype=np.float32).reshape(5, 7)
    cells = pool(weights, 3)
    assert (cells.rows, cells.columns, cells.per_row, cells.per_column) == ((0, 2, 4), (0, 3, 6), 2, 3)
    np.testing.assert_array_equal(cells.values, [[9, 12, 13], [23, 26, 27], [30, 33, 34]])
    picture = pool(weights, 10, shape=(50, 7))
    assert (picture.rows, picture.per_row, picture.per_column, picture.pooled) == ((0, 10, 20, 30, 40), 10, 1, True)
    assert not pool(weights, 7).pooled


def test_labels_are_cut_and_filled_by_the_columns_they_take():
    tokens = ["你好你好你好", "a" * 20, "\x1b[31m", "é\u0301x", ""]
    cells = pool(np.eye(5, dtype=np.float32), 5)
    drawn = [line.plain for line in colour_map(cells, tokens, tokens)]
    assert {width_of(line.rstrip()) for line in drawn if "▀" in line} == {18 + 5}
    assert not any("\x1b" in line for line in [*drawn, *number_table(cells, tokens, tokens)])


def test_numbers_that_are_none_are_shown_as_such():
    cells = Cells(np.array([[np.nan, 0.0, 1.0, 0.004, 0.996]], dtype=np.float32), (0,), tuple(range(5)), 1, 1)
    assert number_table(cells, ["q"], list("abcde"))[1].split() == ["0", "q", "?", "·", "1.0", "·", "1.0"]
