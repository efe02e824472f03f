"""What Comet's client was handed and Comet may not have yet: the client uploads by itself, and gives up without telling anybody."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from attnlog.delivery.tracker import Entry
from attnlog.errors import RunNotFoundError, TrackerError
from attnlog_integrations.comet.experiments import Experiment
from attnlog_integrations.comet.source import UnreadableError

#: Hands one file to the client once more, in the place of whatever Comet has of its name.
Hand = Callable[[Entry, bytes], object]

#: Manifests after which a file that was handed over again is no longer looked for a second time.
LOOKS = 5


@dataclass
class _One:
    entry: Entry
    file: Path
    data: bytes | None  # of a manifest, whose file is a copy that is gone by the time it is asked for
    sizes: Mapping[str, int]  # path in Comet → bytes, of the asset and of its copy as text
    since: int  # how many files had arrived when it was handed over
    again: int = 0  # how often it was handed over again
    aside: bool = False  # its own fault: it arrives some other day, and nothing waits for it


class Handed:
    """Remembers what was handed over until Comet has it, and hands over again what got lost on the way."""

    def __init__(self, experiment: Experiment, hand: Hand) -> None:
        self._experiment, self._hand = experiment, hand
        self._given: dict[str, _One] = {}
        self._twice: dict[str, int] = {}  # path in Comet that was handed over more than once → how often it was looked at since
        self._arrived = 0
        self._readable = False
        self.refused = False  # Comet did not take what was handed over before, so that more would only wait with it

    @property
    def paths(self) -> Collection[str]:
        """What has not arrived, as far as anybody knows."""
        return self._given.keys()

    def add(self, entry: Entry, file: Path, data: bytes, sizes: Mapping[str, int]) -> None:
        """Remember what was handed over."""
        self._given[entry.path] = _One(entry, file, data if entry.kind == "manifest" else None, sizes, self._arrived)

    def settle(self) -> None:
        """Wait until the client is through, ask Comet what it has, and hand over once more what it has not.

        Where nobody may read what is written, as in an anonymous experiment, the client's word counts.

        Raises:
            TrackerError: Comet has not taken all of it, or cannot be asked.
        """
        self.refused = bool(self._given)
        if not self._given:
            return
        self._experiment.arrive()
        self._look()
        if late := self._late():
            # One first, each time another: a Comet that is down is not sent everything at every try.
            probe = min(late, key=lambda one: (one.again, one.entry.bytes))
            self._again([probe])
            if probe.entry.path not in self._given:
                self._again(self._late())
        for one in self._late():
            # Comet takes others: better one gap than a manifest that waits for it for ever.
            one.aside = one.again > 1 and self._arrived > one.since
        if late := self._late():
            files = "1 file" if len(late) == 1 else f"{len(late)} files"
            raise TrackerError(
                f"Comet has not taken {files} that its client was handed ({late[0].entry.path} for one); the client's own log says why"
            )
        self.refused = False
        if self._twice:  # a client that has found the line again uploads what it kept meanwhile, too, in no order
            self._experiment.once(self._twice)
            self._twice = {path: looks + 1 for path, looks in self._twice.items() if looks + 1 < LOOKS}

    def _late(self) -> list[_One]:
        return [one for one in self._given.values() if not one.aside]

    def _again(self, late: Iterable[_One]) -> None:
        for one in late:
            if one.data is None and not one.file.is_file():
                one.aside = True  # no longer in the run folder
                continue
            one.again += 1
            self._twice |= dict.fromkeys(one.sizes, 0)
            self._hand(one.entry, one.file.read_bytes() if one.data is None else one.data)
        self._experiment.arrive()
        self._look()

    def _look(self) -> None:
        """Forget what is there."""
        try:
            there = self._experiment.holds()
        except (UnreadableError, RunNotFoundError):
            if self._readable:  # it could be read before: a key that was revoked, or something in between, is no arrival
                raise
            there = None
        if there is None:
            self._given.clear()
            return
        self._readable = True
        for path, one in list(self._given.items()):
            if all(there.get(name) == size for name, size in one.sizes.items()):
                del self._given[path]
                self._arrived += 1
