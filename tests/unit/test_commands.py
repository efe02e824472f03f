"""The commands that look: ls, inspect, verify. Each on good runs, on damaged ones, and on places where there is none."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import fsspec
import numpy as np
import pytest
from click.testing import CliRunner

import attnlog
from attnlog.cli import main
from attnlog.commands import verify as verifying
from attnlog.errors import TrackerError
from attnlog.store.source import FolderSource

GOLDEN = Path(__file__).parent.parent / "golden"


def run(*arguments, status=0):
    """Run the command; return what it wrote to standard output and standard error."""
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert result.exit_code == status, (result.output, result.stderr, result.exception)
    return result.stdout, result.stderr


def read(*arguments, status=0):
    """Run the command with --json and parse what it says."""
    return json.loads(run(*arguments, "--json", status=status)[0])


@pytest.fixture
def folder(tmp_path):
    shutil.copytree(GOLDEN / "decoder", tmp_path / "run", ignore=shutil.ignore_patterns("expected.json"))
    return tmp_path / "run"


@pytest.fixture
def memory():
    files = fsspec.filesystem("memory")
    files.put(str(GOLDEN / "decoder"), "/runs/a", recursive=True)
    files.put(str(GOLDEN / "pair"), "/runs/b", recursive=True)
    yield files
    files.rm("/", recursive=True)


def flip(file, at=None):
    data = bytearray(file.read_bytes())
    data[len(data) // 2 if at is None else at] ^= 1
    file.write_bytes(data)


# ls


def test_ls_says_of_each_run_what_a_person_asks_first(folder):
    [said] = read("ls", folder)["runs"]
    assert said == {
        "place": str(folder),
        "name": "golden decoder",
        "model": "decoder",
        "steps": {"count": 3, "first": 0, "last": 200},
        "inputs": 1,
        "writers": 1,
        "bytes": sum(file.stat().st_size for file in folder.rglob("*.arrow")),
        "written": 1795260603.0,
    }
    out, _ = run("ls", folder)
    assert "golden decoder" in out and "0 - 200" in out and "2026-11-21 11:30" in out and str(folder) in out


def test_ls_lists_the_runs_of_a_folder_and_of_a_url(memory):
    assert {one["name"] for one in read("ls", GOLDEN)["runs"]} >= {"golden decoder", "golden pair", "golden sequence", "golden long"}
    assert [(one["place"], one["name"]) for one in read("ls", "memory://runs")["runs"]] == [
        ("memory://runs/a", "golden decoder"),
        ("memory://runs/b", "golden pair"),
    ]
    assert len(run("ls", "memory://runs/a", folder_of("pair"))[0].splitlines()) == 3


def folder_of(name):
    return GOLDEN / name


def test_ls_steps(folder):
    [said] = read("ls", "--steps", folder)["runs"]
    first = said["commits"][0]
    assert first["metrics"] == {"eval_loss": 2.5, "eval_accuracy": 0.5}
    assert (first["step"], first["epoch"], first["loss"], first["checkpoint"]) == (0, 0.0, 3.0, "out/checkpoint-0")
    assert (first["precision"], first["complete"], first["bytes"] > 1000) == ("u8", True, True)
    out, _ = run("ls", "--steps", folder)
    assert "eval_loss 2.5, eval_accuracy 0.5" in out and "out/checkpoint-0" in out


def test_ls_goes_on_past_a_run_that_cannot_be_read_and_its_exit_status_says_so(folder, tmp_path):
    bad = tmp_path / "bad"
    bad.mkdir()
    (bad / "manifest-a.jsonl").write_text("no json\n")
    out, error = run("ls", tmp_path, tmp_path / "nothing", status=1)
    assert "golden decoder" in out
    assert "AssetSchemaError: manifest-a.jsonl line 1" in error
    assert "RunNotFoundError: there is no run at" in error
    said = read("ls", tmp_path, status=1)["runs"]
    assert sorted(one.get("error", "") for one in said) == ["", "AssetSchemaError"]


def test_ls_of_a_run_whose_inputs_are_damaged_leaves_their_number_open(folder):
    flip(next(folder.glob("inputs-*")))
    assert read("ls", folder)["runs"][0]["inputs"] is None


def test_nothing_in_a_run_moves_the_cursor(tmp_path):
    evil = "\x1b[2Jname\u202e\x9b1m\r"
    capture = attnlog.from_tensors([np.full((1, 2, 2), 0.5)], [evil, "b"])
    with attnlog.Run(tmp_path / "run", name=evil, model_info={"model": {"name": evil}, "versions": {evil: evil}}) as opened:
        opened.log(capture, step=1, checkpoint=evil, metrics={evil: 1.0})
    place = tmp_path / "run"
    for command in (["ls", place], ["ls", "--steps", place], ["inspect", place], ["inspect", place, "--step", 1]):
        out, error = run(*command)
        assert not set(out + error) & set("\x1b\x9b\r\u202e"), command
    out, _ = run("show", place, "--layer", 0, "--head", 0)
    assert not set(out) & set("\x1b\x9b\r\u202e")
    for command in (["ls", place], ["inspect", place], ["show", place, "--layer", 0, "--head", 0]):
        assert not set(run(*command, "--json")[0]) & set("\x1b\x9b\r\u202e")


# inspect


def test_inspect_says_what_is_in_a_run(folder):
    said = read("inspect", folder)
    assert said["assets"]["attention"] == {"files": 3, "rows": 24, "bytes": said["assets"]["attention"]["bytes"], "decoded": 4728}
    assert said["writers"][0]["writer"] == "golden-1"
    [attention] = said["last_step"]["attention"]
    assert (attention["kind"], attention["layers"], attention["heads"], attention["groups"]) == ("self", [0, 1], [4], [2])
    assert (attention["shapes"], attention["taps"]) == ([[13, 13]], ["tensors"])
    assert attention["stored"] == {"attention": 2, "sparse": 0, "vectors": 2}
    out, _ = run("inspect", folder)
    assert "self: 2 layers (0-1) × 4 heads in 2 key groups, queries × keys 13 × 13, by tensors; weights, vectors" in out


def test_inspect_says_what_is_in_a_step_and_what_is_missing():
    said = read("inspect", folder_of("sequence"), "--step", 0)
    assert said["missing"] == ["cross: queries and keys not recorded, because only weights were given"]
    assert said["inputs"] == [{"input": 0, "axes": {"encoder": {"tokens": 40, "cut": 0}, "decoder": {"tokens": 6, "cut": 0}}}]
    out, _ = run("inspect", folder_of("sequence"), "--step", 0)
    assert "cross: 2 layers (0-1) × 2 heads, queries × keys 6 × 40" in out
    assert "missing: cross: queries and keys not recorded" in out


def test_inspect_says_what_is_stored_sparse():
    out, _ = run("inspect", folder_of("long"))
    assert "sparse weights" in out


@pytest.mark.parametrize("name", ["attention.arrow", "attention", "step-00000200/golden-1-2/attention.arrow"])
def test_inspect_says_what_is_in_an_asset(folder, name):
    said = read("inspect", folder, "--asset", name)
    assert (said["kind"], said["rows"], said["batches"], said["precision"]) == ("attention", 8, 2, "u8")
    assert said["path"] == "step-00000200/golden-1-2/attention.arrow"
    assert {"name": "weights", "type": "list<item: uint8 not null>", "nullable": False} in said["columns"]
    assert said["bytes"] == (folder / said["path"]).stat().st_size
    assert len(said["sha256"]) == 64


def test_inspect_takes_one_arrow_file(folder):
    file = next(folder.glob("step-00000100/*/vectors.arrow"))
    said = read("inspect", file)
    assert (said["kind"], said["rows"], said["batches"], said["sha256"]) == ("vectors", 16, 2, None)
    out, _ = run("inspect", file)
    assert "not known: no manifest was given" in out
    _, error = run("inspect", file, "--step", 1, status=1)
    assert "one .arrow file is given" in error


def test_inspect_refuses_an_arrow_file_that_is_no_asset(tmp_path):
    import pyarrow as pa

    (tmp_path / "text.arrow").write_text("no Arrow")
    with pa.ipc.new_file(str(tmp_path / "other.arrow"), pa.schema([("x", pa.int32())])) as writer:
        writer.write_batch(pa.record_batch([pa.array([1], pa.int32())], names=["x"]))
    for name in ("text", "other"):
        _, error = run("inspect", tmp_path / f"{name}.arrow", status=1)
        assert error.startswith("attnlog: AssetSchemaError: ")
        assert len(error.splitlines()) == 1


def test_inspect_names_damage_and_what_there_is_instead(folder):
    flip(folder / "step-00000200/golden-1-2/attention.arrow")
    _, error = run("inspect", folder, "--asset", "attention", status=1)
    assert "AssetDigestMismatch" in error
    _, error = run("inspect", folder, "--asset", "nothing", status=1)
    assert "this run has no asset 'nothing'; it has index.arrow, pictures.arrow" in error
    _, error = run("inspect", folder, "--step", 7, status=1)
    assert "step 7 was not recorded; recorded: 0, 100, 200" in error


# verify


@pytest.mark.parametrize("name", ["decoder", "pair", "sequence", "long", "exact"])
def test_verify_finds_good_runs_good(name):
    out, _ = run("verify", folder_of(name))
    assert "all good" in out


def test_verify_counts_what_it_read(folder):
    assert read("verify", folder) == {
        "status": "good",
        "place": str(folder),
        "manifests": 1,
        "commits": 3,
        "assets": 13,
        "layers": 12,
        "bytes": sum(file.stat().st_size for file in folder.rglob("*.arrow")),
        "damaged": [],
        "orphans": [],
        "notes": [],
    }


@pytest.mark.parametrize(("cut", "said"), [(-5, "ends in an unfinished line"), (-(10**9), "is empty")])
def test_verify_notes_a_manifest_that_was_cut_off(folder, cut, said):
    manifest = next(folder.glob("manifest-*"))
    data = manifest.read_bytes()
    manifest.write_bytes(data[: max(0, len(data) + cut)])
    [note] = read("verify", folder)["notes"]
    assert said in note
    out, _ = run("verify", folder)
    assert f"note: {manifest.name} {said}" in out


def test_verify_reads_a_url(memory):
    assert read("verify", "memory://runs/a")["orphans"] == ["expected.json"]


@pytest.mark.parametrize("name", ["index", "pictures", "attention", "vectors"])
@pytest.mark.parametrize(
    ("damage", "error"),
    [
        (flip, "AssetDigestMismatch"),
        (lambda file: file.write_bytes(file.read_bytes()[:-9]), "AssetTruncated"),
        (lambda file: file.write_bytes(file.read_bytes() + b"!"), "AssetTooLarge"),
        (Path.unlink, "AssetMissing"),
    ],
)
def test_verify_names_what_is_damaged(folder, name, damage, error):
    file = folder / f"step-00000100/golden-1-1/{name}.arrow"
    damage(file)
    said = read("verify", folder, status=1)
    assert [(one["path"], one["error"]) for one in said["damaged"]] == [(str(file.relative_to(folder)), error)]
    assert (said["status"], said["assets"]) == ("damaged", 13)
    out, _ = run("verify", folder, status=1)
    assert "1 damaged" in out and error in out


def test_verify_finds_inputs_that_are_gone(folder):
    next(folder.glob("inputs-*")).unlink()
    [one] = read("verify", folder, status=1)["damaged"]
    assert one["error"] == "AssetMissing"


def signed(folder, change):
    """Change what a manifest says of one asset, as somebody could who signs it again."""
    manifest = next(folder.glob("manifest-*"))
    lines = [json.loads(line) for line in manifest.read_text().splitlines()]
    for line in lines:
        for asset in line.get("assets", []):
            change(line, asset)
    manifest.write_text("".join(json.dumps(line) + "\n" for line in lines))


def test_verify_reads_each_layer_by_the_place_that_the_index_names(folder):
    """The whole file is as the manifest says, and so is the index; but the index belongs to another file."""
    other = folder / "step-00000200/golden-1-2/attention.arrow"
    mine = folder / "step-00000100/golden-1-1/attention.arrow"
    mine.write_bytes(other.read_bytes())
    said = {
        a["path"]: a for line in map(json.loads, next(folder.glob("manifest-*")).read_text().splitlines()) for a in line.get("assets", [])
    }

    def change(_, asset):
        if asset["path"].startswith("step-00000100") and asset["kind"] == "attention":
            asset.update({k: v for k, v in said["step-00000200/golden-1-2/attention.arrow"].items() if k != "path"})

    signed(folder, change)
    [one] = read("verify", folder, status=1)["damaged"]
    assert (one["path"], one["error"]) == ("step-00000100/golden-1-1/attention.arrow", "AssetDigestMismatch")


def test_verify_finds_an_index_that_names_a_file_which_the_manifest_does_not(folder):
    signed(folder, lambda line, asset: line["assets"].remove(asset) if asset["kind"] == "vectors" and line["step"] == 0 else None)
    found = read("verify", folder, status=1)
    assert [(one["path"], one["error"]) for one in found["damaged"]] == [("step-00000000/golden-1-0/index.arrow", "AssetSchemaError")]
    assert found["orphans"] == ["step-00000000/golden-1-0/vectors.arrow"]


def test_verify_names_a_manifest_that_is_none_and_goes_on(folder):
    (folder / "manifest-other.jsonl").write_text('{"type": "commit"}\n')
    said = read("verify", folder, status=1)
    assert [(one["path"], one["error"]) for one in said["damaged"]] == [("manifest-other.jsonl", "AssetSchemaError")]
    assert said["commits"] == 3


def test_verify_notes_files_that_nobody_names_and_leaves_its_verdict(folder):
    (folder / "step-00000300/golden-1-3").mkdir(parents=True)
    (folder / "step-00000300/golden-1-3/index.arrow").write_bytes(b"x")
    (folder / "delivered-mlflow-golden-1.jsonl").write_text("")  # by right
    out, _ = run("verify", folder)
    assert "note: 1 file that no manifest names, so that nobody reads: step-00000300/golden-1-3/index.arrow" in out


@pytest.mark.parametrize("place", ["nothing", "memory://nothing", "nobody:run"])
def test_verify_says_what_cannot_be_read_at_all_by_exit_status_2(tmp_path, monkeypatch, place):
    monkeypatch.chdir(tmp_path)
    _, error = run("verify", place, status=2)
    assert error.startswith("attnlog: ")
    assert read("verify", place, status=2)["status"] == "unreadable"


def test_verify_stops_when_a_tracker_goes_away(folder, monkeypatch):
    class Going(FolderSource):
        def get(self, path, range=None):
            if path.endswith("pictures.arrow"):
                raise TrackerError("the server is gone")
            return super().get(path, range)

    monkeypatch.setattr(verifying, "open_source", lambda _: Going(folder))
    _, error = run("verify", "mlflow:x", status=2)
    assert "TrackerError: the server is gone" in error


def test_what_the_system_refuses_is_one_line(tmp_path):
    (tmp_path / "x.arrow").mkdir()
    _, error = run("export", GOLDEN / "decoder", tmp_path / "nothing/out.html", status=1)
    assert error.startswith("attnlog: FileNotFoundError: ")
    assert len(error.splitlines()) == 1
