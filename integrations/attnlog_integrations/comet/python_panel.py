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
import zlib
from typing import Any

#: The viewer's script, deflated, as base64; filled in where the panel is written.
STUDIO = ""

ROOT = "attnlog/"
#: Bytes of assets that one page carries; everything of it goes through Streamlit's connection at each choice.
BUDGET = 30_000_000
#: Of these, what the timeline may take.
TIMELINE = 4_000_000
#: Seconds after which a running training's new steps are looked for, at the next choice.
FRESH = 30
_MANIFEST = re.compile(r"manifest-[a-z0-9][a-z0-9-]{0,63}\.jsonl")
_PATH = re.compile(r"(?:step-[0-9]{1,15}/[a-z0-9-]{1,80}/)?[a-z0-9][a-z0-9_-]{0,120}\.arrow")
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


class Experiment:
    """One experiment's run: its manifests, and its assets by path."""

    def __init__(self, st: Any, experiment: Any) -> None:
        self.key = str(experiment.id)
        self.name = str(experiment.name or self.key[:9])
        self._experiment = experiment
        self._list = st.cache_data(ttl=FRESH, show_spinner=False)(listed)
        self._fetch = st.cache_data(max_entries=256, show_spinner="Reading from Comet…")(fetched)
        self.assets: dict[str, tuple[str, float]] = self._list(experiment, self.key)
        self.manifests: list[dict[str, str]] = []
        self.commits: dict[int, dict[str, Any]] = {}
        self.roll_ups: list[dict[str, Any]] = []

    @property
    def logged(self) -> bool:
        """Whether there is attention in it."""
        return any(_MANIFEST.fullmatch(path) for path in self.assets)

    def open(self) -> Experiment:
        """Read the manifests; of several commits of a step the newest counts. What is wrong with a line the viewer says."""
        for name in sorted(path for path in self.assets if _MANIFEST.fullmatch(path)):
            text = self._fetch(self._experiment, self.assets[name][0]).decode("utf-8", "replace")
            self.manifests.append({"name": name, "text": text})
            for line in text.splitlines():
                try:
                    said = json.loads(line)
                except ValueError:
                    continue
                if not isinstance(said, dict):
                    continue
                if said.get("type") == "indexes" and isinstance(said.get("asset"), dict):
                    self.roll_ups.append(said["asset"])
                step = said.get("step")
                if said.get("type") == "commit" and isinstance(step, int):
                    known = self.commits.get(step)
                    if known is None or (known.get("time") or 0) <= (said.get("time") or 0):
                        self.commits[step] = said
        self.commits = dict(sorted(self.commits.items()))
        return self

    def of_step(self, step: int) -> list[dict[str, Any]]:
        """Records of a step's assets, what is needed first first."""
        commit = self.commits[step]
        records = [one for one in [commit.get("inputs"), *(commit.get("assets") or [])] if isinstance(one, dict)]
        return sorted(records, key=lambda one: _ORDER.index(one["kind"]) if one.get("kind") in _ORDER else len(_ORDER))

    def get(self, record: dict[str, Any]) -> bytes | None:
        """Bytes of an asset that is there.

        Raises:
            ValueError: they are not those that were logged.
        """
        found = self.assets.get(str(record.get("path")))
        if found is None:
            return None
        data: bytes = self._fetch(self._experiment, found[0])
        if len(data) != record.get("bytes") or hashlib.sha256(data).hexdigest() != record.get("sha256"):
            raise ValueError(f"{record.get('path')} of {self.name} is not as it was logged")
        return data


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
    options = api.get_panel_options() or {}
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
    wanted = options.get("step")
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

    made = Page(int(options.get("budget") or BUDGET))
    with st.spinner("Reading from Comet…"):
        made.add("run", here, here.of_step(step))
        compare = "compare="
        if other is not None and other[0] == key:
            made.add("run", here, here.of_step(other[1]))
            compare = f"compare=step:{other[1]}"
        elif other is not None:
            made.add("other", logged[other[0]], logged[other[0]].of_step(other[1]))
            compare = f"compare=run:other%3Bstep:{other[1]}"
        indexes = [record for n in steps for record in here.of_step(n) if record.get("kind") in ("inputs", "index")]
        made.add("run", here, [*here.roll_ups, *indexes], TIMELINE)
    for wrong in made.wrong:
        st.warning(f"{wrong}: its digest is another than the manifest's, so it is not shown. Log it again: attnlog sync.")

    host: dict[str, Any] = {
        "host": "embedded",
        "noun": "experiment",
        "carrier": "this page",
        "absent": "Choose the step above the viewer: it is loaded then. What Comet's budget left out is in the run folder only.",
        "name": here.name,
        "manifests": here.manifests,
        "state": "#" + "&".join([*_begin(options), "run=run", f"step={step}", compare]),
        "remember": "comet",
    }
    if made.left:
        host["left_out"] = f"{made.left / 1e6:.1f} MB of this choice do not fit the panel's budget; raise the panel's option budget."
    if other is not None and other[0] != key:
        there_ = logged[other[0]]
        host["others"] = [{"id": "other", "name": there_.name, "manifests": there_.manifests}]
    if options.get("theme") in ("light", "dark"):
        host["theme"] = options["theme"]
    content, height = page(host, made.parts), int(options.get("height") or 820)
    # Streamlit has renamed it; Comet's may be the older.
    if hasattr(st, "iframe"):
        st.iframe(content, height=height)
    else:
        from streamlit.components import v1

        v1.html(content, height=height, scrolling=True)


def _begin(options: dict[str, Any]) -> list[str]:
    """What the panel's options say of layer, heads and view; what is chosen in the viewer is remembered instead, once there is any."""
    import streamlit as st

    if st.session_state.get("attnlog-begun") == repr(options):
        return []
    st.session_state["attnlog-begun"] = repr(options)
    said = []
    for name in ("view", "input", "kind", "layer", "heads", "pair"):
        value = options.get(name)
        text = ",".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value if value is not None else "")
        if re.fullmatch(r"[\w.>,-]{1,80}", text):
            said.append(f"{name}={text}")
    return said
