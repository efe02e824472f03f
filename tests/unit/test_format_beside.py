"""Hidden states, predictions, losses and saliency in a run: what goes in comes out, and what cannot be is refused by name."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

import attnlog
from attnlog.errors import AssetDigestMismatch, AssetSchemaError, AssetValueError, NotRecordedError
from attnlog.format import read
from attnlog.format.encode import encode, sha256
from attnlog.format.write import thin, write_assets
from attnlog.outputs import STATISTICS, Loss, Prediction, SaliencyMap, States
from attnlog.record import Missing

GOLDEN = Path(__file__).parent.parent / "golden" / "beside"
TOKENS = ["the", "cat", "sat"]


def states(layer, *, input=0, axis="self", tokens=3, width=4, values=True, scale=1.0):
    numbers = np.random.default_rng(layer).normal(size=(tokens, width)).astype("f4") * scale
    statistics = {name: np.full(tokens, layer + n / 10, dtype="f4") for n, name in enumerate(STATISTICS)}
    statistics["cosine"] = np.full(tokens, np.nan if layer == 0 else 0.5, dtype="f4")
    kept = numbers.astype("f2") if scale == 1 else numbers
    return States(input=input, axis=axis, layer=layer, width=width, statistics=statistics, values=kept if values else None)


def everything(*, values=True):
    weights = [np.full((2, 3, 3), 1 / 3, dtype="f4")] * 2
    capture = attnlog.from_tensors(weights, TOKENS, queries=weights, keys=weights, values=weights)
    norms = np.arange(6, dtype="f4").reshape(2, 3)
    layers = tuple(replace(one, vectors=replace(one.vectors, norms=norms)) for one in capture.layers)
    probabilities = np.array([[0.5, 0.25]] * 3, dtype="f4")
    outputs = (
        Prediction(
            input=0,
            axis="self",
            task="next",
            tokens=3,
            ids=np.array([[5, 6]] * 3, dtype="i4"),
            probabilities=probabilities,
            labels=(("cat", "dog"),) * 3,
        ),
        Loss(input=0, axis="self", task="next", values=np.array([1.5, 0.25, np.nan], dtype="f4")),
        SaliencyMap(input=0, axis="self", method="gradient", values=np.ones(3, dtype="f4"), target="'dog' at 2", position=2),
        SaliencyMap(
            input=0,
            axis="self",
            method="integrated_gradients",
            values=np.array([-1, 0, 2], dtype="f4"),
            target="'dog' at 2",
            position=2,
            steps=32,
            error=0.004,
        ),
    )
    return replace(capture, layers=layers, hidden_states=tuple(states(n, values=values) for n in range(3)), outputs=outputs)


def saved(capture, tmp_path, **how):
    with attnlog.Run(tmp_path / "run", **how) as run:
        run.log(capture, step=1)
    return attnlog.open(tmp_path / "run").read()


@pytest.mark.parametrize("place", ["capture", "saved"])
def test_a_capture_and_a_saved_step_answer_alike(place, tmp_path):
    capture = everything()
    reading = capture if place == "capture" else saved(capture, tmp_path)
    found = reading.states()
    assert list(found) == list(STATISTICS)
    assert found["mean"].shape == (3, 3)
    np.testing.assert_array_equal(found["norm"][:, 0], np.array([0.2, 1.2, 2.2], dtype="f4"))
    assert np.isnan(found["cosine"][0]).all()
    assert reading.hidden("self", 2).dtype == np.float32
    np.testing.assert_array_equal(reading.hidden("self", 2), capture.hidden_states[2].values.astype("f4"))
    (prediction,) = reading.predictions()
    assert list(prediction.top(2)) == [("cat", 0.5), ("dog", 0.25)]
    np.testing.assert_array_equal(reading.losses(), np.array([1.5, 0.25, np.nan], dtype="f4"))
    saliency = reading.saliency("integrated_gradients")
    assert (saliency.target, saliency.position, saliency.steps) == ("'dog' at 2", 2, 32)
    assert saliency.error == pytest.approx(0.004)
    np.testing.assert_array_equal(saliency.values, [-1, 0, 2])
    np.testing.assert_allclose(reading.value_weighted("self", 0)[1, 0], [1, 4 / 3, 5 / 3], rtol=4e-3)


@pytest.mark.parametrize("place", ["capture", "saved"])
def test_what_was_not_recorded_is_said_with_its_reason(place, tmp_path):
    capture = replace(
        attnlog.from_tensors([np.full((1, 3, 3), 1 / 3)], TOKENS), missing=(Missing("self", None, "saliency", "it is tired"),)
    )
    reading = capture if place == "capture" else saved(capture, tmp_path)
    for ask, text in [
        (lambda: reading.states(), "hidden states of self were not recorded"),
        (lambda: reading.hidden("self", 0), "hidden states of self were not recorded"),
        (lambda: reading.predictions(), "predictions of self were not recorded"),
        (lambda: reading.losses(), "loss per token of self was not recorded"),
        (lambda: reading.saliency("gradient"), "saliency of self was not recorded, because it is tired"),
        (lambda: reading.states("decoder"), "no axis 'decoder'"),
        (lambda: reading.states("self", 4), "no input 4"),
        (lambda: reading.value_weighted("self", 0), "record 'values'"),
    ]:
        with pytest.raises(NotRecordedError, match=text):
            ask()


def test_statistics_without_states_say_what_to_record(tmp_path):
    reading = saved(everything(values=False), tmp_path)
    assert reading.states()["mean"].shape == (3, 3)
    with pytest.raises(NotRecordedError, match="record 'hidden'"):
        reading.hidden("self", 1)
    with pytest.raises(NotRecordedError, match=r"layer 7 were not recorded; layers 0, 1, 2 were"):
        reading.hidden("self", 7)


def test_a_method_that_was_not_asked_for_is_named(tmp_path):
    with pytest.raises(NotRecordedError, match="'lime' was not recorded; recorded: gradient, integrated_gradients"):
        saved(everything(), tmp_path).saliency("lime")


def test_states_too_large_for_half_precision_are_kept_whole(tmp_path):
    capture = replace(everything(), hidden_states=(states(0), states(1, scale=1e6)))
    reading = saved(capture, tmp_path)
    np.testing.assert_array_equal(reading.hidden("self", 1), capture.hidden_states[1].values)


def test_reading_one_layers_states_reads_only_its_bytes(tmp_path, monkeypatch):
    capture = replace(everything(), hidden_states=tuple(states(n, width=500) for n in range(12)))
    opened = saved(capture, tmp_path)
    opened.states()
    taken = []
    verify = read.verify
    monkeypatch.setattr(read, "verify", lambda data, **k: taken.append(len(data)) or verify(data, **k))
    opened.hidden("self", 5)
    assert sum(taken) < opened.commit.asset("hidden").bytes / 6


def test_a_budget_leaves_what_is_small(tmp_path):
    assets = thin(write_assets(everything()))
    assert {asset.kind for asset in assets.step} == {"index", "pictures", "states", "outputs"}
    with attnlog.Run(tmp_path / "run", budget=1) as run:
        run.log(everything(), step=0)
        run.log(everything(), step=1)
    opened = attnlog.open(tmp_path / "run")
    thinned = opened.read(0)
    assert thinned.states()["mean"].shape == (3, 3)
    assert thinned.losses()[0] == 1.5
    with pytest.raises(NotRecordedError, match="reached its budget"):
        thinned.hidden("self", 1)
    assert opened.read(1).hidden("self", 1).shape == (3, 4)  # the last step is whole


def test_what_is_large_is_spread_over_assets_by_input(monkeypatch, tmp_path):
    monkeypatch.setattr("attnlog.format.spread.SPLIT", 60)
    one = everything()
    two = replace(
        one,
        inputs=one.inputs * 2,
        hidden_states=tuple(replace(s, input=n) for n in range(2) for s in one.hidden_states),
        outputs=tuple(replace(o, input=n) for n in range(2) for o in one.outputs),
    )
    assets = write_assets(two).step
    assert len([a for a in assets if a.kind == "hidden"]) > 2
    assert len([a for a in assets if a.kind == "states"]) >= 2
    reading = saved(two, tmp_path)
    for n in range(2):
        np.testing.assert_array_equal(reading.hidden("self", 2, n), one.hidden("self", 2))
        assert len(reading.predictions(input=n)) == 1


def test_norms_are_written_only_where_there_are_some():
    vectors = next(a for a in write_assets(everything()).step if a.kind == "vectors")
    assert "norms" in pa.ipc.open_file(vectors.data).schema.names
    plain = attnlog.from_tensors([np.full((1, 2, 2), 0.5)], ["a", "b"], queries=[np.ones((1, 2, 2))], keys=[np.ones((1, 2, 2))])
    vectors = next(a for a in write_assets(plain).step if a.kind == "vectors")
    assert "norms" not in pa.ipc.open_file(vectors.data).schema.names


def test_every_command_takes_the_new_assets(tmp_path):
    from attnlog.commands.inspect import asset_said, step_said
    from attnlog.commands.verify import examine
    from attnlog.store.source import FolderSource

    saved(everything(), tmp_path)
    verdict = examine(FolderSource(tmp_path / "run"))
    assert not verdict.damaged
    with attnlog.open(tmp_path / "run") as run:
        assert {a["kind"] for a in step_said(run, 1)["assets"]} >= {"states", "hidden", "outputs"}
        assert asset_said(run, 1, "outputs")["rows"] == 4
    exported = attnlog.export(tmp_path / "run", tmp_path / "a.html")
    assert "outputs.arrow" in exported.read_text()


def test_a_kind_between_two_axes_is_held_to_both(tmp_path):
    weights = np.full((2, 3, 6), 1 / 6, dtype="f4")
    tokens = {"latents": list("abc"), "vision": [f"p{n}" for n in range(6)]}
    reading = saved(attnlog.from_tensors({"latents>vision": [weights]}, tokens), tmp_path)
    assert reading.weights("latents>vision", 0).shape == (2, 3, 6)
    assert np.isnan(reading.find("latents>vision", 0).metrics["distance"]).all()


def golden():
    return json.loads((GOLDEN / "expected.json").read_text())["steps"].items()


def same(found, said):
    np.testing.assert_array_equal(
        np.asarray(found, dtype="f4").reshape(-1), np.array([np.nan if v is None else v for v in said], dtype="f4")
    )


def test_the_golden_run_is_read_as_it_was_written():
    run = attnlog.open(GOLDEN)
    assert [run.commit(step).asset("hidden") is not None for step in run.steps] == [True, True, False]
    for step, said in golden():
        opened = run.read(int(step))
        assert len(opened.all_states()) == len(said["states"])
        for one, wanted in zip(opened.all_states(), said["states"], strict=True):
            assert (one.input, one.axis, one.layer, one.width) == tuple(wanted[k] for k in ("input", "axis", "layer", "width"))
            for name in STATISTICS:
                same(one.statistics[name], wanted[name])
            if wanted["values"] is not None:
                same(opened.hidden(one.axis, one.layer), wanted["values"])
        for one, wanted in zip(opened.all_outputs(), said["outputs"], strict=True):
            assert type(one).__name__ == wanted["role"]
            for name, value in vars(one).items():
                if not isinstance(value, np.ndarray):
                    assert json.loads(json.dumps(value)) == (pytest.approx(wanted[name]) if name == "error" else wanted[name])
                elif value.dtype == np.int32:
                    assert value.tolist() == wanted[name]
                else:
                    same(value, wanted[name])
        for layer in (layer for layer in said["layers"] if layer.get("norms")):
            same(opened.find(layer["kind"], layer["layer"], what="vectors").vectors.norms, layer["norms"])


def test_a_run_without_attention_is_a_run(tmp_path):
    capture = replace(everything(), layers=())
    reading = saved(capture, tmp_path)
    assert reading.layers == ()
    assert reading.states()["mean"].shape == (3, 3)
    with pytest.raises(NotRecordedError, match="nothing was recorded"):
        reading.weights("self", 0)


# --- what cannot be is refused --------------------------------------------------------------------------------------------


def damaged(tmp_path, kind, change):
    """Write everything, change the columns of one asset, and sign it again."""
    saved(everything(), tmp_path)
    run = tmp_path / "run"
    path = next(run.glob(f"step-*/*/{kind}.arrow"))
    columns = pa.ipc.open_file(path.read_bytes()).read_all().to_pydict()
    change(columns)
    asset = encode(path.name, kind, [columns], precision="f16" if kind in ("hidden", "vectors") else None)
    path.write_bytes(asset.data)
    manifest = next(run.glob("manifest-*.jsonl"))
    lines = [json.loads(line) for line in manifest.read_text().splitlines()]
    said = next(a for a in lines[1]["assets"] if a["kind"] == kind)
    said.update(bytes=len(asset.data), sha256=asset.sha256, decoded=asset.decoded, rows=asset.rows)
    manifest.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return attnlog.open(run).read()


def put(column, row, value):
    return lambda columns: columns[column].__setitem__(row, value)


@pytest.mark.parametrize(
    ("kind", "change", "error"),
    [
        ("states", put("mean", 0, [1.0]), AssetSchemaError),
        ("states", put("tokens", 0, 2), AssetSchemaError),
        ("states", put("layer", 1, 0), AssetSchemaError),
        ("states", put("input", 0, 9), AssetSchemaError),
        ("states", put("axis", 0, "vision"), AssetSchemaError),
        ("states", put("hidden_path", 0, "../../x.arrow"), AssetSchemaError),
        ("states", put("hidden_offset", 0, None), AssetSchemaError),
        ("states", put("mean", 0, [1.0, float("nan"), 1.0]), AssetValueError),
        ("states", put("max", 0, [1.0, float("inf"), 1.0]), AssetValueError),
        ("states", put("norm", 0, [1.0, -1.0, 1.0]), AssetValueError),
        ("states", put("cosine", 1, [1.0, 1.5, 1.0]), AssetValueError),
        ("outputs", put("values", 1, [1.0]), AssetSchemaError),
        ("outputs", put("values", 1, None), AssetSchemaError),
        ("outputs", put("target", 2, None), AssetSchemaError),
        ("outputs", put("labels", 0, ["a"]), AssetSchemaError),
        ("outputs", put("ids", 0, [1, 2]), AssetSchemaError),
        ("outputs", put("rows", 0, 2), AssetSchemaError),
        ("outputs", put("name", 3, "gradient"), AssetSchemaError),
        ("outputs", put("tokens", 1, 2), AssetSchemaError),
        ("outputs", put("values", 1, [-1.0, 1.0, 1.0]), AssetValueError),
        ("outputs", put("values", 2, [float("nan"), 1.0, 1.0]), AssetValueError),
        ("outputs", put("probabilities", 0, [0.5, 1.5, 0.1, 0.1, 0.1, 0.1]), AssetValueError),
        ("outputs", put("error", 3, -1.0), AssetValueError),
    ],
)
def test_what_cannot_be_is_refused(tmp_path, kind, change, error):
    opened = damaged(tmp_path, kind, change)
    with pytest.raises(error):
        (opened.all_states if kind == "states" else opened.all_outputs)()


def test_outputs_of_a_later_role_are_passed_over(tmp_path):
    opened = damaged(tmp_path, "outputs", put("role", 0, "forecast"))
    assert len(opened.all_outputs()) == 3


@pytest.mark.parametrize("norm", [float("nan"), -1.0])
def test_norms_that_cannot_be_are_refused(norm):
    capture = everything()
    bad = np.full((2, 3), norm, dtype="f4")
    layers = tuple(replace(one, vectors=replace(one.vectors, norms=bad)) for one in capture.layers)
    asset = next(a for a in write_assets(replace(capture, layers=layers)).step if a.kind == "vectors")
    with pytest.raises(AssetValueError, match="norms"):
        read.table(asset.data, "vectors", "vectors.arrow", decoded=asset.decoded)


def test_changed_bytes_of_hidden_states_are_refused(tmp_path):
    opened = saved(everything(), tmp_path)
    path = next((tmp_path / "run").glob("step-*/*/hidden.arrow"))
    data = bytearray(path.read_bytes())
    for place in range(8, len(data), 50):
        data[place] ^= 1
    path.write_bytes(data)
    assert sha256(bytes(data)) != opened.commit.asset("hidden").sha256
    with pytest.raises(AssetDigestMismatch):
        opened.hidden("self", 1)
