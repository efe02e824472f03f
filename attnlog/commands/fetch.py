"""``attnlog fetch``: a run from a tracker or a URL, in a folder."""

from __future__ import annotations

import shlex

import click

from attnlog.commands.output import counted, progress, safe, size
from attnlog.errors import ArgumentError
from attnlog.store.fetch import fetch as bring
from attnlog.store.source import local_folder, open_source


def fetch(place: str, out: str) -> int:
    """Fetch a run and say what came; return the exit status.

    Raises:
        ArgumentError: it is to go elsewhere than into a folder of this machine.
    """
    if local_folder(out) is None:
        raise ArgumentError(f"{out!r} is no folder of this machine: name one to fetch into")
    source = open_source(place)
    try:
        with progress("fetching") as advance:
            told = bring(source, out, advance=advance)
    finally:
        source.close()
    before = f", {told.there} there before" if told.there else ""
    came = f"{counted(told.files, 'file')} ({size(told.bytes)}) fetched{before}"
    click.echo(f"{safe(source.place)}: {came}: attnlog view {shlex.quote(out)}")
    for path, why in told.failed.items():
        click.echo(f"  left out: {safe(path)}: {safe(why)}", err=True)
    return int(bool(told.failed))
