"""Fails when a source file is longer than 500 lines: a file has one reason to exist."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

LONGEST = 500


def main() -> int:
    """Print every file that is too long; return 1 if there is one."""
    names = subprocess.run(["git", "ls-files", "*.py", "*.ts", "*.css", "*.mjs"], capture_output=True, text=True, check=True).stdout.split()
    too_long = 0
    for name in names:
        path = Path(name)
        if path.is_file() and "static" not in path.parts:
            lines = len(path.read_text(encoding="utf-8").splitlines())
            if lines > LONGEST:
                print(f"{name}: {lines} lines, at most {LONGEST}")
                too_long = 1
    return too_long


if __name__ == "__main__":
    sys.exit(main())
