"""Makes the tables of figures in the README and in docs/format.md from what the benches print: ``figures.py SIZE.json WRITE.json PAINT.json CAPTURE.json
DELIVERY.json STEPS.json``.

Any of them may be ``-``: its table stays as it is.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
Row = dict[str, Any]


def table(headings: list[str], rows: list[list[str]]) -> str:
    lines = ["| " + " | ".join(headings) + " |", "|" + "---|" * len(headings)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


def megabytes(size: int | None) -> str:
    return "–" if size is None else f"{size / 1e6:.2f} MB" if size < 1e7 else f"{size / 1e6:.1f} MB"


def sizes(size: list[Row]) -> str:
    rows = []
    for row in size:
        u8 = row["u8"]
        smaller = row.get("times smaller than bertviz")
        rows.append(
            [
                str(row["tokens"]),
                row["attention"],
                megabytes(u8["commit bytes"]),
                "–" if smaller is None else f"{smaller:.0f}×",
                f"{row['times smaller than safetensors']:.1f}×",
                f"{u8['worst error']:.1e} / {u8['mean error']:.1e}",
            ]
        )
    said = (
        "A whole commit on disk (weights, index, pictures, inputs; no vectors) beside BertViz's head-view HTML and the same weights as float16 safetensors. "
        "Attention of the demo's trained model (24 heads), and of 144 heads that are peaked, flat, and mixed."
    )
    headings = ["tokens", "attention", "commit", "smaller than BertViz", "smaller than safetensors", "worst / mean error of a weight"]
    return f"{said}\n\n{table(headings, rows)}"


def writes(found: Row) -> str:
    write, opened = found["write"], found["open"]
    return (
        f"Writing 144 heads of 128 tokens to disk, sync and manifest included, takes {1000 * write['commit seconds, u8 capture']:.0f} ms where BertViz makes its HTML of them in "
        f"{write['bertviz html seconds']:.1f} s: **{write['times sooner, u8 capture']:.0f}×** sooner "
        f"({write['times sooner, f32 capture']:.0f}× from float32 weights, which the callback never hands over). "
        f"Opening one layer of twelve at 512 tokens reads {100 * opened['part of the asset, median']:.0f} % of the asset's bytes."
    )


def paints(found: Row) -> str:
    rows = []
    for row in found["paint"]:
        cells = [str(row["tokens"])]
        for view in ("head", "model"):
            seconds, times = row["seconds"], row[f"{view} view times sooner"]
            cells.append(f"{seconds[f'bertviz {view}']:.1f} s → {seconds[f'attnlog {view}']:.2f} s, **{times:.1f}×** sooner")
        elements = row["elements"]
        cells.append(f"{elements['bertviz model']:,.0f} → {elements['attnlog model']:,.0f}")
        rows.append(cells)
    said = (
        "12 × 12 heads, one HTML file opened in the same Chromium without a GPU, from the start of navigation to the finished picture, "
        f"medians of alternating runs on {found['machine']['cores']} cores that others used too (load {found['machine']['load'][0]:.0f}):"
    )
    headings = ["tokens", "head view, BertViz → attnlog", "model view, BertViz → attnlog", "elements, model view"]
    parts = [said, table(headings, rows), "attnlog alone; above 512 tokens weights are stored sparse:", table(*longer(found["alone"]))]
    return "\n\n".join([*parts, goals(found["goals"])])


def longer(alone: list[Row]) -> tuple[list[str], list[list[str]]]:
    headings = ["tokens", "head view", "model view", "elements", "JavaScript heap, arrays aside", "HTML file"]
    rows = [
        [
            str(row["tokens"]),
            *(f"{row['seconds'][view]:.2f} s" for view in ("head", "model")),
            f"{row['elements']:,.0f}",
            f"{row['heap']:.0f} MB",
            f"{row['megabytes']:.1f} MB",
        ]
        for row in alone
    ]
    return headings, rows


def goals(found: list[Row]) -> str:
    """What was measured beside what is asked for, met or not."""
    known = [row for row in found if row["found"] is not None]
    rows = [[row["what"], f"{row['found']:g}", f"≤ {row['goal']:g}", "yes" if row["met"] else "**no**"] for row in known]
    return "What the viewer is held to, ratios of medians unless a unit is named:\n\n" + table(["what", "measured", "goal", "met"], rows)


def precisions(found: Row) -> str:
    weights = [
        [
            row["attention"],
            str(row["tokens"]),
            *[f"{row[p]['bytes per weight']:.2f}, {row[p]['worst error']:.1e} / {row[p]['mean error']:.1e}" for p in ("u8", "f16", "f32")],
        ]
        for row in found["size"]
    ]
    vectors = []
    for row in found["vectors"]:
        cells = [str(row["tokens"])]
        for precision in ("f16", "i8", "f32"):
            one = row[precision]
            worst, mean = one["worst error of a recomputed weight"], one["mean error of a recomputed weight"]
            cells.append(f"{one['bytes per element']:.2f}, {worst:.1e} / {mean:.1e}")
        vectors.append(cells)
    long = [
        [str(r["tokens"]), megabytes(r["commit bytes"]), f"{r['bytes per weight']:.3f}", f"{100 * r['mean mass left out']:.1f} %"]
        for r in found["long"]
    ]
    return "\n\n".join(
        [
            "Weights: bytes per weight on disk, worst / mean error of a weight.",
            table(["attention", "tokens", "`u8`", "`f16`", "`f32`"], weights),
            "Queries and keys of the demo's model: bytes per element on disk, worst / mean error of a weight that is recomputed from them.",
            table(["tokens", "`f16`", "`i8`", "`f32`"], vectors),
            "`sparse`, the demo's model: bytes of a commit of 24 heads without vectors, bytes per weight of the whole matrix, mean mass left out.",
            table(["tokens", "commit", "bytes per weight", "left out"], long),
        ]
    )


def captures(capture: Row) -> str:
    rows = [
        [
            tokens,
            *(f"{row[f'{mode}_to_plain']:.2f}×" for mode in ("vectors", "weights", "all", "eager")),
            f"{row['eager_to_weights']:.1f}×",
        ]
        for tokens, row in capture["time"].items()
    ]
    (tokens, memory), *_ = capture["memory"].items()
    return "\n\n".join(
        [
            "Time of a forward pass with a capture, as a ratio to the plain forward pass (sdpa) of the same model, beside eager attention with "
            f"`output_attentions`: DistilBERT's shape (6 layers, 12 heads, width 768), one input, {capture['threads']} threads, medians of "
            "the ratios within each turn of one run, on a shared machine. Weights are checked and in 8 bits; everything is weights, queries, keys, head metrics and pictures.",
            table(["tokens", "queries and keys", "weights", "everything", "eager", "weights sooner than eager"], rows),
            f"Peak memory above the plain forward pass at {tokens} tokens: {memory['weights_mb']:.0f} MB for weights, {memory['eager_mb']:.0f} MB for eager: "
            f"{memory['eager_to_weights']:.1f}× less.",
        ]
    )


def deliveries(found: Row) -> str:
    waits, steps = found["seconds in Run.log"], found["seconds of a logged step, capture included"]
    rows = [[name, f"{1000 * waits[name]:.2f} ms", f"{1000 * steps[name]:.1f} ms"] for name in ("alive", "dead", "hanging")]
    return "\n\n".join(
        [
            f"What a logged step makes a training wait for delivery, and the step with its capture (a tiny model, two inputs), medians of {found['steps']} steps with an MLflow server "
            "that is alive, dead, or takes connections and never answers, in turns of one run:",
            table(["server", "wait for delivery", "capture and log"], rows),
            f"Dead beside alive: {found['dead beside alive']:.2f}× the wait; hanging beside alive: {found['hanging beside alive']:.2f}×.",
        ]
    )


def held(found: Row) -> str:
    first, last, grown = found["on the way"][0], found["on the way"][-1], found["from a third to the end"]
    return (
        f"Over {found['steps']:,} tiny steps to a run folder and a local MLflow (`make soak`): {first['megabytes']:.0f} MB at step {first['step']:,}, {last['megabytes']:.0f} MB at the end "
        f"({grown['megabytes']:+.0f} MB over the last two thirds), {last['threads']:.0f} threads and {last['open files']:.0f} open files ({grown['threads']:+.0f}, {grown['open files']:+.0f})."
    )


def fill(page: Path, name: str, text: str) -> None:
    begin, end = f"<!-- {name}: bench/figures.py -->", f"<!-- end of {name} -->"
    known = page.read_text(encoding="utf-8")
    made, found = re.subn(f"{re.escape(begin)}.*?{re.escape(end)}", lambda _: f"{begin}\n{text}\n{end}", known, flags=re.DOTALL)
    if found != 1:
        sys.exit(f"{page.name} has no block from {begin} to {end}")
    page.write_text(made, encoding="utf-8")


def main() -> None:
    given = [*sys.argv[1:7], *"------"][:6]
    size, write, paint, capture, delivery, steps = (None if name == "-" else json.loads(Path(name).read_text()) for name in given)
    readme = ROOT / "README.md"
    if size is not None:
        fill(readme, "sizes", sizes(size["size"]))
        fill(ROOT / "docs" / "format.md", "precisions", precisions(size))
    if write is not None:
        fill(readme, "writing", writes(write))
    if paint is not None:
        fill(readme, "painting", paints(paint))
    if capture is not None:
        fill(ROOT / "docs" / "guides" / "capture.md", "capturing", captures(capture["capture"]))
    if delivery is not None:
        fill(readme, "delivery", deliveries(delivery))
    if steps is not None:
        fill(readme, "soak", held(steps))


if __name__ == "__main__":
    main()
