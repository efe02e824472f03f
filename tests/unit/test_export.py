"""The exported page: what is in it, what is left out, and that nothing in a run can break out of it."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from pathlib import Path
from shutil import copytree
from typing import Any

import numpy as np
import pytest

import attnlog
from attnlog.errors import RunNotFoundError
from attnlog.format.write import write_assets
from attnlog.store.folder import Writer
from attnlog.store.manifest import parse
from attnlog.store.open import open_run
from attnlog.view import export
from attnlog.view.export import ViewerMissingError, export_html, json_safe, script_safe, studio_script

GOLDEN = Path(__file__).parents[1] / "golden" / "decoder"


def host(page: bytes) -> dict[str, Any]:
    found = re.search(rb'<script type="application/json" id="attnlog-host">(.*?)</script>', page, re.DOTALL)
    assert found
    said: dict[str, Any] = json.loads(found[1])
    return said


def assets(page: bytes) -> dict[str, bytes]:
    found = re.findall(rb'<script type="text/plain" data-attnlog-asset="([^"]+)">([^<]*)</script>', page)
    return {path.decode(): base64.b64decode(data, validate=True) for path, data in found}


def test_a_page_without_a_budget_carries_every_asset_of_the_run() -> None:
    saved = open_run(GOLDEN)
    page = export_html(GOLDEN)
    named = {r.path for step in saved.steps for r in (saved.commit(step).inputs, *saved.commit(step).assets)}
    assert assets(page) == {path: (GOLDEN / path).read_bytes() for path in named}
    assert host(page)["left_out"] == ""


def test_the_page_names_its_host_the_run_and_the_manifests() -> None:
    said = host(export_html(open_run(GOLDEN)))
    assert said["host"] == "embedded"
    assert said["name"] == open_run(GOLDEN).name
    assert said["manifests"] == [{"name": p.name, "text": p.read_text()} for p in sorted(GOLDEN.glob("manifest-*"))]


def test_a_page_is_written_whole_and_can_be_read_by_others(tmp_path: Path) -> None:
    out = export_html(GOLDEN, tmp_path / "page.html")
    assert out.read_bytes() == export_html(GOLDEN)
    assert out.stat().st_mode & 0o777 == 0o644
    assert list(tmp_path.iterdir()) == [out]


def test_a_budget_keeps_indexes_of_all_steps_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "studio_script", lambda: "0")
    saved = open_run(GOLDEN)
    needed = [r for step in saved.steps for r in (saved.commit(step).inputs, saved.commit(step).asset("index")) if r]
    room = sum(len(p.read_bytes()) * 1.2 for p in GOLDEN.glob("manifest-*")) + 4_000
    budget = int(room + sum({r.path: r.bytes * 4 / 3 + 150 for r in needed}.values()))
    page = export_html(GOLDEN, budget=budget)
    assert len(page) <= budget
    assert {r.path for r in needed} <= set(assets(page))
    left = host(page)["left_out"]
    assert re.fullmatch(r"\d+ of \d+ assets \([\d.]+ [kM]B\) are not in this file; to see everything: attnlog view decoder", left)


def test_first_latest_and_best_steps_come_before_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commits = {step: open_run(GOLDEN).commit(0) for step in range(6)}
    best = {step: 1.0 + abs(step - 3) for step in commits}
    from dataclasses import replace

    told = {step: replace(commit, metrics={"eval_loss": best[step]}) for step, commit in commits.items()}
    assert export._focus(told) == {0, 3, 5}


@pytest.mark.parametrize("budget", [1, 200_000, 10**9])
def test_a_page_is_never_larger_than_its_budget_but_for_the_viewer_and_the_manifests(budget: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "studio_script", lambda: "0")
    least = len(export_html(GOLDEN, budget=0))
    assert len(export_html(GOLDEN, budget=budget)) <= max(budget, least)


def test_a_manifest_line_that_is_being_written_is_left_out(tmp_path: Path) -> None:
    copy = copytree(GOLDEN, tmp_path / "run")
    [manifest] = copy.glob("manifest-*")
    whole = manifest.read_text()
    manifest.write_text(whole + '{"type": "commit", "n": 9')
    assert host(export_html(copy))["manifests"][0]["text"] == whole


def test_text_of_a_run_cannot_end_its_script_element(tmp_path: Path) -> None:
    copy = copytree(GOLDEN, tmp_path / "run")
    [manifest] = copy.glob("manifest-*")
    evil = '{"type": "note", "text": "</script><script>alert(1)</script><!-- <script>"}\n'
    manifest.write_text(manifest.read_text() + evil)
    page = export_html(copy)
    assert b"alert(1)</script>" not in page
    assert host(page)["manifests"][0]["text"].endswith(evil)


def test_the_viewers_own_strings_cannot_end_its_script_element() -> None:
    assert script_safe('a = "</script>" + "</SCRIPT" + "<!-- <script"') == 'a = "\\x3c/script>" + "\\x3c/SCRIPT" + "\\x3c!-- \\x3cscript"'


def test_json_for_a_page_has_no_markup() -> None:
    assert "<" not in json_safe({"a": "</script>"})
    assert json.loads(json_safe({"a": "</script>\u2028"})) == {"a": "</script>\u2028"}


def test_only_the_viewer_may_run_and_nothing_may_be_fetched() -> None:
    page = export_html(GOLDEN).decode()
    policy = html.unescape(re.search(r'http-equiv="Content-Security-Policy" content="([^"]+)"', page)[1])  # type: ignore[index]
    script = page.rsplit("<script>", 1)[1].split("</script>", 1)[0]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert "default-src 'none'" in policy
    assert f"script-src 'sha256-{digest}'" in policy
    assert "http:" not in policy and "https:" not in policy and "'unsafe-eval'" not in policy


def test_the_name_of_a_run_is_text_in_the_title(tmp_path: Path) -> None:
    copy = copytree(GOLDEN, tmp_path / "run")
    [manifest] = copy.glob("manifest-*")
    first, rest = manifest.read_text().split("\n", 1)
    manifest.write_text(json.dumps({**json.loads(first), "run": "<b>&"}) + "\n" + rest)
    assert "<title>&lt;b&gt;&amp; · attention</title>" in export_html(copy).decode()


def test_an_absolute_path_is_not_told_to_strangers(tmp_path: Path) -> None:
    page = export_html(copytree(GOLDEN, tmp_path / "run"), budget=1)
    assert "attnlog view run" in host(page)["left_out"]
    assert str(tmp_path).encode() not in page


def test_no_run_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(RunNotFoundError):
        export_html(tmp_path)


def test_a_missing_viewer_is_an_error_with_a_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export.resources, "files", lambda package: tmp_path)
    with pytest.raises(ViewerMissingError, match="npm run build"):
        export_html(GOLDEN)


def test_a_budget_is_one_of_bytes_also_where_names_are_not_english(tmp_path: Path) -> None:
    folder = tmp_path / "long"
    writer = Writer(folder, {"run": "long"})
    rows = np.random.default_rng(0).dirichlet(np.ones(32), size=(1, 4, 32)).astype("f4")
    written = write_assets(attnlog.from_tensors([rows], [["a"] * 32]))
    for step in range(40):
        writer.commit(written, step=step, checkpoint="模型检查点" * 200)
    budget = len(studio_script().encode()) + 300_000
    page = export_html(folder, budget=budget)
    assert len(page) <= budget
    assert host(page)["left_out"]


def test_of_thousands_of_steps_a_page_carries_the_first_best_latest_and_evenly_spaced_ones(tmp_path: Path) -> None:
    folder = tmp_path / "long"
    writer = Writer(folder, {"run": "long"})
    written = write_assets(attnlog.from_tensors([np.full((1, 1, 2, 2), 0.5, "f4")], [["a", "b"]]))
    for step in range(400):
        writer.commit(written, step=step, metrics={"eval_loss": 1 + abs(step - 200) / 100})
    writer.update(123, metrics={"eval_loss": 0.5})  # the best, known only later
    writer.update(399, metrics={"accuracy": 0.5})
    budget = len(studio_script()) + 400_000
    page = export_html(folder, budget=budget)
    said = host(page)
    [manifest] = [parse(one["name"], one["text"].encode()) for one in said["manifests"]]
    steps = [commit.step for commit in manifest.commits]
    assert {0, 123, 399} <= set(steps)
    assert len(steps) < 400
    assert {*steps} == {*range(0, 400, steps[1]), 123, 399}
    assert manifest.commits[-1].metrics["accuracy"] == 0.5  # what was added later
    assert said["left_out"].startswith(f"{400 - len(steps)} steps are not in this file")
    assert len(page) <= budget
    whole = host(export_html(folder))["manifests"][0]
    assert len(parse(whole["name"], whole["text"].encode()).commits) == 400
