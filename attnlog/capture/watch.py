"""`attnlog.watch`: what attention does in the user's own forward passes, without a second one."""

from __future__ import annotations

import inspect
import threading
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import Any, Self

import torch

from attnlog.boundary import Boundary
from attnlog.capture.call import Call
from attnlog.capture.inputs import Batch, as_given
from attnlog.capture.kinds import unwrapped
from attnlog.capture.passes import taps
from attnlog.capture.preserve import own_pass
from attnlog.capture.ready import rows_as_given
from attnlog.capture.recorder import Recorder
from attnlog.capture.wanted import ATTENTION, wanted_of
from attnlog.errors import ArgumentError, ModelError
from attnlog.record import Capture
from attnlog.scalars import whole_number

_REMEDY = "attnlog.capture(model, inputs) records the same with a forward pass of its own."

_open = threading.local()  # the watch of each thread


class watch:  # noqa: N801  # used as a function is: with attnlog.watch(model) as watched
    """Record attention during your own forward passes, for training loops without a Trainer.

    ::

        with attnlog.watch(model, tokenizer=tokenizer, every=100) as watched:
            for step, batch in enumerate(loader):
                loss = model(**batch).loss
                ...
                capture = watched.take()
                if capture is not None:
                    run.log(capture, step=step)

    Outputs, gradients and random numbers are those of the loop alone: weights are computed beside it from the queries and keys that it
    computed. What fails becomes one warning. In training mode weights are those before dropout, and are not checked against the output,
    which dropout has changed; `Capture.missing` says so. Windows that a model folds into the batch stay in their parts here.
    """

    def __init__(
        self,
        model: torch.nn.Module,
        *,
        tokenizer: Any = None,
        every: int = 1,
        examples: int = 8,
        layers: Iterable[int] | None = None,
        heads: Iterable[int] | None = None,
        record: str | Sequence[str] = ("attention", "vectors"),
        precision: str = "u8",
        dense_tokens: int | None = 512,
        metrics: bool = True,
    ) -> None:
        """Prepare; recording begins with the ``with`` block.

        Args:
            model: whose forward passes are watched; wrappers of data-parallel training are looked through.
            tokenizer: names the tokens, which else are shown as ids.
            every: every how many forward passes one is recorded; the first is.
            examples: rows of the batch, from the first on, that are recorded.
            layers: as of `attnlog.capture`.
            heads: as of `attnlog.capture`.
            record: any of ``attention``, ``vectors``, ``values``.
            precision: of the weights: ``u8``, ``f16`` or ``f32``.
            dense_tokens: of longer inputs only the top keys of each query row are kept; None: every weight.
            metrics: False leaves the head metrics out.

        Raises:
            ArgumentError, LayerError, ModelError: what cannot be recorded; raised here, before any training.
        """
        if any(hasattr(m, "_orig_mod") or getattr(m, "_compiled_call_impl", None) is not None for m in _modules(model)):
            raise ModelError("a compiled model does not run the functions that are watched: watch the model before torch.compile")
        self._model = unwrapped(model)
        self._wanted = replace(
            wanted_of(self._model, layers, heads, record, precision, dense_tokens, known=ATTENTION), metrics=bool(metrics)
        )
        self._tokenizer = tokenizer
        self._every, self._examples = whole_number("every", every, 1), whole_number("examples", examples, 1)
        self._boundary = Boundary()
        self._names = list(inspect.signature(self._model.forward).parameters)
        self._passes = 0
        self._pass: ExitStack | None = None
        self._recorder: Recorder | None = None
        self._batch: Batch | None = None
        self._new: Capture | None = None
        self._whole = False
        self._hooks: list[Any] = []

    def __enter__(self) -> Self:
        """Begin to watch.

        Raises:
            ArgumentError: another watch is open on this thread: the two would take each other's calls.
        """
        if getattr(_open, "watch", None) is not None:
            raise ArgumentError("another attnlog.watch is open on this thread: close it first, or watch the module that holds both models")
        _open.watch = self
        self._hooks = [
            self._model.register_forward_pre_hook(self._before, with_kwargs=True),
            self._model.register_forward_hook(self._ran),
            self._model.register_forward_hook(self._after, always_call=True),
        ]
        return self

    def __exit__(self, *_: object) -> None:
        """Stop watching."""
        for hook in self._hooks:
            hook.remove()
        self._hooks.clear()
        if getattr(_open, "watch", None) is self:
            _open.watch = None
        self._end()

    def take(self) -> Capture | None:
        """Return the capture of the newest recorded forward pass, once; None where there is none that was not taken yet."""
        found, self._new = self._new, None
        return found

    def _before(self, module: Any, args: Any, kwargs: Any) -> None:
        if own_pass():
            return  # a capture's own forward pass is not the user's
        count, self._passes = self._passes, self._passes + 1
        if count % self._every or self._pass is not None:
            return
        with self._boundary.guard("watch a forward pass", _REMEDY):
            given = {**dict(zip(self._names, args, strict=False)), **kwargs}
            self._whole = False
            self._batch = self._rows(given)
            self._recorder = Recorder(self._model, self._wanted)
            self._recorder.begin(self._batch)
            stack = ExitStack()
            stack.enter_context(taps(self._recorder, seen=self._see, failed=self._failed))
            self._pass = stack

    def _rows(self, given: dict[str, Any]) -> Batch:
        tensors = {name: value.detach() for name, value in given.items() if isinstance(value, torch.Tensor) and name != "labels"}
        rows = rows_as_given(self._model, tensors, self._tokenizer)
        batch = as_given(rows, tuple(range(len(rows))), next(iter(tensors.values())).device)
        kept = slice(0, self._examples)
        return replace(batch, numbers=batch.numbers[kept], records=batch.records[kept], positions=batch.positions[kept], rows=len(rows))

    def _see(self, call: Call) -> None:
        recorder = self._recorder
        if recorder is None:
            return
        with self._boundary.guard("record a forward pass", _REMEDY), torch.no_grad():
            recorder.see(_apart(call))

    def _failed(self, error: Exception) -> None:
        with self._boundary.guard("follow a forward pass", _REMEDY):
            raise error

    def _ran(self, module: Any, args: Any, output: Any) -> None:
        self._whole = not own_pass()

    def _after(self, module: Any, args: Any, output: Any) -> None:
        recorder, batch = self._recorder, self._batch
        if self._pass is None or own_pass():
            return
        self._end()
        if not self._whole:
            return  # the forward pass failed half-way
        with self._boundary.guard("keep a forward pass", _REMEDY):
            assert recorder is not None
            assert batch is not None
            recorder.end()
            self._new = recorder.capture(batch.records)

    def _end(self) -> None:
        stack, self._pass = self._pass, None
        self._recorder = None
        if stack is not None:
            with self._boundary.guard("stop watching", _REMEDY):
                stack.close()


def _modules(model: Any) -> Iterable[torch.nn.Module]:
    return model.modules() if isinstance(model, torch.nn.Module) else ()


def _apart(call: Call) -> Call:
    """Take a call out of the graph of gradients; under dropout the model's function must not be asked again, as it would draw."""
    kept: dict[str, Any] = {
        name: None if (t := getattr(call, name)) is None else t.detach() for name in ("query", "key", "value", "output", "weights")
    }
    keywords = {name: value.detach() if isinstance(value, torch.Tensor) else value for name, value in call.keywords.items()}
    mask = call.mask.detach() if isinstance(call.mask, torch.Tensor) else call.mask
    dropped = call.module.training
    if dropped:
        kept["output"] = None
        if call.tap == "interface" and call.query is not None:
            kept["weights"] = None  # those that an eager function returns are after dropout
    return replace(call, **kept, keywords=keywords, mask=mask, function=None if dropped else call.function)
