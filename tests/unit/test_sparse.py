"""Long inputs: the top keys of each row are exactly the weights the model computed, and what is left out is said."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import attnlog
from attnlog.errors import ArgumentError, NotRecordedError
from attnlog.record import to_codes
from attnlog.sparse import DENSE_TOKENS, MASS, PICTURE, TOP, SparseWeights, sparse_of
from tests.conftest import build


def rows_of(kind, *, heads=2, queries=150, keys=400, seed=0):
    """Attention of several characters: flat, sharp, with ties, causal, and rows that see nothing."""
    rng = np.random.default_rng(seed)
    scores = {"flat": 0.2, "sharp": 6.0, "ties": 0.0, "causal": 2.0, "blind": 2.0}[kind] * rng.normal(size=(heads, queries, keys))
    if kind == "causal":
        scores = np.where(np.arange(keys) <= np.arange(queries)[:, None], scores, -np.inf)
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    weights /= weights.sum(-1, keepdims=True)
    if kind == "blind":
        weights[:, ::3] = 0
    return weights.astype(np.float32)


def kept_by_the_rule(row):
    """The format's words, one row at a time: greatest first, of equal ones the smaller key, until 64 or 99 % of the mass."""
    kept, held, mass = [], np.float32(0), row.sum(dtype=np.float32)
    for key in sorted(range(len(row)), key=lambda j: (-row[j], j))[:TOP]:
        if not held < MASS * mass:
            break
        kept.append(key)
        held += row[key]
    return sorted(kept), mass - held


@pytest.mark.parametrize("kind", ["flat", "sharp", "ties", "causal", "blind"])
def test_the_top_keys_of_each_row_are_kept_with_their_exact_weights(kind):
    weights = rows_of(kind)
    found = SparseWeights((4, 7), weights.shape[1:], sparse_of(weights))
    assert found.shape == weights.shape
    for head in range(2):
        for query in range(0, 150, 7):
            keys, values = found.row(head, query)
            expected, left_out = kept_by_the_rule(weights[head, query])
            assert keys.tolist() == expected
            np.testing.assert_array_equal(values, weights[head, query][expected])
            assert found.left_out[head, query] == pytest.approx(left_out, abs=1e-5)
            assert len(keys) == min(TOP, 400) or found.left_out[head, query] <= (1 - MASS) * weights[head, query].sum() + 1e-5


@pytest.mark.parametrize("kind", ["flat", "sharp", "ties", "causal", "blind"])
@pytest.mark.parametrize("precision", ["f32", "f16", "u8"])
def test_a_capture_keeps_block_by_block_what_the_whole_matrix_would_keep(kind, precision):
    from attnlog.capture.sparse import Keeper

    weights = rows_of(kind, queries=300)
    whole = sparse_of(weights)
    keeper = Keeper(2, 300, 400, precision=precision, device=torch.device("cpu"))
    for start in range(0, 300, 128):
        keeper.add(torch.from_numpy(weights[:, start : start + 128]), start)
    blocks = keeper.done()
    np.testing.assert_array_equal(blocks.counts, whole.counts)
    np.testing.assert_array_equal(blocks.indices, whole.indices)
    np.testing.assert_array_equal(blocks.weights, to_codes(whole.weights, precision))
    np.testing.assert_array_equal(blocks.picture, whole.picture)
    np.testing.assert_allclose(blocks.left_out, whole.left_out, atol=1e-5)


def test_the_picture_shows_the_greatest_weight_of_each_cell():
    weights = rows_of("sharp", queries=300, keys=40)
    picture = sparse_of(weights).picture
    assert picture.shape == (2, PICTURE, 40)
    begins = np.arange(PICTURE) * 300 // PICTURE
    for cell in (0, 100, 255):
        end = begins[cell + 1] if cell + 1 < PICTURE else 300
        np.testing.assert_array_equal(picture[:, cell], to_codes(weights[:, begins[cell] : end].max(1), "u8"))


