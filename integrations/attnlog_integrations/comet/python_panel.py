"""The Python panel: runs in Comet's own Streamlit, where attnlog is not installed, so it stands alone; Python 3.9 must read it.

`attnlog panel comet --python` writes it with the viewer in it. It loads what is chosen above the viewer (experiment, step, and
what to compare with) into one page, checked by the digests of the manifests; the viewer in that page does the rest.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
import string
import threading
import zlib
from collections import OrderedDict
from collections.abc import Callable, Collection
from typing import Any

#: The viewer's script, deflated, as base64; filled in where the panel is written.
STUDIO = ""

ROOT = "attnlog/"
#: Bytes of assets that one page carries; everything of it goes through Streamlit's connection at each choice.
BUDGET = 30_000_000
#: Of these, what the timeline may take.
TIMELINE = 4_000_000
#: Bytes of assets that are kept for the next choice; a large run has more than a panel's machine may hold.
KEPT = 200_000_000
#: Seconds after which a running training's new steps are looked for, at the next choice.
FRESH = 30
_MANIFEST = re.compile(r"manifest-[a-z0-9][a-z0-9-]{0,63}\.jsonl")
_PATH = re.compile(r"(?:step-[0-9]{1,15}/[a-z0-9-]{1,80}/)?[a-z0-9][a-z0-9_-]{0,120}\.arrow")
_UNITS = {"": 1, "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "kib": 2**10, "mib": 2**20, "gib": 2**30}
_WHOLE, _KIND = r"[0-9]{1,15}", r"[\w.>-]{1,80}"
_VIEWS, _PAIRS = ("model", "head", "matrix", "neuron", "timeline", "tokens"), ("all", "aa", "ab", "ba", "bb")
#: What the panel's options may be, as patterns and in words; as the JavaScript panel reads them.
_OPTIONS = {
    "view": ("|".join(_VIEWS), ", ".join(_VIEWS)),
    "step": (_WHOLE, "a step's number"),
    "input": (_WHOLE, "an input's number"),
    "kind": (_KIND, "a kind of attention"),
    "layer": (_WHOLE, "a layer's number"),
    "heads": (f"{_WHOLE}(?:,{_WHOLE})*", "numbers of heads, such as [0, 3]"),
    "pair": ("|".join(_PAIRS), ", ".join(_PAIRS)),
    "theme": ("light|dark", "light, dark"),
    "height": ("[1-9][0-9]{0,4}", "a number of pixels, such as 820"),
    "budget": (r"[0-9]+(?:\.[0-9]+)? *[a-zA-Z]*", "a size, such as 30MB"),
}
_ORDER = ("inputs", "index", "pictures", "attention", "sparse", "vectors")
_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; script-src 'sha256-{digest}' 'wasm-unsafe-eval' blob:;
 worker-src blob:; style-src 'unsafe-inline'; img-src data: blob:; font-src data:; connect-src data: blob:; base-uri 'none'">
<title>attention</title>
<style>html, body {{ margin: 0; height: 100%; }} #attnlog {{ height: 100%; }}</style>
</head>
<body>
<div id="attnlog"></div>
<script type="application/json" id="attnlog-host">{host}</script>
{assets}<script>{script}</script>
</body>
</html>
"""


def listed(_experiment: Any, key: str) -> dict[str, tuple[str, float]]:
    """Path inside the run → id and time of its newest asset; the rest of what Comet says of assets holds the API key."""
    found: dict[str, tuple[str, float]] = {}
    for asset in _experiment.get_asset_list() or []:
        name = str(asset.get("fileName") or "")
        if not name.startswith(ROOT):
            name = "{}/{}".format(asset.get("dir") or "", name)
        path, made = name[len(ROOT) :], float(asset.get("createdAt") or 0)
        known = _MANIFEST.fullmatch(path) or _PATH.fullmatch(path)
        if name.startswith(ROOT) and known and (path not in found or found[path][1] <= made):
            found[path] = (str(asset["assetId"]), made)
    return found


def fetched(_experiment: Any, asset: str) -> bytes:
    """Bytes of an asset; an asset never changes."""
    return bytes(_experiment.get_asset(asset, return_type="binary"))


