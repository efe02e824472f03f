"""The tracker that is always there: the run folder itself, which needs no copy."""

from __future__ import annotations

import shlex
from pathlib import Path

from attnlog.delivery.tracker import Entry


class LocalTracker:
    """Keeps the run where it was written; what is delivered elsewhere is a copy of it."""

    name = "local"

    def __init__(self, directory: Path) -> None:
        self.directory = Path(directory)

    def put(self, entry: Entry, file: Path) -> None:
        """Nothing to do but to look: the file is written in the run folder already."""
        if not file.is_file():
            raise FileNotFoundError(f"{entry.path} is no longer in {self.directory}")

    def refresh(self, run: Path) -> None:
        """Nothing is derived from a run on disk; viewers read it as it is."""

    def where(self) -> str | None:
        """Say the command that shows the run."""
        return f"attnlog view {shlex.quote(str(self.directory))}"

    def close(self) -> None:
        """Nothing is held."""
