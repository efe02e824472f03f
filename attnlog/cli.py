"""The command line: ``attnlog view | export | sync | panel``."""

from __future__ import annotations

import sys
from pathlib import Path

import click

import attnlog
from attnlog.errors import AttnlogError


class _Group(click.Group):
    """Turns named errors into one line on standard error and exit status 1."""

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except AttnlogError as error:
            click.echo(f"attnlog: {type(error).__name__}: {error}", err=True)
            sys.exit(1)


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(attnlog.__version__, prog_name="attnlog")
def main() -> None:
    """Attention beside your loss curves: look at what every head did, at every step."""


@main.command()
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--port", type=click.IntRange(1, 65535), help="Port on loopback; default 7007, or a free one.")
@click.option("--open/--no-open", "open_browser", default=True, help="Whether to open a browser window.")
def view(runs: tuple[Path, ...], port: int | None, open_browser: bool) -> None:
    """Look at run folders, or at all runs in a folder, in the browser."""
    from attnlog.view.server import serve

    serve(runs, port=port, open_browser=open_browser)


@main.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.argument("out", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--budget", help="Leave assets out above this size, such as 20MB; the page says which.")
def export(run: Path, out: Path, budget: str | None) -> None:
    """Write a run as one HTML file that needs no network and no server."""
    from attnlog.sizes import format_size, parse_size
    from attnlog.view.export import export_html

    export_html(run, out, budget=parse_size(budget))
    click.echo(f"{out} ({format_size(out.stat().st_size)}): open it in any browser, or mail it")


@main.group()
def panel() -> None:
    """Viewers that live in a tracker's own pages."""


@panel.command()
@click.argument("out", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--workspace", default="YOUR-WORKSPACE", help="Your Comet workspace, for the upload command that is printed.")
def comet(out: Path, workspace: str) -> None:
    """Write the Comet JavaScript panel as a zip to upload in Comet."""
    from attnlog_integrations.comet.panel import upload_command, write_panel

    write_panel(out)
    click.echo(f"{out}: in a Comet project, Panels → Add → Upload, choose this file; or, with your key in COMET_API_KEY:")
    click.echo(f"  {upload_command(out, workspace)}")


@main.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--tracker", "trackers", multiple=True, required=True, help="Where to: mlflow, comet or a plugin; may be given again.")
@click.option("--wait", type=click.FloatRange(min=0), default=3600.0, show_default=True, help="Seconds to take at most.")
def sync(run: Path, trackers: tuple[str, ...], wait: float) -> None:
    """Deliver what a run folder holds and a tracker has not received.

    MLflow takes the run that MLFLOW_RUN_ID names, Comet the experiment that is running.
    """
    from attnlog.delivery.sync import sync as finish

    click.echo(finish(run, trackers, wait=wait))


if __name__ == "__main__":
    main()
