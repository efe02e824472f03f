"""Makes pages that carry a run and the viewer, by the contract between pages and viewer, without attnlog's own exporter."""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parents[2]
GOLDEN = ROOT / "tests" / "golden"
SCRIPT = ROOT / "attnlog" / "view" / "static" / "studio.js"

Change = Callable[[str, bytes], bytes | None]


def expected(run: str) -> dict[str, Any]:
    """What every reader finds in a golden run."""
    found: dict[str, Any] = json.loads((GOLDEN / run / "expected.json").read_text())
    return found


def manifests(run: Path) -> list[dict[str, str]]:
    return [{"name": file.name, "text": file.read_text()} for file in sorted(run.glob("manifest-*.jsonl"))]


def embedded(
    run: Path | str,
    *,
    change: Change = lambda _path, data: data,
    texts: Iterable[dict[str, str]] | None = None,
    left_out: str = "",
    head: str = "",
) -> str:
    """One HTML page with a run in it; `change` alters an asset's bytes, or leaves it out by returning None."""
    run = GOLDEN / run if isinstance(run, str) else run
    host = {"host": "embedded", "name": run.name, "manifests": list(texts or manifests(run)), "left_out": left_out}
    assets = []
    for file in sorted(run.rglob("*.arrow")):
        path = file.relative_to(run).as_posix()
        data = change(path, file.read_bytes())
        if data is not None:
            assets.append(f'<script type="text/plain" data-attnlog-asset="{path}">{base64.b64encode(data).decode()}</script>')
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>page</title>{head}</head><body><div id="attnlog"></div>'
        f'<script type="application/json" id="attnlog-host">{json.dumps(host).replace("<", chr(92) + "u003c")}</script>'
        + "".join(assets)
        + f"<script>{SCRIPT.read_text()}</script></body></html>"
    )


def sandboxed(inner: str) -> str:
    """A page that shows another as trackers show artifacts: scripts only, an origin of its own that nothing shares."""
    return (
        '<!doctype html><meta charset="utf-8"><title>outer</title><body style="margin:0">'
        f'<iframe sandbox="allow-scripts" style="width:100vw;height:95vh;border:0" srcdoc="{html.escape(inner, quote=True)}"></iframe>'
    )


def until(page: Any, condition: str) -> None:
    """Wait until something is true of `studio`, what the viewer says of itself. Works where a page forbids evaluating text."""
    page.evaluate(
        f"""() => new Promise((done, fail) => {{
          const since = performance.now();
          const look = () => {{
            const studio = AttnlogStudio.inspect(document.querySelector('[data-attnlog-state]'));
            if (studio && ({condition})) done(true);
            else if (performance.now() - since > 30000) fail(new Error({json.dumps(condition)} + ' did not come true'));
            else setTimeout(look, 20);
          }};
          look();
        }})"""
    )


def written(directory: Path, captures: Sequence[Any], precision: str = "u8") -> Path:
    """A run folder of some captures, at steps 0, 100, ..."""
    from attnlog.format.write import write_assets
    from attnlog.store.folder import Writer

    writer = Writer(directory, {"run": directory.name, "model": {}, "config": {}, "versions": {}})
    for number, capture in enumerate(captures):
        writer.commit(write_assets(capture, precision=precision), step=100 * number, precision=precision, missing=capture.missing)
    return directory


def uniform(tokens: list[str], layers: int = 1, heads: int = 2) -> Any:
    """A capture whose queries see all tokens alike."""
    from attnlog.capture.tensors import from_tensors

    weights = np.full((heads, len(tokens), len(tokens)), 1 / len(tokens), dtype="f4")
    return from_tensors([weights] * layers, tokens)
