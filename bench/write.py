"""How long a capture of 144 heads and 128 tokens takes to the disk, sync and manifest included, beside BertViz making its head-view
HTML of the same tensors in memory; and how many bytes of a 512-token asset are read to open one layer. Prints JSON.

The capture is one as `AttentionCallback` hands it over, its weights in 8 bits already (they are quantised where they are computed); a
capture in float32, which is quantised while it is written, stands beside it.
"""

from __future__ import annotations

import gc
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

import torch
from bertviz import head_view

import attnlog
from attnlog.format.write import write_assets
from attnlog.store.folder import Writer
from attnlog.store.open import open_run

sys.path.insert(0, str(Path(__file__).parent))
from tensors import attentions, names

TURNS = 7


class Counted:
    """A source that adds up what is read of each file."""

    def __init__(self, inner):
        self.inner, self.place, self.read = inner, inner.place, {}

    def list(self, **how):
        return self.inner.list(**how)

    def get(self, path, range=None):
        data = self.inner.get(path, range)
        self.read[path] = self.read.get(path, 0) + len(data)
        return data

    def close(self):
        self.inner.close()


def writing(folder: Path) -> dict[str, float]:
    weights, words = attentions(128), names(128)
    tensors = tuple(torch.tensor(w)[None] for w in weights)
    captures = {precision: attnlog.from_tensors(weights, words, precision=precision) for precision in ("u8", "f32")}
    writer = Writer(folder)
    theirs: list[float] = []
    ours: dict[str, list[float]] = {precision: [] for precision in captures}
    for turn in range(TURNS):
        started = time.perf_counter()
        head_view(tensors, words, html_action="return")
        theirs.append(time.perf_counter() - started)
        gc.collect()  # BertViz's page of 108 MB is not ours to clear away
        for precision, capture in [*captures.items()] * 3:
            started = time.perf_counter()
            writer.commit(write_assets(capture), step=turn)
            ours[precision].append(time.perf_counter() - started)
    page = statistics.median(theirs)
    found = {"bertviz html seconds": page}
    for precision, seconds in ours.items():
        commit = statistics.median(seconds)
        found |= {f"commit seconds, {precision} capture": commit, f"times sooner, {precision} capture": round(page / commit, 1)}
    return found


def opening(folder: Path) -> dict[str, float]:
    capture = attnlog.from_tensors(attentions(512), names(512))
    Writer(folder).commit(write_assets(capture), step=0)
    source = Counted(open_run(folder).source)
    (record,) = (a for a in open_run(source).commit(0).assets if a.kind == "attention")
    read = []
    for layer in range(12):
        source.read.clear()
        open_run(source).read(0).weights("self", layer)
        read.append(source.read[record.path])
    return {
        "asset bytes": record.bytes,
        "bytes read for one layer, median": statistics.median(read),
        "part of the asset, median": round(statistics.median(read) / record.bytes, 4),
        "part of the asset, largest layer": round(max(read) / record.bytes, 4),
    }


def main() -> None:
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        print(json.dumps({"write": writing(Path(folder) / "write"), "open": opening(Path(folder) / "open")}, indent=2))


if __name__ == "__main__":
    main()