class Kept:
    """Assets that were read, up to so many bytes; what was asked for longest ago goes first."""

    def __init__(self, most: int) -> None:
        self.bytes, self._most = 0, most
        self._held: OrderedDict[str, bytes] = OrderedDict()
        self._lock = threading.Lock()  # everybody who looks at the panel has a thread

    def get(self, asset: str, read: Callable[[], bytes]) -> bytes:
        """Bytes of an asset, read where they are not at hand."""
        with self._lock:
            if asset in self._held:
                self._held.move_to_end(asset)
                return self._held[asset]
        data = read()
        with self._lock:
            self.bytes += len(data) - len(self._held.pop(asset, b""))
            self._held[asset] = data
            while self.bytes > self._most:
                self.bytes -= len(self._held.popitem(last=False)[1])
        return data


def kept() -> Kept:
    """What everybody who looks at this panel shares."""
    return Kept(KEPT)


class Experiment:
    """One experiment's run: its manifests, and its assets by path."""

    def __init__(self, st: Any, experiment: Any) -> None:
        self.key = str(experiment.id)
        self.name = str(experiment.name or self.key[:9])
        self._experiment = experiment
        self._list = st.cache_data(ttl=FRESH, show_spinner=False)(listed)
        self._kept: Kept = st.cache_resource(show_spinner=False)(kept)()
        self.assets: dict[str, tuple[str, float]] = self._list(experiment, self.key)
        self.manifests: list[dict[str, str]] = []
        self.commits: dict[int, dict[str, Any]] = {}
        #: Roll-ups of indexes, each with the paths of the indexes in it.
        self.roll_ups: list[tuple[dict[str, Any], set[str]]] = []

    @property
    def logged(self) -> bool:
        """Whether there is attention in it."""
        return any(_MANIFEST.fullmatch(path) for path in self.assets)

    def open(self) -> Experiment:
        """Read the manifests; of several commits of a step the newest counts. What is wrong with a line the viewer says."""
        for name in sorted(path for path in self.assets if _MANIFEST.fullmatch(path)):
            text = self._bytes(name).decode("utf-8", "replace")
            self.manifests.append({"name": name, "text": text})
            indexes: dict[int, set[str]] = {}  # of this writer's commits
            roll_up: dict[str, Any] = {}
            for line in text.splitlines():
                try:
                    said = json.loads(line)
                except ValueError:
                    continue
                if not isinstance(said, dict):
                    continue
                if said.get("type") == "indexes" and isinstance(said.get("asset"), dict):
                    roll_up = said  # a later one covers what the ones before it do
                step = said.get("step")
                n: Any = said.get("n")
                if said.get("type") == "commit" and isinstance(step, int):
                    if _is_whole(n):
                        indexes[n] = {str(one.get("path")) for one in _records(said) if one.get("kind") == "index"}
                    known = self.commits.get(step)
                    if known is None or (known.get("time") or 0) <= (said.get("time") or 0):
                        self.commits[step] = said
            if roll_up:
                covered = roll_up.get("commits")
                paths = [indexes.get(n, set()) for n in (covered if isinstance(covered, list) else []) if _is_whole(n)]
                self.roll_ups.append((roll_up["asset"], set().union(*paths)))
        self.commits = dict(sorted(self.commits.items()))
        return self

    def of_step(self, step: int) -> list[dict[str, Any]]:
        """Records of a step's assets, what is needed first first."""
        return sorted(_records(self.commits[step]), key=lambda one: _ORDER.index(one["kind"]) if one.get("kind") in _ORDER else len(_ORDER))

    def get(self, record: dict[str, Any]) -> bytes | None:
        """Bytes of an asset that is there.

        Raises:
            ValueError: they are not those that were logged.
        """
        path = str(record.get("path"))
        if path not in self.assets:
            return None
        data = self._bytes(path)
        if len(data) != record.get("bytes") or hashlib.sha256(data).hexdigest() != record.get("sha256"):
            raise ValueError(f"{record.get('path')} of {self.name} is not as it was logged")
        return data

    def _bytes(self, path: str) -> bytes:
        asset = self.assets[path][0]
        return self._kept.get(asset, lambda: fetched(self._experiment, asset))


