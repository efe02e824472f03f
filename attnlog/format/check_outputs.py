"""What decoded tables of hidden states and of the model's outputs must be."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from attnlog.errors import AssetSchemaError, AssetValueError
from attnlog.format.columns import LEAST, MOST, all_finite, area, check_place, lists, numbers, once, sized
from attnlog.outputs import STATISTICS

#: Which columns of `outputs` a row of each role has; the others are null. Rows of a role that is not here are passed over.
ROLES = {
    "loss": ("values",),
    "saliency": ("values", "target"),
    "prediction": ("rows", "top", "ids", "labels", "probabilities"),
}


def check_states(found: pa.Table, name: str) -> None:
    """Check statistics of hidden states.

    Raises:
        AssetSchemaError: lists are not as long as their axis, a layer stands twice, or a place is none.
        AssetValueError: numbers that no statistic can have.
    """
    once(found, name, ("input", "axis", "layer"), "a layer")
    check_place(found, name, "hidden")
    tokens = numbers(found, "tokens")
    for statistic in STATISTICS:
        values = sized(found, name, statistic, tokens)
        known = values[~np.isnan(values)]  # NaN: not defined
        low, high = {"cosine": (-MOST, MOST), "std": (LEAST, np.inf), "norm": (LEAST, np.inf)}.get(statistic, (-np.inf, np.inf))
        if np.isinf(known).any() or (statistic != "cosine" and len(known) < len(values)) or not ((known >= low) & (known <= high)).all():
            raise AssetValueError(f"{name} has values in column {statistic} that cannot be")


def check_hidden(found: pa.Table, name: str) -> None:
    """Check hidden states.

    Raises:
        AssetSchemaError: a layer stands twice, or lists are not as long as their shape.
        AssetValueError: numbers that are not finite.
    """
    once(found, name, ("input", "axis", "layer"), "a layer")
    values = sized(found, name, "values", area(found, "tokens", "width"))
    if not np.isfinite(values).all():
        raise AssetValueError(f"{name} has hidden states that are not finite numbers")


def check_outputs(found: pa.Table, name: str) -> None:
    """Check predictions, losses and saliency.

    Raises:
        AssetSchemaError: something stands twice, lacks what its role has, or has lists that are not as long as their shape.
        AssetValueError: probabilities outside [0, 1], or numbers that are not finite.
    """
    once(found, name, ("input", "axis", "role", "name"), "an output")
    roles = np.array(found.column("role").to_pylist(), dtype=object)
    for role, columns in ROLES.items():
        rows = found.filter(pa.array(roles == role))
        if not rows.num_rows:
            continue
        for column in columns:
            if rows.column(column).null_count:
                raise AssetSchemaError(f"{name} has a {role} without {column}")
        if role == "prediction":
            _predictions(rows, name)
        else:
            _per_token(rows, name, role)


def _per_token(rows: pa.Table, name: str, role: str) -> None:
    values = sized(rows, name, "values", numbers(rows, "tokens"))
    if role == "loss":
        values = values[~np.isnan(values)]  # NaN: nothing was to be predicted there
    if not np.isfinite(values).all() or (role == "loss" and (values < LEAST).any()):
        raise AssetValueError(f"{name} has a {role} that is not finite, or negative where it cannot be")
    if not all_finite(rows, "error", least=0):
        raise AssetValueError(f"{name} has a completeness error that is not finite, or negative")


def _predictions(rows: pa.Table, name: str) -> None:
    lengths = area(rows, "rows", "top")
    sized(rows, name, "ids", lengths)
    probabilities = sized(rows, name, "probabilities", lengths)
    if not np.array_equal(np.diff(lists(rows, "labels")[0]), lengths):
        raise AssetSchemaError(f"{name}: lists of column labels are not as long as their shape says")
    if probabilities.size and not (probabilities.min() >= 0 and probabilities.max() <= MOST):
        raise AssetValueError(f"{name} has probabilities outside 0 … 1")
    few, tokens = numbers(rows, "rows"), numbers(rows, "tokens")
    if ((few != 1) & (few != tokens)).any():
        raise AssetSchemaError(f"{name} has predictions in another number than one, or one for each token")
