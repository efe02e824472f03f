"""Which keys each query of one input sees, read off the mask that the model made, and the rule behind it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch

from attnlog.capture.call import Call


@dataclass(frozen=True)
class Sight:
    """The mask of one input in one call, cropped to its tokens, and the rule that says the same."""

    additive: torch.Tensor | None  # float32 [1 or heads, queries, keys]: 0 or bias, −inf where masked; None: all keys are seen
    causal: bool | None
    window: int | None
    plain: bool  # the mask only hides keys: nothing else is added to scores

    @cached_property
    def hollow(self) -> bool:
        """Whether some query sees no key at all: its weights are 0, and no softmax."""
        return self.additive is not None and bool((self.additive == -torch.inf).all(-1).any())


KEPT = 3  # masks: layers that slide a window and layers that do not take turns, and cross attention has its own


class Sights:
    """Reads masks, each once: layers share them."""

    def __init__(self) -> None:
        """Begin with nothing read."""
        self._read: dict[tuple[object, ...], tuple[torch.Tensor | None, Sight]] = {}

    def of(self, call: Call, row: int, queries: torch.Tensor, keys: torch.Tensor) -> Sight:
        """Return the sight of batch row `row`, whose tokens are at positions `queries` and `keys`."""
        if call.mask is None and call.weights is not None and (call.tap != "interface" or call.folded):
            return _seen_in(call.weights[row][:, queries][:, :, keys])
        rule = (call.causal, call.window) if call.mask is None or call.mask.ndim == 2 else None
        mask = call.mask
        # By where it lies, not by its id: models make a view of the one mask for every layer.
        place = None if mask is None else (mask.data_ptr(), mask.shape, mask.stride(), 0 if mask.is_inference() else mask._version)
        key = (place, rule, row, len(queries), len(keys))
        if key not in self._read:
            others = {known[0] for known in self._read}
            if place not in others and len(others) >= KEPT:
                self._read = {known: read for known, read in self._read.items() if known[0] != next(iter(self._read))[0]}
            # The mask is kept so that nothing else comes to lie there.
            self._read[key] = (mask, _read(call, row, queries, keys))
        return self._read[key][1]


def _read(call: Call, row: int, queries: torch.Tensor, keys: torch.Tensor) -> Sight:
    device = call.device
    if call.mask is None or call.mask.ndim == 2:  # a 2-D mask names padding only, which is cropped already
        away = queries[:, None] - keys[None, :]
        window = call.window if call.window is not None and call.window < len(keys) else None
        hidden = (away < 0) if call.causal else torch.zeros_like(away, dtype=torch.bool)
        if window is not None:
            hidden |= away.abs() >= window
        plain_sight = not call.causal and window is None
        return Sight(None if plain_sight else _hidden(hidden)[None], call.causal, window, True)
    mask = call.mask.to(device)
    while mask.ndim < 4:
        mask = mask[None]
    part = mask[min(row, mask.shape[0] - 1)]
    # Masks may broadcast over queries, and be longer than the keys (static caches).
    part = part.expand(-1, max(part.shape[1], 1), -1)
    part = (part if part.shape[1] == 1 else part[:, queries])[:, :, keys]
    part = part.expand(-1, len(queries), -1)
    if part.dtype == torch.bool:
        additive, plain = _hidden(~part), True
    else:
        additive = part.float()
        hidden = additive <= torch.finfo(torch.float16).min
        additive = additive.masked_fill(hidden, -torch.inf)
        plain = not bool(((additive != 0) & ~hidden).any())
    causal, window = _rule((additive > -torch.inf)[0] if _alike(additive) else None, square=len(queries) == len(keys))
    return Sight(None if plain and causal is False and window is None else additive, causal, window, plain)


def _seen_in(weights: torch.Tensor) -> Sight:
    """Read the rule off weights whose mask nobody saw: a key that no head gives weight to counts as hidden."""
    seen = (weights > 0).any(0)
    causal, window = _rule(seen, square=seen.shape[0] == seen.shape[1])
    if causal is None:
        return Sight(None, None, None, False)
    plain_sight = not causal and window is None
    return Sight(None if plain_sight else _hidden(~seen)[None], causal, window, False)


def _hidden(where: torch.Tensor) -> torch.Tensor:
    return torch.zeros(where.shape, device=where.device).masked_fill(where, -torch.inf)


def _alike(additive: torch.Tensor) -> bool:
    seen = additive > -torch.inf
    return seen.shape[0] == 1 or bool((seen == seen[:1]).all())


def _rule(seen: torch.Tensor | None, *, square: bool) -> tuple[bool | None, int | None]:
    """Find causal and window that say which keys are seen, bool ``[queries, keys]``; (None, None) where no rule does."""
    if seen is None:
        return None, None
    if bool(seen.all()):
        return False, None
    if not square:
        return None, None
    numbers = torch.arange(len(seen), device=seen.device)
    away = numbers[:, None] - numbers[None, :]
    causal = not bool((seen & (away < 0)).any())
    window = int(away.abs()[seen].max()) + 1 if bool(seen.any()) else 0
    by_rule = away.abs() < window
    if causal:
        by_rule &= away >= 0
    if not torch.equal(by_rule, seen):
        return None, None
    return causal, window if window < len(seen) else None