def _is_whole(n: Any) -> bool:
    """Whether it is a number of a commit; JSON's true is one to Python."""
    return isinstance(n, int) and not isinstance(n, bool)


def _records(commit: dict[str, Any]) -> list[dict[str, Any]]:
    return [one for one in [commit.get("inputs"), *(commit.get("assets") or [])] if isinstance(one, dict)]


class Page:
    """Collects assets for one page, up to a budget, each once."""

    def __init__(self, budget: int) -> None:
        self.room = budget
        self.parts: list[str] = []
        self.wrong: list[str] = []
        self.left = 0  # bytes that did not fit
        self._there: set[tuple[str, str]] = set()

    def add(self, run: str, experiment: Experiment, records: list[dict[str, Any]], most: int | None = None) -> None:
        """Add assets of a run, those that fit."""
        room = self.room if most is None else min(most, self.room)
        for record in records:
            path, size = str(record.get("path")), int(record.get("bytes") or 0)
            if (run, path) in self._there or path not in experiment.assets:
                continue
            if size > room:
                self.left += size if most is None else 0
                continue
            try:
                data = experiment.get(record)
            except ValueError as error:
                self.wrong.append(str(error))
                continue
            if data is None:
                continue
            room -= size
            self.room -= size
            self._there.add((run, path))
            text = base64.b64encode(data).decode()
            self.parts.append(f'<script type="text/plain" data-attnlog-run="{run}" data-attnlog-asset="{path}">{text}</script>\n')

    def timeline(self, run: str, experiment: Experiment) -> None:
        """Add what the timeline needs: roll-ups of indexes, and the indexes of steps that are in none."""
        before = self.room
        self.add(run, experiment, [record for record, _ in experiment.roll_ups], TIMELINE)
        covered = {path for record, paths in experiment.roll_ups if (run, str(record.get("path"))) in self._there for path in paths}
        records = [one for step in experiment.commits for one in experiment.of_step(step) if one.get("kind") in ("inputs", "index")]
        self.add(run, experiment, [one for one in records if one.get("path") not in covered], TIMELINE - (before - self.room))


def read_options(options: dict[str, Any]) -> tuple[dict[str, str], str]:
    """Options of the panel as text, and in words which of them cannot be read."""
    found, wrong = {}, []
    for name, (pattern, may) in _OPTIONS.items():
        value = options.get(name)
        if value is None or value == "" or value == "all":
            continue
        text = ",".join(str(one).strip() for one in value) if isinstance(value, (list, tuple)) else str(value).strip()
        text = text[:-2] if isinstance(value, float) and text.endswith(".0") else text
        if not re.fullmatch(pattern, text) or (name == "budget" and not size(text)):
            wrong.append(f"{name} is {json.dumps(value, default=str)[:60]}, and may be: {may}")
        else:
            found[name] = text
    return found, f"Of the panel's options, {'; '.join(wrong)}." if wrong else ""


def size(text: str) -> int:
    """Bytes of a size such as ``30MB``; 0: it is none."""
    number = re.match(r"[0-9.]+", text)
    unit = _UNITS.get(text[number.end() :].strip().lower(), 0) if number else 0
    return int(float(number[0]) * unit) if number else 0


def plain(text: str) -> str:
    """Text that Streamlit's Markdown shows as it stands: what somebody else wrote may hold pictures, which a browser would fetch."""
    return re.sub(f"([{re.escape(string.punctuation)}])", r"\\\1", " ".join(text.split()))


def remembered(keys: Collection[str]) -> str:
    """Name what is chosen in the viewer is remembered under: a tab may show panels of other experiments beside this one."""
    return "comet-" + hashlib.sha256(",".join(sorted(keys)).encode()).hexdigest()[:16]


