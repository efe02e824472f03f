"""``attnlog panel comet``: writes the viewer as a panel of Comet's, or uploads it."""

from __future__ import annotations

from pathlib import Path

import click

from attnlog.errors import ArgumentError


def comet(out: Path | None, *, upload: bool, workspace: str | None, template: str | None, code: Path | None, python: Path | None) -> None:
    """Do what is asked for: a zip, an upload, files to paste, the Python panel; any of them together."""
    from attnlog_integrations.comet.panel import write_code, write_panel, write_python

    if not (out or upload or code or python):
        raise ArgumentError("say what to make: a file such as panel.zip, --upload --workspace NAME, --code FOLDER, or --python FILE.py")
    if upload and not workspace:
        raise ArgumentError("--upload needs --workspace: its name, as it stands in the address of its page")
    if not upload and (workspace or template):
        raise ArgumentError("--workspace and --template-id are for --upload; a file is uploaded in Comet: Panels → Add → Upload")
    if out is not None:
        write_panel(out)
        click.echo(f"{out}: in a Comet project, Panels → Add → Upload, choose this file")
    if code is not None:
        for file, tab in zip(write_code(code), ("Code", "HTML", "CSS"), strict=True):
            click.echo(f"{file}: paste it into the tab {tab} of the panel editor (Panels → Add → New panel → Create new → JavaScript)")
    if python is not None:
        write_python(python)
        click.echo(f"{python}: paste it into the editor (Panels → Add → New panel → Create new → Python)")
    if upload and workspace:
        from attnlog_integrations.comet.upload import upload_panel

        made = upload_panel(workspace, template)
        named = f" ({made}; --template-id {made} replaces it next time)" if made and not template else ""
        click.echo(f"the panel is in the workspace {workspace}{named}: in a project, Panels → Add → Workspace")
