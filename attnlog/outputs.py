"""What a capture holds beside attention, as plain data: hidden states, predictions, losses and saliency."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]

#: What is kept of each token's hidden state; `cosine` is to the state of the layer before.
STATISTICS = ("mean", "std", "norm", "min", "max", "cosine")
#: What predictions are of: the next token, the token under a mask, the input's class, its labels (several may hold), the token's
#: label, and where an answer starts and ends.
TASKS = ("next", "masked", "class", "labels", "tokens", "start", "end")


@dataclass(frozen=True, kw_only=True)
class States:
    """Hidden states of one axis of one input at one layer: statistics of every token's state, and the states where asked for."""

    input: int
    axis: str
    layer: int  # 0: embeddings; n: after layer n
    width: int
    statistics: Mapping[str, FloatArray]  # name → [tokens]; NaN where not defined
    values: NDArray[np.float16] | FloatArray | None = None  # [tokens, width]

    @property
    def tokens(self) -> int:
        """How many tokens the axis has."""
        return len(self.statistics["mean"])


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """What the model predicts on one axis of one input: the most probable tokens, labels or positions, most probable first."""

    input: int
    axis: str
    task: str  # one of `TASKS`
    tokens: int  # of the axis
    ids: NDArray[np.int32]  # [rows, top]; a row per token, or one for the whole input
    probabilities: FloatArray  # [rows, top]
    labels: tuple[tuple[str, ...], ...]  # [rows][top]: the tokens, labels, or tokens at the positions

    def top(self, row: int = 0) -> Iterator[tuple[str, float]]:
        """Give label and probability of one row, most probable first."""
        return zip(self.labels[row], map(float, self.probabilities[row]), strict=True)


@dataclass(frozen=True, kw_only=True)
class Loss:
    """Negative log-likelihood of what each token was to predict, in nats."""

    input: int
    axis: str
    task: str
    values: FloatArray  # [tokens]; NaN where a token was to predict nothing

    @property
    def tokens(self) -> int:
        """How many tokens the axis has."""
        return len(self.values)


@dataclass(frozen=True, kw_only=True)
class SaliencyMap:
    """How much each token of one axis had to do with one number that the model gave."""

    input: int
    axis: str
    method: str
    values: FloatArray  # [tokens]; of `gradient` a norm, else signed
    target: str  # that number, in words
    position: int | None = None  # the token whose logit it is
    steps: int | None = None  # of the path that was integrated
    error: float | None = None  # of the completeness of integrated gradients, relative

    @property
    def tokens(self) -> int:
        """How many tokens the axis has."""
        return len(self.values)


Output = Prediction | Loss | SaliencyMap


def stacked(layers: Sequence[States]) -> dict[str, FloatArray]:
    """Put the statistics of all layers of one axis together: name → float32 ``[layers, tokens]``; NaN for layers that are not there."""
    depth = 1 + max(one.layer for one in layers)
    found = {name: np.full((depth, layers[0].tokens), np.nan, dtype=np.float32) for name in STATISTICS}
    for one in layers:
        for name, values in one.statistics.items():
            if name in found:
                found[name][one.layer] = values
    return found
