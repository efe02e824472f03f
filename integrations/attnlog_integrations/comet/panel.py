"""Packages the viewer as a Comet JavaScript panel: one self-contained script in the zip that Comet imports."""

from __future__ import annotations

import base64
import io
import json
import os
import zipfile
import zlib
from importlib import resources
from pathlib import Path

from attnlog.view.export import script_safe, studio_script

NAME = "Attention (attnlog)"
_DESCRIPTION = (
    "What every attention head did, at every checkpoint: head, model, neuron and matrix view of the assets that attnlog logged "
    "to the chosen experiments."
)
_HTML = '<div id="attnlog"></div>\n'
_CSS = "html, body { margin: 0; height: 100%; }\n#attnlog { height: 100%; min-height: 480px; }\n"
# Comet finds the panel by its class, so this stands in the code as text; all work is done by the scripts before it.
_CLASS = """
class AttnlogPanel extends Comet.Panel {
  setup() {
    this.options = { ...this.options };
  }
  async draw(experimentKeys) {
    await AttnlogComet.drawPanel(this, experimentKeys, AttnlogStudio);
  }
}
"""
_FILE = "tempVisualizationTemplate.json"
#: Zip entries carry a time; a fixed one makes the same panel from the same script.
_TIME = (2020, 1, 1, 0, 0, 0)


def panel_code() -> str:
    """Return what goes into the panel editor's Code tab: the viewer, Comet as its host, and the panel's class.

    Raises:
        ViewerMissingError: the viewer was not built.
    """
    host = resources.files("attnlog_integrations.comet").joinpath("panel.js").read_text(encoding="utf-8")
    return f"{studio_script()}\n{host}\n{_CLASS}"


def panel_template() -> dict[str, object]:
    """Return the template as Comet exports and imports it."""
    return {
        "templateName": NAME,
        "code": {
            "code": panel_code(),
            "css": _CSS,
            "html": _HTML,
            "description": _DESCRIPTION,
            "defaultConfig": "{}",
            "internalResources": [],
            "userResources": [],
            "pyCode": "",
            "pyConfig": "{}",
            "type": "js",
        },
        "createdAt": 0,
        "thumbnailName": "template-thumbnail-attnlog",
        "editable": True,
    }


def panel_zip() -> bytes:
    """Return the panel as the zip that Comet imports.

    Raises:
        ViewerMissingError: the viewer was not built.
    """
    template = json.dumps(panel_template(), ensure_ascii=True)
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(zipfile.ZipInfo(_FILE, _TIME), template, zipfile.ZIP_DEFLATED)
    return made.getvalue()


def write_panel(out: str | os.PathLike[str]) -> Path:
    """Write the panel's zip, to be imported in Comet's panel gallery.

    Raises:
        ViewerMissingError: the viewer was not built.
    """
    target = Path(out)
    target.write_bytes(panel_zip())
    return target


def write_code(folder: str | os.PathLike[str]) -> list[Path]:
    """Write what goes into the tabs Code, HTML and CSS of Comet's panel editor, a file each.

    Raises:
        ViewerMissingError: the viewer was not built.
    """
    into = Path(folder)
    into.mkdir(parents=True, exist_ok=True)
    written = []
    for name, text in (("panel.js", panel_code()), ("panel.html", _HTML), ("panel.css", _CSS)):
        file = into / name
        file.write_text(text, encoding="utf-8")
        written.append(file)
    return written


def python_code() -> str:
    """Return the Python panel: one script with the viewer in it, for the editor of Comet's Python panels.

    Raises:
        ViewerMissingError: the viewer was not built.
    """
    source = resources.files("attnlog_integrations.comet").joinpath("python_panel.py").read_text(encoding="utf-8")
    packed = base64.b64encode(zlib.compress(script_safe(studio_script()).encode(), 9)).decode()
    lines = "\n".join(f'    "{packed[at : at + 120]}"' for at in range(0, len(packed), 120))
    before, empty, after = source.partition('STUDIO = ""\n')
    assert empty, "python_panel.py has lost the line that the viewer goes into"
    # An assignment: Streamlit shows the value of a call that stands alone.
    return f"{before}STUDIO = (\n{lines}\n)\n{after}\n\n_drawn = main()  # type: ignore[func-returns-value]\n"


def write_python(out: str | os.PathLike[str]) -> Path:
    """Write the Python panel.

    Raises:
        ViewerMissingError: the viewer was not built.
    """
    target = Path(out)
    target.write_text(python_code(), encoding="utf-8")
    return target