@pytest.mark.parametrize("name", ["llama", "bert", "gemma2"])
def test_a_long_input_is_captured_sparse_and_equals_the_dense_one(name):
    model = build(name)
    given = {"input_ids": torch.randint(4, 60, (2, 200), generator=torch.Generator().manual_seed(1))}
    dense = attnlog.capture(model, given)
    sparse = attnlog.capture(model, given, dense_tokens=100)
    assert not sparse.missing
    for layer in range(2):
        whole, found = dense.weights("self", layer, 1), sparse.weights("self", layer, 1)
        assert isinstance(found, SparseWeights)
        for head, query in ((0, 0), (1, 63), (3, 199)):
            keys, values = found.row(head, query)
            np.testing.assert_array_equal(values, whole[head, query][keys])
            assert found.left_out[head, query] == pytest.approx(1 - values.sum(), abs=1e-5)
        np.testing.assert_allclose(sparse.layers[layer].metrics["entropy"], dense.layers[layer].metrics["entropy"], atol=1e-5)


def test_short_inputs_of_the_same_capture_stay_whole(tmp_path):
    model = build("llama")
    ids = torch.randint(4, 60, (2, 120), generator=torch.Generator().manual_seed(1))
    mask = torch.ones_like(ids)
    mask[1, 30:] = 0
    capture = attnlog.capture(model, {"input_ids": ids, "attention_mask": mask}, dense_tokens=64)
    with attnlog.Run(tmp_path / "run", dense_tokens=64) as run:
        run.log(capture, step=0)
    opened = attnlog.open(tmp_path / "run").read(0)
    assert isinstance(opened.weights("self", 0, 0), SparseWeights)
    np.testing.assert_allclose(opened.weights("self", 0, 1), capture.weights("self", 0, 1), atol=4e-3)


def test_a_run_stores_long_inputs_sparse_whoever_captured_them(tmp_path):
    weights = rows_of("sharp", queries=600, keys=600)
    capture = attnlog.from_tensors([weights], [f"t{n}" for n in range(600)])
    with attnlog.Run(tmp_path / "run", precision="f32") as run:
        run.log(capture, step=3)
    found = attnlog.open(tmp_path / "run").read(3).weights("self", 0)
    assert isinstance(found, SparseWeights)
    keys, values = found.row(1, 599)
    np.testing.assert_array_equal(values, weights[1, 599][keys])
    assert {a.kind for a in attnlog.open(tmp_path / "run").commit(3).assets} == {"index", "pictures", "sparse"}


def test_what_is_sparse_says_so_and_never_passes_for_an_array():
    found = SparseWeights((0, 1), (150, 400), sparse_of(rows_of("flat")))
    assert "of the mass is left out" in repr(found)
    with pytest.raises(NotRecordedError, match=r"row\(head, query\)"):
        np.asarray(found)
    dense = found.dense(0)
    assert np.isnan(dense).sum() == (400 - TOP) * 150
    with pytest.raises(NotRecordedError, match="no query 150"):
        found.row(0, 150)


@pytest.mark.parametrize("given", [{"dense_tokens": -1}, {"dense_tokens": 1.5}, {"vector_precision": "i4"}])
def test_what_cannot_be_stored_is_refused_before_any_work(tmp_path, given):
    with pytest.raises(ArgumentError, match=next(iter(given))):
        attnlog.Run(tmp_path / "run", **given)


def test_one_number_says_from_where_inputs_are_sparse():
    import attnlog.run as run_module
    from attnlog_integrations.transformers import AttentionCallback

    assert AttentionCallback(["a"]).options.dense_tokens == DENSE_TOKENS == run_module.DENSE_TOKENS


# Whole rows again, from queries and keys


@pytest.mark.parametrize(("vector_precision", "worst"), [("f32", 1e-5), ("f16", 2e-3), ("i8", 2e-2)])
@pytest.mark.parametrize("name", ["llama", "gemma2", "mistral", "bert"])
def test_rows_are_recomputed_from_stored_vectors(tmp_path, name, vector_precision, worst):
    model = build(name)
    capture = attnlog.capture(model, {"input_ids": torch.randint(4, 60, (1, 200), generator=torch.Generator().manual_seed(1))})
    with attnlog.Run(tmp_path / "run", dense_tokens=100, vector_precision=vector_precision) as run:
        run.log(capture, step=5)
    rows = attnlog.open(tmp_path / "run").recompute(5, 0, "self", 1, 3, [0, 120, 199])
    assert rows.shape == (3, 200)
    np.testing.assert_allclose(rows, capture.weights("self", 1)[3][[0, 120, 199]], atol=worst)


