"""A Streamlit server on loopback that runs a Python panel as Comet does: what Comet's own runtime sets is set, the rest is real.

It stands for Comet's compute engine, which cannot exist here: that runs the panel's code as a file `page_….py`, and puts the
chosen experiments and the panel's options into the session, where Comet's client finds them.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.integrations.conftest import free_port

_HOST = """
import json
import streamlit as st

st.set_page_config(layout="wide")
given = json.loads(st.query_params.get("given", "null")) or {given}
st.session_state["comet_config_override"] = {{
    "page_panel.py": {{"COMET_EXPERIMENT_KEYS": given["keys"], "COMET_PANEL_OPTIONS": given["options"]}}
}}
with open({panel!r}, encoding="utf-8") as file:
    _ = exec(compile(file.read(), {panel!r}, "exec"), {{"__name__": "page_panel"}})
"""


@contextmanager
def python_host(
    folder: Path, code: str, keys: Sequence[str], environment: Mapping[str, str], options: Mapping[str, Any] | None = None
) -> Iterator[str]:
    """Serve the panel; the address takes `?given={"keys": […], "options": {…}}` in place of what is given here."""
    folder.mkdir(parents=True, exist_ok=True)
    panel, host = folder / "page_panel.py", folder / "host.py"
    panel.write_text(code, encoding="utf-8")
    host.write_text(_HOST.format(panel=str(panel), given={"keys": list(keys), "options": dict(options or {})}), encoding="utf-8")
    port = free_port()
    command = [sys.executable, "-m", "streamlit", "run", str(host), "--server.headless", "true", "--server.address", "127.0.0.1"]
    command += ["--server.port", str(port), "--browser.gatherUsageStats", "false", "--server.fileWatcherType", "none"]
    said = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}  # attnlog is not installed there
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log, env={**said, **environment})
    try:
        for _ in range(300):
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/_stcore/health", timeout=5):
                    break
            except OSError:
                assert server.poll() is None, (folder / "log").read_text()
                time.sleep(0.2)
        yield f"http://127.0.0.1:{port}/"
    finally:
        server.terminate()
        server.wait(30)


def given(keys: Sequence[str], options: Mapping[str, Any] | None = None) -> str:
    """The query that chooses other experiments or options."""
    from urllib.parse import quote

    return "?given=" + quote(json.dumps({"keys": list(keys), "options": dict(options or {})}))
