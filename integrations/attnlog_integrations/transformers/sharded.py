"""Models whose weights are spread over ranks: all of them run a capture's forward passes, and rank zero writes."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from attnlog_integrations.transformers.options import Options

if TYPE_CHECKING:
    from attnlog.capture.ranks import Alone
    from attnlog.record import Capture


def is_sharded(args: Any, model: Any) -> bool:
    """Say whether a forward pass needs all ranks at once: under FSDP, tensor parallelism and DeepSpeed ZeRO-3.

    The model itself tells: accelerate's launcher and a user's own `fully_shard` leave no trace in the arguments.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) < 2 or model is None:
        return False
    plugin = getattr(args, "hf_deepspeed_config", None)
    if bool(getattr(args, "fsdp", None)) or (plugin is not None and bool(plugin.is_zero3())):
        return True
    spread = any(
        "FSDP" in base.__name__ or base.__name__ == "FullyShardedDataParallel" for m in model.modules() for base in type(m).__mro__
    )
    return spread or any(type(parameter.data).__name__ == "DTensor" or hasattr(parameter, "ds_id") for parameter in model.parameters())


def captured(options: Options, model: Any, inputs: Any, tokenizer: Any, ranks: Alone | None = None) -> Capture:
    """Capture what the options ask for, alone or in step with other ranks."""
    from attnlog.capture.api import capture

    return capture(
        model,
        inputs,
        tokenizer=options.tokenizer if options.tokenizer is not None else tokenizer,
        layers=options.layers,
        heads=options.heads,
        record=options.record,
        precision=options.precision,
        dense_tokens=options.dense_tokens,
        max_tokens=options.max_tokens,
        saliency=options.saliency,
        ranks=ranks,
    )


class Shards:
    """What every rank of a sharded training keeps: which steps were recorded, and on which rows."""

    def __init__(self) -> None:
        from attnlog.capture.ranks import Ranks

        self.steps: set[int] = set()
        self.inputs: Any = None
        self._ranks = Ranks()

    def capture(self, options: Options, model: Any, tokenizer: Any, dataloader: Any, *, begin: Callable[[], object]) -> Capture:
        """Capture on all ranks, or raise on all of them; `begin` is what rank zero has to do before."""
        ranks = self._ranks
        ranks.begin()
        try:
            begin()
            if self.inputs is None:
                self.inputs = rows_of(options, model, dataloader)
            found = captured(options, model, self.inputs, tokenizer, ranks)
            ranks.stage(lambda: None)  # nobody fails behind the last pass unheard
        except Exception:
            ranks.withdraw()
            raise
        return found


def rows_of(options: Options, model: Any, dataloader: Any) -> Any:
    """Return the inputs that were given, or else the first rows of the evaluation set."""
    from attnlog.errors import InputError

    if options.inputs is not None:
        return options.inputs
    from attnlog_integrations.transformers.examples import first_rows

    if dataloader is None:
        raise InputError("no inputs were given and the Trainer has no evaluation set: give AttentionCallback the inputs to record")
    return first_rows(dataloader, model, count=options.examples, max_tokens=options.max_tokens)
