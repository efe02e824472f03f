"""Reading a run through its source: a folder, whatever fsspec opens, and what a plugin adds."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import fsspec
import numpy as np
import pytest

import attnlog
from attnlog.errors import (
    ArgumentError,
    AssetDigestMismatch,
    AssetMissing,
    AssetSchemaError,
    AssetTooLarge,
    AssetTruncated,
    MissingExtraError,
    RunError,
    RunNotFoundError,
    TrackerError,
)
from attnlog.format.write import write_assets
from attnlog.store import kept, source
from attnlog.store.folder import Writer
from attnlog.store.kept import Kept
from attnlog.store.lock import locked
from attnlog.store.source import FolderSource, FsspecSource, Source, open_source

GOLDEN = Path(__file__).parent.parent / "golden/decoder"


class Counting(FolderSource):
    """Remembers what it was asked for."""

    def __init__(self, directory):
        super().__init__(directory)
        self.listed, self.asked = [], []

    def list(self, *, deep=True):
        self.listed.append(deep)
        return super().list(deep=deep)

    def get(self, path, range=None):
        self.asked.append((path, range))
        return super().get(path, range)


@pytest.fixture
def memory():
    """The golden run in fsspec's memory, and the file system, emptied afterwards."""
    files = fsspec.filesystem("memory")
    files.put(str(GOLDEN), "/runs/a", recursive=True)
    yield files
    files.rm("/", recursive=True)


def test_a_run_of_a_thousand_steps_opens_by_its_manifests_only(tmp_path):
    writer = Writer(tmp_path / "run")
    assets = write_assets(attnlog.from_tensors([np.full((1, 2, 2), 0.5)], ["a", "b"]))
    for step in range(1000):
        writer.commit(assets, step=step)
    counting = Counting(tmp_path / "run")
    saved = attnlog.open(counting)
    assert len(saved.steps) == 1000
    assert counting.listed == [False]
    assert [path for path, _ in counting.asked] == [writer.manifest.name]
    saved.read(500).weights("self", 0)
    assert [Path(path).name.partition("-")[0] for path, _ in counting.asked[1:]] == [
        "inputs",
        "index.arrow",
        "attention.arrow",
        "attention.arrow",
    ]


def test_a_run_in_memory_reads_as_the_folder_does_and_one_layer_is_a_range(memory, monkeypatch):
    asked = []
    cat_file = memory.cat_file
    monkeypatch.setattr(
        type(memory), "cat_file", lambda _, path, start=None, end=None: asked.append((path, start, end)) or cat_file(path, start, end)
    )
    here, there = attnlog.open(GOLDEN), attnlog.open("memory://runs/a")
    assert there.steps == here.steps
    assert there.name == here.name
    asked.clear()
    step = there.read(200)
    np.testing.assert_array_equal(step.weights("self", 1), here.read(200).weights("self", 1))
    attention = [(start, end) for path, start, end in asked if path.endswith("attention.arrow")]
    assert len(attention) == 2  # the schema message and the batch message of one layer
    size = here.commit(200).asset("attention").bytes
    assert sum(end - start for start, end in attention) < size / 1.5
    np.testing.assert_array_equal(step.vectors("q", "self", 0), here.read(200).vectors("q", "self", 0))


def test_a_file_url_is_a_folder():
    saved = attnlog.open(GOLDEN.resolve().as_uri())
    assert saved.directory == GOLDEN.resolve()
    assert saved.steps == (0, 100, 200)


def test_reloading_sees_what_came_since(memory):
    saved = attnlog.open("memory://runs/a")
    name = saved.manifests[0].writer
    lines = memory.cat_file(f"/runs/a/manifest-{name}.jsonl").splitlines(keepends=True)
    memory.pipe_file(f"/runs/a/manifest-{name}.jsonl", b"".join(line for line in lines if b'"step":200' not in line))
    saved.reload()
    assert saved.steps == (0, 100)


def test_a_run_elsewhere_has_no_folder_and_says_so(memory):
    with pytest.raises(RunError, match=r"memory://runs/a is in no folder of this machine"):
        _ = attnlog.open("memory://runs/a").directory