def test_rows_that_q_and_k_do_not_explain_are_refused(tmp_path):
    model = build("t5")
    ids = torch.randint(4, 60, (1, 80), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():  # a position bias that matters
        model.encoder.block[0].layer[0].SelfAttention.relative_attention_bias.weight.normal_(std=4)
    capture = attnlog.capture(model, {"input_ids": ids, "decoder_input_ids": ids[:, :5]})
    with attnlog.Run(tmp_path / "run", dense_tokens=50) as run:
        run.log(capture, step=0)
    saved = attnlog.open(tmp_path / "run")
    with pytest.raises(NotRecordedError, match="adds a bias"):
        saved.recompute(0, 0, "encoder", 0, 1, range(80))


@pytest.mark.parametrize(
    ("head", "rows", "said"),
    [(9, [0], "head 9 .* was not recorded; heads 0, 1"), (0, [13], "no query row 13"), (0, [-1], "no query row -1")],
)
def test_rows_that_are_not_there_are_named(head, rows, said):
    from pathlib import Path

    saved = attnlog.open(Path(__file__).parent.parent / "golden" / "decoder")
    with pytest.raises(NotRecordedError, match=said):
        saved.recompute(100, 0, "self", 0, head, rows)


def test_without_vectors_nothing_can_be_recomputed(tmp_path):
    capture = attnlog.from_tensors([rows_of("sharp", queries=20, keys=20)], [f"t{n}" for n in range(20)])
    with attnlog.Run(tmp_path / "run") as run:
        run.log(capture, step=0)
    with pytest.raises(NotRecordedError, match="queries and keys of self layer 0 of input 0 at step 0 were not recorded"):
        attnlog.open(tmp_path / "run").recompute(0, 0, "self", 0, 0, [1])


def test_a_model_that_gives_no_numbers_is_said_not_drawn():
    model = build("llama")
    with torch.no_grad():
        model.model.layers[1].self_attn.q_proj.weight.fill_(float("nan"))
    capture = attnlog.capture(model, {"input_ids": torch.arange(4, 20)[None]})
    assert capture.layers[0].weights is not None
    assert capture.layers[1].weights is None
    assert capture.layers[1].vectors is None
    assert any("not numbers" in str(m) and m.what == "attention" for m in capture.missing)


def test_rows_are_not_recomputed_where_nothing_says_that_q_and_k_give_them(tmp_path):
    model = build("t5")
    with torch.no_grad():
        model.encoder.block[0].layer[0].SelfAttention.relative_attention_bias.weight.normal_(std=4)
    ids = torch.randint(4, 60, (1, 30), generator=torch.Generator().manual_seed(1))
    capture = attnlog.capture(model, {"input_ids": ids, "decoder_input_ids": ids[:, :5]}, record=("vectors",))
    with attnlog.Run(tmp_path / "run") as run:
        run.log(capture, step=0)
    with pytest.raises(NotRecordedError, match="no weights of it were stored to compare with"):
        attnlog.open(tmp_path / "run").recompute(0, 0, "encoder", 0, 1, [3])


def test_a_trainings_autocast_does_not_round_what_is_recorded():
    model = build("llama")
    given = {"input_ids": torch.randint(4, 60, (1, 80), generator=torch.Generator().manual_seed(1))}
    with torch.autocast("cpu", dtype=torch.bfloat16):
        capture = attnlog.capture(model, given)
    from attnlog.explain import softmax_of
    from attnlog.metrics import head_metrics

    for layer in capture.layers:
        weights = capture.weights("self", layer.layer)
        np.testing.assert_allclose(weights, softmax_of(layer.vectors, layer.groups), atol=1e-5)
        again = head_metrics(weights, capture.inputs[0].axes["self"], capture.inputs[0].axes["self"], aligned=True)
        np.testing.assert_allclose(layer.metrics["distance"], again["distance"], rtol=1e-4)