def page(host: dict[str, Any], parts: list[str]) -> str:
    """One page with the viewer, the manifests and the assets in it, which may reach no network."""
    script = zlib.decompress(base64.b64decode(STUDIO)).decode("utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    said = json.dumps(host, ensure_ascii=False).replace("<", "\\u003c")
    return _PAGE.format(digest=html.escape(digest), host=said, assets="".join(parts), script=script)


def main() -> None:
    """Draw the panel."""
    import comet_ml
    import streamlit as st

    api = comet_ml.API(cache=False)  # steps of a running training are looked for again
    options, wrong = read_options(api.get_panel_options() or {})
    if wrong:
        st.warning(plain(wrong))
    chosen = [Experiment(st, one) for one in api.get_panel_experiments() if one is not None]
    logged = {one.key: one for one in chosen if one.logged}
    if not logged:
        if chosen:
            st.info(f"None of the {len(chosen)} chosen experiments has attention that attnlog logged.")
            st.markdown('Log it with `AttentionCallback(…, tracker="comet")`, or later: `attnlog sync RUN --tracker comet:EXPERIMENT_KEY`')
        else:
            st.info("No experiment is chosen: show experiments in the table of this project, or widen the panel's filter.")
        return

    first, second, third = st.columns([3, 1.2, 3])
    names = {key: one.name for key, one in logged.items()}
    key = first.selectbox("experiment", list(logged), format_func=lambda one: names[one], key="attnlog-experiment")
    here = logged[key].open()
    steps = list(here.commits)
    if not steps:
        st.info("Nothing has been recorded in this experiment yet.")
        return
    wanted = int(options.get("step", -1))
    at = steps.index(wanted) if wanted in steps else len(steps) - 1
    step = second.selectbox("step", steps, index=at, key=f"attnlog-step-{key}")
    others: list[tuple[str, int]] = [(key, one) for one in steps if one != step]
    for one in logged:
        # Of another experiment the step that says the same of the training: this one, else the last before it.
        if one != key:
            there = list(logged[one].open().commits)
            others += [(one, max([n for n in there if n <= step] or there[:1]))] if there else []
    label = {(run, n): f"step {n}" if run == key else f"{names[run]}, step {n}" for run, n in others}
    other = third.selectbox(
        "compare with", [None, *others], format_func=lambda one: "nothing" if one is None else label[one], key=f"attnlog-other-{key}-{step}"
    )

    made = Page(size(options["budget"]) if "budget" in options else BUDGET)
    with st.spinner("Reading from Comet…"):
        made.add("run", here, here.of_step(step))
        compare = "compare="
        if other is not None and other[0] == key:
            made.add("run", here, here.of_step(other[1]))
            compare = f"compare=step:{other[1]}"
        elif other is not None:
            made.add("other", logged[other[0]], logged[other[0]].of_step(other[1]))
            compare = f"compare=run:other%3Bstep:{other[1]}"
        made.timeline("run", here)
    for damaged in made.wrong:
        st.warning(plain(f"{damaged}: its digest is another than the manifest's, so it is not shown. Log it again: attnlog sync."))

    host: dict[str, Any] = {
        "host": "embedded",
        "noun": "experiment",
        "carrier": "this page",
        "absent": "Choose the step above the viewer: it is loaded then. What Comet's budget left out is in the run folder only.",
        "name": here.name,
        "manifests": here.manifests,
        "state": "#" + "&".join([*_begin(options), "run=run", f"step={step}", compare]),
        "remember": remembered(logged),
    }
    if made.left:
        host["left_out"] = f"{made.left / 1e6:.1f} MB of this choice do not fit the panel's budget; raise the panel's option budget."
    if other is not None and other[0] != key:
        there_ = logged[other[0]]
        host["others"] = [{"id": "other", "name": there_.name, "manifests": there_.manifests}]
    if "theme" in options:
        host["theme"] = options["theme"]
    content, height = page(host, made.parts), int(options.get("height", 820))
    # Streamlit has renamed it; Comet's may be the older.
    if hasattr(st, "iframe"):
        st.iframe(content, height=height)
    else:
        from streamlit.components import v1

        v1.html(content, height=height, scrolling=True)


def _begin(options: dict[str, str]) -> list[str]:
    """What the panel's options say of layer, heads and view; what is chosen in the viewer is remembered instead, once there is any."""
    import streamlit as st

    if st.session_state.get("attnlog-begun") == repr(options):
        return []
    st.session_state["attnlog-begun"] = repr(options)
    return [f"{name}={options[name]}" for name in ("view", "input", "kind", "layer", "heads", "pair") if name in options]
