"""Reading a run back from wherever it is: merged manifests, lazily read steps, one layer at a time."""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from itertools import groupby
from pathlib import Path
from typing import Any, Self

from attnlog.errors import ArgumentError, AssetSchemaError, NotRecordedError, RunError, RunNotFoundError
from attnlog.format import read
from attnlog.outputs import Output, States
from attnlog.record import FloatArray, Input, Layer, Missing, Reading, axes_of, nothing_there
from attnlog.store.manifest import AssetRecord, Commit, Manifest, merge, parse
from attnlog.store.source import FolderSource, Source, local_folder, manifests_in, open_source

_KEPT = 8  # layers kept decoded per step


def open_run(place: str | os.PathLike[str] | Source) -> SavedRun:
    """Open a run. Only its manifests are read; everything else when it is asked for, and no more of it than that.

    Args:
        place: a run folder; a URL that fsspec can open (``s3://bucket/runs/a``, ``memory://a``); ``mlflow:RUN_ID``;
            ``comet:EXPERIMENT_KEY`` or ``comet:archive.zip``, an archive that Comet's client wrote offline.

    Raises:
        RunNotFoundError: there is nothing, or no manifest in it.
        RunError: it is a file, or cannot be read.
        ArgumentError: it names no place that could be.
        TrackerError: the tracker cannot be reached, or has no such run.
        MissingExtraError: a package that it needs is not installed.
    """
    source = open_source(place)
    if isinstance(source, FolderSource):
        _check_folder(source.directory)
    opened = SavedRun(source)
    if not opened.manifests:
        source.close()
        raise RunNotFoundError(f"there is no manifest in {source.place}, so it is not a run")
    return opened


def _check_folder(path: Path) -> None:
    if local_folder(str(path)) is None:
        raise ArgumentError(f"{path} is no folder of this machine: attnlog fetch {path} DIR brings it here, then name DIR")
    if not path.exists():
        raise RunNotFoundError(f"there is no run at {path}: no such folder")
    if not path.is_dir():
        raise RunError(f"{path} is a file; a run is the folder that holds manifest-….jsonl")
    if not manifest_names(path):
        inside = sorted(p.parent.name for p in path.glob("*/manifest-*.jsonl"))
        hint = f"; the runs {', '.join(sorted(set(inside))[:5])} are inside it" if inside else ""
        raise RunNotFoundError(f"there is no manifest in {path}, so it is not a run{hint}")


def manifest_names(directory: Path) -> list[str]:
    """Name the manifests of a run folder, in the order of their writers' names."""
    return manifests_in(FolderSource(directory))


def check_run(directory: Path) -> list[str]:
    """Name the manifests of a run folder.

    Raises:
        RunNotFoundError: there is no folder, or no manifest in it.
        RunError: it is a file.
    """
    _check_folder(directory)
    if not (names := manifest_names(directory)):
        raise RunNotFoundError(f"there is no manifest in {directory}, so it is not a run")
    return names


def run_name(manifests: Sequence[Manifest], place: Path | str) -> str:
    """Name a run as what wrote it last called it, else as the place where it lies is called."""
    named = [str(m.header["run"]) for m in manifests if m.header.get("run")]
    if named:
        return named[-1]
    return place.resolve().name if isinstance(place, Path) else place.rsplit("/", 1)[-1]


