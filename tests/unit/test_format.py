"""The written format: what goes in comes out, and what was changed on the way is refused by name."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

import attnlog
from attnlog.errors import (
    ArgumentError,
    AssetDigestMismatch,
    AssetError,
    AssetMissing,
    AssetSchemaError,
    AssetTooLarge,
    AssetTruncated,
    AssetVersionError,
    RunError,
    RunNotFoundError,
)
from attnlog.format.encode import sha256
from attnlog.format.pictures import pictures_of
from attnlog.format.write import write_assets
from attnlog.record import to_codes, to_weights

GOLDEN = Path(__file__).parent.parent / "golden"


def random_capture(*, tokens=9, heads=3, layers=2):
    scores = np.random.default_rng(1).normal(size=(layers, heads, tokens, tokens)).astype("f4") * 2
    weights = np.exp(scores) / np.exp(scores).sum(-1, keepdims=True)
    return attnlog.from_tensors(list(weights), [f"t{n}" for n in range(tokens)]), weights


@pytest.mark.parametrize("name", ["decoder", "pair", "sequence", "long", "exact", "beside"])
def test_golden_runs_are_read_as_they_were_written(name):
    expected = json.loads((GOLDEN / name / "expected.json").read_text())
    saved = attnlog.open(GOLDEN / name)
    assert saved.name == expected["name"]
    assert [str(step) for step in saved.steps] == list(expected["steps"])
    for step, said in expected["steps"].items():
        opened = saved.read(int(step))
        assert opened.commit.loss == said["loss"]
        assert [str(m) for m in opened.missing] == said["missing"]
        assert [{a: list(one.tokens(a)) for a in one.axes} for one in opened.inputs] == said["inputs"]
        for layer, found in zip(said["layers"], opened.layers, strict=True):
            where = (layer["kind"], layer["layer"], layer["input"])
            assert list(found.groups) == layer["groups"]
            assert found.shape == tuple(layer["shape"])
            if layer["weights"] is not None:
                np.testing.assert_array_equal(opened.weights(*where).reshape(-1), np.array(layer["weights"], dtype="f4"))
            if layer.get("sparse") is not None:
                check_sparse(opened.find(*where).sparse, layer["sparse"])
            if layer["q"] is not None:
                np.testing.assert_array_equal(opened.vectors("q", *where)[0].reshape(-1), np.array(layer["q"], dtype="f4"))
            for metric, values in layer["metrics"].items():
                np.testing.assert_array_equal(found.metrics[metric], np.array([np.nan if v is None else v for v in values], dtype="f4"))


def check_sparse(found, said):
    assert found.counts.reshape(-1).tolist() == said["counts"]
    assert found.indices.tolist() == said["indices"]
    np.testing.assert_array_equal(to_weights(found.weights), np.array(said["weights"], dtype="f4"))
    np.testing.assert_array_equal(found.left_out.reshape(-1), np.array(said["left_out"], dtype="f4"))
    assert list(found.picture.shape) == said["picture_shape"]
    assert hashlib.sha256(found.picture.tobytes()).hexdigest() == said["picture_sha256"]


def test_updates_are_merged_into_their_commit():
    commit = attnlog.open(GOLDEN / "decoder").commit(0)
    assert commit.checkpoint == "out/checkpoint-0"
    assert commit.metrics == {"eval_loss": 2.5, "eval_accuracy": 0.5}


@pytest.mark.parametrize(("precision", "worst"), [("u8", 3.95e-3), ("f16", 2.5e-4), ("f32", 0)])
def test_the_error_of_each_precision_is_what_the_format_says(precision, worst):
    weights = np.linspace(0, 1, 100_001, dtype="f4")
    assert abs(to_weights(to_codes(weights, precision)) - weights).max() <= worst


def test_pictures_hold_the_greatest_weight_of_each_cell():
    weights = np.random.default_rng(0).random((2, 70, 41)).astype("f4")
    picture = pictures_of(weights)
    assert picture.shape == (2, 32, 32)
    for r, c in [(0, 0), (31, 31), (13, 7)]:
        cell = weights[:, r * 70 // 32 : (r + 1) * 70 // 32, c * 41 // 32 : (c + 1) * 41 // 32]
        np.testing.assert_array_equal(picture[:, r, c], to_codes(cell.max((1, 2)), "u8"))


def test_pictures_are_exact_up_to_32_tokens():
    weights = np.random.default_rng(0).random((1, 32, 5)).astype("f4")
    np.testing.assert_array_equal(pictures_of(weights), to_codes(weights, "u8"))


def test_pictures_of_codes_are_pictures_of_weights():
    weights = np.random.default_rng(0).random((1, 50, 60)).astype("f4")
    np.testing.assert_array_equal(pictures_of(to_codes(weights, "u8")), pictures_of(weights))


def test_one_layer_is_one_byte_range_that_any_arrow_reader_takes():
    capture, weights = random_capture()
    asset = next(a for a in write_assets(capture, precision="f32").step if a.kind == "attention")
    schema = asset.data[asset.schema.offset :][: asset.schema.length]
    batch = asset.data[asset.batches[1].offset :][: asset.batches[1].length]
    table = pa.ipc.open_stream(schema + batch + b"\xff\xff\xff\xff\0\0\0\0").read_all()
    assert table.column("layer").to_pylist() == [1, 1, 1]
    np.testing.assert_array_equal(table.column("weights")[2].as_py(), weights[1, 2].reshape(-1))


def test_reading_one_layer_reads_only_its_bytes(tmp_path, monkeypatch):
    capture, _ = random_capture(tokens=64, heads=4, layers=12)
    with attnlog.Run(tmp_path / "run") as run:
        run.log(capture, step=1)
    opened = attnlog.open(tmp_path / "run").read()
    _ = opened.inputs, opened.layers
    read = []
    from attnlog.format import read as reader

    verify = reader.verify
    monkeypatch.setattr(reader, "verify", lambda data, **k: read.append(len(data)) or verify(data, **k))
    opened.weights("self", 5)
    size = opened.commit.asset("attention").bytes
    assert sum(read) < size / 8


def test_a_capture_coarser_than_the_run_is_refused():
    capture, _ = random_capture()
    coarse = attnlog.from_tensors([capture.weights("self", 0)], capture.inputs[0].tokens(), precision="u8")
    with pytest.raises(ArgumentError, match="precision u8, coarser than the run's f32"):
        write_assets(coarse, precision="f32")


def test_vectors_too_large_for_half_precision_are_kept_whole(tmp_path):
    q = np.full((1, 2, 2), 1e6, dtype="f4")
    capture = attnlog.from_tensors([np.full((1, 2, 2), 0.5)], ["a", "b"], queries=[q], keys=[q])
    with attnlog.Run(tmp_path / "run") as run:
        run.log(capture, step=0)
    np.testing.assert_array_equal(attnlog.open(tmp_path / "run").read().vectors("q", "self", 0), q)


# --- what was changed is refused -----------------------------------------------------------------------------------------


@pytest.fixture
def run(tmp_path):
    shutil.copytree(GOLDEN / "decoder", tmp_path / "run")
    return tmp_path / "run"


def asset(run, name):
    return next(run.glob(f"step-00000100/*/{name}.arrow"))


@pytest.mark.parametrize("name", ["index", "attention"])
def test_a_flipped_byte_is_refused(run, name):
    path = asset(run, name)
    data = bytearray(path.read_bytes())
    for position in range(8, len(data), 97):
        data[position] ^= 0x40
    path.write_bytes(data)
    with pytest.raises(AssetDigestMismatch, match=name):
        attnlog.open(run).read(100).weights("self", 0)


def test_a_truncated_asset_is_refused(run):
    path = asset(run, "index")
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(AssetTruncated, match="index"):
        _ = attnlog.open(run).read(100).layers


def test_a_lengthened_asset_is_refused(run):
    path = asset(run, "index")
    path.write_bytes(path.read_bytes() + b"x")
    with pytest.raises(AssetTooLarge):
        _ = attnlog.open(run).read(100).layers


def test_a_missing_asset_is_named(run):
    asset(run, "attention").unlink()
    opened = attnlog.open(run).read(100)
    with pytest.raises(AssetMissing, match=r"attention\.arrow"):
        opened.weights("self", 0)
    assert opened.layers  # the rest can be read


def edit(run, change):
    """Change the manifest line of step 100 and sign the assets it names anew."""
    path = next(run.glob("manifest-*.jsonl"))
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    change(next(line for line in lines if line.get("step") == 100))
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


@pytest.mark.parametrize("path", ["../secret.arrow", "/etc/passwd", "step-00000100/golden-1-1/../../x.arrow", "inputs-0.arrow"])
def test_a_path_that_leads_elsewhere_is_refused(run, path):
    edit(run, lambda commit: commit["assets"][0].update(path=path))
    with pytest.raises(AssetSchemaError, match="not one of a run"):
        attnlog.open(run)


def test_declared_sizes_above_the_cap_are_refused_before_decoding(run):
    edit(run, lambda commit: commit["assets"][0].update(decoded=1 << 50))
    with pytest.raises(AssetTooLarge):
        _ = attnlog.open(run).read(100).layers


def resigned(run, name, table):
    """Replace an asset and sign it, so that only its content is wrong."""
    path = asset(run, name)
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    data = path.read_bytes()

    def change(commit):
        record = next(a for a in commit["assets"] if a["path"].endswith(f"/{name}.arrow"))
        record.update(bytes=len(data), sha256=sha256(data))

    edit(run, change)


def table_of(run, name):
    return pa.ipc.open_file(str(asset(run, name))).read_all()


def test_a_later_version_is_refused_with_the_remedy(run):
    table = table_of(run, "index")
    resigned(run, "index", table.replace_schema_metadata({**table.schema.metadata, b"attnlog.format": b"2"}))
    with pytest.raises(AssetVersionError, match="update attnlog"):
        _ = attnlog.open(run).read(100).layers


@pytest.mark.parametrize(
    "change",
    [
        lambda t: t.drop_columns(["group"]),
        lambda t: t.append_column("head", t.column("head")),
        lambda t: t.set_column(0, "input", t.column("input").cast(pa.int64())),
        lambda t: t.replace_schema_metadata(None),
        lambda t: t.replace_schema_metadata({**t.schema.metadata, b"attnlog.kind": b"inputs"}),
    ],
    ids=["column gone", "column twice", "other type", "no metadata", "other kind"],
)
def test_other_columns_than_the_formats_are_refused(run, change):
    resigned(run, "index", change(table_of(run, "index")))
    with pytest.raises(AssetSchemaError, match="index"):
        _ = attnlog.open(run).read(100).layers


def test_columns_that_came_later_are_ignored(run):
    table = table_of(run, "index")
    resigned(run, "index", table.append_column("from the future", pa.array([1] * len(table))))
    assert attnlog.open(run).read(100).weights("self", 0).shape == (4, 13, 13)


def test_a_file_that_is_no_arrow_is_refused(run):
    path = asset(run, "index")
    path.write_bytes(b"not arrow at all")

    def change(commit):
        next(a for a in commit["assets"] if a["kind"] == "index").update(bytes=16, sha256=sha256(b"not arrow at all"))

    edit(run, change)
    with pytest.raises(AssetSchemaError, match="not a readable Arrow file"):
        _ = attnlog.open(run).read(100).layers


@pytest.mark.parametrize("line", ["nonsense", '{"type": "commit"}', '{"type": "commit", "n": 1}', "[]", "3", '{"a": 1}'])
def test_a_manifest_line_that_is_none_is_refused_with_its_number(run, line):
    path = next(run.glob("manifest-*.jsonl"))
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines[:2], line, *lines[2:]]) + "\n")
    with pytest.raises(AssetSchemaError, match="line 3"):
        attnlog.open(run)


def test_an_unfinished_last_line_is_ignored(run):
    path = next(run.glob("manifest-*.jsonl"))
    with path.open("a") as file:
        file.write('{"type": "commit", "n": 9')
    assert attnlog.open(run).steps == (0, 100, 200)


def test_a_manifest_of_a_later_format_is_refused(run):
    path = next(run.glob("manifest-*.jsonl"))
    path.write_text(path.read_text().replace('"attnlog":1', '"attnlog":2'))
    with pytest.raises(AssetVersionError):
        attnlog.open(run)


def test_places_that_are_no_run_are_told_apart(tmp_path):
    with pytest.raises(RunNotFoundError, match="no such folder"):
        attnlog.open(tmp_path / "nowhere")
    with pytest.raises(RunNotFoundError, match="no manifest"):
        attnlog.open(tmp_path)
    file = tmp_path / "file"
    file.write_text("x")
    with pytest.raises(RunError, match="is a file"):
        attnlog.open(file)


def test_every_asset_error_is_one(run):
    assert issubclass(AssetTruncated, AssetError)
    assert issubclass(AssetError, attnlog.AttnlogError)


def test_an_asset_that_would_decode_to_more_than_declared_is_refused_before_it_is_inflated(run):
    table = table_of(run, "index")
    bomb = table.append_column("bomb", pa.array(["\0" * 50_000_000] + [""] * (len(table) - 1)))
    path = asset(run, "index")
    options = pa.ipc.IpcWriteOptions(compression="zstd")
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, bomb.schema, options=options) as writer:
        writer.write_table(bomb)
    data = path.read_bytes()
    assert len(data) < 100_000
    edit(run, lambda commit: next(a for a in commit["assets"] if a["kind"] == "index").update(bytes=len(data), sha256=sha256(data)))
    before = pa.total_allocated_bytes()
    with pytest.raises(AssetTooLarge, match="would decode to more"):
        _ = attnlog.open(run).read(100).layers
    assert pa.total_allocated_bytes() - before < 1_000_000


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("step", 1e999),
        ("step", 1.5),
        ("step", True),
        ("step", "7"),
        ("step", -3),
        ("n", -1),
        ("time", 10**400),
        ("metrics", {"a": "b"}),
        ("loss", "x"),
    ],
)
def test_a_manifest_with_other_than_the_formats_types_is_refused(run, key, value):
    edit(run, lambda commit: commit.update({key: value}))
    text = next(run.glob("manifest-*.jsonl")).read_text().replace("Infinity", "1e999")
    next(run.glob("manifest-*.jsonl")).write_text(text)
    with pytest.raises(AssetSchemaError, match="is not a manifest line"):
        attnlog.open(run)


def test_a_link_named_like_a_manifest_is_not_followed(run):
    (run / "manifest-zz.jsonl").symlink_to("/etc/hostname")
    assert attnlog.open(run).steps == (0, 100, 200)
