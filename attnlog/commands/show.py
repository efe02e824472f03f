"""``attnlog show``: one head as a heat map in the terminal, and its greatest weights."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from typing import Any

import click
import numpy as np

from attnlog.commands.heat import colour_columns, colour_map, number_columns, number_table, pool
from attnlog.commands.output import console, number, print_json, safe, spans
from attnlog.errors import LayerError, NotRecordedError
from attnlog.record import FloatArray, Layer, axes_of, precision_of
from attnlog.sparse import SparseWeights
from attnlog.store.open import SavedStep, open_run

TOP = 10


def show(
    place: str,
    *,
    step: int | None,
    input: int,
    kind: str | None,
    layer: int,
    head: int,
    color: bool | None,
    width: int | None,
    as_json: bool,
) -> int:
    """Show one head; return the exit status.

    Raises:
        NotRecordedError: this step, input, kind or layer was not recorded.
        LayerError: this head was not recorded.
    """
    with open_run(place) as run:
        opened = run.read(step, input)
        kind = kind or _only_kind(opened)
        found = opened.find(kind, layer)
        position = _position(found, head)
        weights = opened.weights(kind, layer)
        sparse = isinstance(weights, SparseWeights)
        tokens = [opened.inputs[input].tokens(axis) for axis in axes_of(kind)]
        said: dict[str, Any] = {
            "place": run.source.place,
            "run": run.name,
            "step": opened.commit.step,
            "input": input,
            "kind": kind,
            "layer": layer,
            "head": head,
            "group": found.groups[position],
            "tap": found.tap,
            "precision": precision_of(found.codes) if found.codes is not None else None,
            "shape": list(found.shape),
            "metrics": {name: float(values[position]) for name, values in found.metrics.items()},
            "top": _top(weights, position, tokens),
            "left_out": float(weights.left_out[position].mean()) if isinstance(weights, SparseWeights) else 0.0,
        }
        if as_json:
            dense = None if isinstance(weights, SparseWeights) else weights[position].tolist()
            print_json({**said, "sparse": sparse, "queries": tokens[0], "keys": tokens[1], "weights": dense})
        else:
            matrix = weights.picture[position] if isinstance(weights, SparseWeights) else weights[position]
            _print(said, matrix, tokens, sparse=sparse, color=color, width=width)
    return 0


def _only_kind(step: SavedStep) -> str:
    kinds = list(dict.fromkeys(kind for _, kind, _, _ in step.rows()))
    if not kinds:
        raise NotRecordedError(f"step {step.commit.step} holds no attention")
    return "self" if "self" in kinds else kinds[0]


def _position(layer: Layer, head: int) -> int:
    if head not in layer.heads:
        raise LayerError(f"head {head} of {layer.kind} layer {layer.layer} was not recorded; heads {spans(layer.heads)} were")
    return layer.heads.index(head)


def _top(weights: FloatArray | SparseWeights, head: int, tokens: Sequence[Sequence[str]]) -> list[dict[str, Any]]:
    """The greatest weights of a head, with their tokens."""
    if isinstance(weights, SparseWeights):
        rows = [weights.row(head, query) for query in range(weights.shape[1])]
        queries = np.repeat(np.arange(len(rows)), [len(keys) for keys, _ in rows])
        keys = np.concatenate([keys for keys, _ in rows]) if rows else np.zeros(0, int)
        values = np.concatenate([found for _, found in rows]) if rows else np.zeros(0)
    else:
        values = weights[head].reshape(-1)
        queries, keys = np.divmod(np.arange(values.size), max(1, weights.shape[2]))
    best = np.argsort(-values, kind="stable")[:TOP]
    return [
        {"query": int(q), "key": int(k), "weight": float(w), "query_token": tokens[0][int(q)], "key_token": tokens[1][int(k)]}
        for q, k, w in zip(queries[best], keys[best], values[best], strict=True)
    ]


def _print(
    said: dict[str, Any], matrix: FloatArray, tokens: Sequence[Sequence[str]], *, sparse: bool, color: bool | None, width: int | None
) -> None:
    out = console(color=color)
    # Colours only where they are seen: a pipe, NO_COLOR and --no-color get numbers.
    coloured = out.is_terminal and out.color_system is not None and not out.no_color
    width = width or shutil.get_terminal_size().columns
    out.width = max(width, 20)
    shape = (int(said["shape"][0]), int(said["shape"][1]))
    where = f"{said['kind']} layer {said['layer']} head {said['head']}"
    click.echo(f"{safe(said['run'])}, step {said['step']}, input {said['input']}: {safe(where)}, {shape[0]} queries × {shape[1]} keys")
    if not matrix.size:
        click.echo("there are no weights in it")
        return
    cells = pool(matrix, colour_columns(width) if coloured else number_columns(width), shape=shape)
    if coloured:
        for line in colour_map(cells, tokens[0], tokens[1]):
            out.print(line, overflow="crop", crop=True)
    else:
        click.echo("\n".join(number_table(cells, tokens[0], tokens[1])))
    if cells.pooled:
        click.echo(f"each cell is the greatest weight of {cells.per_row} × {cells.per_column}, or of what is left at the ends")
    if coloured:
        click.echo("lighter is more (square root); each line holds two queries")
    if sparse:
        click.echo(f"stored sparse: the top keys of each query; {said['left_out']:.1%} of the mass is on keys that were left out")
    metrics = ", ".join(f"{name} {number(value)}" for name, value in said["metrics"].items() if value == value)
    if metrics:
        click.echo(f"metrics: {metrics}")
    click.echo("greatest weights (query ← key)")
    for one in said["top"]:
        click.echo(f"  {one['weight']:.3f}  {one['query']} {safe(one['query_token'])} ← {one['key']} {safe(one['key_token'])}")
