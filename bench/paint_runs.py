"""Pages and runs that ``paint.py`` opens: the same tensors for both tools, long inputs of ours alone, many steps of several inputs."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import uvicorn
from tensors import attentions, names

import attnlog
from attnlog.format.write import write_assets
from attnlog.record import Axis, Capture, Input, Sparse, to_codes
from attnlog.sparse import DENSE_TOKENS
from attnlog.store.folder import Writer
from attnlog.view.server import application, listen

KEPT = 64
CELLS = 256


def bertviz_pages(tokens: int, folder: Path) -> dict[str, Path]:
    """Make BertViz's head view and model view of the tensors, each one HTML file."""
    import torch
    from bertviz import head_view, model_view

    tensors = tuple(torch.tensor(w)[None] for w in attentions(tokens))
    require = '<script src="https://cdnjs.cloudflare.com/ajax/libs/require.js/2.3.6/require.min.js"></script>'
    made = {}
    for view, make in (("head", head_view), ("model", model_view)):
        html = make(tensors, names(tokens), html_action="return").data
        html = html if "require.min.js" in html else require + html
        made[view] = folder / f"bertviz-{view}.html"
        made[view].write_text(f"<!doctype html><meta charset=utf-8>{html}")
    return made


def our_run(tokens: int, folder: Path) -> Path:
    """Log 12 × 12 heads of one input: dense as long as attnlog stores them so, else the greatest of each row."""
    run = folder / f"run-{tokens}"
    capture = attnlog.from_tensors(attentions(tokens), names(tokens)) if tokens <= DENSE_TOKENS else long_capture(tokens)
    with attnlog.Run(run) as opened:
        opened.log(capture, step=1)
    return run


def our_page(run: Path) -> Path:
    """Export a run as one HTML file beside it."""
    page = run.with_suffix(".html")
    attnlog.export(run, page)
    return page


def long_capture(tokens: int, *, layers: int = 12, heads: int = 12) -> Capture:
    """Make a capture of a long input without its matrices: every query keeps at most 64 keys, near ones and some far ones."""
    rng = np.random.default_rng(0)
    few = attnlog.from_tensors([np.full((heads, 2, 2), 0.5, dtype="f4")], ["a", "b"]).layers[0]
    counts = np.minimum(np.arange(1, tokens + 1), KEPT)
    rows = []
    for query, count in enumerate(counts):
        near = np.arange(query + 1 - count // 2, query + 1)
        far = rng.choice(query + 1 - count // 2, size=count - count // 2, replace=False) if query >= KEPT else np.arange(count - count // 2)
        rows.append(np.sort(np.concatenate([near, far])))
    indices = np.concatenate(rows).astype("u4")
    ends = np.cumsum(counts)
    made = []
    for layer in range(layers):
        codes = []
        for head in range(heads):
            powers = np.exp(rng.normal(size=len(indices)) * (0.5 + (layer * 5 + head * 3) % 6 / 2))
            sums = np.add.reduceat(powers, ends - counts)
            codes.append(to_codes((0.9 * powers / np.repeat(sums, counts)).astype("f4"), "u8"))
        sparse = Sparse(
            picture=np.tile(np.tri(CELLS, dtype="u1")[None] * 30, (heads, 1, 1)),
            counts=np.tile(counts.astype("u4"), (heads, 1)),
            indices=np.tile(indices, heads),
            weights=np.concatenate(codes),
            left_out=np.full((heads, tokens), 0.1, dtype="f4"),
        )
        pictures = (np.tri(32, dtype="u1")[None] * rng.integers(0, 120, size=(heads, 32, 32))).astype("u1")
        made.append(replace(few, layer=layer, shape=(tokens, tokens), weights=None, sparse=sparse, pictures=pictures))
    return Capture((Input({"self": Axis(tokens=tuple(names(tokens)))}),), tuple(made), (), {}, {})


def many_steps(folder: Path, *, steps: int, inputs: int, tokens: int = 32) -> Path:
    """Log many steps of several inputs; four captures take turns, which costs a reader the same."""
    weights = attentions(tokens)
    turned = [[np.stack([weights[(layer + turn + n) % 12] for n in range(inputs)]) for layer in range(12)] for turn in range(4)]
    assets = [write_assets(attnlog.from_tensors(layers, [names(tokens)] * inputs), precision="u8") for layers in turned]
    run = folder / "many"
    writer = Writer(run, {"run": "many", "model": {}, "config": {}, "versions": {}})
    for step in range(steps):
        loss = 3 - step / steps
        writer.commit(assets[step % 4], step=100 * step, loss=loss, metrics={"eval_loss": loss + 0.1}, precision="u8")
    writer.roll_up()
    return run


@contextmanager
def served(runs: Mapping[str, Path]) -> Iterator[dict[str, str]]:
    """Serve each run by itself as ``attnlog view`` does; yields their addresses."""
    servers, addresses = [], {}
    for name, run in runs.items():
        made = listen(0)
        server = uvicorn.Server(uvicorn.Config(application({"0": run.resolve()}), log_level="error", lifespan="off"))
        threading.Thread(target=server.run, kwargs={"sockets": [made]}, daemon=True).start()
        servers.append(server)
        addresses[name] = f"http://127.0.0.1:{made.getsockname()[1]}/"
    try:
        yield addresses
    finally:
        for server in servers:
            server.should_exit = True
