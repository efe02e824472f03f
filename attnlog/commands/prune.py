"""``attnlog prune``: what a thinned-out run would lose, and, asked to, thinning it out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from attnlog.commands.output import counted, listed, print_json, safe, size
from attnlog.errors import ArgumentError
from attnlog.store.change import caution, refusal
from attnlog.store.open import open_run
from attnlog.store.prune import Plan, carry_out, plan


def prune(place: str, *, keep_every: int | None, keep_last: int | None, keep: Sequence[int], yes: bool, as_json: bool) -> int:
    """Plan a prune, and with `yes` carry it out; return the exit status.

    Raises:
        ArgumentError: nothing says what is to stay.
        RunError: the place cannot be changed.
    """
    if keep_every is None and keep_last is None:
        raise ArgumentError("say what is to stay: --keep-every N (of N training steps one) or --keep-last K")
    with open_run(place) as run:
        planned = plan(run, keep_every=keep_every, keep_last=keep_last or 1, keep=keep)
        said = _said(planned, caution(run.source), None if yes else refusal(run.source))
        if yes and not planned.empty:
            carry_out(run, planned)
        if as_json:
            print_json({**said, "done": yes})
        else:
            _print(planned, said, yes)
    return 0


def _said(planned: Plan, careful: str | None, refused: str | None) -> dict[str, Any]:
    return {
        "place": planned.place,
        "stay": list(planned.staying),
        "go": list(planned.going),
        "superseded": planned.superseded,
        "commits": len(planned.commits),
        "files": list(planned.files),
        "left": planned.left,
        "bytes": planned.bytes,
        "caution": careful,
        "refused": refused,
    }


def _print(planned: Plan, said: dict[str, Any], yes: bool) -> None:
    click.echo(safe(planned.place))
    click.echo(f"  stay  {counted(len(planned.staying), 'step')}: {listed(planned.staying)}")
    if planned.empty:
        click.echo("  there is nothing to prune")
        return
    going = f"{counted(len(planned.going), 'step')}: {listed(planned.going)}" if planned.going else "no step"
    click.echo(f"  go    {going}")
    if planned.superseded:
        click.echo(f"        and {counted(planned.superseded, 'commit')} that a newer one of the same step replaced")
    click.echo(f"        {counted(len(planned.files), 'file')}, {size(planned.bytes)}")
    if planned.left:
        click.echo(f"        {planned.left} of them were left by a prune that was interrupted; their size is not counted")
    if said["caution"]:
        click.echo(f"  note: {safe(said['caution'])}")
    if said["refused"]:
        click.echo(f"  this cannot be done here: {safe(said['refused'])}")
    elif not yes:
        click.echo("nothing was changed: add --yes to do it")
    else:
        click.echo("done")
