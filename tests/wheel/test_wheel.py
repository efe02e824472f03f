"""The built wheel works where only Python is: no node, no torch, no checkout."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
GOLDEN = ROOT / "tests/golden"
HEAVY = ("torch", "pyarrow", "transformers", "mlflow", "comet_ml")


def run(*command, **more):
    return subprocess.run([str(part) for part in command], check=True, capture_output=True, text=True, **more).stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    out = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--wheel", "--outdir", out, ROOT)
    return next(out.glob("*.whl"))


@pytest.fixture(scope="module")
def python(wheel, tmp_path_factory):
    """A venv with the wheel and what it depends on, and nothing else."""
    home = tmp_path_factory.mktemp("venv")
    run(sys.executable, "-m", "venv", home)
    made = home / "bin/python"
    run(made, "-m", "pip", "install", "-q", wheel)
    return made


def clean(**more):
    """An environment in which node cannot be found and no checkout is on the path."""
    return {"PATH": "/usr/bin:/bin" if not shutil.which("node", path="/usr/bin:/bin") else "", "HOME": os.environ.get("HOME", "/"), **more}


def test_it_holds_the_viewer_both_packages_and_their_types(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    assert "attnlog/view/static/studio.js" in names
    assert "attnlog/py.typed" in names
    assert "attnlog_integrations/transformers/callback.py" in names
    assert "attnlog_integrations/__init__.py" not in names  # a namespace package: others may add to it
    assert not [name for name in names if name.startswith(("tests/", "panels/", "bench/", "integrations/"))]


def test_importing_it_takes_next_to_nothing_and_loads_nothing_heavy(python, tmp_path):
    code = f"""
import sys, time
before = set(sys.modules)
start = time.process_time()
import attnlog
took = time.process_time() - start
import json
print(json.dumps({{"took": took, "heavy": [m for m in {HEAVY!r} if m in sys.modules], "new": len(set(sys.modules) - before)}}))
"""
    found = json.loads(run(python, "-c", code, cwd=tmp_path, env=clean()))
    print(f"import attnlog: {found['took'] * 1000:.0f} ms of its own, {found['new']} modules")
    assert found["heavy"] == []
    assert found["new"] < 60  # a count, not a time: the machine may be busy


def test_it_reads_and_exports_a_run_without_torch_or_node(python, tmp_path):
    out = tmp_path / "out.html"
    said = run(python, "-m", "attnlog.cli", "export", GOLDEN / "decoder", out, cwd=tmp_path, env=clean())
    assert "out.html" in said
    assert out.stat().st_size > 50_000
    shape = run(
        python,
        "-c",
        f"import attnlog; print(attnlog.open({str(GOLDEN / 'pair')!r}).read().weights('self', 0).shape)",
        cwd=tmp_path,
        env=clean(),
    )
    assert shape.strip() == "(3, 12, 12)"


def test_what_needs_more_says_which_pip_line(python, tmp_path):
    code = "import attnlog\ntry: attnlog.capture\nexcept attnlog.AttnlogError as error: print(error)"
    assert "pip install 'attnlog[transformers]'" in run(python, "-c", code, cwd=tmp_path, env=clean())


def test_the_command_is_installed(python, tmp_path):
    assert "Usage: attnlog" in run(python.parent / "attnlog", "--help", cwd=tmp_path, env=clean())
