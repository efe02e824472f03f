"""The tensors that both tools get: 12 × 12 heads of the shapes that trained models have, the same ones every time."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def attentions(tokens: int, *, layers: int = 12, heads: int = 12) -> list[NDArray[np.float32]]:
    """Make weights ``[heads, tokens, tokens]`` per layer: heads from flat to peaked, some local, some on the first token."""
    rng = np.random.default_rng(0)
    away = np.arange(tokens)[:, None] - np.arange(tokens)[None, :]
    made = []
    for layer in range(layers):
        scores = rng.normal(size=(heads, tokens, tokens)).astype("f4")
        for head in range(heads):
            kind = (layer * 5 + head * 3) % 6
            scores[head] *= 0.5 + head / 3
            if kind == 0:
                scores[head] += 6 * (away == 1)
            elif kind == 1:
                scores[head, :, 0] += 6
            elif kind == 2:
                scores[head] += 4 * (away == 0)
            elif kind == 3:
                scores[head] -= 0.3 * abs(away)
        powers = np.exp(scores - scores.max(-1, keepdims=True))
        made.append((powers / powers.sum(-1, keepdims=True)).astype("f4"))
    return made


def names(tokens: int) -> list[str]:
    """Name the tokens; some repeat."""
    words = "the cat sat on a mat and then it saw another dog that was very tired".split()  # noqa: SIM905
    return [words[n % len(words)] for n in range(tokens)]


def sharp(tokens: int, scale: float, *, layers: int = 12, heads: int = 12) -> list[NDArray[np.float32]]:
    """Make weights whose scores are normal with one standard deviation: 0.1 is nearly flat, 8 is peaked on one or two keys."""
    rng = np.random.default_rng(1)
    made = []
    for _ in range(layers):
        scores = scale * rng.normal(size=(heads, tokens, tokens)).astype("f4")
        powers = np.exp(scores - scores.max(-1, keepdims=True))
        made.append((powers / powers.sum(-1, keepdims=True)).astype("f4"))
    return made