@pytest.mark.parametrize(
    ("damage", "error"),
    [
        (lambda data: data[:300] + bytes([data[300] ^ 1]) + data[301:], AssetDigestMismatch),
        (lambda data: data[:-5], AssetTruncated),
        (lambda data: data + b"x", AssetTooLarge),
        (None, AssetMissing),
    ],
)
def test_damage_elsewhere_has_the_same_names(memory, damage, error):
    path = "/runs/a/step-00000200/golden-1-2/index.arrow"
    if damage is None:
        memory.rm(path)
    else:
        memory.pipe_file(path, damage(memory.cat_file(path)))
    with pytest.raises(error, match=r"index\.arrow"):
        _ = attnlog.open("memory://runs/a").read(200).layers


@pytest.mark.parametrize("path", ["../secret", "/etc/passwd", "step-00000001/../../x", "viewer.html", "delivered-mlflow-a.jsonl", ""])
def test_no_other_path_is_ever_asked_for(tmp_path, memory, path):
    for opened in (FolderSource(tmp_path), FsspecSource("memory://runs/a")):
        with pytest.raises(AssetSchemaError, match="not the path of a file of a run"):
            opened.get(path)


def test_a_place_without_a_run_is_said_to_have_none(tmp_path, memory):
    for place in ("memory://runs", "memory://nowhere"):
        with pytest.raises(RunNotFoundError, match=f"{place}.*not a run|no run at {place}"):
            attnlog.open(place)
    with pytest.raises(RunNotFoundError, match="no such folder"):
        attnlog.open(tmp_path / "nothing")


def test_a_missing_package_names_its_pip_line(monkeypatch):
    def missing(url):
        raise ImportError("Install s3fs to access S3")

    monkeypatch.setattr("fsspec.core.url_to_fs", missing)
    with pytest.raises(MissingExtraError, match=r"s3:// needs s3fs, which is not installed: pip install s3fs$"):
        attnlog.open("s3://bucket/runs/a")
    with pytest.raises(MissingExtraError, match="Install s3fs to access S3"):
        attnlog.open("strange://bucket")


def test_a_protocol_that_nobody_knows_is_an_argument_error():
    with pytest.raises(ArgumentError, match="nosuch"):
        attnlog.open("nosuch://place")


def test_a_store_that_fails_is_named_without_its_password(memory, monkeypatch):
    def refuse(*_, **__):
        raise PermissionError("Forbidden for memory://me:pass-word@runs/a")

    opened = FsspecSource("memory://me:pass-word@runs/a")
    assert "pass-word" not in opened.place
    monkeypatch.setattr(type(memory), "find", refuse)
    monkeypatch.setattr(type(memory), "cat_file", refuse)
    with pytest.raises(RunError, match="cannot be read: PermissionError: Forbidden") as said:
        opened.list()
    assert "pass-word" not in str(said.value)
    with pytest.raises(RunError, match="cannot be read: PermissionError: Forbidden"):
        opened.get("manifest-a.jsonl")


def test_a_web_server_that_knows_no_ranges_is_read_all_the_same(memory, monkeypatch):
    cat_file = memory.cat_file
    monkeypatch.setattr(type(memory), "cat_file", lambda _, path, start=None, end=None: cat_file(path))
    saved = attnlog.open("memory://runs/a")
    np.testing.assert_array_equal(saved.read(0).weights("self", 1), attnlog.open(GOLDEN).read(0).weights("self", 1))


