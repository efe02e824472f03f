"""Which run folder a training gets."""

from __future__ import annotations

from pathlib import Path

import pytest

from attnlog_integrations.transformers.naming import run_folder, run_name


@pytest.mark.parametrize(
    ("given", "output_dir", "name"),
    [
        ("my run", "out", "my-run"),
        (None, "/data/models/bert-base", "bert-base"),
        (None, "models/trial/", "trial"),
        ("../../etc/passwd", None, "etc-passwd"),
        ("名前", None, "名前"),
        ("a" * 300, None, "a" * 120),
    ],
)
def test_a_run_is_named_after_the_trainers_run_or_its_output_folder(given: str | None, output_dir: str | None, name: str) -> None:
    assert run_name(given, output_dir) == name


def test_a_run_without_any_name_is_named_after_the_time() -> None:
    assert len(run_name(None, None)) == len("20261121-120000")


def used(folder: Path) -> None:
    folder.mkdir(parents=True)
    (folder / "manifest-w.jsonl").touch()


def test_a_new_training_gets_the_next_free_number(tmp_path: Path) -> None:
    used(tmp_path / "run")
    used(tmp_path / "run-4")
    assert run_folder(tmp_path, "run", resumed=False) == tmp_path / "run-5"


def test_a_resumed_training_gets_the_newest_folder_of_its_name(tmp_path: Path) -> None:
    used(tmp_path / "run")
    used(tmp_path / "run-2")
    assert run_folder(tmp_path, "run", resumed=True) == tmp_path / "run-2"


def test_a_folder_of_another_name_is_not_taken_for_a_number(tmp_path: Path) -> None:
    used(tmp_path / "run")
    used(tmp_path / "run-large")
    used(tmp_path / "run-7b-2")
    assert run_folder(tmp_path, "run", resumed=True) == tmp_path / "run"


def test_a_name_with_glob_characters_is_taken_literally(tmp_path: Path) -> None:
    used(tmp_path / "lr=[1]")
    used(tmp_path / "lr=[1]-2")
    assert run_folder(tmp_path, "lr=[1]", resumed=False) == tmp_path / "lr=[1]-3"


def test_a_folder_without_a_manifest_is_free(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    assert run_folder(tmp_path, "run", resumed=False) == tmp_path / "run"
