"""Which token each row of a tensor came from: follows tokens through what models do to fold windows and frames into the batch."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

_STARTS = frozenset({"layer_norm", "rms_norm"})
_FIRST = frozenset({"dropout", "add"})  # the end of a model's embeddings, before any normalisation
_KEEPS_ROWS = (
    "linear layer_norm rms_norm dropout add add_ sub sub_ mul mul_ div div_ neg to float half bfloat16 type_as gelu relu silu normalize "
    "pow rsqrt masked_fill where clamp detach sin cos exp tanh"
)
_MOVES_ROWS = (
    "view reshape unflatten flatten transpose permute unsqueeze squeeze expand repeat __getitem__ cat stack narrow split chunk unbind "
    "pad roll contiguous clone swapaxes movedim index_select unfold as_strided"
)
_ROWWISE, _MOVES = frozenset(_KEEPS_ROWS.split()), frozenset(_MOVES_ROWS.split())
WATCHED = _STARTS | _ROWWISE | _MOVES


class Origins:
    """Numbers the tokens of every normalised hidden state ``[inputs, …, width]`` and moves the numbers wherever the tokens go.

    A number is input · tokens + token, −1 where the model padded. What mixes tokens loses them, until the next normalisation.
    """

    def __init__(self, rows: Callable[[], int], width: int | None) -> None:
        """Prepare.

        Args:
            rows: says how many inputs the batch at hand has.
            width: of hidden states, where the model's configuration says it.
        """
        self._rows = rows
        self._width = width
        self._known: dict[int, tuple[weakref.ref[torch.Tensor], torch.Tensor, int]] = {}

    def of(self, tensor: Any) -> tuple[torch.Tensor, int] | None:
        """Return the numbers of a tensor's rows, shaped as it is, and how many tokens an input has."""
        found = self._known.get(id(tensor))
        return (found[1], found[2]) if found is not None and found[0]() is tensor else None

    def follow(self, name: str, func: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any], result: Any) -> None:
        """Follow one function of torch."""
        tensors = args[0] if args and isinstance(args[0], (list, tuple)) else args
        found = next((self.of(t) for t in tensors if isinstance(t, torch.Tensor) and self.of(t) is not None), None)
        embedded = name in _FIRST and found is None and isinstance(result, torch.Tensor) and result.shape[-1:] == (self._width,)
        if (name in _STARTS or embedded) and isinstance(result, torch.Tensor) and result.ndim in (3, 4) and len(result) == self._rows():
            count = result.shape[1:-1].numel()
            numbers = torch.arange(len(result) * count, device=result.device).view(*result.shape[:-1], 1)
            self._put(result, numbers.expand(result.shape), count)
        elif found is not None and name in _MOVES:
            self._move(name, func, args, kwargs, result, found[1])
        elif found is not None and isinstance(result, torch.Tensor) and result.shape[:-1] == found[0].shape[:-1]:
            self._put(result, found[0][..., :1].expand(result.shape), found[1])

    def _move(self, name: str, func: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any], result: Any, count: int) -> None:
        def numbers(value: Any) -> Any:
            if isinstance(value, (list, tuple)) and any(isinstance(v, torch.Tensor) for v in value):
                return type(value)(numbers(v) for v in value)
            known = self.of(value) if isinstance(value, torch.Tensor) else None
            if known is not None:
                return known[0]
            # Zeros that a model puts beside its tokens are no tokens.
            return torch.full_like(value, -1, dtype=torch.int64) if isinstance(value, torch.Tensor) and name in ("cat", "stack") else value

        moved = [numbers(value) for value in args]
        if name == "view":
            func = torch.Tensor.reshape
        elif name == "as_strided":
            moved[0] = moved[0].contiguous()
        elif name == "pad":
            kwargs = {**kwargs, "value": -1} if len(args) < 4 else kwargs
            moved = moved[:3] + ([-1] if len(args) >= 4 else [])
        try:
            again = func(*moved, **kwargs)
        except (RuntimeError, TypeError, ValueError):  # these tokens cannot be followed; the attention is recorded in its parts
            return
        pairs = zip(result, again, strict=False) if isinstance(result, (list, tuple)) else [(result, again)]
        for out, where in pairs:
            if isinstance(out, torch.Tensor) and isinstance(where, torch.Tensor) and out.shape == where.shape:
                self._put(out, where, count)

    def _put(self, tensor: torch.Tensor, numbers: torch.Tensor, count: int) -> None:
        number = id(tensor)
        self._known[number] = (weakref.ref(tensor, lambda _: self._known.pop(number, None)), numbers, count)

    def clear(self) -> None:
        """Forget everything."""
        self._known.clear()