def test_listing_a_folder_follows_no_links_and_goes_deep_only_when_asked(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/x.arrow").touch()
    run = tmp_path / "run"
    (run / "step-00000001/a-0").mkdir(parents=True)
    (run / "step-00000001/a-0/index.arrow").touch()
    (run / "manifest-a.jsonl").touch()
    (run / "manifest-b.jsonl").symlink_to(run / "manifest-a.jsonl")
    (run / "linked").symlink_to(tmp_path / "elsewhere")
    os.mkfifo(run / "manifest-c.jsonl")
    assert FolderSource(run).list() == ["manifest-a.jsonl", "step-00000001/a-0/index.arrow"]
    assert FolderSource(run).list(deep=False) == ["manifest-a.jsonl"]


def test_a_plugin_adds_a_place(monkeypatch):
    class Mine:
        def __init__(self, run):
            self.place, self._folder = f"mine:{run}", FolderSource(GOLDEN)

        def list(self, *, deep=True):
            return self._folder.list(deep=deep)

        def get(self, path, range=None):
            return self._folder.get(path, range)

        def close(self):
            self.place = "closed"

    def factory(run):
        if run == "secret":
            raise OSError("http://me:pass-word@host is down")
        return object() if run == "odd" else Mine(run)

    monkeypatch.setattr(source, "known_sources", lambda: {"mine": SimpleNamespace(load=lambda: factory)})
    with attnlog.open("mine:run 7") as saved:
        assert isinstance(saved.source, Source)
        assert saved.steps == (0, 100, 200)
        assert repr(saved) == "SavedRun('mine:run 7', 3 steps)"
    assert saved.source.place == "closed"
    with pytest.raises(ArgumentError, match="lacks part of"):
        attnlog.open("mine:odd")
    with pytest.raises(TrackerError, match="mine:secret cannot be read: OSError: http://host is down"):
        attnlog.open("mine:secret")
    with pytest.raises(ArgumentError, match=r"no run can be read from 'yours'; known: mine:"):
        attnlog.open("yours:elsewhere/x")


def test_a_tracker_whose_package_is_missing_names_the_extra(monkeypatch):
    def load():
        raise ModuleNotFoundError("No module named 'mlflow'", name="mlflow")

    monkeypatch.setattr(source, "known_sources", lambda: {"mlflow": SimpleNamespace(load=load)})
    with pytest.raises(MissingExtraError, match=r"reading mlflow:abc needs mlflow.*pip install 'attnlog\[mlflow\]'"):
        attnlog.open("mlflow:abc")


def test_a_folder_with_a_colon_in_its_name_is_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ArgumentError, match="no run can be read from 'run'"):
        open_source("run:1")
    (tmp_path / "run:1").mkdir()
    assert open_source("run:1").directory == Path("run:1")
    assert open_source(tmp_path / "run:2").directory == tmp_path / "run:2"


def test_what_is_kept_is_fetched_once_and_the_oldest_makes_room():
    fetched = []

    def fetch(name):
        fetched.append(name)
        return [name.encode() * 3, name.encode() * 3]

    keeping = Kept(room=13)
    assert keeping.get("a", None, lambda: fetch("a")) == b"aaaaaa"
    assert keeping.get("a", (1, 2), lambda: fetch("a")) == b"aa"
    assert keeping.get("b", (4, 9), lambda: fetch("b")) == b"bb"
    assert keeping.get("a", (0, 1), lambda: fetch("a")) == b"a"
    keeping.get("c", None, lambda: fetch("c"))
    assert fetched == ["a", "b", "c"]
    keeping.get("a", None, lambda: fetch("a"))
    keeping.get("b", None, lambda: fetch("b"))  # went for c
    assert fetched == ["a", "b", "c", "b"]
    keeping.close()
    keeping.close()


def test_what_is_kept_lies_under_no_name_of_its_own_and_goes(monkeypatch):
    keeping = Kept()
    keeping.get("../../x", None, lambda: [b"x"])
    folder = Path(keeping._folder.name)
    [file] = folder.iterdir()
    assert len(file.name) == 64
    keeping.close()
    assert not folder.exists()
    monkeypatch.setattr(kept, "LONGEST", 3)
    with pytest.raises(AssetTooLarge, match="longer than 3 bytes"):
        keeping.get("a", None, lambda: [b"aa", b"aa"])
    assert list(Path(keeping._folder.name).iterdir()) == []


def test_a_lock_keeps_another_out_and_follows_the_file_that_took_the_place(tmp_path):
    file = tmp_path / "manifest-a.jsonl"
    file.write_text("old")
    seen = []
    begun = threading.Event()

    def replace():
        with locked(file):
            begun.set()
            time.sleep(0.2)
            (tmp_path / "new").write_text("new")
            os.replace(tmp_path / "new", file)
            seen.append("replaced")

    thread = threading.Thread(target=replace)
    thread.start()
    begun.wait()
    with locked(file) as held:
        assert held
        seen.append(file.read_text())
    thread.join()
    assert seen == ["replaced", "new"]


def test_a_lock_that_is_never_given_back_is_not_waited_for(tmp_path):
    file = tmp_path / "manifest-a.jsonl"
    with locked(file), pytest.raises(RunError, match="locked by another process"), locked(file, wait=0.05):
        pass
    with locked(file, wait=0):
        pass


def test_where_there_are_no_locks_the_work_is_done_without(tmp_path, monkeypatch):
    import errno
    import fcntl

    def none(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", none)
    with locked(tmp_path / "manifest-a.jsonl") as held:
        assert not held
