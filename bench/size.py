"""How large attention is on disk, and how far from the truth: ours beside BertViz's HTML and float16 safetensors. Prints JSON.

Of the demo's trained model, of a peaked and a flat synthetic attention, and of a mixture of head shapes, at 32, 128 and 512
tokens; queries and keys of the demo's model likewise. A commit is everything on disk: index, pictures, inputs, weights.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from bertviz import head_view
from safetensors.numpy import save as safetensors

import attnlog
from attnlog.explain import softmax_of
from attnlog.format.layers import vectors_from
from attnlog.format.read import table
from attnlog.format.write import write_assets
from attnlog.record import Capture, to_codes, to_weights

sys.path.insert(0, str(Path(__file__).parent))
from demo_model import trained
from tensors import attentions, names, sharp

TOKENS = (32, 128, 512)
LONG = (1024, 4096)
PAGE = 128  # BertViz's page of 512 tokens would be 1.7 GB


def captures(tokens: int) -> dict[str, Capture]:
    """Attention of each character at one length."""
    model, _, ids = trained()
    words = names(tokens)
    demo = attnlog.capture(model, {"input_ids": torch.tensor([ids[:tokens]])})
    return {
        "demo model": demo,
        "peaked": attnlog.from_tensors(sharp(tokens, 8.0), words),
        "flat": attnlog.from_tensors(sharp(tokens, 0.1), words),
        "mixed": attnlog.from_tensors(attentions(tokens), words),
    }


def weights_of(capture: Capture) -> np.ndarray:
    return np.stack([layer.weights for layer in capture.layers])


def weight_row(name: str, tokens: int, capture: Capture) -> dict[str, Any]:
    weights = weights_of(capture)
    plain = Capture(capture.inputs, tuple(_without_vectors(capture)), (), capture.model, capture.config)
    row: dict[str, Any] = {"attention": name, "tokens": tokens, "heads": int(weights.shape[0] * weights.shape[1])}
    for precision in ("u8", "f16", "f32"):
        assets = write_assets(plain, precision=precision)
        stored = to_weights(to_codes(weights, precision))
        row[precision] = {
            "commit bytes": assets.bytes + len(assets.inputs.data),
            "bytes per weight": round(sum(len(a.data) for a in assets.step if a.kind == "attention") / weights.size, 3),
            "worst error": float(abs(stored - weights).max()),
            "mean error": float(abs(stored - weights).mean()),
        }
    half = len(safetensors({f"layer{n}": layer.astype(np.float16) for n, layer in enumerate(weights)}))
    row["float16 safetensors bytes"] = half
    row["times smaller than safetensors"] = round(half / row["u8"]["commit bytes"], 2)
    if tokens <= PAGE:
        given = tuple(torch.tensor(layer)[None] for layer in weights)
        page = len(head_view(given, list(capture.inputs[0].tokens()), html_action="return").data.encode())
        row["bertviz head view bytes"] = page
        row["times smaller than bertviz"] = round(page / row["u8"]["commit bytes"], 1)
    return row


def _without_vectors(capture: Capture) -> list[Any]:
    from dataclasses import replace

    return [replace(layer, vectors=None, explained=None) for layer in capture.layers]


def vector_row(tokens: int, capture: Capture) -> dict[str, Any]:
    elements = sum(part.size for layer in capture.layers for part in (layer.vectors.q, layer.vectors.k))
    row: dict[str, Any] = {"tokens": tokens, "elements": elements}
    half = {f"{n}{role}": getattr(x.vectors, role).astype(np.float16) for n, x in enumerate(capture.layers) for role in "qk"}
    row["float16 safetensors bytes"] = len(safetensors(half))
    for precision in ("f16", "i8", "f32"):
        asset = next(a for a in write_assets(capture, vector_precision=precision).step if a.kind == "vectors")
        found = table(asset.data, "vectors", asset.name, decoded=asset.decoded, rows=asset.rows)
        worst = total = 0.0
        at = 0
        for layer in capture.layers:
            count = len(layer.heads) + len(set(layer.groups))
            again = softmax_of(vectors_from(found.slice(at, count), layer, asset.name), layer.groups)
            worst, total, at = (
                max(worst, float(abs(again - layer.weights).max())),
                total + float(abs(again - layer.weights).mean()),
                at + count,
            )
        row[precision] = {
            "bytes": len(asset.data),
            "bytes per element": round(len(asset.data) / elements, 3),
            "worst error of a recomputed weight": worst,
            "mean error of a recomputed weight": total / len(capture.layers),
            "times smaller than safetensors": round(row["float16 safetensors bytes"] / len(asset.data), 2),
        }
    return row


def long_row(tokens: int) -> dict[str, Any]:
    """The demo's model on a long input: top keys only."""
    model, _, ids = trained()
    capture = attnlog.capture(model, {"input_ids": torch.tensor([ids[:tokens]])}, record="attention", dense_tokens=512)
    assets = write_assets(capture)
    left_out = np.concatenate([layer.sparse.left_out for layer in capture.layers])
    weights = sum(len(layer.heads) for layer in capture.layers) * tokens * tokens
    return {
        "tokens": tokens,
        "commit bytes": assets.bytes,
        "bytes per weight": round(assets.bytes / weights, 4),
        "mean mass left out": float(left_out.mean()),
        "greatest mass left out of a row": float(left_out.max()),
    }


def main() -> None:
    rows, vectors = [], []
    for tokens in TOKENS:
        made = captures(tokens)
        rows += [weight_row(name, tokens, capture) for name, capture in made.items()]
        vectors.append(vector_row(tokens, made["demo model"]))
    print(json.dumps({"size": rows, "vectors": vectors, "long": [long_row(tokens) for tokens in LONG]}, indent=2))


if __name__ == "__main__":
    main()
