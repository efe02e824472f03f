"""Runs every check of the project one after another and ends with one line: how many passed and failed over all suites."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

BIN = Path(sys.executable).parent
# The theme advertises a fork of mkdocs on every build.
ENVIRONMENT = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
PYTEST = [sys.executable, "-m", "pytest", "-q"]
# Two files at a time: tests wait for disks, servers and browsers most of the while.
TWO = [*PYTEST, "-n", "2", "--dist", "loadfile"]


@dataclass(frozen=True)
class Check:
    """One check: how it is run, and how its count is read off its output (else it counts as one)."""

    name: str
    command: list[str]
    folder: str = "."
    count: str | None = None


CHECKS = [
    Check("lint", [str(BIN / "ruff"), "check", "-q", "."]),
    Check("format", [str(BIN / "ruff"), "format", "--check", "-q", "."]),
    Check("file lengths", [sys.executable, "scripts/lengths.py"]),
    Check("types (mypy)", [str(BIN / "mypy")]),
    Check("types (pyright)", [str(BIN / "pyright")]),
    Check("panels: types and lint", ["npm", "run", "--silent", "check"], "panels"),
    Check("panels: tests", ["npm", "test", "--silent"], "panels", "node"),
    Check("panels: bundle up to date", ["npm", "run", "--silent", "fresh"], "panels"),
    Check("documentation", [str(BIN / "mkdocs"), "build", "--strict", "-q"]),
    Check("unit tests", [*TWO, "tests/unit"], count="pytest"),
    Check("sample of the sweep", [*PYTEST, "tests/sweep"], count="pytest"),
    Check("hostile assets", [*PYTEST, "tests/hostile"], count="pytest"),
    Check("integration tests", [*TWO, "tests/integrations"], count="pytest"),
    Check("browser tests", [*TWO, "tests/browser", "tests/e2e"], count="pytest"),
    Check("built wheel", [*PYTEST, "tests/wheel"], count="pytest"),
]


def counts(check: Check, output: str, status: int) -> tuple[int, int, int]:
    """Read passed, failed and skipped off a check's output."""
    words = {"passed": 0, "failed": 0, "skipped": 0, "error": 0, "errors": 0}
    if check.count is not None:
        lines = [line for line in output.splitlines() if re.search(r"\d+ (passed|failed|errors?)", line)]
        for number, word in re.findall(r"(\d+) (passed|failed|skipped|errors?)", lines[-1] if lines else ""):
            words[word] = int(number)
    passed, failed = words["passed"], words["failed"] + words["error"] + words["errors"]
    if not passed and not failed:
        # A suite that says it ran nothing did not pass.
        return (1, 0, 0) if status == 0 and check.count is None else (0, 1, 0)
    return passed, failed or int(status != 0), words["skipped"]


def main() -> int:
    """Run them all, whatever fails, and say at the end what did."""
    total, bad = [0, 0, 0], []
    for check in CHECKS:
        print(f"== {check.name}", flush=True)
        started = time.monotonic()
        process = subprocess.Popen(
            check.command, cwd=check.folder, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
        )
        output = []
        assert process.stdout is not None
        for line in process.stdout:
            output.append(line)
            print(line, end="", flush=True)
        status = process.wait()
        found = counts(check, "".join(output), status)
        total = [a + b for a, b in zip(total, found, strict=True)]
        if found[1]:
            bad.append(check.name)
        print(f"   {'FAILED' if found[1] else 'ok'} ({time.monotonic() - started:.0f} s)", flush=True)
    if bad:
        print(f"failed: {', '.join(bad)}")
    skipped = f", {total[2]} skipped" if total[2] else ""
    print(f"{total[0]} passed, {total[1]} failed{skipped}")
    return int(bool(bad))


if __name__ == "__main__":
    sys.exit(main())
