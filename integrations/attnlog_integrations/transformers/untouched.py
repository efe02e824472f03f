"""The last line of defence around an event: random states and modes are put back even when something of ours draws or dies."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def untouched(model: Any) -> Iterator[None]:
    """Restore Python's, numpy's and torch's random states and every module's mode after the body, however it ends.

    A capture restores them itself; this is for whatever else runs on the training thread: data sets and collators that draw,
    trackers that make up a run's name, parts that fail half way.
    """
    import numpy as np
    import torch

    modes = [(module, module.training) for module in model.modules()] if hasattr(model, "modules") else []
    python, numpy, cpu = random.getstate(), np.random.get_state(legacy=False), torch.get_rng_state()
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else None
    grad = torch.is_grad_enabled()
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)
        torch.set_rng_state(cpu)
        if cuda is not None:
            torch.cuda.set_rng_state_all(cuda)
        if torch.is_grad_enabled() != grad:
            torch.set_grad_enabled(grad)
        for module, training in modes:
            if module.training != training:
                module.training = training
