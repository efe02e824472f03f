"""Packages the viewer as a Comet JavaScript panel: one self-contained script in the zip that Comet imports."""

from __future__ import annotations

import json
import os
import zipfile
from importlib import resources
from pathlib import Path

from attnlog.view.export import studio_script

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


def write_panel(out: str | os.PathLike[str]) -> Path:
    """Write the panel's zip, to be imported in Comet's panel gallery or uploaded with `upload_command`.

    Raises:
        ViewerMissingError: the viewer was not built.
    """
    target = Path(out)
    template = json.dumps(panel_template(), ensure_ascii=True)
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(zipfile.ZipInfo(_FILE, _TIME), template, zipfile.ZIP_DEFLATED)
    return target


def upload_command(zip_file: str | os.PathLike[str], workspace: str = "WORKSPACE") -> str:
    """Say the command that uploads a panel's zip; the key stays in the user's environment."""
    return (
        f'curl -X POST "https://www.comet.com/api/rest/v2/write/template/upload?teamName={workspace}" '
        f'-H "Authorization: $COMET_API_KEY" -F "file=@{os.fspath(zip_file)}"'
    )
