"""Square roots of weights straight from scores: codes are made of them, and both come in fewer passes than by a softmax and its root.

√softmax(s)ⱼ = 2^tⱼ / ‖2^t‖ with t = s · log₂(e) / 2, and log₂ of the weight is 2 (tⱼ − log₂ ‖2^t‖).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from attnlog.capture.scratch import Scratch

FACTOR = math.log2(math.e) / 2  # scores times this are t
LEAST, MOST = 2.0**-40, 2.0**60  # norms of rows whose powers float32 holds, with their squares


@dataclass(frozen=True)
class Roots:
    """Some query rows of all heads."""

    roots: torch.Tensor  # √w, float32 [heads, rows, keys], in the scratch
    logs: torch.Tensor | None  # log₂ w, where it was asked for and no key is hidden; in place of t

    def weights(self, scratch: Scratch) -> torch.Tensor:
        """Return the weights themselves, in the scratch."""
        return torch.mul(self.roots, self.roots, out=scratch.take("squares", tuple(self.roots.shape), self.roots.device))


def roots_of(t: torch.Tensor, hidden: torch.Tensor | None, scratch: Scratch, *, logs: bool) -> Roots | None:
    """Compute the roots of some rows; None where float32 does not hold them, as of rows that see no key.

    Args:
        t: scores times `FACTOR`, float32 ``[heads, rows, keys]``; used up.
        hidden: 0, and −inf at keys that a row does not see, broadcastable to `t`; None: all are seen.
        scratch: room to compute in.
        logs: whether logarithms are wanted too.
    """
    if hidden is not None:
        t.add_(hidden)
    powers = torch.exp2(t, out=scratch.take("roots", tuple(t.shape), t.device))
    norms = torch.linalg.vector_norm(powers, dim=-1, keepdim=True)
    if not bool(((norms > LEAST) & (norms < MOST)).all()):
        return None
    return Roots(powers.div_(norms), t.sub_(norms.log2()).mul_(2) if logs and hidden is None else None)
