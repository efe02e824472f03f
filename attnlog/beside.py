"""What a capture and a saved step answer alike of what they hold beside attention."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from attnlog.errors import NotRecordedError
from attnlog.outputs import FloatArray, Loss, Output, Prediction, SaliencyMap, States, stacked

if TYPE_CHECKING:
    from attnlog.record import Input


class ReadingBeside:
    """Hidden states, predictions, losses and saliency. Subclasses say where they come from."""

    inputs: Sequence[Input]
    selected: int = 0  # the input meant where none is named

    def states(self, axis: str = "self", input: int | None = None) -> dict[str, FloatArray]:
        """Statistics of hidden states, over the width of each token's state.

        Returns:
            Name → float32 ``[layers + 1, tokens]``: row 0 are the embeddings, row n is after layer n. Names are ``mean``, ``std``, ``norm``
            (L2), ``min``, ``max``, and ``cosine`` to the state of the layer before; NaN where not defined, as `cosine` at the embeddings.

        Raises:
            NotRecordedError: none were recorded (record ``states`` or ``hidden``); the message says why.
        """
        return stacked(self._states_of(axis, input))

    def hidden(self, axis: str, layer: int, input: int | None = None) -> FloatArray:
        """Hidden states themselves, float32 ``[tokens, width]``; layer 0 are the embeddings, n is after layer n.

        Raises:
            NotRecordedError: they were not recorded (record ``hidden``); the message says why.
        """
        found = {one.layer: one for one in self._states_of(axis, input)}
        if layer not in found:
            known = ", ".join(map(str, sorted(found)))
            raise NotRecordedError(f"hidden states of {axis} layer {layer} were not recorded; layers {known} were (0: embeddings)")
        values = self.with_values(found[layer]).values
        if values is None:
            raise NotRecordedError(
                f"of hidden states of {axis} only statistics were recorded (record 'hidden')" + self._because(axis, layer, "hidden states")
            )
        return np.asarray(values, dtype=np.float32)

    def predictions(self, axis: str = "self", input: int | None = None) -> tuple[Prediction, ...]:
        """What the model predicts on one axis: one `Prediction` for most models, two (start, end) for those that answer questions.

        Raises:
            NotRecordedError: none were recorded (record ``predictions``); the message says why.
        """
        return tuple(one for one in self._outputs_of(axis, input, "predictions") if isinstance(one, Prediction))

    def losses(self, axis: str = "self", input: int | None = None) -> FloatArray:
        """Loss per token in nats, float32 ``[tokens]``: of a decoder, at each token that of the next one; NaN where there is none.

        Raises:
            NotRecordedError: none was recorded (record ``predictions``; inputs of other models than decoders need labels).
        """
        return next(one.values for one in self._outputs_of(axis, input, "loss per token") if isinstance(one, Loss))

    def saliency(self, method: str, axis: str = "self", input: int | None = None) -> SaliencyMap:
        """How much each token had to do with the saliency target, by one method: ``.values`` is float32 ``[tokens]``.

        Args:
            method: ``gradient``, ``gradient_x_input`` or ``integrated_gradients``; see `attnlog.Saliency`.
            axis: of the input.
            input: number of the input.

        Raises:
            NotRecordedError: it was not recorded (record ``saliency``); the message says why.
        """
        found = [one for one in self._outputs_of(axis, input, "saliency") if isinstance(one, SaliencyMap)]
        for one in found:
            if one.method == method:
                return one
        raise NotRecordedError(f"saliency by {method!r} was not recorded; recorded: {', '.join(one.method for one in found)}")

    def all_states(self) -> Sequence[States]:
        """Hidden states of all inputs, axes and layers, with or without the states themselves at hand."""
        raise NotImplementedError

    def with_values(self, found: States) -> States:
        """Return what `all_states` gave with the states themselves, where they were recorded."""
        return found

    def all_outputs(self) -> Sequence[Output]:
        """Predictions, losses and saliency of all inputs."""
        raise NotImplementedError

    def _states_of(self, axis: str, input: int | None) -> list[States]:
        number = self._number(axis, input)
        found = [one for one in self.all_states() if (one.axis, one.input) == (axis, number)]
        if not found:
            raise NotRecordedError(f"hidden states of {axis} were not recorded{self._because(axis, None, 'hidden states')}")
        return found

    def _outputs_of(self, axis: str, input: int | None, what: str) -> list[Output]:
        number = self._number(axis, input)
        wanted = {"predictions": Prediction, "loss per token": Loss, "saliency": SaliencyMap}[what]
        found = [one for one in self.all_outputs() if (one.axis, one.input) == (axis, number) and isinstance(one, wanted)]
        if not found:
            verb = "was" if what != "predictions" else "were"
            raise NotRecordedError(f"{what} of {axis} {verb} not recorded{self._because(axis, None, what)}")
        return found

    def _number(self, axis: str, input: int | None) -> int:
        number = self.selected if input is None else input
        if not 0 <= number < len(self.inputs):
            raise NotRecordedError(f"there is no input {number}; inputs 0 to {len(self.inputs) - 1} were recorded")
        self.inputs[number].tokens(axis)
        return number

    def _because(self, kind: str, layer: int | None, what: str | None = None) -> str:
        raise NotImplementedError