class SavedRun:
    """A run opened for reading. Manifests are read once; `reload` sees what came since. Use it in a ``with`` block, or `close` it."""

    def __init__(self, place: Path | Source) -> None:
        """Open a place that has at least one manifest."""
        self.source: Source = FolderSource(place) if isinstance(place, Path) else place
        self.reload()

    def reload(self) -> None:
        """Read the manifests again."""
        self.manifests: tuple[Manifest, ...] = tuple(parse(name, self.source.get(name)) for name in manifests_in(self.source))
        self._commits = merge(self.manifests)

    def close(self) -> None:
        """Release what reading holds: connections, and files fetched from a tracker."""
        self.source.close()

    def __enter__(self) -> Self:
        """Use the run in a ``with`` block, which closes it."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the run."""
        self.close()

    def __repr__(self) -> str:
        """Say where it is and how many steps it has."""
        return f"SavedRun({self.source.place!r}, {len(self._commits)} steps)"

    @property
    def directory(self) -> Path:
        """The run's folder on this machine.

        Raises:
            RunError: it is elsewhere.
        """
        if not isinstance(self.source, FolderSource):
            raise RunError(f"the run {self.source.place} is in no folder of this machine: copy it to one first")
        return self.source.directory

    @property
    def name(self) -> str:
        """The run's name: what the writer called it, else the folder's name."""
        return run_name(self.manifests, self.source.directory if isinstance(self.source, FolderSource) else self.source.place)

    @property
    def steps(self) -> tuple[int, ...]:
        """Steps that were recorded, in order."""
        return tuple(self._commits)

    def commit(self, step: int) -> Commit:
        """Return what the manifest says of a step."""
        if step not in self._commits:
            raise NotRecordedError(f"step {step} was not recorded; recorded: {_listed(self.steps)}")
        return self._commits[step]

    def read(self, step: int | None = None, input: int = 0) -> SavedStep:
        """Open one step (default: the last); nothing but its index is read before it is asked for.

        Args:
            step: a recorded step.
            input: the input meant by methods that name none.
        """
        if not self.steps:
            raise NotRecordedError(f"nothing was recorded yet in {self.source.place}")
        opened = SavedStep(self.source, self.commit(self.steps[-1] if step is None else step), input)
        if not 0 <= input < len(opened.inputs):
            raise NotRecordedError(f"there is no input {input}; inputs 0 to {len(opened.inputs) - 1} were recorded")
        return opened

    def recompute(self, step: int, input: int, kind: str, layer: int, head: int, rows: Sequence[int]) -> FloatArray:
        """Recompute whole query rows of one head from its stored queries and keys.

        For inputs whose weights were stored sparse, or in 8 bits: what comes back is as precise as the stored vectors are (docs/format.md
        has the figures). Heads are refused of which q·k alone does not give the weights.

        Args:
            step: a recorded step.
            input: number of the input.
            kind: of attention, such as ``self``.
            layer: of that kind.
            head: number of the query head.
            rows: numbers of the query rows.

        Returns:
            float32 ``[rows, keys]``, in the order of `rows`.

        Raises:
            NotRecordedError: no vectors were stored, or q·k alone does not give this head's weights (position bias, a mask without a rule).
        """
        return self.read(step, input).recompute(kind, layer, head, rows)

    def heads(self) -> Any:
        """Head metrics of all steps: a pyarrow Table with the columns of the index, without places, after `step` and `n`.

        A writer that ended has rolled them up, so that this is one read; of others each step's index is read.
        """
        import pyarrow as pa

        from attnlog.store.rolled import rolled_up

        parts = rolled_up(self.source, self.manifests)
        tables = []
        for step, commit in self._commits.items():
            found = parts.get((commit.writer, commit.n, step))
            tables.append(read.numbered(SavedStep(self.source, commit).index() if found is None else found, commit.n, step))
        return pa.concat_tables(tables) if tables else read.numbered(None, 0, 0)


