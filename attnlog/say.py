"""What attnlog has to say to a person: through logging where it is configured, else plainly on standard error."""

from __future__ import annotations

import logging
import sys
from contextlib import suppress


class _WhereNobodyListens(logging.Handler):
    """Writes to standard error, as it is at that moment, only while the program has configured no logging of its own."""

    def emit(self, record: logging.LogRecord) -> None:
        if not logging.getLogger().handlers and sys.stderr is not None:
            with suppress(OSError, ValueError):  # it is closed
                print(self.format(record), file=sys.stderr, flush=True)


def say(message: str) -> None:
    """Say one line, at level INFO of the logger ``attnlog``."""
    logger = logging.getLogger("attnlog")
    if not logger.handlers:
        handler = _WhereNobodyListens()
        handler.setFormatter(logging.Formatter("attnlog: %(message)s"))
        logger.addHandler(handler)
        if logger.level == logging.NOTSET:
            logger.setLevel(logging.INFO)
    logger.info(message)
