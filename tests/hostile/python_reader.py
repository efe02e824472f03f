"""The Python reader, given a corpus: says what came of every case, each as it is and signed again.

Runs in a process of its own, so that a crash, a hang or too much memory is seen from outside.
"""

from __future__ import annotations

import hashlib
import json
import resource
import signal
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa

from attnlog.errors import AssetError, AttnlogError
from attnlog.format import read
from attnlog.store.open import open_run
from tests.hostile import case as corpus
from tests.hostile.case import Base, Case

HANGS = 60  # seconds after which a case of a few kilobytes hangs


def outcomes(cases: Iterator[tuple[Case, Base]]) -> Iterator[tuple[Case, str, str, str]]:
    """For each case what must come of it unsigned, what came of it so, and what came of it signed."""
    for case, base in cases:
        data = case.bytes(base)
        decoded, rows = (said if said is not None else known for said, known in ((case.decoded, base.decoded), (case.rows, base.rows)))
        unsigned = _outcome(base, data, len(base.data), base.sha256, base.decoded, base.rows)
        yield case, case.unsigned(base), unsigned, _outcome(base, data, len(data), hashlib.sha256(data).hexdigest(), decoded, rows)


def _outcome(base: Base, data: bytes, length: int, digest: str, decoded: int, rows: int) -> str:
    try:
        read.check_asset(data, kind=base.kind, name=base.name, length=length, digest=digest, decoded=decoded, rows=rows)
    except AssetError as error:
        return type(error).__name__
    except Exception as error:  # what a reader of damaged bytes must never let out
        return f"{type(error).__name__}: {error}"
    return "ok" if in_range(read.table(data, base.kind, base.name, decoded=decoded, rows=rows)) else "out of range"


def in_range(found: pa.Table) -> bool:
    """Whether every number of a decoded table is one that can be; says it again, apart from the reader's own checks."""
    for column in found.schema:
        values = found.column(column.name).combine_chunks()
        while pa.types.is_list(values.type):
            values = values.flatten()
        if pa.types.is_floating(values.type):
            numbers = values.drop_null().to_numpy(zero_copy_only=False)
            if column.name == "cosine" or (column.name == "values" and "role" in found.schema.names and "name" in found.schema.names):
                numbers = numbers[~np.isnan(numbers)]  # of a cosine and a loss NaN says that there is none
            if not np.isfinite(numbers).all():
                return False
            if column.name in ("weights", "left_out", "probabilities") and numbers.size and (numbers.min() < 0 or numbers.max() > 1.001):
                return False
    return True


def read_all(folder: Path) -> str:
    """Read everything that a run's manifests name, and say what came of it."""
    try:
        with open_run(folder) as saved:
            saved.heads()
            for step in saved.steps:
                opened = saved.read(step)
                for record in opened.commit.assets:
                    if record.kind == "pictures":
                        data = saved.source.get(record.path, (0, min(record.bytes, read.MAX_BYTES) + 1))
                        read.check_asset(
                            data,
                            kind=record.kind,
                            name=record.path,
                            length=record.bytes,
                            digest=record.sha256,
                            decoded=record.decoded,
                            rows=record.rows,
                        )
                for one in opened.all_states():
                    opened.with_values(one)
                opened.all_outputs()
                for layer in opened.layers:
                    opened.find(layer.kind, layer.layer, layer.input)
                    opened.find(layer.kind, layer.layer, layer.input, what="vectors")
    except AttnlogError as error:
        return type(error).__name__
    except Exception as error:  # what a reader of damaged bytes must never let out
        return f"{type(error).__name__}: {error}"
    return "ok"


def main(folder: Path) -> None:
    """Read a whole corpus and the runs that lie, and print one JSON object about it."""
    base_memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    counts: Counter[str] = Counter()
    wrong: list[str] = []
    for case, expected, unsigned, signed in outcomes(corpus.read(folder)):
        signal.alarm(HANGS)  # a case that hangs ends the process, whatever it hangs in
        counts[f"as it is: {unsigned}"] += 1
        counts[f"signed again: {signed}"] += 1
        if unsigned != expected:
            wrong.append(f"{case.rule} of {case.base}, as it is: {unsigned}, expected {expected}")
        if signed not in case.signed:
            wrong.append(f"{case.rule} of {case.base} {case.cut} {case.patches}: {signed}, expected {' or '.join(case.signed)}")
    for lie in json.loads((folder / "lies.json").read_text()):
        signal.alarm(HANGS)
        found = read_all(folder / lie["folder"])
        counts[f"run that lies: {found}"] += 1
        if found != lie["expected"]:
            wrong.append(f"{lie['rule']}: {found}, expected {lie['expected']}")
    signal.alarm(0)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - base_memory) * 1024
    print(json.dumps({"counts": counts, "wrong": wrong, "grown": grown, "arrow": pa.default_memory_pool().max_memory()}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
