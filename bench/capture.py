"""What capture costs: time and peak memory beside the plain forward pass and beside eager attention with `output_attentions`.

A DistilBERT of 6 layers, 12 heads and width 768 with random weights, one input, in turns: plain, vectors only, weights (in 8 bits), all of
it (weights, vectors, head metrics, pictures), eager. Times are medians of the ratios within each turn. Memory is the peak of a process of its own above
that of one that runs the plain forward. Prints JSON; `--tokens 128,512` chooses lengths, `--turns 5` how often.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import json
import re
import statistics
import subprocess
import sys
import time
from pathlib import Path

import torch
from transformers import DistilBertConfig, DistilBertModel

import attnlog
from attnlog.format.pictures import pictures_of

MODES = ("plain", "vectors", "weights", "all", "eager")
MEMORY_AT = 1024


def built(implementation: str, tokens: int) -> DistilBertModel:
    torch.manual_seed(0)
    config = DistilBertConfig(vocab_size=1000, max_position_embeddings=max(512, tokens), attn_implementation=implementation)
    return DistilBertModel(config).eval()


def runner(mode: str, model: DistilBertModel, ids: torch.Tensor):
    def plain():
        with torch.no_grad():
            return model(input_ids=ids)

    def eager():
        with torch.no_grad():
            return model(input_ids=ids, output_attentions=True)

    def captured(**how):
        return lambda: attnlog.capture(model, {"input_ids": ids}, precision="u8", **how)

    return {
        "plain": plain,
        "eager": eager,
        "vectors": captured(record=("vectors",), metrics=False),
        "weights": captured(record=("attention",), metrics=False),
        "all": lambda: [pictures_of(layer.weights) for layer in captured(record=("attention", "vectors"))().layers],
    }[mode]


def times(tokens: int, turns: int) -> dict[str, float]:
    models = {"sdpa": built("sdpa", tokens), "eager": built("eager", tokens)}
    ids = torch.randint(5, 1000, (1, tokens), generator=torch.Generator().manual_seed(1))
    run = {mode: runner(mode, models["eager" if mode == "eager" else "sdpa"], ids) for mode in MODES}
    taken: dict[str, list[float]] = {mode: [] for mode in MODES}
    for turn in range(turns + 1):
        for mode in MODES:
            gc.collect()
            started = time.perf_counter()
            result = run[mode]()
            if turn:  # the first is to warm up
                taken[mode].append(time.perf_counter() - started)
            del result

    def ratio(mode: str, to: str) -> float:
        # Within a turn: what else the machine does changes from one to the next.
        return statistics.median(one / other for one, other in zip(taken[mode], taken[to], strict=True))

    return {
        "plain_s": statistics.median(taken["plain"]),
        **{f"{mode}_to_plain": ratio(mode, "plain") for mode in MODES[1:]},
        "eager_to_weights": ratio("eager", "weights"),
    }


def peak(mode: str, tokens: int) -> float:
    """Return the peak of this process's memory in MB, the plain forward run before in any case."""
    model = built("eager" if mode == "eager" else "sdpa", tokens)
    ids = torch.randint(5, 1000, (1, tokens), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        model(input_ids=ids[:, :16])
    with contextlib.suppress(Exception):  # what is imported at the first capture is not what a capture takes
        attnlog.capture(model, {"input_ids": ids[:, :16]}, precision="u8")
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5")  # the peak counts from here on
    result = runner(mode, model, ids)()
    assert result is not None
    return int(re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[1]) / 1000


def memory(tokens: int) -> dict[str, float]:
    peaks = {}
    for mode in MODES:
        line = subprocess.run(
            [sys.executable, __file__, "--peak", mode, "--tokens", str(tokens)], capture_output=True, text=True, check=True
        )
        peaks[mode] = float(line.stdout)
    above = {mode: peaks[mode] - peaks["plain"] for mode in MODES[1:]}
    return {**{f"{mode}_mb": value for mode, value in above.items()}, "eager_to_weights": above["eager"] / max(above["weights"], 1.0)}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--tokens", default="128,512,1024,2048")
    parser.add_argument("--turns", type=int, default=7)
    parser.add_argument("--peak", choices=MODES)
    given = parser.parse_args()
    lengths = [int(n) for n in given.tokens.split(",")]
    if given.peak:
        print(peak(given.peak, lengths[0]))
        return
    found = {"threads": torch.get_num_threads(), "time": {str(n): times(n, given.turns) for n in lengths}}
    found["memory"] = {str(MEMORY_AT): memory(MEMORY_AT)}
    print(json.dumps({"capture": found}, indent=1))


if __name__ == "__main__":
    main()
