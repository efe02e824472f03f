"""One attention call of the model, as a tap saw it: what went in, what the model's own function gave back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch


@dataclass(frozen=True)
class Sources:
    """Which tokens the rows and columns of a call are: input · count + token, −1 where the model padded."""

    queries: torch.Tensor  # int64 [batch, queries]
    keys: torch.Tensor  # int64 [batch, keys]
    count: int  # tokens of an input


@dataclass(frozen=True, kw_only=True)
class Call:
    """One attention call. Of the tensors there is at least `weights`, or query and key with a formula."""

    module: torch.nn.Module
    tap: str
    query: torch.Tensor | None = None  # [batch, heads, queries, width]
    key: torch.Tensor | None = None  # [batch, key groups, keys, width]
    value: torch.Tensor | None = None  # [batch, key groups, keys, value width]
    output: torch.Tensor | None = None  # [batch, queries, heads, value width]
    weights: torch.Tensor | None = None  # those that the model itself computed, [batch, heads, queries, keys]
    mask: Any = None  # a tensor, None, or what another kernel takes for a mask
    keywords: dict[str, Any] = field(default_factory=dict)
    function: Callable[..., Any] | None = None  # what gives `output` for other values
    sources: Sources | None = None  # where tokens were followed
    returned: tuple[str, int] | None = None  # field and layer of the model's outputs that the weights are
    folded: bool = False  # the model computed it in parts, which were put together

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Batch rows, heads, queries and keys."""
        if self.weights is not None:
            batch, heads, queries, keys = self.weights.shape
            return batch, heads, queries, keys
        assert self.query is not None
        assert self.key is not None
        batch, heads, queries, _ = self.query.shape
        return batch, heads, queries, self.key.shape[2]

    @property
    def device(self) -> torch.device:
        """Where the weights are, or are to be computed."""
        known = self.query if self.query is not None else self.weights
        assert known is not None
        return known.device

    @property
    def group_size(self) -> int:
        """Query heads that read one key group."""
        groups = self.key if self.key is not None else self.value
        return 1 if groups is None else max(self.shape[1] // max(groups.shape[1], 1), 1)

    @property
    def scale(self) -> float:
        """Factor of q·kᵀ."""
        scaling = self.keywords.get("scaling")
        if scaling is None:
            scaling = getattr(self.module, "scaling", None)
        if isinstance(scaling, torch.Tensor) and scaling.numel() == 1:
            scaling = scaling.item()
        if isinstance(scaling, (int, float)):
            return float(scaling)
        return 1.0 if self.query is None else float(self.query.shape[-1] ** -0.5)

    @property
    def softcap(self) -> float | None:
        """Soft-cap of scores, or None."""
        cap = self.keywords.get("softcap")
        return None if cap is None else float(cap)

    @property
    def bias(self) -> torch.Tensor | None:
        """Position bias added to scores, broadcastable to ``[batch, heads, queries, keys]``, or None."""
        bias = self.keywords.get("position_bias")
        return bias if isinstance(bias, torch.Tensor) else None

    @property
    def sinks(self) -> torch.Tensor | None:
        """Logit of each head's sink ``[heads]``, or None."""
        sinks = self.keywords.get("s_aux")
        return sinks.reshape(-1) if isinstance(sinks, torch.Tensor) else None

    @property
    def causal(self) -> bool:
        """Whether the function masks later keys by itself: only where no mask of queries × keys is given."""
        said = self.keywords.get("is_causal")
        said = getattr(self.module, "is_causal", True) if said is None else said
        return (self.mask is None or self.mask.ndim == 2) and bool(said) and self.shape[2] > 1

    @property
    def window(self) -> int | None:
        """Sliding window that the function (flash attention) applies by itself: keys with |i−j| < window are seen."""
        window = self.keywords.get("sliding_window")
        return window if isinstance(window, int) and window > 0 else None
