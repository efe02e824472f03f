"""What attnlog says reaches a person who configured nothing, and the logging of one who did."""

from __future__ import annotations

import subprocess
import sys

import pytest

SAY = "from attnlog.say import say; say('about 6 MB a step')"


@pytest.mark.parametrize(
    ("before", "said"),
    [
        ("", "attnlog: about 6 MB a step\n"),
        ("import logging; logging.basicConfig(level=logging.INFO, format='mine %(message)s'); ", "mine about 6 MB a step\n"),
        ("import logging; logging.getLogger('attnlog').setLevel(logging.WARNING); ", ""),
    ],
    ids=["nothing configured", "configured", "silenced"],
)
def test_it_is_said_once(before, said):
    assert subprocess.run([sys.executable, "-c", before + SAY], capture_output=True, text=True, check=True).stderr == said
