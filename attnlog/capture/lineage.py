"""Where the scores and weights of attention come from: follows tensors from a product of queries and keys to the product with values."""

from __future__ import annotations

import math
import weakref
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch


@dataclass(frozen=True)
class Scores:
    """What is known of a tensor that was made of q·kᵀ."""

    query: torch.Tensor  # [*lead, queries, width]
    key: torch.Tensor  # [*lead, keys, width]
    scale: float = 1.0
    factors: tuple[torch.Tensor, ...] = ()  # of whole query rows, as a learned scale per head
    sources: tuple[torch.Tensor, torch.Tensor, int] | None = None  # tokens of query and key, laid out as they are
    lead: tuple[int, ...] | None = None  # batch and heads, where the model viewed them so


@dataclass(frozen=True)
class Weights:
    """What is known of a tensor that came out of a softmax."""

    scores: Scores | None
    before: torch.Tensor | None = None  # the weights before a dropout that was on
    lead: tuple[int, ...] | None = None  # batch and heads, where the model viewed them so


@dataclass
class Lineage:
    """What is known of living tensors; what dies is forgotten, so nothing is held longer than the model holds it."""

    _known: dict[int, tuple[weakref.ref[torch.Tensor], Scores | Weights]] = field(default_factory=dict)

    def __bool__(self) -> bool:
        """Say whether anything is known of any tensor."""
        return bool(self._known)

    def of(self, tensor: Any) -> Scores | Weights | None:
        """Return what is known of a tensor."""
        found = self._known.get(id(tensor))
        return found[1] if found is not None and found[0]() is tensor else None

    def put(self, tensor: torch.Tensor, node: Scores | Weights) -> None:
        """Remember."""
        number = id(tensor)
        self._known[number] = (weakref.ref(tensor, lambda _: self._known.pop(number, None)), node)

    def first(self, tensors: Sequence[Any]) -> tuple[int, Scores | Weights] | None:
        """Return the first of some arguments that anything is known of, by its place."""
        for place, tensor in enumerate(tensors):
            if isinstance(tensor, torch.Tensor):
                node = self.of(tensor)
                if node is not None:
                    return place, node
        return None

    def clear(self) -> None:
        """Forget everything."""
        self._known.clear()


@dataclass(frozen=True)
class Product:
    """A product of two tensors, with its parts laid out alike: ``left @ rightᵀ``."""

    left: torch.Tensor  # [*lead, m, width]
    right: torch.Tensor  # [*lead, n, width]
    swapped: bool = False  # the first operand is `right`

    def result(self, out: torch.Tensor) -> torch.Tensor:
        """Lay the product's result out as ``[*lead, m, n]``."""
        return out


@dataclass(frozen=True)
class Contraction(Product):
    """An einsum of two tensors, laid out as a product."""

    order: tuple[int, ...] = ()  # dimensions of the result: lead, m, n
    shape: tuple[int, ...] = ()

    def result(self, out: torch.Tensor) -> torch.Tensor:
        """Lay the result out as ``[*lead, m, n]``."""
        return out.permute(self.order).reshape(self.shape)


def product_of(name: str, args: Sequence[Any]) -> Product | None:
    """Read a product of two tensors off a call of torch, or None where it is none."""
    if name == "einsum":
        return _contraction(args)
    first, second = args[-2:] if name == "baddbmm" else (args[0], args[1])
    if not (isinstance(first, torch.Tensor) and isinstance(second, torch.Tensor)) or first.ndim < 2 or second.ndim < 2:
        return None
    return Product(first, second.transpose(-1, -2))


def _contraction(args: Sequence[Any]) -> Contraction | None:
    operands = list(args[1]) if len(args) == 2 and isinstance(args[1], (list, tuple)) else list(args[1:])
    if len(operands) != 2 or not isinstance(args[0], str) or not all(isinstance(t, torch.Tensor) for t in operands):
        return None
    equation = args[0].replace(" ", "")
    if "->" not in equation or "," not in equation:
        return None
    dots = operands[0].ndim - len(equation.split(",")[0].replace("...", ""))
    equation = equation.replace("...", "ABCDEFGH"[:dots])
    if "." in equation or any(len(term) != t.ndim for term, t in zip(equation.split("->")[0].split(","), operands, strict=False)):
        return None
    inputs, out = equation.split("->")
    a, b = inputs.split(",")
    shared = [c for c in out if c in a and c in b]
    mine, yours = [c for c in out if c in a and c not in b], [c for c in out if c in b and c not in a]
    summed = [c for c in a if c in b and c not in out]
    if not summed or not mine or not yours or set(a) - set(shared + mine + summed) or set(b) - set(shared + yours + summed):
        return None
    swapped = out.index(yours[0]) < out.index(mine[0])
    if swapped:  # rows of the result are the second operand's
        a, b, mine, yours = b, a, yours, mine
        operands = operands[::-1]
    left = operands[0].permute([a.index(c) for c in shared + mine + summed])
    right = operands[1].permute([b.index(c) for c in shared + yours + summed])
    lead = tuple(left.shape[: len(shared)])
    m, n = tuple(left.shape[len(shared) : len(shared) + len(mine)]), tuple(right.shape[len(shared) : len(shared) + len(yours)])
    rows, columns = math.prod(m), math.prod(n)
    return Contraction(
        left.reshape(*lead, rows, -1),
        right.reshape(*lead, columns, -1),
        order=tuple(out.index(c) for c in shared + mine + yours),
        shape=(*lead, rows, columns),
        swapped=swapped,
    )


def is_parameter(tensor: torch.Tensor) -> bool:
    """Say whether a tensor is a weight of the model or a view of one: a product with it is a projection, not attention."""
    base = tensor._base if tensor._is_view() else tensor
    return isinstance(base, torch.nn.Parameter) or isinstance(tensor, torch.nn.Parameter)


def turned(name: str, args: Sequence[Any], kwargs: Any, ndim: int) -> bool:
    """Say whether a function turns scores, so that what were their rows are their columns."""
    if name in ("transpose", "swapaxes"):
        dims = [d for d in (*args[1:3], *kwargs.values()) if isinstance(d, int)]
        return {d % ndim for d in dims} == {ndim - 2, ndim - 1} and ndim > 1
    if name in ("permute", "movedim"):
        order = list(args[1]) if len(args) > 1 and isinstance(args[1], (list, tuple)) else [d for d in args[1:] if isinstance(d, int)]
        order = [d % ndim for d in order]
        return name == "permute" and len(order) == ndim and order.index(ndim - 2) > order.index(ndim - 1)
    return False


def scaled(node: Scores, other: Any, out: torch.Tensor, *, inverse: bool) -> Scores:
    """Follow scores through a multiplication: by a number, or by a factor of each query row."""
    if isinstance(other, torch.Tensor):
        if other.numel() == 1:
            other = float(other)
        elif other.ndim and other.shape[-1] == 1:
            factor = other.detach().reciprocal() if inverse else other.detach()
            return replace(node, factors=(*node.factors, factor.expand(*out.shape[:-1], 1)))
        else:
            return node
    if not isinstance(other, (int, float)) or not other:
        return node
    return replace(node, scale=node.scale / other if inverse else node.scale * other)
