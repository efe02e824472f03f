"""Runs of many steps: opened from their manifests alone, and read as one asset once their writer has ended."""

from __future__ import annotations

import dataclasses
import json
from unittest import mock

import numpy as np
import pyarrow as pa
import pytest

import attnlog
from attnlog.errors import AssetDigestMismatch
from attnlog.format.spread import SPLIT
from attnlog.format.write import thin, write_assets
from attnlog.store.folder import Writer
from attnlog.store.open import open_run


def capture_of(*, tokens=8, heads=2, layers=2, inputs=1, seed=0):
    scores = np.random.default_rng(seed).normal(size=(layers, inputs, heads, tokens, tokens)).astype("f4") * 2
    weights = np.exp(scores) / np.exp(scores).sum(-1, keepdims=True)
    return attnlog.from_tensors(list(weights), [[f"t{n}" for n in range(tokens)] for _ in range(inputs)])


class Counted:
    """A source that notes what is asked of it."""

    def __init__(self, inner):
        self.inner, self.asked, self.place = inner, [], inner.place

    def list(self, **how):
        return self.inner.list(**how)

    def get(self, path, range=None):
        self.asked.append(path)
        return self.inner.get(path, range)

    def close(self):
        self.inner.close()


@pytest.fixture(scope="module")
def thousand(tmp_path_factory):
    """A run of 1 000 steps whose writer has ended."""
    directory = tmp_path_factory.mktemp("runs") / "thousand"
    writer = Writer(directory, {"run": "thousand"})
    assets = [write_assets(capture_of(seed=n)) for n in range(10)]
    with mock.patch("os.fsync"):  # of 7 000 syncs none is what is tested here
        for step in range(1000):
            writer.commit(assets[step % 10], step=step)
        writer.roll_up()
    return directory


def test_a_run_of_a_thousand_steps_opens_from_its_manifest_alone(thousand):
    source = Counted(open_run(thousand).source)
    saved = open_run(source)
    assert len(saved.steps) == 1000
    assert {path.split("-")[0] for path in source.asked} == {"manifest"}
    saved.read(500).weights("self", 1)
    assert sum("step-" in path for path in source.asked) == 3  # its index, and a schema and a batch of its attention


def test_head_metrics_of_all_steps_are_one_asset_once_the_writer_has_ended(thousand):
    source = Counted(open_run(thousand).source)
    table = open_run(source).heads()
    assert [path for path in source.asked if path.endswith(".arrow")] == [f"indexes-{open_run(thousand).manifests[0].writer}.arrow"]
    assert table.num_rows == 1000 * 4
    some = table.slice(4 * 37, 4)
    own = open_run(thousand).read(37).index()
    assert set(some.column("step").to_pylist()) == {37}
    assert some.column("entropy").to_pylist() == own.column("entropy").to_pylist()


def test_without_a_roll_up_every_step_is_read_from_its_own_index(thousand, tmp_path):
    import shutil

    copy = shutil.copytree(thousand, tmp_path / "copy")
    whole = open_run(copy).heads()
    damaged = next(copy.glob("indexes-*.arrow"))
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"?")
    assert open_run(copy).heads().equals(whole)
    damaged.unlink()
    assert open_run(copy).heads().equals(whole)


def test_rows_of_commits_that_do_not_count_are_left_out(tmp_path):
    with attnlog.Run(tmp_path / "run") as first:
        for step in (0, 1):
            first.log(capture_of(seed=step), step=step)
    with attnlog.Run(tmp_path / "run") as second:  # a resumed training repeats step 1
        for step in (1, 2):
            second.log(capture_of(seed=10 + step), step=step)
    saved = attnlog.open(tmp_path / "run")
    table = saved.heads()
    assert sorted(set(table.column("step").to_pylist())) == [0, 1, 2]
    assert table.num_rows == 3 * 4
    own = saved.read(1).index().column("entropy").to_pylist()
    assert [row["entropy"] for row in table.to_pylist() if row["step"] == 1] == own


def test_a_run_that_was_closed_has_a_roll_up_that_its_manifest_names(tmp_path):
    with attnlog.Run(tmp_path / "run") as run:
        for step in range(3):
            run.log(capture_of(seed=step), step=step)
    (manifest,) = attnlog.open(tmp_path / "run").manifests
    assert manifest.roll_up.commits == (0, 1, 2)
    assert (tmp_path / "run" / manifest.roll_up.asset.path).stat().st_size == manifest.roll_up.asset.bytes
    found = pa.ipc.open_file(tmp_path / "run" / manifest.roll_up.asset.path)
    assert found.num_record_batches == 3


def test_a_run_of_one_step_needs_no_roll_up(tmp_path):
    with attnlog.Run(tmp_path / "run") as run:
        run.log(capture_of(), step=0)
    assert attnlog.open(tmp_path / "run").manifests[0].roll_up is None


# The budget thins what it says it thins


