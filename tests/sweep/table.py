"""Tells a sweep's results as a table, and writes it into docs/architectures.md: ``python -m tests.sweep.table RESULTS.json``."""

from __future__ import annotations

import json
import re
import sys
from collections import Counter
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
PAGE, README = ROOT / "docs" / "architectures.md", ROOT / "README.md"
SORTS = ("plain", "tower", "folded")
CATEGORIES = ("text", "vision", "audio", "multimodal", "other")
TAPS = ("interface", "function", "identity", "model")
LINES = {"plain": 0.95, "tower": 0.60, "vectors": 0.85}  # parts that must come out exact
Row = dict[str, Any]


def units(results: list[Row]) -> list[tuple[Row, str, Row]]:
    """Return every sort of attention of every model that has a reference."""
    return [(result, sort, result["sorts"][sort]) for result in results for sort in SORTS if sort in result["sorts"]]


def shares(results: list[Row]) -> dict[str, tuple[int, int]]:
    """Return how many came out exact, of how many: weights of text, of towers and windows, and q and k."""
    found = units(results)
    plain = [one for _, sort, one in found if sort == "plain"]
    rest = [one for _, sort, one in found if sort != "plain"]
    models = [r for r in results if r["sorts"]]
    return {
        "plain": (sum(one["outcome"] == "exact" for one in plain), len(plain)),
        "tower": (sum(one["outcome"] == "exact" for one in rest), len(rest)),
        "vectors": (sum(one["vectors"] == "exact" for one in plain), len(plain)),
        "tower vectors": (sum(one["vectors"] == "exact" for one in rest), len(rest)),
        "models": (sum(all(one["outcome"] == "exact" for one in r["sorts"].values()) for r in models), len(models)),
    }


def table(results: list[Row]) -> str:
    """Return the table by category, tap and outcome, the shares, and the rest by name with the sentence that a user sees."""
    counts: dict[tuple[str, str], Counter[str]] = {}
    for result, sort, one in units(results):
        tap = "+".join(one["taps"]) if one["taps"] else "–"
        counts.setdefault((result["category"], sort), Counter())[f"{one['outcome']} by {tap}" if one["taps"] else one["outcome"]] += 1
    columns = sorted({column for row in counts.values() for column in row}, key=lambda c: (not c.startswith("exact"), c))
    lines = [_row(["inputs", "attention", *columns]), "|---|---|" + "---:|" * len(columns)]
    for category in CATEGORIES:
        for sort in SORTS:
            if (category, sort) in counts:
                lines.append(_row([category, sort, *[str(counts[category, sort][c] or "") for c in columns]]))
    quiet: dict[str, list[str]] = {}
    for result in results:
        if not result["sorts"] and result["reason"]:
            quiet.setdefault(result["reason"].split(":")[0], []).append(f"`{result['name']}`")
    lines += ["", *(f"- {reason} ({len(names)}): {', '.join(names)}" for reason, names in quiet.items())]
    for name, (good, whole) in shares(results).items():
        if whole:
            lines.append(f"- {NAMED[name]}: {good} of {whole}, {100 * good / whole:.1f} %")
    return "\n".join([*lines, "", *rest(results)])


NAMED = {
    "plain": "weights between tokens exact",
    "tower": "weights of towers, windows and other positions exact",
    "vectors": "queries and keys between tokens",
    "tower vectors": "queries and keys of the others",
    "models": "models with every weight exact",
}


def rest(results: list[Row]) -> list[str]:
    """Name every model of which something is not exact, with what is said of it."""
    lines = []
    for result, sort, one in units(results):
        if one["outcome"] != "exact" or one["vectors"] != "exact":
            vectors = "" if one["outcome"] != "exact" else f" (weights exact, q and k {one['vectors']})"
            lines.append(f"- `{result['name']}`, {sort}: {one['outcome']}{vectors}: {one['said'] or result['said'] or one['where']}")
    lines += [f"- `{r['name']}`: crash: {r['crash']}" for r in results if r["crash"] and not r["sorts"]]
    return lines


def failures(results: list[Row], *, whole: bool) -> list[str]:
    """Return what must not be: crashes, wrong numbers, changed outputs or state, and shares below their lines."""
    lines = []
    for result in results:
        lines += [f"CRASH {result['name']}: {result['crash']}"] if result["crash"] else []
        lines += [
            f"WRONG {result['name']}, {s}: {o['said']} at {o['where']}" for s, o in result["sorts"].items() if o["outcome"] == "wrong"
        ]
        lines += [f"WRONG {result['name']}, {s}: q and k" for s, o in result["sorts"].items() if o["vectors"] == "wrong"]
        lines += [f"HARM {result['name']}: {harm}" for harm in result["harm"]]
    if whole:
        found = shares(results)
        for name, line in LINES.items():
            good, count = found[name]
            if good < line * count:
                lines.append(f"BELOW {NAMED[name]}: {good} of {count}, the line is {100 * line:.0f} %")
    return lines


def _row(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def summary(results: list[Row]) -> str:
    """Return what the README says of it."""
    found = {name: f"{good} of {count} ({100 * good / count:.1f} %)" for name, (good, count) in shares(results).items() if count}
    return (
        f"Of {len(results)} model types, built tiny with random weights (`make sweep`), attention between tokens of text equals that of an "
        f"eager copy within 1e-5 in {found['plain']}, attention of towers, windows and other positions in {found['tower']}; "
        f"queries and keys are right in {found['vectors']}. Outputs are the same bits with a capture as without, in all of them. "
        "The rest is named in [architectures](docs/architectures.md) with the sentence that a user sees."
    )


def fill(page_at: Path, text: str) -> None:
    """Put a text between its marks."""
    begin, end = "<!-- sweep: tests/sweep/table.py -->", "<!-- end of sweep -->"
    page = page_at.read_text(encoding="utf-8")
    made, found = re.subn(f"{re.escape(begin)}.*?{re.escape(end)}", lambda _: f"{begin}\n{text}\n{end}", page, flags=re.DOTALL)
    if found != 1:
        sys.exit(f"{page_at.name} has no block from {begin} to {end}")
    page_at.write_text(made, encoding="utf-8")


if __name__ == "__main__":
    read = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    fill(PAGE, table(read))
    fill(README, summary(read))
