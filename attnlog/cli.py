"""The command line. Here commands are declared; what they do is in ``attnlog.commands``, a file each."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

import attnlog
from attnlog.errors import AttnlogError


class _Group(click.Group):
    """Turns named errors, and what the system refuses, into one line on standard error and exit status 1."""

    def invoke(self, ctx: click.Context) -> object:
        try:
            with _plain_warnings():
                return super().invoke(ctx)
        except BrokenPipeError:
            raise  # click ends quietly when nobody reads on
        except (AttnlogError, OSError) as error:
            click.echo(f"attnlog: {type(error).__name__}: {_one_line(error)}", err=True)
            sys.exit(1)


@contextmanager
def _plain_warnings() -> Iterator[None]:
    """Say our own warnings as commands say errors, without the line of code that they come from."""
    from attnlog.boundary import AttnlogWarning

    before = warnings.showwarning

    def show(message: Warning | str, category: type[Warning], *more: Any, **named: Any) -> None:
        if issubclass(category, AttnlogWarning):
            click.echo(f"attnlog: {_one_line(message)}", err=True)
        else:
            before(message, category, *more, **named)

    warnings.showwarning = show
    try:
        yield
    finally:
        warnings.showwarning = before


def _one_line(error: object) -> str:
    from attnlog.commands.output import safe

    return safe(" ".join(str(error).splitlines()))


_json = click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")


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


@main.command()
@click.argument("checkpoints", nargs=-1, required=True, metavar="CHECKPOINT…")
@click.option("--run", required=True, type=click.Path(path_type=Path), help="The run folder; one that is there is gone on with.")
@click.option("--input", "texts", multiple=True, metavar="TEXT", help="A text; may be given again.")
@click.option("--pair", "pairs", nargs=2, multiple=True, metavar="TEXT TEXT", help="A text pair, or source and target; may be given again.")
@click.option(
    "--inputs", "files", multiple=True, type=click.Path(path_type=Path), help="A file: one text a line, or .jsonl of texts and pairs."
)
@click.option("--tokenizer", metavar="PLACE", help="Folder or model whose tokenizer to use; default: each checkpoint's own.")
@click.option("--class", "made", metavar="NAME", help="Class of transformers to load with; default: the one the checkpoint was saved from.")
@click.option(
    "--record", multiple=True, metavar="NAME", help="attention, vectors, values, states, hidden, predictions, saliency; may be given again."
)
@click.option("--layers", metavar="NUMBERS", help="Such as 0,3-5; default: all.")
@click.option("--heads", metavar="NUMBERS", help="Such as 0,3-5; default: all.")
@click.option(
    "--step", "steps", type=click.IntRange(min=0), multiple=True, help="The step, one for each checkpoint; default: as it says itself."
)
@click.option("--tracker", "trackers", multiple=True, help="Deliver to mlflow, comet or a plugin, too; may be given again.")
@click.option("--max-tokens", type=click.IntRange(min=2), default=256, show_default=True, help="Longer texts are cut.")
@click.option(
    "--dense-tokens", type=click.IntRange(min=0), default=512, show_default=True, help="Of longer inputs only the top keys are kept."
)
@click.option("--precision", type=click.Choice(["u8", "f16", "f32"]), default="u8", show_default=True, help="Of the weights.")
@click.option("--device", help="Such as cpu or cuda:1; default: the first GPU, if there is one.")
@click.option(
    "--dtype", type=click.Choice(["auto", "float32", "float16", "bfloat16"]), default="auto", show_default=True, help="Of the model."
)
@click.pass_context
def capture(ctx: click.Context, /, **given: Any) -> None:
    """Record the attention of checkpoints that you already have, each as a step of a run.

    CHECKPOINT is a folder that save_pretrained or the Trainer wrote, a quoted glob such as 'out/checkpoint-*', or the name of a model
    on the hub. Those that the run holds are skipped, so the same command goes on after an interruption.
    Exit status 1: one could not be recorded.
    """
    from attnlog.commands.capture import Wish
    from attnlog.commands.capture import capture as run

    ctx.exit(run(Wish(**given)))


@main.command()
@click.argument("places", nargs=-1, required=True, metavar="PLACE…")
@click.option("--steps", is_flag=True, help="List the steps of each run.")
@_json
@click.pass_context
def ls(ctx: click.Context, places: tuple[str, ...], steps: bool, as_json: bool) -> None:
    """List runs, or all runs in a folder.

    PLACE is a run folder or a folder of runs, a URL such as s3://bucket/runs, mlflow:RUN_ID, comet:EXPERIMENT_KEY or
    comet:archive.zip. Exit status 1: a place could not be read.
    """
    from attnlog.commands.ls import ls as run

    ctx.exit(run(places, steps=steps, as_json=as_json))


@main.command()
@click.argument("place")
@click.option("--step", type=click.IntRange(min=0), help="Say what this step holds.")
@click.option("--asset", metavar="NAME", help="Say what this asset holds, such as index.arrow.")
@_json
@click.pass_context
def inspect(ctx: click.Context, place: str, step: int | None, asset: str | None, as_json: bool) -> None:
    """Say what is in a run, in a step, in an asset, or in one .arrow file."""
    from attnlog.commands.inspect import inspect as run

    ctx.exit(run(place, step=step, asset=asset, as_json=as_json))


@main.command()
@click.argument("place")
@_json
@click.pass_context
def verify(ctx: click.Context, place: str, as_json: bool) -> None:
    """Check that a run is whole and as it was written, byte by byte.

    Exit status 0: all good; 1: something is damaged, and named; 2: the run could not be read at all.
    """
    from attnlog.commands.verify import verify as run

    ctx.exit(run(place, as_json=as_json))


@main.command()
@click.argument("place")
@click.option("--keep-every", type=click.IntRange(min=1), metavar="N", help="Of every N training steps the first recorded one stays.")
@click.option("--keep-last", type=click.IntRange(min=1), metavar="K", help="The last K recorded steps stay; default 1.")
@click.option("--keep", type=click.IntRange(min=0), multiple=True, metavar="STEP", help="This step stays; may be given again.")
@click.option("--yes", is_flag=True, help="Do it; without this nothing is changed.")
@_json
@click.pass_context
def prune(
    ctx: click.Context, place: str, keep_every: int | None, keep_last: int | None, keep: tuple[int, ...], yes: bool, as_json: bool
) -> None:
    """Remove steps of a run: says which would go, and with --yes removes them.

    The first step, the last, and those named by --keep always stay. Safe beside a training that writes to the folder.
    """
    from attnlog.commands.prune import prune as run

    ctx.exit(run(place, keep_every=keep_every, keep_last=keep_last, keep=keep, yes=yes, as_json=as_json))


@main.command()
@click.argument("place")
@click.option("--step", type=click.IntRange(min=0), help="A recorded step; default: the last.")
@click.option("--input", "number", type=click.IntRange(min=0), default=0, show_default=True, help="Number of the input.")
@click.option("--kind", help="self, encoder, decoder, cross, …; default: self, or the first that was recorded.")
@click.option("--layer", type=click.IntRange(min=0), required=True, help="Number of the layer.")
@click.option("--head", type=click.IntRange(min=0), required=True, help="Number of the query head.")
@click.option("--color/--no-color", default=None, help="Colours, or a table of numbers; default: as the terminal can.")
@click.option("--width", type=click.IntRange(min=20), help="Columns to take; default: the terminal's.")
@_json
@click.pass_context
def show(
    ctx: click.Context,
    place: str,
    step: int | None,
    number: int,
    kind: str | None,
    layer: int,
    head: int,
    color: bool | None,
    width: int | None,
    as_json: bool,
) -> None:
    """Show one head as a heat map in the terminal, and its greatest weights."""
    from attnlog.commands.show import show as run

    ctx.exit(run(place, step=step, input=number, kind=kind, layer=layer, head=head, color=color, width=width, as_json=as_json))


@main.command()
@click.argument("place", required=False)
@_json
@click.pass_context
def doctor(ctx: click.Context, place: str | None, as_json: bool) -> None:
    """Say what is installed and configured, and whether it works; with PLACE, whether a run can be written there.

    Takes a few seconds at most for each tracker. Exit status 1: something that is configured does not work.
    """
    from attnlog.commands.doctor import doctor as run

    ctx.exit(run(place, as_json=as_json))


@main.group()
def panel() -> None:
    """Viewers that live in a tracker's own pages."""


