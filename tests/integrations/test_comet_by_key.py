"""Delivery to a Comet experiment that runs nowhere, by its key, and what a budget leaves out; the real client against loopback."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import comet_ml
import pytest

import attnlog
from attnlog.boundary import Boundary
from attnlog.delivery.discovery import find_trackers
from attnlog.delivery.queue import Delivery
from attnlog.delivery.tracker import Entry
from attnlog.errors import ArgumentError, TrackerError
from attnlog_integrations.comet.budget import Budget, budget
from attnlog_integrations.comet.tracker import CometTracker
from tests.integrations.comet_loopback import Loopback, loopback
from tests.integrations.files import entries, files, small_run
from tests.integrations.test_comet import put_with_scalars, read_back

KEY = "0123456789abcdef0123456789abcdef"
ENTRY = Entry(path="step-00000001/w-0/attention.arrow", kind="attention", bytes=1, sha256="0", step=1)


@pytest.fixture
def comet(monkeypatch: pytest.MonkeyPatch) -> Iterator[Loopback]:
    with loopback() as server:
        for name, value in server.environment().items():
            monkeypatch.setenv(name, value)
        yield server


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return small_run(tmp_path / "run")


def deliver(folder: Path, tracker: CometTracker) -> str:
    """In the order in which a training commits: step after step."""
    delivery = Delivery(folder, [tracker], Boundary())
    delivery.offer(sorted(entries(folder), key=lambda one: (one.kind == "manifest", one.step or 0)))
    return delivery.finish(wait=120)


def test_an_experiment_that_runs_nowhere_is_written_to_by_its_key(folder: Path, comet: Loopback) -> None:
    _, tracker = find_trackers(f"comet:{KEY}", folder)
    assert isinstance(tracker, CometTracker)
    assert tracker.run == tracker.destination == KEY
    put_with_scalars(tracker, folder)
    assert tracker.holds() == {path: len(data) for path, data in files(folder).items()}
    tracker.close()
    assert read_back(KEY) == {f"attnlog/{path}": data for path, data in files(folder).items()}
    assert attnlog.open(f"comet:{KEY}").steps == (100, 200, 300)
    index = next(a for name, a in comet.of(KEY).items() if "step-00000200" in name and name.endswith("index.arrow"))
    assert (index.step, index.metadata["step"], index.metadata["epoch"]) == ("200", 200, 2.0)
    assert {(one.step, one.value, one.epoch) for one in comet.metrics} == {(s, s / 1000, s / 100) for s in (100, 200, 300)}


def test_nothing_else_of_the_experiment_is_touched_and_none_is_started(folder: Path, comet: Loopback) -> None:
    tracker = CometTracker(folder, run=KEY)
    assert comet.written == []  # nobody is asked on the thread that trains
    put_with_scalars(tracker, folder)
    tracker.close()
    assert {path.rpartition("/")[2] for path in comet.written} == {"upload-asset", "metric"}
    assert comet_ml.get_running_experiment() is None or not comet_ml.get_running_experiment().alive


def test_a_second_delivery_replaces_the_manifest_only(folder: Path, comet: Loopback) -> None:
    deliver(folder, CometTracker(folder, run=KEY))
    before = {asset.name: asset.id for asset in comet.assets}
    assert f"1 file delivered, {len(files(folder)) - 1} there before" in deliver(folder, CometTracker(folder, run=KEY))
    after = {asset.name: asset.id for asset in comet.assets}
    assert len(comet.assets) == len(files(folder))
    assert {name for name in after if after[name] != before[name]} == {name for name in after if name.endswith(".jsonl")}


def test_the_experiment_that_runs_here_is_written_to_by_its_client(folder: Path, comet: Loopback) -> None:
    experiment = comet_ml.start()
    deliver(folder, CometTracker(folder, run=experiment.id))
    assert not any(path.endswith("upload-asset") for path in comet.written)
    experiment.end()
    assert read_back(experiment.id).keys() == {f"attnlog/{path}" for path in files(folder)}


def test_another_key_than_the_one_that_runs_leaves_that_one_alone(folder: Path, comet: Loopback) -> None:
    experiment = comet_ml.start()
    deliver(folder, CometTracker(folder, run=KEY))
    assert comet_ml.get_running_experiment() is experiment
    assert experiment.alive
    experiment.end()
    assert comet.of(experiment.id) == {}


def test_what_is_no_key_and_a_missing_api_key_are_said_at_once(
    folder: Path, tmp_path: Path, comet: Loopback, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ArgumentError, match="comet:my run names no experiment"):
        CometTracker(folder, run="my run")
    monkeypatch.delenv("COMET_API_KEY")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(TrackerError, match=f"no Comet API key to write to experiment {KEY}.*COMET_API_KEY"):
        CometTracker(folder, run=KEY)


def test_a_comet_that_is_down_is_named_without_the_key(folder: Path, comet: Loopback, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(comet, "refuse", 403)
    tracker = CometTracker(folder, run=KEY)
    with pytest.raises(TrackerError, match=f"Comet at {comet.address} cannot be (read|written to)") as said:
        put_with_scalars(tracker, folder)
    assert comet.key not in str(said.value)


def test_an_experiment_that_can_be_written_and_not_read_is_written(folder: Path, comet: Loopback, caplog: pytest.LogCaptureFixture) -> None:
    experiment = comet_ml.start()
    comet.refuse = 403
    with caplog.at_level("INFO", logger="attnlog"):
        deliver(folder, CometTracker(folder))
    comet.refuse = 0
    experiment.end()
    assert read_back(experiment.id).keys() == {f"attnlog/{path}" for path in files(folder)}
    assert any("does not count against its budget" in record.message and comet.key not in record.message for record in caplog.records)


def test_a_machine_that_never_imported_comets_client_gets_it_without_its_hooks(folder: Path, comet: Loopback) -> None:
    # Imported as always, Comet's client would begin an experiment of its own at mlflow.start_run().
    program = f"""
