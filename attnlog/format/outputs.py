"""Hidden states, predictions, losses and saliency become columns, and checked tables become them again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from attnlog.errors import AssetSchemaError
from attnlog.format.columns import lists
from attnlog.format.encode import Span, block_column, list_column
from attnlog.format.schema import ELEMENTS, OUTPUTS
from attnlog.outputs import STATISTICS, Loss, Output, Prediction, SaliencyMap, States

#: What `States.values` is read by: where its batch lies.
Place = Mapping[str, Any]


def hidden_batch(one: States, precision: str) -> dict[str, Any]:
    """Columns of a batch of `hidden`: one row."""
    assert one.values is not None
    values = one.values.astype(ELEMENTS[precision].to_pandas_dtype(), copy=False)
    return {**_state_columns([one]), "width": [one.width], "values": block_column(values[None], ELEMENTS[precision])}


def states_batch(layers: Sequence[States], places: Mapping[int, tuple[str, Span]]) -> dict[str, Any]:
    """Columns of a batch of `states`: one row per layer.

    Args:
        layers: what is written.
        places: by `id` of what has its states in `hidden`: file name, and where the batch lies.
    """
    columns: dict[str, Any] = {**_state_columns(layers), "width": [one.width for one in layers]}
    for name in STATISTICS:
        columns[name] = list_column([np.asarray(one.statistics[name], dtype=np.float32) for one in layers], pa.float32())
    where = [places.get(id(one)) for one in layers]
    columns["hidden_path"] = [found and found[0] for found in where]
    for part in ("offset", "length", "sha256"):
        columns[f"hidden_{part}"] = [found and getattr(found[1], part) for found in where]
    return columns


def outputs_batch(outputs: Sequence[Output]) -> dict[str, Any]:
    """Columns of a batch of `outputs`: one row each."""
    rows = [_row(one) for one in outputs]
    return {column.name: [row.get(column.name) for row in rows] for column in OUTPUTS}


def _state_columns(layers: Sequence[States]) -> dict[str, Any]:
    return {name: [getattr(one, name) for one in layers] for name in ("input", "axis", "layer", "tokens")}


def _row(one: Output) -> dict[str, Any]:
    shared: dict[str, Any] = {"input": one.input, "axis": one.axis}
    if isinstance(one, Prediction):
        rows, top = one.ids.shape
        said = {"role": "prediction", "name": one.task, "tokens": one.tokens, "rows": rows, "top": top}
        flat = {"ids": one.ids.reshape(-1), "probabilities": np.asarray(one.probabilities, dtype=np.float32).reshape(-1)}
        return {**shared, **said, **flat, "labels": [label for row in one.labels for label in row]}
    values = np.asarray(one.values, dtype=np.float32)
    if isinstance(one, Loss):
        return {**shared, "role": "loss", "name": one.task, "tokens": len(values), "values": values}
    about = {name: getattr(one, name) for name in ("target", "position", "steps", "error")}
    return {**shared, "role": "saliency", "name": one.method, "tokens": len(values), "values": values, **about}


def states_from(found: pa.Table) -> list[tuple[States, Place]]:
    """Take statistics out of their asset, each with the place of its states (whose path may be null)."""
    columns = [c for c in found.schema.names if c not in STATISTICS]
    cut = {}
    for name in STATISTICS:
        starts, values = lists(found, name)
        cut[name] = np.split(np.asarray(values, dtype=np.float32), starts[1:-1])
    made = []
    for number, row in enumerate(found.select(columns).to_pylist()):
        statistics = {name: cut[name][number] for name in STATISTICS}
        made.append(
            (States(input=row["input"], axis=row["axis"], layer=row["layer"], width=row["width"], statistics=statistics), row),
        )
    return made


def hidden_from(found: pa.Table, one: States, name: str) -> Any:
    """Take the states ``[tokens, width]`` of one layer out of their batch."""
    said = {"input": one.input, "axis": one.axis, "layer": one.layer, "tokens": one.tokens, "width": one.width}
    if found.num_rows != 1 or any(found.column(column).to_pylist() != [value] for column, value in said.items()):
        raise AssetSchemaError(f"{name} holds other hidden states than those of {one.axis} layer {one.layer} of input {one.input}")
    return lists(found, "values")[1].reshape(one.tokens, one.width)


def outputs_from(found: pa.Table) -> list[Output]:
    """Take predictions, losses and saliency out of their asset; rows of other roles are passed over."""
    made: list[Output] = []
    for row in found.to_pylist():
        shared: dict[str, Any] = {"input": row["input"], "axis": row["axis"]}
        if row["role"] == "prediction":
            shape = (row["rows"], row["top"])
            labels = tuple(tuple(row["labels"][n * shape[1] : (n + 1) * shape[1]]) for n in range(shape[0]))
            ids = np.array(row["ids"], dtype=np.int32).reshape(shape)
            probabilities = np.array(row["probabilities"], dtype=np.float32).reshape(shape)
            made.append(Prediction(**shared, task=row["name"], tokens=row["tokens"], ids=ids, probabilities=probabilities, labels=labels))
        elif row["role"] == "loss":
            made.append(Loss(**shared, task=row["name"], values=np.array(row["values"], dtype=np.float32)))
        elif row["role"] == "saliency":
            about = {name: row[name] for name in ("target", "position", "steps", "error")}
            made.append(SaliencyMap(**shared, method=row["name"], values=np.array(row["values"], dtype=np.float32), **about))
    return made
