"""Both readers against assets and runs made to fool them: refused by name, or decoded to numbers that can be; no hang, no bomb."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.hostile import case as corpus
from tests.hostile.beside import built_beside, lies_beside
from tests.hostile.built import built
from tests.hostile.runs import lies
from tests.hostile.sweeps import SWEPT_BESIDE, bases, sweeps

ROOT = Path(__file__).parent.parent.parent
#: More than any case may take: twice what the largest honest one declares, and what an interpreter itself grows by.
MEMORY = 400_000_000


def cases() -> Iterator[corpus.Case]:
    """Every hostile asset."""
    yield from built()
    yield from sweeps()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The whole corpus on disk, for readers of any language."""
    made = tmp_path_factory.mktemp("hostile")
    corpus.write(made, bases(), cases())
    said = [{"rule": lie.rule, "folder": lie.folder.name, "expected": lie.expected} for lie in lies(made)]
    (made / "lies.json").write_text(json.dumps(said))
    return made


@pytest.fixture(scope="module")
def folder_beside(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The corpus of what lies beside attention."""
    made = tmp_path_factory.mktemp("hostile-beside")
    corpus.write(made, bases(SWEPT_BESIDE), [*built_beside(), *sweeps(SWEPT_BESIDE)])
    said = [{"rule": lie.rule, "folder": lie.folder.name, "expected": lie.expected} for lie in lies_beside(made)]
    (made / "lies.json").write_text(json.dumps(said))
    return made


def read(command: list[str], folder: Path) -> dict[str, Any]:
    """Let a reader loose on the corpus."""
    ended = subprocess.run([*command, str(folder)], cwd=ROOT, capture_output=True, text=True)
    assert ended.returncode == 0, f"the reader died ({ended.returncode}; -14: a case hung): {ended.stderr[-2000:]}"
    found: dict[str, Any] = json.loads(ended.stdout.splitlines()[-1])
    return found


def tell(reader: str, found: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    """Print what came of the corpus."""
    with capsys.disabled():
        print(f"\n{reader}: {sum(found['counts'].values())} readings, {len(found['wrong'])} wrong")
        for what, count in sorted(found["counts"].items()):
            print(f"  {count:7d}  {what}")


@pytest.mark.parametrize("corpus_of", ["folder", "folder_beside"])
def test_the_python_reader_cannot_be_fooled(corpus_of: str, request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]) -> None:
    found = read([sys.executable, "-m", "tests.hostile.python_reader"], request.getfixturevalue(corpus_of))
    tell("Python", found, capsys)
    assert not found["wrong"], "\n".join(found["wrong"][:20])
    assert found["grown"] < MEMORY
    assert found["arrow"] < MEMORY


def test_a_small_asset_is_cut_and_flipped_at_every_byte() -> None:
    small = next(base for base in bases() if base.name == "decoder-attention")
    made = [case for case in sweeps() if case.base == small.name]
    assert [case.cut for case in made if case.rule == "cut short"] == list(range(len(small.data)))
    assert {case.patches[0][0] for case in made if case.rule == "byte flipped"} == set(range(len(small.data)))


@pytest.mark.parametrize("corpus_of", ["folder", "folder_beside"])
def test_the_viewers_reader_cannot_be_fooled(corpus_of: str, request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]) -> None:
    found = read(["node", str(ROOT / "panels" / "scripts" / "corpus.mjs")], request.getfixturevalue(corpus_of))
    tell("TypeScript", found, capsys)
    assert not found["wrong"], "\n".join(found["wrong"][:20])
    assert found["grown"] < MEMORY