import os, random, sys
from pathlib import Path
from attnlog_integrations.comet.tracker import CometTracker
os.environ.pop("COMET_DISABLE_AUTO_LOGGING", None)
random.seed(3)
drawn = random.getstate()
tracker = CometTracker(Path({str(folder)!r}), run={KEY!r})
assert random.getstate() == drawn  # importing it draws some
print(tracker.holds())
import comet_ml.monkey_patching
assert not any(type(one).__module__.startswith("comet_ml") for one in sys.meta_path), sys.meta_path
assert "COMET_DISABLE_AUTO_LOGGING" not in os.environ
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip().endswith("{}")


def test_above_the_budget_the_steps_between_go_first(
    folder: Path, comet: Loopback, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    # Two steps and what is small fit, three do not.
    monkeypatch.setenv("ATTNLOG_COMET_BUDGET", str(sum(one.bytes for one in entries(folder) if one.step != 200)))
    with caplog.at_level("INFO", logger="attnlog"):
        tracker = CometTracker(folder, run=KEY)
        summary = deliver(folder, tracker)
    absent = files(folder).keys() - {name.removeprefix("attnlog/") for name in read_back(KEY)}
    assert absent == tracker.left_out == {e.path for e in entries(folder) if e.step == 200 and e.kind in ("attention", "vectors")}
    assert "2 assets (17.9 kB) left out above ATTNLOG_COMET_BUDGET" in summary
    assert sum("are left out above" in record.message for record in caplog.records) == 1
    # A larger budget, and the rest arrives.
    monkeypatch.setenv("ATTNLOG_COMET_BUDGET", "1GB")
    deliver(folder, CometTracker(folder, run=KEY))
    assert read_back(KEY).keys() == {f"attnlog/{path}" for path in files(folder)}


def test_the_number_of_assets_has_a_limit_too(folder: Path, comet: Loopback, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ATTNLOG_COMET_ASSETS", "6")
    summary = deliver(folder, CometTracker(folder, run=KEY))
    kinds = [asset.metadata["kind"] for asset in comet.assets]
    assert kinds.count("index") == kinds.count("pictures") == 3
    assert kinds.count("attention") < 3
    assert "left out above ATTNLOG_COMET_ASSETS=6" in summary


def planned(limit: int, steps: dict[int, int]) -> tuple[set[int], set[int]]:
    """Steps of which all is logged as they come, and at the end; each step has weights and vectors, of so many bytes together."""
    made = Budget(limit, None)
    now: dict[int, set[str]] = {}
    for step, size in steps.items():
        for kind, share in (("index", 0), ("attention", 0.6), ("vectors", 0.4)):
            one = replace(ENTRY, path=f"step-{step:08}/w-0/{kind}.arrow", kind=kind, bytes=int(size * share), step=step)
            if made.admits(one, Path(__file__)):
                made.spend(one.bytes)
                now.setdefault(step, set()).add(kind)
    assert all("index" in kinds for kinds in now.values())
    whole = {step for step, kinds in now.items() if len(kinds) == 3}
    assert all(len(kinds) in (1, 3) for kinds in now.values()), "half a step shows little"
    return whole, {entry.step for entry, _ in made.late() if entry.step is not None}


def test_room_is_kept_for_the_last_step() -> None:
    assert planned(350, {1: 100, 2: 100, 3: 100, 4: 100, 5: 100}) == ({1, 2}, {5})
    assert planned(1000, {1: 100, 2: 100, 3: 100}) == ({1, 2, 3}, set())
    assert planned(100, {1: 100, 2: 100}) == ({1}, set())
    assert planned(250, {1: 100, 2: 100, 3: 200}) == ({1}, set())  # a last step that is larger than the room for it


@pytest.mark.parametrize(("name", "value"), [("ATTNLOG_COMET_BUDGET", "much"), ("ATTNLOG_COMET_ASSETS", "-1")])
def test_a_setting_that_is_none_is_named(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ArgumentError, match=f"{name}: '{value}' is not"):
        budget()
    monkeypatch.setenv(name, "none")
    assert (budget().limit is None, budget().most is None) == (name == "ATTNLOG_COMET_BUDGET", name == "ATTNLOG_COMET_ASSETS")
