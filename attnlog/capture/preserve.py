"""Whatever a capture's forward pass could disturb in a training is put back: modes, random numbers, gradients."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import numpy as np
import torch


@contextmanager
def preserved(model: torch.nn.Module) -> Iterator[None]:
    """Run the body in eval mode without gradients, then restore every module's mode and every random state.

    Restores also when the body raises. Gradients are not touched: nothing in the body is recorded for backward.
    """
    modes = [(module, module.training) for module in model.modules()]
    states = random.getstate(), np.random.get_state(legacy=False), torch.get_rng_state()
    devices = sorted({p.device for p in model.parameters() if p.device.type == "cuda"}, key=str)
    on_devices = [(device, torch.cuda.get_rng_state(device)) for device in devices]
    with ExitStack() as stack:

        def restore() -> None:
            for module, training in modes:
                module.training = training
            random.setstate(states[0])
            np.random.set_state(states[1])
            torch.set_rng_state(states[2])
            for device, state in on_devices:
                torch.cuda.set_rng_state(state, device)

        stack.callback(restore)
        model.eval()
        stack.enter_context(torch.no_grad())
        yield
