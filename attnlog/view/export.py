"""One HTML file that carries a run and the viewer: to mail, to archive, and to show where nothing else can be loaded."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import os
import re
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, overload

from attnlog.errors import AttnlogError
from attnlog.store.manifest import AssetRecord, Commit, merge, parse
from attnlog.store.open import SavedRun, check_run, run_name
from attnlog.view.manifests import page_manifests

#: A page may run this one script (by its digest) and workers made from it, and may reach no network at all.
_POLICY = (
    "default-src 'none'; script-src 'sha256-{digest}' 'wasm-unsafe-eval' blob:; worker-src blob:; style-src 'unsafe-inline'; "
    "img-src data: blob:; font-src data:; connect-src data: blob:; base-uri 'none'; form-action 'none'"
)
_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>html, body {{ margin: 0; height: 100%; }} #attnlog {{ height: 100%; }}</style>
</head>
<body>
<div id="attnlog"></div>
<script type="application/json" id="attnlog-host">{host}</script>
"""
# Inside a script element an HTML parser acts on these; in strings, templates and expressions \x3c means the same.
_ENDS_SCRIPT = re.compile(r"<(?=/script|script|!--)", re.IGNORECASE)


class ViewerMissingError(AttnlogError):
    """The built viewer is not part of this installation."""


@overload
def export_html(run: str | os.PathLike[str] | SavedRun, out: None = None, *, budget: int | None = None, rest: str = "") -> bytes: ...
@overload
def export_html(
    run: str | os.PathLike[str] | SavedRun, out: str | os.PathLike[str], *, budget: int | None = None, rest: str = ""
) -> Path: ...
def export_html(
    run: str | os.PathLike[str] | SavedRun, out: str | os.PathLike[str] | None = None, *, budget: int | None = None, rest: str = ""
) -> bytes | Path:
    """Make one HTML file of a run; it opens from disk, in a mail or in a tracker, without a network.

    Args:
        run: the run folder, or a run that is open.
        out: where to write; None: return the page's bytes.
        budget: bytes the page may have; None: no limit. What does not fit is left out, and the page says so: inputs and
            indexes of all steps go first, then pictures and assets of the first, best and latest step, then the others,
            small ones first. Of a run of thousands of steps only some are in the page: the first, the best, the latest, and
            evenly spaced ones.
        rest: how to see everything, for the sentence about what is left out; default: ``attnlog view`` with the run's folder.

    Raises:
        RunNotFoundError: there is no run.
        ViewerMissingError: the viewer was not built.
    """
    directory = run.directory if isinstance(run, SavedRun) else Path(run)
    names = check_run(directory)
    if out is None:
        return b"".join(_page(directory, names, budget, rest))
    target = Path(out)
    with tempfile.NamedTemporaryFile(dir=target.parent, prefix=f".{target.name}.", delete=False) as draft:
        try:
            for chunk in _page(directory, names, budget, rest):
                draft.write(chunk)
            draft.close()
            # A temporary file is readable by its owner only; a page is made to be shared.
            os.chmod(draft.name, 0o644)
            os.replace(draft.name, target)
        except BaseException:
            Path(draft.name).unlink(missing_ok=True)
            raise
    return target


def studio_script() -> str:
    """Return the viewer as one classic script.

    Raises:
        ViewerMissingError: it is not part of this installation.
    """
    try:
        return resources.files("attnlog.view").joinpath("static", "studio.js").read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise ViewerMissingError(
            "attnlog/view/static/studio.js is missing: install a released attnlog, or build the viewer in panels/ (npm ci && npm run build)"
        ) from error


def script_safe(script: str) -> str:
    """Return JavaScript that an HTML parser takes for one script element, whatever its strings say."""
    return _ENDS_SCRIPT.sub(r"\\x3c", script.replace("\r\n", "\n").replace("\r", "\n"))


def json_safe(value: Any) -> str:
    """Return JSON that cannot end the script element it stands in."""
    return json.dumps(value, ensure_ascii=False).replace("<", "\\u003c")


def _page(directory: Path, names: Sequence[str], budget: int | None, rest: str) -> Iterator[bytes]:
    carried = page_manifests(directory, names, budget)
    script = script_safe(studio_script())
    fixed = len(script.encode()) + sum(len(json_safe(text).encode()) for _, text in carried.texts) + len(_PAGE) + 2_000
    manifests = [parse(name, text.encode()) for name, text in carried.texts]
    name = run_name(manifests, directory)
    chosen, left = _choose(directory, merge(manifests), None if budget is None else budget - fixed)
    left.steps = carried.left_out
    host = {
        "host": "embedded",
        "name": name,
        "manifests": [{"name": file, "text": text} for file, text in carried.texts],
        "left_out": left.sentence(rest or _command(directory)) if left.assets or left.steps else "",
    }
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = html.escape(_POLICY.format(digest=digest), quote=True)
    yield _PAGE.format(policy=policy, title=html.escape(f"{name} · attention"), host=json_safe(host)).encode()
    for record in chosen:
        data = base64.b64encode((directory / record.path).read_bytes())
        # Paths of a run hold no character that HTML would read otherwise: the manifest's reader refuses others.
        yield b'<script type="text/plain" data-attnlog-asset="%s">%s</script>\n' % (record.path.encode(), data)
    yield f"<script>{script}</script>\n</body>\n</html>\n".encode()


@dataclass
class _LeftOut:
    """What the page does not carry."""

    assets: int = 0
    bytes: int = 0
    of: int = 0
    steps: int = 0

    def sentence(self, rest: str) -> str:
        if self.steps:
            return f"{self.steps} steps are not in this file, nor are all assets of the others; to see everything: {rest}"
        size = f"{self.bytes / 1e6:.1f} MB" if self.bytes >= 100_000 else f"{max(1, round(self.bytes / 1000))} kB"
        return f"{self.assets} of {self.of} assets ({size}) are not in this file; to see everything: {rest}"


def _command(directory: Path) -> str:
    # An absolute path would tell a stranger about the machine this was made on.
    return f"attnlog view {directory.name if directory.is_absolute() else directory}"


def _choose(directory: Path, commits: dict[int, Commit], room: int | None) -> tuple[list[AssetRecord], _LeftOut]:
    """Pick assets by what a reader needs first, until the room is used up."""
    focus = _focus(commits)
    ranked: dict[str, tuple[int, int, AssetRecord]] = {}
    for step, commit in commits.items():
        for record in (commit.inputs, *commit.assets):
            if record.kind in ("inputs", "index"):
                tier = 0
            else:
                tier = (1 if step in focus else 3) + (record.kind != "pictures")
            if record.path not in ranked or ranked[record.path][0] > tier:
                ranked[record.path] = (tier, record.bytes, record)
    chosen, left = [], _LeftOut(of=len(ranked))
    for _, _, record in sorted(ranked.values(), key=lambda entry: entry[:2]):
        cost = 4 * -(-record.bytes // 3) + len(record.path) + 70
        if (room is None or cost <= room) and (directory / record.path).is_file():
            chosen.append(record)
            room = None if room is None else room - cost
        else:
            left.assets += 1
            left.bytes += record.bytes
    return chosen, left


def _focus(commits: dict[int, Commit]) -> set[int]:
    """First, latest and best step: what people compare."""
    if not commits:
        return set()
    losses = {step: loss for step, c in commits.items() if (loss := c.metrics.get("eval_loss")) is not None}
    best = {min(losses, key=lambda step: losses[step])} if losses else set()
    return {next(iter(commits)), next(reversed(commits)), *best}
