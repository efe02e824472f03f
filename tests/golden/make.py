"""Makes the golden runs of format version 1. They are frozen: run this only to add a run, never to change one."""

from __future__ import annotations

import hashlib
import json
import sys
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

from attnlog.capture.tensors import from_tensors
from attnlog.format.write import write_assets
from attnlog.outputs import STATISTICS, Loss, Output, Prediction, SaliencyMap, States
from attnlog.record import Axis, Capture, Input, Missing, Sparse, to_weights
from attnlog.store.folder import Writer
from attnlog.store.open import SavedStep, open_run

HERE = Path(__file__).parent
Rng = np.random.Generator


def softmax(scores: np.ndarray) -> np.ndarray:
    powers = np.exp(scores - scores.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


def grouped(rng: Rng, tokens: int, layers: int, heads: int, groups: int, width: int, *, causal: bool) -> dict[str, list[np.ndarray]]:
    made: dict[str, list[np.ndarray]] = {"w": [], "q": [], "k": [], "v": []}
    for _ in range(layers):
        q, k, v = (rng.normal(size=(n, tokens, width)).astype("f4") * 1.5 for n in (heads, groups, groups))
        scores = q @ np.repeat(k, heads // groups, 0).transpose(0, 2, 1) * width**-0.5
        if causal:
            scores = np.where(np.tri(tokens) > 0, scores, -np.inf)
        for name, array in zip("wqkv", (softmax(scores), q, k, v), strict=True):
            made[name].append(array)
    return made


def decoder(rng: Rng) -> list[Capture]:
    text = ["the", "cat", "sat", "on", "the", "mat", "and", "the", "cat", "sat", "on", "the", "hat"]
    captures = []
    for _ in range(3):
        m = grouped(rng, len(text), 2, 4, 2, 8, causal=True)
        captures.append(from_tensors(m["w"], text, queries=m["q"], keys=m["k"], values=m["v"]))
    return captures


def pair(rng: Rng) -> list[Capture]:
    a = ["[CLS]", "he", "said", "<b>", "&", "'hi'", "[SEP]", "she", "למה", "你好", "🙂", "[SEP]"]
    m = grouped(rng, len(a), 3, 3, 3, 4, causal=False)
    return [from_tensors(m["w"], a, queries=m["q"], keys=m["k"], sentence_b_start=7)]


def sequence_to_sequence(rng: Rng) -> list[Capture]:
    encoder, target = [f"▁e{i}" for i in range(40)], [f"▁d{i}" for i in range(6)]
    shapes = {"encoder": (40, 40, 1), "decoder": (6, 6, 2), "cross": (6, 40, 2)}
    weights = {kind: [softmax(2 * rng.normal(size=(2, q, k))).astype("f4") for _ in range(depth)] for kind, (q, k, depth) in shapes.items()}
    capture = from_tensors(weights, {"encoder": encoder, "decoder": target})
    said = Missing("cross", None, "queries and keys", "only weights were given")
    return [Capture(capture.inputs, capture.layers, (said,), capture.model, capture.config)]


def long(rng: Rng) -> list[Capture]:
    captures = []
    for _ in range(2):
        parts = []
        for tokens in (300, 20):
            m = grouped(rng, tokens, 2, 2, 1, 8, causal=True)
            parts.append(from_tensors(m["w"], [f"t{i % 37}" for i in range(tokens)], queries=m["q"], keys=m["k"]))
        inputs = tuple(one for part in parts for one in part.inputs)
        layers = tuple(replace(layer, input=number) for number, part in enumerate(parts) for layer in part.layers)
        captures.append(Capture(inputs, layers, (), parts[0].model, parts[0].config))
    return captures


def exact(rng: Rng) -> list[Capture]:
    """Sparse in float32, one head flat and one so sharp that few keys of a row are kept."""
    m = grouped(rng, 100, 1, 2, 2, 4, causal=False)
    m["w"][0][1] = softmax(8 * np.log(m["w"][0][1]))
    return [from_tensors(m["w"], [f"t{i}" for i in range(100)], queries=m["q"], keys=m["k"])]


def beside(rng: Rng) -> list[Capture]:
    """Hidden states, predictions, losses, saliency and norms of values; large states in the second step, none in the third."""
    text = "the cats sat"
    tokens, starts, ends = ("<s>", "the", "cat", "s", "sat"), (0, 0, 4, 7, 9), (0, 3, 7, 8, 12)
    axis = Axis(tokens=tokens, text=text, ids=(1, 5, 6, 7, 8), starts=starts, ends=ends, special=(True, False, False, False, False))
    patches = Axis(tokens=tuple(f"p{n}" for n in range(6)), labels=tuple(f"row {n // 3}, column {n % 3}" for n in range(6)))
    captures = []
    for step in range(3):
        m = grouped(rng, 5, 2, 4, 2, 8, causal=True)
        plain = from_tensors(m["w"], list(tokens), queries=m["q"], keys=m["k"], values=m["v"])
        norms = [rng.random((4, 5)).astype("f4") * 3 for _ in range(2)]
        layers = [
            replace(x, vectors=replace(x.vectors, norms=n)) for x, n in zip(plain.layers, norms, strict=True) if x.vectors is not None
        ]
        axes = {"self": axis, "vision": patches}
        found = replace(plain, inputs=(Input(axes),), layers=tuple(layers))
        captures.append(replace(found, hidden_states=states(rng, 1e6 if step == 1 else 1, kept=step < 2), outputs=outputs(rng, step)))
    return captures


def states(rng: Rng, scale: float, *, kept: bool) -> tuple[States, ...]:
    """Three layers on five tokens; the second token's embedding is 0, and so has no cosine."""
    values = rng.normal(size=(3, 5, 4)) * scale
    values[0, 1] = 0
    values = values.astype("f2" if scale == 1 else "f4")
    made = []
    for layer, one in enumerate(values.astype("f8")):
        cosine = np.full(5, np.nan)
        if layer:
            before = values[layer - 1].astype("f8")
            with np.errstate(invalid="ignore"):
                cosine = (one * before).sum(-1) / np.linalg.norm(one, axis=-1) / np.linalg.norm(before, axis=-1)
        numbers = (one.mean(-1), one.std(-1), np.linalg.norm(one, axis=-1), one.min(-1), one.max(-1), cosine)
        statistics = {name: value.astype("f4") for name, value in zip(STATISTICS, numbers, strict=True)}
        made.append(States(input=0, axis="self", layer=layer, width=4, statistics=statistics, values=values[layer] if kept else None))
    return tuple(made)


def outputs(rng: Rng, step: int) -> tuple[Output, ...]:
    chances = -np.sort(-softmax(rng.normal(size=(5, 3)))).astype("f4")
    ids = rng.integers(0, 90, (5, 3)).astype("i4")
    labels = tuple(tuple(f"w{n}" for n in row) for row in ids)
    losses = np.array([*rng.random(4) * 3, np.nan], dtype="f4")
    target = {"target": "logit of 'w1' at token 4 ('sat')", "position": 4}
    made: list[Output] = [
        Prediction(input=0, axis="self", task="next", tokens=5, ids=ids, probabilities=chances, labels=labels),
        Prediction(
            input=0,
            axis="self",
            task="class",
            tokens=5,
            ids=np.array([[1, 0]], dtype="i4"),
            probabilities=np.array([[0.75, 0.25]], dtype="f4"),
            labels=(("good", "bad"),),
        ),
        Loss(input=0, axis="self", task="next", values=losses),
        SaliencyMap(input=0, axis="self", method="gradient", values=rng.random(5).astype("f4"), **target),
        SaliencyMap(
            input=0, axis="self", method="integrated_gradients", values=rng.normal(size=5).astype("f4"), steps=32, error=0.0025, **target
        ),
        SaliencyMap(input=0, axis="vision", method="gradient_x_input", values=rng.normal(size=6).astype("f4"), target="loss"),
    ]
    return tuple(made[: 6 - step])


RUNS: dict[str, tuple[Any, dict[str, Any]]] = {
    "decoder": (decoder, {"precision": "u8"}),
    "pair": (pair, {"precision": "f16"}),
    "sequence": (sequence_to_sequence, {"precision": "f32"}),
    "long": (long, {"precision": "u8", "vector_precision": "i8", "dense_tokens": 64}),
    "exact": (exact, {"precision": "f32", "vector_precision": "f32", "dense_tokens": 64}),
    "beside": (beside, {"precision": "u8"}),
}


def short(values: np.ndarray) -> list[float]:
    """Write float32 numbers with the nine digits that tell them all apart."""
    return [float(f"{value:.9g}") for value in values]


def plain(sparse: Sparse) -> dict[str, object]:
    return {
        "counts": sparse.counts.reshape(-1).tolist(),
        "indices": sparse.indices.tolist(),
        "weights": short(to_weights(sparse.weights)),
        "left_out": short(sparse.left_out.reshape(-1)),
        "picture_sha256": hashlib.sha256(sparse.picture.tobytes()).hexdigest(),
        "picture_shape": list(sparse.picture.shape),
    }


def numbers(values: np.ndarray) -> list[float | None]:
    """Write float32 numbers as `short` does, and null for NaN."""
    return [None if value != value else float(f"{value:.9g}") for value in values]


def state(opened: SavedStep, one: States) -> dict[str, object]:
    """What any reader must find of one layer's hidden states; `values` is null where only statistics were written."""
    values = opened.with_values(one).values
    return {
        "input": one.input,
        "axis": one.axis,
        "layer": one.layer,
        "width": one.width,
        **{name: numbers(found) for name, found in one.statistics.items()},
        "values": None if values is None else short(values.astype("f4").reshape(-1)),
    }


def output(one: Output) -> dict[str, object]:
    said: dict[str, object] = {"input": one.input, "axis": one.axis, "role": type(one).__name__}
    for name, value in vars(one).items():
        if isinstance(value, np.ndarray):
            said[name] = value.tolist() if value.dtype == np.int32 else numbers(value.reshape(-1))
        else:
            said[name] = value if not isinstance(value, float) else float(f"{value:.9g}")
    return said


def expected(directory: Path) -> dict[str, object]:
    """What any reader must find, as plain JSON: every weight of one layer, metrics, tokens."""
    saved = open_run(directory)
    steps = {}
    for step in saved.steps:
        opened = saved.read(step)
        layers = []
        for layer in opened.layers:
            found = opened.find(layer.kind, layer.layer, layer.input)
            vectors = opened.find(layer.kind, layer.layer, layer.input, what="vectors").vectors
            layers.append(
                {
                    "input": layer.input,
                    "kind": layer.kind,
                    "layer": layer.layer,
                    "heads": layer.heads,
                    "groups": layer.groups,
                    "shape": layer.shape,
                    "weights": to_weights(found.weights).reshape(-1).tolist() if layer.layer == 0 and found.weights is not None else None,
                    "sparse": plain(found.sparse) if layer.layer == 0 and found.sparse is not None else None,
                    "precision": found.codes.dtype.name if found.codes is not None else None,
                    "q": vectors.q[0].astype("f4").reshape(-1).tolist() if vectors is not None else None,
                    "scale": vectors.scale if vectors is not None else None,
                    "causal": vectors.causal if vectors is not None else None,
                    "metrics": {n: [None if x != x else float(x) for x in v] for n, v in layer.metrics.items()},
                }
            )
            if vectors is not None and vectors.norms is not None:
                layers[-1]["norms"] = short(vectors.norms.reshape(-1))
        inputs = [{name: list(axis.tokens) for name, axis in one.axes.items()} for one in opened.inputs]
        steps[step] = {"loss": opened.commit.loss, "inputs": inputs, "layers": layers, "missing": [str(m) for m in opened.missing]}
        if opened.all_states():
            steps[step] |= {
                "states": [state(opened, one) for one in opened.all_states()],
                "outputs": [output(o) for o in opened.all_outputs()],
            }
    return {"name": saved.name, "steps": steps}


def main() -> None:
    for name, (make, stored) in RUNS.items():
        directory = HERE / name
        if directory.exists():
            print(f"{name}: frozen, left as it is")
            continue
        rng = np.random.default_rng(7)
        clock = (1_795_260_600.0 + n for n in count())
        with mock.patch("attnlog.store.folder.new_writer_id", return_value="golden-1"), mock.patch("time.time", lambda c=clock: next(c)):
            writer = Writer(directory, {"run": f"golden {name}", "model": {"name": name, "class": "numpy"}, "config": {}, "versions": {}})
            for n, capture in enumerate(make(rng)):
                assets = write_assets(capture, **stored)
                writer.commit(
                    assets,
                    step=100 * n,
                    epoch=n / 2,
                    loss=3.0 - n,
                    metrics={"eval_loss": 2.5 - n},
                    precision=stored["precision"],
                    missing=capture.missing,
                )
            writer.roll_up()
            writer.update(0, checkpoint="out/checkpoint-0", metrics={"eval_accuracy": 0.5})
        (directory / "expected.json").write_text(json.dumps(expected(directory)) + "\n")
        print(f"{name}: written")


if __name__ == "__main__":
    sys.exit(main())