def test_a_thinned_commit_has_the_same_index_and_pictures_and_nothing_else():
    assets = write_assets(capture_of())
    thinned = thin(assets)
    assert {a.kind for a in thinned.step} == {"index", "pictures"}
    before, after = (pa.ipc.open_file(next(a.data for a in x.step if a.kind == "index")).read_all() for x in (assets, thinned))
    for column in before.schema.names:
        if column.rsplit("_", 1)[-1] in ("path", "offset", "length", "sha256"):
            assert after.column(column).null_count == after.num_rows
        else:
            assert after.column(column).equals(before.column(column))
    assert next(a.data for a in assets.step if a.kind == "pictures") == next(a.data for a in thinned.step if a.kind == "pictures")


def test_the_bytes_of_a_run_stay_within_its_budget_but_for_the_last_step(tmp_path):
    one = write_assets(capture_of(tokens=40))
    budget = 3 * one.bytes
    with pytest.warns(attnlog.AttnlogWarning, match="budget"), attnlog.Run(tmp_path / "run", budget=budget) as run:
        for step in range(8):
            run.log(capture_of(tokens=40, seed=step), step=step)
            run.flush() if step == 0 else None
    saved = attnlog.open(tmp_path / "run")
    whole = [step for step in saved.steps if saved.commit(step).complete]
    assert whole[-1] == 7
    assert len(whole) < 8
    for step in saved.steps:
        kinds = {a.kind for a in saved.commit(step).assets}
        assert kinds == ({"index", "pictures", "attention"} if step in whole else {"index", "pictures"})
    full = sum(a.bytes for step in whole[:-1] for a in saved.commit(step).assets)
    assert full <= budget


# Large captures are spread over several assets


def test_large_captures_are_spread_by_input_and_size_and_read_back(tmp_path, monkeypatch):
    monkeypatch.setattr("attnlog.format.spread.SPLIT", 3000)
    capture = capture_of(tokens=30, heads=2, layers=3, inputs=2)  # 1 800 bytes a layer
    writer = Writer(tmp_path / "run")
    commit = writer.commit(write_assets(capture), step=0)
    names = [a.path.rsplit("/", 1)[-1] for a in commit.assets if a.kind == "attention"]
    assert names == [f"attention-{n}.arrow" for n in range(6)]
    opened = attnlog.open(tmp_path / "run").read(0)
    for layer in capture.layers:
        np.testing.assert_allclose(opened.weights("self", layer.layer, layer.input), layer.weights, atol=4e-3)
    assert SPLIT == 64_000_000


def test_no_batch_is_larger_than_a_reader_takes(monkeypatch):
    monkeypatch.setattr("attnlog.format.write.BATCH", 1000)
    assets = write_assets(capture_of(tokens=30))
    assert "sparse" in {a.kind for a in assets.step}  # stored sparse rather than not at all


# Vectors in 8 bits


@pytest.mark.parametrize(("precision", "worst"), [("f32", 0), ("f16", 5e-4), ("i8", 1 / 254)])
def test_the_error_of_vectors_is_what_the_format_says(tmp_path, precision, worst):
    q = np.random.default_rng(0).normal(size=(1, 2, 20, 16)).astype("f4") * np.array([1e-4, 1, 50, 1e4] * 5, dtype="f4")[:, None]
    scores = q @ q.swapaxes(-1, -2) * 0
    capture = attnlog.from_tensors([np.exp(scores) / 20], [f"t{n}" for n in range(20)], queries=[q], keys=[q])
    Writer(tmp_path / "run").commit(write_assets(capture, vector_precision=precision), step=0)
    found = attnlog.open(tmp_path / "run").read(0).vectors("q", "self", 0)
    scale = abs(q[0]).max(-1, keepdims=True)
    assert (abs(found - q[0]) / scale).max() <= worst + 1e-7


def test_vectors_of_nothing_but_zeros_stay_zeros(tmp_path):
    q = np.zeros((1, 1, 4, 8), dtype="f4")
    capture = attnlog.from_tensors([np.full((1, 4, 4), 0.25)], list("abcd"), queries=[q], keys=[q])
    Writer(tmp_path / "run").commit(write_assets(capture, vector_precision="i8"), step=0)
    assert not attnlog.open(tmp_path / "run").read(0).vectors("k", "self", 0).any()


def test_the_order_of_layers_in_memory_does_not_matter(tmp_path):
    capture = capture_of(layers=3)
    shuffled = dataclasses.replace(capture, layers=capture.layers[::-1])
    Writer(tmp_path / "run").commit(write_assets(shuffled), step=0)
    opened = attnlog.open(tmp_path / "run").read(0)
    np.testing.assert_allclose(opened.weights("self", 2), capture.weights("self", 2), atol=4e-3)


def test_a_changed_roll_up_is_refused_by_digest(thousand, tmp_path):
    from attnlog.format.read import check_asset

    (manifest,) = open_run(thousand).manifests
    record = manifest.roll_up.asset
    data = bytearray((thousand / record.path).read_bytes())
    data[len(data) // 2] ^= 1
    said = {"kind": record.kind, "name": record.path, "length": record.bytes, "digest": record.sha256, "decoded": record.decoded}
    with pytest.raises(AssetDigestMismatch):
        check_asset(bytes(data), rows=record.rows, **said)
    assert json.loads((thousand / f"manifest-{manifest.writer}.jsonl").read_text().splitlines()[-1])["type"] == "indexes"
