"""Ranks that hold parts of one model: all of them run every forward pass of a capture, or none does."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any, TypeVar

import torch

from attnlog.errors import AttnlogError

Result = TypeVar("Result")
WAIT = timedelta(seconds=120)  # that a rank waits for another which does not come


class RankError(AttnlogError):
    """Another rank could not take part in a capture, so none of them went on."""


class Alone:
    """One process holds the whole model."""

    def stage(self, work: Callable[[], Result]) -> Result:
        """Do a part of a capture."""
        return work()


class Ranks(Alone):
    """All ranks of a sharded model. Each part of a capture is done by all, and the next begins only when none has failed.

    A forward pass of a sharded model waits for every rank. So what fails on one is told to the others before the next pass, and a rank
    that does not come is waited for only so long.
    """

    def __init__(self) -> None:
        """Make a group of their own; every rank has to."""
        # On the CPU, whatever the training uses: what is exchanged is one number, and its waiting is bounded.
        self._group: Any = torch.distributed.new_group(backend="gloo", timeout=WAIT)
        self.gone = False  # a rank did not come: they are no longer in step
        self._told = False

    def begin(self) -> None:
        """Begin a capture."""
        self._told = False

    def stage(self, work: Callable[[], Result]) -> Result:
        """Do a part of a capture, and raise on every rank what one could not do.

        Raises:
            RankError: another rank failed.
        """
        try:
            result = work()
        except Exception:
            self.withdraw()
            raise
        self._agree(True)
        return result

    def withdraw(self) -> None:
        """Tell the others, if they are still waiting, that this rank goes no further."""
        if not self._told:
            self._told = True
            self._exchange(False)

    def _agree(self, well: bool) -> None:
        if not self._exchange(well):
            self._told = True
            raise RankError("another rank could not record this step: its own warning says why")

    def _exchange(self, well: bool) -> bool:
        if self.gone:
            raise RankError("the ranks are no longer in step, since one of them did not come to an earlier capture")
        flag = torch.tensor([int(well)])
        try:
            torch.distributed.all_reduce(flag, op=torch.distributed.ReduceOp.MIN, group=self._group)
        except RuntimeError as error:
            self.gone = True
            raise RankError(f"a rank did not come to a capture within {WAIT.seconds} seconds ({error})") from error
        return bool(flag.item())
