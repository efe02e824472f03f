"""Importing attnlog costs nothing; what is public is there; what is missing says how to get it."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

import attnlog
from attnlog.errors import MissingExtraError

HEAVY = ("torch", "pyarrow", "transformers", "mlflow", "comet_ml", "numpy", "starlette")


def python(code):
    return json.loads(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)


@pytest.mark.parametrize("module", ["attnlog", "attnlog.cli", "attnlog.run", "attnlog.boundary", "attnlog.delivery.discovery"])
def test_importing_loads_nothing_heavy(module):
    assert python(f"import {module}, sys, json; print(json.dumps([m for m in {HEAVY!r} if m in sys.modules]))") == []


def test_a_machine_without_torch_can_open_runs():
    code = "import sys; sys.modules['torch'] = None; import attnlog, json; s = attnlog.open('tests/golden/decoder'); "
    assert python(code + "print(json.dumps(s.read(100).weights('self', 1).shape))") == [4, 13, 13]


def test_every_public_name_is_there():
    for name in attnlog.__all__:
        assert callable(getattr(attnlog, name))
    assert sorted(attnlog.__all__) == attnlog.__all__


def test_functions_stay_functions_when_the_packages_of_their_name_are_imported():
    code = "import attnlog.capture.tensors, attnlog.view.server, attnlog, json; "
    code += "print(json.dumps([type(attnlog.capture).__name__, type(attnlog.view).__name__]))"
    assert python(code) == ["function", "function"]


def test_a_missing_package_names_the_pip_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.delitem(attnlog.__dict__, "capture", raising=False)
    monkeypatch.delitem(sys.modules, "attnlog.capture.api", raising=False)
    with pytest.raises(MissingExtraError, match=r"pip install 'attnlog\[transformers\]'"):
        _ = attnlog.capture


def test_unknown_names_are_attribute_errors():
    with pytest.raises(AttributeError, match="nobody"):
        _ = attnlog.nobody
