"""From attention calls to layers: what the taps see during a forward pass, sorted by input and computed one layer at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from attnlog.capture.about import config_of, describe
from attnlog.capture.axes import made_axis
from attnlog.capture.call import Call, Sources
from attnlog.capture.inputs import Batch, main_axis
from attnlog.capture.kinds import LayerNumbers
from attnlog.capture.masks import Sights
from attnlog.capture.origins import Origins
from attnlog.capture.places import Place, Places
from attnlog.capture.projection import ValueNorms
from attnlog.capture.rerun import Returned
from attnlog.capture.running import batch_first
from attnlog.capture.scratch import Scratch
from attnlog.capture.spill import Spill
from attnlog.capture.wanted import Wanted, check_known
from attnlog.capture.weights import Row, by_identity, compute, taken
from attnlog.capture.whole import assembled
from attnlog.errors import LayerError
from attnlog.metrics import Repeats
from attnlog.record import Array, Capture, FloatArray, Input, Layer, Missing, Vectors


class Recorder:
    """Collects the layers of one capture, batch after batch."""

    def __init__(self, model: torch.nn.Module, wanted: Wanted, *, follow: bool = False) -> None:
        """Prepare for a model.

        Args:
            model: whose attention is recorded.
            wanted: what of it.
            follow: tokens through windows and frames, so that their attention can be put together.
        """
        self.calls = 0
        self.doubted = False  # of some attention nobody can tell which input it is of, unless each runs alone
        self.sizes: dict[str, tuple[int, int]] = {}  # queries and keys that each module attended over
        self.folded = False  # some attention was computed in parts of an input
        self.origins = Origins(lambda: self.rows, getattr(getattr(model, "config", None), "hidden_size", None)) if follow else None
        self.numbers = LayerNumbers(model, main_axis(model))
        self._wanted = wanted
        self._places = Places(self.numbers, lambda batch, row, name, count: made_axis(model, batch, row, name, count))
        self._rotary = _rotary(model)
        self._norms = ValueNorms(model)
        self._spill = Spill()
        self._scratch = Scratch()
        self._layers: list[Layer] = []
        self._missing: dict[Missing, None] = {}
        self._seen: dict[str, set[int]] = {}
        self._batch: Batch | None = None
        self._sights = Sights()
        self._repeats: dict[tuple[int, str], Repeats] = {}
        self._computing = False
        self._error: Exception | None = None

    def begin(self, batch: Batch) -> None:
        """Make ready for the forward pass of a batch."""
        self._batch, self._sights, self._repeats = batch, Sights(), {}
        self.numbers.restart()
        self._places.begin(batch)

    def end(self) -> None:
        """Let go of what belonged to the batch, and raise what failed in it."""
        self._batch, self._sights, self._repeats = None, Sights(), {}
        if self._error is not None:
            error, self._error = self._error, None
            raise error

    @property
    def rows(self) -> int:
        """Rows of the model's batch at hand."""
        if self._batch is None:
            return 1
        return len(self._batch.numbers) if self._batch.rows is None else self._batch.rows

    def see(self, call: Call) -> None:
        """Record one attention call, as a tap reports it.

        What fails is raised when the forward pass is over (`end`): ended half-way, it would leave other ranks of a sharded model waiting.
        """
        if self._computing or self._batch is None or self._error is not None:
            return  # the identity check calls the model's function once more
        try:
            self._record(call)
        except Exception as error:
            self._error = error

    def _record(self, call: Call) -> None:
        assert self._batch is not None
        self.calls += 1
        self.sizes.setdefault(self.numbers.path(call.module), call.shape[2:])
        if self.origins is not None:
            call = self._whole(call, self.origins)
        place = self._places.of(call)
        # Axes with a number or a name of their own are parts, or pooled: tokens may have to be followed.
        self.folded |= isinstance(place, str) or place.folds > 1 or "-" in f"{place.query_axis}{place.key_axis}"
        if isinstance(place, str):
            self.doubted |= self.rows > 1
            side = self.numbers.side(self.numbers.path(call.module))
            self._miss(side, self.numbers.layer(call.module, side), "attention", place)
            return
        if place.folds > 1 and self.rows > 1 and not batch_first(call.module):
            # Whose part is whose is not said anywhere: each input runs alone, or nothing is recorded of it.
            self.doubted |= self.origins is not None
            reason = f"it is computed in {place.folds} parts of each input, and whose is whose in a batch nobody can tell"
            self._miss_whole(place, reason)
            return
        if place.folds > 1 and call.query is None and call.tap == "function":
            parts = f"{place.folds} parts of {call.shape[2]} × {call.shape[3]} positions"
            self._miss_whole(place, f"its weights are over {parts} that could not be followed to tokens")
            return
        self._seen.setdefault(place.kind, set()).add(place.layer)
        if self._wanted.layers is not None and place.layer not in self._wanted.layers:
            return
        if call.mask is not None and not isinstance(call.mask, torch.Tensor):
            kernel = type(call.mask).__name__
            reason = f"its mask is a {kernel}, which cannot be read: load the model with attn_implementation='sdpa' to record it"
            self._miss(place.kind, place.layer, "attention", reason)
            return
        heads = self._heads(call, place)
        self._computing = True
        try:
            for row in range(len(self._batch.numbers)):
                for fold in range(place.folds):
                    self._layers.append(self._layer(call, place, row, fold, heads))
        finally:
            self._computing = False

    @property
    def incomplete(self) -> bool:
        """Whether attention ran, or may have run, that no tap could record."""
        return not self._layers or any(one.what == "attention" for one in self._missing)

    def take(self, model: torch.nn.Module, returned: Returned | str) -> None:
        """Record weights that the model returned, where no tap recorded that layer."""
        if isinstance(returned, str):
            if not self._layers:
                self._miss(self.numbers.main, None, "attention", returned)
            return
        call = Call(module=model, tap="model", weights=returned.weights, returned=(returned.field, returned.layer))
        place = self._places.of(call)
        if not isinstance(place, str) and "-" in f"{place.query_axis}{place.key_axis}":
            # A band of neighbours, or buckets: shown as tokens they would be others'.
            shape = f"{call.shape[2]} × {call.shape[3]} positions"
            reason = f"what the model returns as {returned.field}[{returned.layer}] has {shape} that are not its tokens"
            self._miss_whole(place, reason)
            return
        recorded = {(one.kind, one.layer) for one in self._layers if one.tap != "model"}
        if isinstance(place, str) or (place.kind, place.layer) not in recorded:
            self.see(call)

    def doubt(self, module: torch.nn.Module, size: tuple[int, int]) -> None:
        """Note that weights came by, over so many queries and keys, which may be of any input of the batch."""
        self.sizes.setdefault(self.numbers.path(module), size)
        reason = "its weights have dimensions that are neither inputs nor heads nor tokens"
        if self.rows > 1:
            self.doubted = True
            reason = "nobody can tell which input of the batch its weights are of; attnlog.capture runs each alone"
        self._miss(self.numbers.main, None, "attention", reason)

    def tell(self, module: torch.nn.Module, reason: str) -> None:
        """Note attention that cannot be recorded."""
        side = self.numbers.side(self.numbers.path(module))
        self._miss(side, self.numbers.layer(module, side), "attention", reason)

    def failed(self, error: Exception) -> None:
        """Note that tensors could not be followed: what was seen stands, and the model's forward pass goes on."""
        reason = f"attnlog could not follow the model's computation ({type(error).__name__}: {error})".splitlines()[0]
        self._miss(self.numbers.main, None, "attention", reason[:300])

    def capture(self, records: Sequence[Input], *, layers: bool = True) -> Capture:
        """Return what was recorded of some inputs, ordered by input, kind and layer; without layers where nobody asked for attention."""
        made = self._places.made
        found = sorted(self._layers, key=lambda one: (one.input, one.kind, one.layer, one.call)) if layers else ()
        return Capture(
            # Inputs get the axes that were made for them.
            inputs=tuple(Input({**one.axes, **made.get(number, {})}) for number, one in enumerate(records)),
            layers=tuple(found),
            missing=tuple(self._missing) if layers else (),
            model=describe(self.numbers.model),
            config=config_of(self.numbers.model),
        )

    def check_layers(self) -> None:
        """Raise `LayerError` if a layer was asked for that no kind of attention has."""
        check_known(self._wanted, set().union(*self._seen.values()))

    def _whole(self, call: Call, origins: Origins) -> Call:
        if call.sources is None:
            call = replace(call, sources=_sources(origins, call))
        odd = call.sources is not None and call.shape[2:] != (call.sources.count, call.sources.count)
        return (assembled(call, self.rows) if odd or call.shape[0] != self.rows else None) or call

    def _miss(self, kind: str, layer: int | None, what: str, reason: str) -> None:
        self._missing[Missing(kind, layer, what, reason)] = None

    def _miss_whole(self, place: Place, reason: str) -> None:
        """Note attention of which no part was recorded: it is missed where the whole would be, not in the axis of its parts."""
        self._miss(place.query_axis.partition("-")[0], place.layer, "attention", reason)

    def _heads(self, call: Call, place: Place) -> torch.Tensor:
        count = call.shape[1]
        wanted = range(count) if self._wanted.heads is None else sorted(h for h in self._wanted.heads if 0 <= h < count)
        if self._wanted.heads is not None and len(list(wanted)) < len(self._wanted.heads):
            raise LayerError(f"heads {sorted(self._wanted.heads)}: {place.kind} layer {place.layer} has heads 0 to {count - 1}")
        return torch.tensor(list(wanted), device=call.device)

    def _layer(self, call: Call, place: Place, number: int, fold: int, heads: torch.Tensor) -> Layer:
        assert self._batch is not None
        kind, layer, device = place.kind, place.layer, call.device
        queries, keys = (self._places.positions(number, axis, device) for axis in (place.query_axis, place.key_axis))
        at = number * place.folds + fold
        sight = self._sights.of(call, at, queries, keys)
        query_axis, key_axis = self._places.axis(number, place.query_axis), self._places.axis(number, place.key_axis)
        aligned = place.query_axis == place.key_axis
        row = Row(at, queries, keys, sight, query_axis, key_axis, aligned, self._repeats_of(number, place) if aligned else None)
        how: dict[str, Any] = {
            "precision": self._wanted.precision,
            "scratch": self._scratch,
            "dense_tokens": self._wanted.dense_tokens,
            "keep": "attention" in self._wanted.records,
            "metrics": self._wanted.metrics,
        }
        # A training's autocast would round the scores; the model's own function alone runs under it.
        exactly = torch.autocast(device.type, enabled=False)
        with exactly:
            found = compute(call, row, heads, **how)
        tap = call.tap
        if not found.held and call.function is not None:
            weights, reason = _asked(call, at)
            if weights is None:
                self._miss(kind, layer, "weights from the module's own function", reason)
            else:
                with exactly:
                    found, tap = compute(call, row, heads, identity=weights, **how), "identity"
        if not found.finite:
            self._miss(kind, layer, "attention", "its weights are not numbers (the model gave NaN or infinity)")
            found = replace(found, codes=None, sparse=None, metrics={})
        elif not found.held:
            self._miss(kind, layer, "verified weights", f"weights × values differ from the module's own output by {found.check:.2g}")
        elif found.check is None:
            unseen = "the product of its weights and values could not be seen"
            dropped = "the model was in training mode, where dropout changes what comes of them"
            self._miss(kind, layer, "verified weights", dropped if call.module.training else unseen)
        if place.folds > 1:
            reason = f"it is computed in {place.folds} parts of {call.shape[2]} positions each: every part is recorded as a call of its own"
            self._miss(kind, None, "attention over the whole", reason)
        size = call.group_size
        chosen = tuple(heads.tolist())
        return Layer(
            input=self._batch.numbers[number],
            kind=kind,
            layer=layer,
            call=place.call * place.folds + fold,
            module=self.numbers.path(call.module) if call.returned is None else "{}[{}]".format(*call.returned),
            tap=tap,
            heads=chosen,
            groups=tuple(head // size for head in chosen),
            shape=(len(queries), len(keys)),
            weights=self._spill.keep(found.codes),
            sparse=found.sparse,
            vectors=self._vectors(call, row, heads, size, kind, layer),
            check=found.check,
            explained=found.explained if "vectors" in self._wanted.records else None,
            metrics=found.metrics,
        )

    def _repeats_of(self, number: int, place: Place) -> Repeats | None:
        if not self._wanted.metrics:
            return None
        key = (number, place.query_axis)
        if key not in self._repeats:
            self._repeats[key] = Repeats(self._places.axis(*key))
        return self._repeats[key]

    def _vectors(self, call: Call, row: Row, heads: torch.Tensor, size: int, kind: str, layer: int) -> Vectors | None:
        if not {"vectors", "values"} & self._wanted.records:
            return None
        if call.query is None or call.key is None:
            self._miss(kind, layer, "vectors", "its scores are not a product of queries and keys that could be followed")
            return None
        groups = heads if size == 1 else torch.unique(torch.div(heads, size, rounding_mode="floor"))
        values = call.value if "values" in self._wanted.records else None
        found = Vectors(
            q=self._host(taken(call.query[row.number], heads, row.queries)),
            k=self._host(taken(call.key[row.number], groups, row.keys)),
            v=None if values is None else self._host(taken(values[row.number], groups, row.keys)),
            scale=call.scale,
            softcap=call.softcap,
            causal=row.sight.causal,
            window=row.sight.window,
            sinks=None if call.sinks is None else np.asarray(call.sinks[heads].float().cpu()),
            rotary=self._rotary and row.aligned,
            norms=None if values is None else self._value_norms(call, row, heads, kind, layer),
        )
        if not all(_numbers(part) for part in (found.q, found.k, found.v) if part is not None):
            self._miss(kind, layer, "vectors", "they are not numbers (the model gave NaN or infinity)")
            return None
        return found

    def _host(self, vectors: torch.Tensor) -> Array:
        """Copy vectors to the host in float32: half-precision types of models go into it exactly."""
        host = self._scratch.take("vectors", tuple(vectors.shape), torch.device("cpu")).copy_(vectors.detach())
        kept = self._spill.keep(host.numpy())
        assert kept is not None
        return kept

    def _value_norms(self, call: Call, row: Row, heads: torch.Tensor, kind: str, layer: int) -> FloatArray | None:
        assert call.value is not None
        found = self._norms(self.numbers.path(call.module), call.value[row.number][:, row.keys], heads, call.group_size)
        if found is None:
            self._miss(kind, layer, "value norms", "the module's output projection could not be found, or something lies before it")
        return found


def _sources(origins: Origins, call: Call) -> Sources | None:
    """Look up which tokens the queries and keys of a call of the interface are."""
    queries, keys = origins.of(call.query), origins.of(call.key)
    if call.tap != "interface" or queries is None or keys is None or queries[1] != keys[1]:
        return None
    return Sources(queries[0][:, 0, :, 0], keys[0][:, 0, :, 0], queries[1])


def _asked(call: Call, row: int) -> tuple[torch.Tensor | None, str]:
    """Ask the model's own function for its weights; None, and why not, where it does not take one input alone."""
    try:
        return by_identity(call, row), ""
    except Exception as error:  # of any kind: the function is the model's
        return None, f"it does not take identity values ({type(error).__name__}: {error})".splitlines()[0][:300]


def _numbers(array: Array) -> bool:
    """Say whether all are finite: where their sum is, they are, and it is sooner found."""
    with np.errstate(over="ignore", invalid="ignore"):
        return bool(np.isfinite(array.sum())) or bool(np.isfinite(array).all())


def _rotary(model: torch.nn.Module) -> bool:
    return any("rotary" in type(module).__name__.lower() for module in model.modules())
