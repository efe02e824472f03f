"""Forward passes of a model while the taps look on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch

from attnlog.capture.call import Call
from attnlog.capture.functions import FunctionTap
from attnlog.capture.inputs import Batch, accepted_by
from attnlog.capture.interface import interface_tap
from attnlog.capture.recorder import Recorder
from attnlog.capture.rerun import returned_by
from attnlog.errors import AttnlogError


@contextmanager
def taps(
    recorder: Recorder, seen: Callable[[Call], None] | None = None, failed: Callable[[Exception], None] | None = None
) -> Iterator[None]:
    """Let a recorder, or another that `seen` calls, see every attention that this thread computes while inside.

    `failed` gets what goes wrong in following tensors; by default the recorder notes it, and the forward pass goes on.
    """
    see = seen or recorder.see
    with (
        interface_tap(see),
        FunctionTap(
            see, recorder.numbers.paths, lambda: recorder.rows, recorder.origins, failed or recorder.failed, recorder.doubt, recorder.tell
        ),
    ):
        yield


def fill_in(model: torch.nn.Module, recorder: Recorder, given: Sequence[Batch]) -> None:
    """Fill in what no tap recorded with what the model returns when it attends eagerly."""
    for batch in given:
        recorder.begin(batch)
        try:
            for one in returned_by(model, batch):
                recorder.take(model, one)
        except AttnlogError:
            raise
        except Exception as error:
            # Some models cannot run eagerly, or not with this argument: what the taps recorded stands.
            recorder.take(model, f"the model fails with output_attentions=True ({type(error).__name__}: {error})")
        recorder.end()


def quiet(model: torch.nn.Module) -> dict[str, object]:
    """Keep the model from building a cache, which costs memory and is of no use here."""
    return {"use_cache": False} if "use_cache" in accepted_by(model) else {}
