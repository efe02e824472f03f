"""Holds what a capture recorded against the reference: weights by module and call, q and k against the reference's own."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from tests.sweep.reference import Matrix, Reference

ORDER = ("exact", "owned", "missing", "wrong")
EXACT = 1e-5
ROUNDED = 1e-4  # of weights made again from q and k


@dataclass
class Found:
    """How one sort of attention of one model came out."""

    outcome: str = "exact"  # exact, wrong or missing
    worst: float = 0.0
    taps: tuple[str, ...] = ()
    vectors: str = "exact"
    owned: int = 0  # layers whose q and k only the capture's own number vouches for
    said: str = ""
    where: str = ""


def compared(capture: Any, reference: Reference) -> dict[str, Found]:
    """Compare everything recorded with everything the reference saw, sort by sort."""
    recorded: dict[str, list[Any]] = defaultdict(list)
    for layer in sorted(capture.layers, key=lambda one: (one.layer, one.call, one.input)):
        recorded[layer.module].append(layer)
    wanted: dict[str, list[Matrix]] = defaultdict(list)
    for matrix in reference.matrices:
        wanted[matrix.path].append(matrix)
    found: dict[str, Found] = {}
    for path, matrices in wanted.items():
        layers = _at(path, recorded, set(wanted))
        for sort in {matrix.sort for matrix in matrices}:
            one = found.setdefault(sort, Found())
            _module(one, path, [m for m in matrices if m.sort == sort], layers, matrices, capture)
    return found


def _at(path: str, recorded: dict[str, list[Any]], known: set[str]) -> list[Any]:
    """Return the layers recorded of the module at `path`, or of the one around or inside it where attention is named by another."""
    if path in recorded:
        return recorded[path]
    near = [p for p in recorded if p not in known and (path.startswith(f"{p}.") or p.startswith(f"{path}."))]
    return recorded[max(near, key=len)] if near else []


def _module(one: Found, path: str, matrices: Sequence[Matrix], layers: Sequence[Any], all_: Sequence[Matrix], capture: Any) -> None:
    layers = [layer for layer in layers if layer.weights is not None]
    if len({m.sort for m in all_}) > 1:  # one module with streams of several shapes: each is held against its like
        fitting = [layer for layer in layers if any(_shape(layer)[-2:] == tuple(m.weights.shape[-2:]) for m in matrices)]
        layers, all_ = fitting or layers, matrices
    if not layers:
        one.outcome = "wrong" if one.outcome == "wrong" else "missing"
        one.vectors = "wrong" if one.vectors == "wrong" else "missing"
        one.where, one.said = one.where or path, one.said or _sentence(capture, path)
        return
    one.taps = tuple(sorted({*one.taps, *(layer.tap for layer in layers)}))
    if matrices[0].sort == "folded":
        worst, vectors = _folded(matrices, layers), _explains(layers)
    else:
        worst, vectors = _rows(matrices, layers, all_)
        if worst is None and (blocks := _by_heads(matrices, len(layers[0].weights))):
            worst, vectors = _in_any_order(blocks, [layer.weights for layer in layers]), _explains(layers)
    if worst is None:
        one.outcome, one.where = ("wrong", path) if one.outcome != "wrong" else (one.outcome, one.where)
        shapes = {tuple(m.weights.shape) for m in matrices}, {layer.weights.shape for layer in layers}
        one.said = f"recorded {len(layers)} layers of {shapes[1]}, the reference has {len(matrices)} of {shapes[0]}"
    elif worst > EXACT:
        one.outcome, one.where, one.said = "wrong", path, f"weights differ by {worst:.2g}"
    one.worst = max(one.worst, worst or 0.0)
    one.owned += vectors == "owned"
    one.vectors = max(one.vectors, "exact" if vectors == "owned" else vectors, key=ORDER.index)


def _sentence(capture: Any, path: str) -> str:
    """Return what the capture says of attention that it did not record."""
    said = [str(missing) for missing in capture.missing]
    numbers = [int(part) for part in path.split(".") if part.isdigit()]
    fitting = [s for s, m in zip(said, capture.missing, strict=True) if m.layer is None or m.layer in numbers]
    return (fitting or said or ["(nothing was said)"])[0]


def _rows(matrices: Sequence[Matrix], layers: Sequence[Any], all_: Sequence[Matrix]) -> tuple[float | None, str]:
    """Compare where row n of the batch is input n."""
    inputs = sorted({layer.input for layer in layers})
    worst, vectors = 0.0, "exact"
    for number in inputs:
        mine = [layer for layer in layers if layer.input == number]
        if len(mine) != len(all_):  # of several calls some may be recorded: those that fit are compared in order
            mine = [layer for layer in mine if any(_shape(layer) == tuple(m.weights.shape[1:]) for m in matrices)]
            pairs = list(zip(matrices, mine, strict=False))
            if len(mine) != len(matrices):
                return None, "missing"
        else:
            pairs = _paired(matrices, mine, all_)
        for matrix, layer in pairs:
            if number >= len(matrix.weights):
                return None, "missing"
            theirs = matrix.weights[number].numpy()
            if _shape(layer) != theirs.shape:
                part = _cropped(theirs, layer.weights)
                if part is None:
                    return None, "missing"
                worst = max(worst, part)
                vectors = max(vectors, "missing" if layer.vectors is None else "exact", key=ORDER.index)
                continue
            worst = max(worst, float(np.abs(layer.weights - theirs).max()))
            vectors = max(vectors, _vectors(matrix, layer, number), key=ORDER.index)
    return worst, vectors


def _paired(matrices: Sequence[Matrix], mine: Sequence[Any], all_: Sequence[Matrix]) -> list[tuple[Matrix, Any]]:
    """Pair calls in order; where that does not fit their shapes (both directions of one module), each with the next of its shape."""
    places = {id(matrix): place for place, matrix in enumerate(all_)}
    pairs = [(matrix, mine[places[id(matrix)]]) for matrix in matrices]
    if all(_shape(layer) == tuple(matrix.weights.shape[1:]) for matrix, layer in pairs):
        return pairs
    used: set[int] = set()
    found = []
    for matrix, otherwise in pairs:
        fitting = (one for one in mine if id(one) not in used and _shape(one) == tuple(matrix.weights.shape[1:]))
        layer = next(fitting, otherwise)
        used.add(id(layer))
        found.append((matrix, layer))
    return found


def _shape(layer: Any) -> tuple[int, ...]:
    return tuple(layer.weights.shape)


def _vectors(matrix: Matrix, layer: Any, row: int) -> str:
    """Compare q and k with those the reference's attention function got, else with the weights they make."""
    if layer.vectors is None:
        return "missing"
    if matrix.query is not None and matrix.key is not None and matrix.query.ndim == 4 and len(matrix.query) > row:
        q, k = (part[row].detach().float().numpy() for part in (matrix.query, matrix.key))
        if q.shape == layer.vectors.q.shape and k.shape[1:] == layer.vectors.k.shape[1:]:
            if len(k) != len(layer.vectors.k):  # key groups written out per head
                k = k[:: len(k) // len(layer.vectors.k)] if len(k) > len(layer.vectors.k) else k
            close = np.allclose(q, layer.vectors.q, atol=EXACT, rtol=EXACT) and np.allclose(k, layer.vectors.k, atol=EXACT, rtol=EXACT)
            return "exact" if close else "wrong"
    found = _explained(layer, matrix.weights[row].numpy())
    return "exact" if found == "owned" and _is_projected(matrix.projected, layer.vectors, row) else found


def _is_projected(projected: Sequence[torch.Tensor], vectors: Any, row: int) -> bool:
    """Whether q and k are what linear layers of the module gave, up to a factor: a rotation keeps every head's length at every token."""
    for mine in (vectors.q, vectors.k):
        heads, tokens, width = mine.shape
        lengths = np.linalg.norm(mine, axis=-1).T  # [tokens, heads]
        if not any(_like(lengths, view) for given in projected for view in _views(given, row, tokens, heads, width)):
            return False
    return True


def _views(given: torch.Tensor, row: int, tokens: int, heads: int, width: int) -> Iterator[np.ndarray]:
    """Yield the ways in which a projection can hold ``[tokens, heads, width]``: alone, side by side with others, or head by head."""
    if given.ndim != 3:
        return
    for one in {row: given[row] if row < len(given) else None, -1: given[:, row] if row < given.shape[1] else None}.values():
        if one is None or len(one) != tokens:
            continue
        flat = one.detach().float().numpy()
        if flat.shape[1] == heads * width:
            yield np.linalg.norm(flat.reshape(tokens, heads, width), axis=-1)
        for parts in (2, 3):
            if flat.shape[1] == parts * heads * width:
                yield from np.linalg.norm(flat.reshape(tokens, parts, heads, width), axis=-1).transpose(1, 0, 2)
                yield from np.linalg.norm(flat.reshape(tokens, heads, parts, width), axis=-1).transpose(2, 0, 1)


def _like(lengths: np.ndarray, others: np.ndarray) -> bool:
    factor = lengths / np.maximum(others, 1e-12)
    return bool(np.ptp(factor) <= 1e-3 * factor.mean())


def _explained(layer: Any, weights: np.ndarray) -> str:
    """Whether softmax(scale · q·kᵀ) is the weights, or they are once each row's remainder is taken for a bias that the layer names."""
    vectors = layer.vectors
    groups = list(layer.groups)
    scores = vectors.scale * np.einsum("hqd,hkd->hqk", vectors.q, vectors.k[[sorted(set(groups)).index(g) for g in groups]])
    if vectors.softcap:
        scores = np.tanh(scores / vectors.softcap) * vectors.softcap
    scores = np.where(weights > 0, scores, -np.inf)
    alone = torch.softmax(torch.from_numpy(scores).float(), -1).nan_to_num(0.0).numpy()
    difference = float(np.abs(alone - weights).max())
    if difference <= ROUNDED:
        return "exact"
    # A bias is between the positions, so the capture must say that q·k is not all: its own number must own up to the difference.
    owned = layer.explained is not None and float(np.max(layer.explained)) >= min(0.5 * difference, difference - ROUNDED)
    return "owned" if owned else "wrong"


def _explains(layers: Sequence[Any]) -> str:
    if any(layer.vectors is None for layer in layers):
        return "missing"
    return max((_explained(layer, layer.weights) for layer in layers), key=ORDER.index)


def _folded(matrices: Sequence[Matrix], layers: Sequence[Any]) -> float | None:
    """Compare where windows, frames or channels lie in the batch: block by block, or as rows of a whole picture."""
    mine = [layer.weights for layer in layers]
    found = []
    for blocks in _blocks([matrix.weights for matrix in matrices]):
        one = _in_any_order(blocks, mine)
        found.append(_as_rows(blocks, mine) if one is None else one)
    return min((worst for worst in found if worst is not None), default=None)


def _blocks(weights: Sequence[torch.Tensor]) -> list[list[np.ndarray]]:
    """Return ``[heads, queries, keys]`` of every window, for either place that the heads may have before or behind the windows."""
    ways = [weights]
    if all(one.ndim == 5 for one in weights):
        ways.append([one.transpose(-3, -4) for one in weights])
    return [[block.numpy() for one in way for block in one.reshape(-1, *one.shape[-3:])] for way in ways]


def _by_heads(matrices: Sequence[Matrix], heads: int) -> list[np.ndarray]:
    """Take weights apart whose heads lie in the batch beside more than the inputs."""
    blocks = []
    for one in (matrix.weights for matrix in matrices):
        if one.shape[:-2].numel() % heads:
            return []
        blocks += [block.numpy() for block in one.reshape(-1, heads, *one.shape[-2:])]
    return blocks


def _in_any_order(blocks: Sequence[np.ndarray], mine: Sequence[np.ndarray]) -> float | None:
    if len(blocks) != len(mine) or {b.shape for b in blocks} != {m.shape for m in mine}:
        return None
    worst = max(float(np.abs(b - m).max()) if b.shape == m.shape else np.inf for b, m in zip(blocks, mine, strict=True))
    if worst <= EXACT:
        return worst
    worst, left = 0.0, list(mine)
    for block in blocks:
        gaps = [float(np.abs(block - one).max()) if one.shape == block.shape else np.inf for one in left]
        best = int(np.argmin(gaps))
        worst = max(worst, gaps[best])
        left.pop(best)
    return worst


def _cropped(matrix: np.ndarray, mine: np.ndarray) -> float | None:
    """Compare a square window with its part that lies on the picture: the rest of it is padding at the right and the bottom."""
    side, count = math.isqrt(matrix.shape[-1]), mine.shape[-1]
    if side * side != matrix.shape[-1] or matrix.shape[-2] != matrix.shape[-1] or mine.shape[-2] != count or len(matrix) != len(mine):
        return None
    whole, found = np.arange(side * side).reshape(side, side), []
    for shift in range(side):  # windows that are shifted carry the picture round the edge
        grid = np.roll(whole, (shift, shift), (0, 1))
        for high in (h for h in range(1, side + 1) if count % h == 0 and count // h <= side):
            places = grid[:high, : count // high].ravel()
            found.append(float(np.abs(matrix[:, places][:, :, places] - mine).max()))
    return min(found, default=None)


def _as_rows(blocks: Sequence[np.ndarray], mine: Sequence[np.ndarray]) -> float | None:
    """Compare rows as sets of weights, each row's in order of size: right whichever positions a window has in the picture."""
    heads = {len(block) for block in blocks} | {len(one) for one in mine}
    if len(heads) != 1:
        return None
    worst = 0.0
    for head in range(heads.pop()):
        theirs, ours = (_sorted_rows([one[head] for one in part]) for part in (blocks, mine))
        if len(ours) > len(theirs) or not len(ours):
            return None
        theirs = theirs[np.argsort(theirs[:, 0])]
        largest = theirs[:, 0]
        for row in ours:
            width = min(len(row), theirs.shape[1])
            if row[width:].max(initial=0.0) > EXACT:
                return None
            padded = np.zeros(theirs.shape[1], np.float32)
            padded[:width] = row[:width]
            # Only rows whose largest weight is about the same can be this one.
            first, last = np.searchsorted(largest, [row[0] - 2 * EXACT, row[0] + 2 * EXACT])
            near = theirs[first:last] if last > first else theirs
            worst = max(worst, float(np.abs(near - padded).max(1).min()))
    return worst


def _sorted_rows(parts: Sequence[np.ndarray]) -> np.ndarray:
    width = max(part.shape[-1] for part in parts)
    rows = [np.sort(np.pad(part, ((0, 0), (0, width - part.shape[-1]))), -1)[:, ::-1] for part in parts]
    return np.concatenate(rows)
