"""Whether a run folder is whole: everything that its manifests name verifies, and can be read."""

from __future__ import annotations

from pathlib import Path

from attnlog.format.read import check_asset
from attnlog.store.open import open_run


def check_whole(folder: Path) -> int:
    """Verify every asset that any manifest names, read every layer of every step, and count the commits."""
    saved = open_run(folder)
    commits = 0
    for manifest in saved.manifests:
        records = [record for commit in manifest.commits for record in (commit.inputs, *commit.assets)]
        for record in [*records, *([manifest.roll_up.asset] if manifest.roll_up else [])]:
            data = (folder / record.path).read_bytes()
            said = {"kind": record.kind, "name": record.path, "length": record.bytes, "digest": record.sha256}
            check_asset(data, decoded=record.decoded, rows=record.rows, **said)
        commits += len(manifest.commits)
    for step in saved.steps:
        opened = saved.read(step)
        for layer in opened.layers:
            opened.find(layer.kind, layer.layer, layer.input)
    return commits