class SavedStep(Reading):
    """One step of a run; answers as a `Capture` does."""

    def __init__(self, source: Source, commit: Commit, selected: int = 0) -> None:
        """Open what a commit names."""
        self.source, self.commit, self.selected = source, commit, selected
        self.missing: tuple[Missing, ...] = commit.missing
        self._kept: OrderedDict[tuple[Any, ...], Layer] = OrderedDict()

    def __repr__(self) -> str:
        """Name the step."""
        return f"SavedStep(step={self.commit.step}, inputs={len(self.inputs)})"

    @cached_property
    def inputs(self) -> Sequence[Input]:  # type: ignore[override]
        """What attention was recorded for."""
        record = self.commit.inputs
        return read.read_inputs(self._whole(record), record.path, decoded=record.decoded, rows=record.rows)

    @cached_property
    def _index(self) -> dict[tuple[int, str, int, int], list[dict[str, Any]]]:
        rows = self.index().to_pylist()

        def key(row: dict[str, Any]) -> tuple[int, str, int, int]:
            return (row["input"], row["kind"], row["layer"], row["call"])

        layers = {where: list(found) for where, found in groupby(sorted(rows, key=key), key)}
        for (number, kind, layer, _), found in layers.items():
            axes = self.inputs[number].axes if number < len(self.inputs) else {}
            tokens = tuple(len(axes[axis].tokens) if axis in axes else None for axis in axes_of(kind))
            if any((row["queries"], row["keys"]) != tokens for row in found):
                raise AssetSchemaError(
                    f"the index of step {self.commit.step} says of {kind} layer {layer} of input {number} "
                    f"{found[0]['queries']} × {found[0]['keys']}, where its inputs have {tokens[0]} × {tokens[1]} tokens"
                )
        return layers

    def index(self) -> Any:
        """Read the index: a pyarrow Table of one row per head, with its metrics; docs/format.md names the columns."""
        record = self.commit.asset("index")
        if record is None:
            raise AssetSchemaError(f"step {self.commit.step} has no index in its manifest")
        return read.table(self._whole(record), "index", record.path, decoded=record.decoded, rows=record.rows)

    @property
    def layers(self) -> tuple[Layer, ...]:
        """Every recorded layer of every input with its head metrics, without weights or vectors."""
        return tuple(read.layer_from_index(rows) for rows in self._index.values())

    def find(self, kind: str, layer: int, input: int | None = None, *, what: str = "weights") -> Layer:
        """Return one layer; see `Reading.find`. Only its own bytes are read and verified."""
        number = self.selected if input is None else input
        rows = self._index.get((number, kind, layer, 0))
        if rows is None:
            raise NotRecordedError(nothing_there(kind, layer, number, ((k, n, i) for i, k, n, _ in self._index)))
        key = (number, kind, layer, what)
        if key not in self._kept:
            self._kept[key] = self.read_layer(rows, what)
            if len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
        return self._kept[key]

    def rows(self) -> Mapping[tuple[int, str, int, int], Sequence[Mapping[str, Any]]]:
        """The index by input, kind, layer and call: one row per head."""
        return self._index

    def read_layer(self, rows: Sequence[Mapping[str, Any]], what: str) -> Layer:
        """Read a layer's ``weights`` or ``vectors``, or what the ``index`` says, given its rows of the index."""
        found = read.layer_from_index(rows)
        if what == "weights" and (batch := self._batch(rows[0], "attention")) is not None:
            return replace(found, weights=read.weights_from(batch, found, rows[0]["attention_path"]))
        if what == "weights" and (batch := self._batch(rows[0], "sparse")) is not None:
            return replace(found, sparse=read.sparse_from(batch, found, rows[0]["sparse_path"]))
        if what == "vectors" and (batch := self._batch(rows[0], "vectors")) is not None:
            return replace(found, vectors=read.vectors_from(batch, found, rows[0]["vectors_path"]))
        return found

    def all_states(self) -> Sequence[States]:
        """Statistics of hidden states of all inputs, axes and layers."""
        return [one for one, _ in self._states.values()]

    def all_places(self) -> Sequence[tuple[States, Mapping[str, Any]]]:
        """Statistics of hidden states as `all_states` gives them, each with its row of `states`, which names the place of its states."""
        return list(self._states.values())

    def with_values(self, found: States) -> States:
        """Read the states themselves of one layer; only its own bytes are read and verified."""
        one, place = self._states[found.input, found.axis, found.layer]
        batch = self._batch(place, "hidden")
        return one if batch is None else replace(one, values=read.hidden_from(batch, one, place["hidden_path"]))

    def all_outputs(self) -> Sequence[Output]:
        """Predictions, losses and saliency of all inputs."""
        return self._outputs

    @cached_property
    def _states(self) -> dict[tuple[int, str, int], tuple[States, Mapping[str, Any]]]:
        found = [(one, place) for table in self._tables("states") for one, place in read.states_from(table)]
        self._fits("states", ((one.input, one.axis, one.tokens) for one, _ in found))
        return {(one.input, one.axis, one.layer): (one, place) for one, place in found}

    @cached_property
    def _outputs(self) -> list[Output]:
        found = [one for table in self._tables("outputs") for one in read.outputs_from(table)]
        self._fits("outputs", ((one.input, one.axis, one.tokens) for one in found))
        return found

    def _tables(self, kind: str) -> Iterator[Any]:
        for record in self.commit.assets:
            if record.kind == kind:
                yield read.table(self._whole(record), kind, record.path, decoded=record.decoded, rows=record.rows)

    def _fits(self, kind: str, said: Iterable[tuple[int, str, int]]) -> None:
        """Check that as many tokens are told of as the inputs have."""
        for number, axis, tokens in said:
            known = self.inputs[number].axes.get(axis) if number < len(self.inputs) else None
            if known is None or len(known.tokens) != tokens:
                there = "no such axis" if known is None else f"{len(known.tokens)}"
                raise AssetSchemaError(
                    f"the {kind} of step {self.commit.step} say of {axis} of input {number} {tokens} tokens, where its inputs have {there}"
                )

    def _because(self, kind: str, layer: int | None, what: str | None = None) -> str:
        if not self.commit.complete and what in (None, "value norms", "hidden states"):
            return ", because the run had reached its budget: of this step only what is small was written"
        return super()._because(kind, layer, what)

    def _batch(self, row: Mapping[str, Any], kind: str) -> Any:
        if row.get(f"{kind}_path") is None:
            return None
        records = [a for a in self.commit.assets if a.kind == kind and a.path.rsplit("/", 1)[-1] == row[f"{kind}_path"]]
        if len(records) != 1:
            raise AssetSchemaError(f"step {self.commit.step} names {row[f'{kind}_path']!r} for {kind}, which its manifest does not")
        record = records[0]
        if None in (row[f"{kind}_offset"], row[f"{kind}_length"], row[f"{kind}_sha256"]):
            raise AssetSchemaError(f"step {self.commit.step} does not say where in {record.path} a batch lies")
        schema = self._range(record, record.schema.offset, record.schema.length, record.schema.sha256)
        message = self._range(record, row[f"{kind}_offset"], row[f"{kind}_length"], row[f"{kind}_sha256"])
        return read.batch(schema, message, kind, record.path, decoded=record.decoded)

    def recompute(self, kind: str, layer: int, head: int, rows: Sequence[int], input: int | None = None) -> FloatArray:
        """Recompute whole rows of weights from the stored queries and keys; see `SavedRun.recompute`."""
        from attnlog.store.recompute import recompute

        where = f"{kind} layer {layer} of input {self.selected if input is None else input} at step {self.commit.step}"
        vectors = self.find(kind, layer, input, what="vectors")
        if vectors.vectors is None:
            raise NotRecordedError(
                f"queries and keys of {where} were not recorded, so no row can be recomputed{self._because(kind, layer)}"
            )
        return recompute(vectors, self.find(kind, layer, input), head, rows, where)

    def _range(self, record: AssetRecord, offset: int, length: int, digest: str) -> bytes:
        if offset + length > record.bytes:
            raise AssetSchemaError(f"{record.path}: bytes {offset} to {offset + length} lie outside its {record.bytes}")
        data = self.source.get(record.path, (offset, length))
        return read.verify(data, name=record.path, length=length, digest=digest, decoded=record.decoded)

    def _whole(self, record: AssetRecord) -> bytes:
        # One byte more than declared tells a longer file from the right one without reading it all.
        data = self.source.get(record.path, (0, min(record.bytes, read.MAX_BYTES) + 1))
        return read.verify(data, name=record.path, length=record.bytes, digest=record.sha256, decoded=record.decoded)


def _listed(steps: Sequence[int]) -> str:
    if not steps:
        return "none"
    return ", ".join(map(str, steps)) if len(steps) <= 12 else f"{len(steps)} steps from {steps[0]} to {steps[-1]}"
