"""From names to trackers, without importing a tracker's package merely to look."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest

from attnlog.boundary import AttnlogWarning, Boundary
from attnlog.delivery import discovery
from attnlog.delivery.discovery import check_names, find_trackers
from attnlog.delivery.local import LocalTracker
from attnlog.errors import ArgumentError, MissingExtraError, TrackerError


class Plugin(LocalTracker):
    """What a third party's factory might make."""

    name = "plugin"


class Other:
    """A tracker that is no local one."""

    name = "other"

    def __init__(self, directory: Path | None = None) -> None:
        self.directory = directory

    def put(self, entry: Any, file: Path) -> None: ...
    def refresh(self, run: Path) -> None: ...
    def where(self) -> str | None: ...
    def close(self) -> None: ...


@pytest.fixture
def plugins(monkeypatch: pytest.MonkeyPatch) -> dict[str, EntryPoint]:
    """Trackers beside the ones of this distribution."""
    known = {
        **discovery.known_trackers(),
        "other": EntryPoint("other", f"{__name__}:Other", discovery.GROUP),
        "absent": EntryPoint("absent", "package_that_is_not_installed.tracker:Tracker", discovery.GROUP),
        "wrong": EntryPoint("wrong", "pathlib:Path", discovery.GROUP),
    }
    monkeypatch.setattr(discovery, "known_trackers", lambda: known)
    return known


def test_the_local_folder_is_always_there(tmp_path: Path) -> None:
    [local] = find_trackers("local", tmp_path)
    assert local.where() == f"attnlog view {tmp_path}"


def test_an_entry_point_becomes_a_tracker_of_the_run_folder(tmp_path: Path, plugins: Any) -> None:
    local, other = find_trackers("other", tmp_path)
    assert isinstance(other, Other)
    assert other.directory == tmp_path


def test_a_tracker_may_be_given_itself(tmp_path: Path) -> None:
    mine = Other()
    assert find_trackers([mine, "local"], tmp_path)[1:] == [mine]


def test_a_class_makes_a_tracker_for_each_run(tmp_path: Path) -> None:
    made = [find_trackers(Other, tmp_path / name)[1] for name in ("one", "two")]
    assert [tracker.directory.name for tracker in made] == ["one", "two"]  # type: ignore[attr-defined]


def test_a_class_may_name_itself_when_it_is_made(tmp_path: Path) -> None:
    class Late(Other):
        name: str

        def __init__(self, directory: Path | None = None) -> None:
            super().__init__(directory)
            self.name = "late"

    del Other.name
    try:
        assert [tracker.name for tracker in find_trackers(Late, tmp_path)] == ["local", "late"]
    finally:
        Other.name = "other"
    with pytest.raises(ArgumentError, match="'Path' made a PosixPath, which lacks part of"):
        find_trackers(Path, tmp_path)  # type: ignore[arg-type]  # the fault that is tested


def test_a_factorys_own_error_is_told_without_secrets(tmp_path: Path) -> None:
    class Failing(Other):
        def __init__(self, directory: Path | None = None) -> None:
            raise ConnectionError("https://me:pass-word@host refused")

    with pytest.raises(TrackerError, match="'Failing' cannot be used: ConnectionError: https://host refused"):
        find_trackers(Failing, tmp_path)


def test_an_unknown_name_is_an_error_that_lists_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match="'neptune'.*'auto', 'comet', 'local', 'mlflow'"):
        find_trackers(["local", "neptune"], tmp_path)


def test_a_thing_that_is_no_tracker_is_an_error() -> None:
    with pytest.raises(ArgumentError, match="not int"):
        check_names([3])  # type: ignore[list-item]


def test_a_missing_package_is_named_with_the_line_that_installs_it(tmp_path: Path, plugins: Any) -> None:
    with pytest.raises(MissingExtraError, match="package_that_is_not_installed.*pip install"):
        find_trackers("absent", tmp_path)


def test_a_factory_that_makes_no_tracker_is_an_error(tmp_path: Path, plugins: Any) -> None:
    with pytest.raises(ArgumentError, match="'wrong'"):
        find_trackers("wrong", tmp_path)


def test_inside_a_training_what_cannot_be_had_is_a_warning_and_the_rest_is_there(tmp_path: Path, plugins: Any) -> None:
    boundary = Boundary()
    with pytest.warns(AttnlogWarning) as said:
        found = find_trackers(["absent", "other"], tmp_path, boundary=boundary)
    assert [tracker.name for tracker in found] == ["local", "other"]
    assert len(said) == 1
    assert "run folder on this machine is written all the same" in str(said[0].message)


def test_auto_follows_what_the_trainer_reports_to(tmp_path: Path, plugins: Any) -> None:
    found = find_trackers("auto", tmp_path, report_to=["other", "tensorboard"])
    assert [tracker.name for tracker in found] == ["local", "other"]


def test_looking_imports_no_tracker(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from attnlog.delivery.discovery import find_trackers\n"
        f"found = find_trackers('auto', Path({str(tmp_path)!r}), report_to=[])\n"
        "assert [t.name for t in found] == ['local']\n"
        "assert not {'mlflow', 'comet_ml', 'torch', 'transformers', 'pyarrow'} & set(sys.modules), 'imported'"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
