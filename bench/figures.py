"""Makes the table of figures in the README from what `size.py` and `paint.py` print: ``figures.py SIZE.json PAINT.json``."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

README = Path(__file__).parent.parent / "README.md"
BEGIN, END = "<!-- figures: bench/figures.py -->", "<!-- end of figures -->"


def table(size: list[dict], paint: list[dict]) -> str:
    drawn = {row["tokens"]: row for row in paint}
    lines = [
        "12 × 12 heads, the same tensors for both tools, vectors left out; one HTML file opened in the same Chromium without a GPU, "
        "from the start of navigation to the finished picture, medians of alternating runs on two shared cores. `make bench` measures them again.",
        "",
        "| tokens | BertViz head view | attnlog commit | smaller | worst / mean error of a weight | head view, BertViz → attnlog | model view, BertViz → attnlog |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in size:
        tokens = row["tokens"]
        cells = [
            str(tokens),
            f"{row['bertviz head view bytes'] / 1e6:.1f} MB",
            f"{row['commit bytes'] / 1e6:.2f} MB",
            f"{row['times smaller']:.0f}×",
            f"{row['worst error']:.1e} / {row['mean error']:.1e}",
        ]
        for view in ("head", "model"):
            seconds, times = drawn[tokens]["seconds"], drawn[tokens][f"{view} view times sooner"]
            cells.append(f"{seconds[f'bertviz {view}']:.1f} s → {seconds[f'attnlog {view}']:.2f} s, **{times:.1f}×** sooner")
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    size, paint = (json.loads(Path(name).read_text()) for name in sys.argv[1:3])
    text = README.read_text(encoding="utf-8")
    block = f"{BEGIN}\n{table(size['size'], paint['paint'])}\n{END}"
    text, found = re.subn(f"{re.escape(BEGIN)}.*?{re.escape(END)}", lambda _: block, text, flags=re.DOTALL)
    if found != 1:
        sys.exit(f"README.md has no block from {BEGIN} to {END}")
    README.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