@panel.command()
@click.argument("out", required=False, type=click.Path(path_type=Path, dir_okay=False))
@click.option("--upload", is_flag=True, help="Upload it, with the key in COMET_API_KEY or .comet.config.")
@click.option("--workspace", metavar="NAME", help="The Comet workspace to upload to.")
@click.option("--template-id", "template", metavar="ID", help="The uploaded panel to replace; default: a new one.")
@click.option(
    "--code", type=click.Path(path_type=Path, file_okay=False), help="A folder for the texts to paste into the panel editor's tabs."
)
@click.option("--python", type=click.Path(path_type=Path, dir_okay=False), help="A file for the Python panel, to paste into its editor.")
def comet(**given: Any) -> None:
    """Make Comet's panel: OUT is a zip to upload in Comet.

    There are two panels: the JavaScript panel (OUT, --upload, --code) reads what it shows from Comet as it is asked for; the
    Python panel (--python) loads one step at a time.
    """
    from attnlog.commands.panel import comet as run

    run(**given)


@main.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option(
    "--tracker", "trackers", multiple=True, help="Where to: mlflow, mlflow:RUN_ID, comet:EXPERIMENT_KEY or a plugin; may be given again."
)
@click.option("--wait", type=click.FloatRange(min=0), default=3600.0, show_default=True, help="Seconds to take at most.")
def sync(run: Path, trackers: tuple[str, ...], wait: float) -> None:
    """Deliver what a run folder holds and its trackers have not received.

    Without --tracker: to where the run was delivered, or was to be. What is there already, from whatever machine, is not
    delivered again. Exit status 1: something is left.
    """
    from attnlog.delivery.sync import deliver

    delivery = deliver(run, trackers, wait=wait)
    click.echo(delivery.finish())
    sys.exit(int(delivery.left > 0))


@main.command()
@click.argument("place")
@click.argument("out", metavar="DIR")
def fetch(place: str, out: str) -> None:
    """Bring a run from a tracker or a URL into a folder, every byte verified.

    PLACE is mlflow:RUN_ID, comet:EXPERIMENT_KEY, comet:archive.zip, or a URL such as s3://bucket/runs/a. A folder that has part of the
    run gets the rest. Exit status 1: something that its manifests name is not there, or damaged.
    """
    from attnlog.commands.fetch import fetch as run

    sys.exit(run(place, out))


if __name__ == "__main__":
    main()
