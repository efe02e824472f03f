"""`attnlog view` as a person uses it: the command, the address it prints, the page, and a run that grows meanwhile."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import attnlog
from tests.browser.test_embedded import ready

GOLDEN = Path(__file__).parent.parent / "golden"


@pytest.fixture
def command(tmp_path):
    """Run `attnlog view` in a process of its own; gives what it prints first."""
    started = []

    def start(*arguments):
        process = subprocess.Popen(
            [sys.executable, "-m", "attnlog.cli", "view", "--no-open", *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        started.append(process)
        return process, process.stdout.readline()

    yield start
    for process in started:
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0, "Ctrl-C ends it without a traceback"
        process.stdout.close()


def test_the_command_prints_an_address_whose_page_shows_the_views(command, page):
    _, line = command(GOLDEN / "decoder")
    address = re.search(r"http://127\.0\.0\.1:\d+/", line)[0]
    page.goto(address)
    ready(page, model="200/0/self/-", head="200/0/self/0", neuron="200/0/self/0", timeline="200/0/self/0")


def test_two_commands_at_once_get_a_port_each(command):
    addresses = {command(GOLDEN / name)[1].split(" at ")[1].split()[0] for name in ("decoder", "pair")}
    assert len(addresses) == 2


def test_a_folder_of_runs_lets_one_be_chosen(serving, page):
    page.goto(serving(GOLDEN))
    page.wait_for_selector('[data-attnlog-state="ready"]')
    page.get_by_label("run", exact=True).select_option(label="golden pair")
    ready(page, head="0/0/self/0", model="0/0/self/-")


def test_a_step_that_is_logged_meanwhile_appears(tmp_path, serving, page):
    capture = attnlog.from_tensors([np.full((2, 3, 3), 1 / 3)], ["a", "b", "c"])
    with attnlog.Run(tmp_path / "run") as run:
        run.log(capture, step=1)
    page.goto(serving(tmp_path / "run"))
    ready(page, head="1/0/self/0")
    with attnlog.Run(tmp_path / "run") as run:
        run.log(capture, step=2)
    # Who looks at the newest step goes on looking at the newest step.
    ready(page, head="2/0/self/0", model="2/0/self/-")


def test_an_asset_damaged_on_disk_is_named_in_the_page(tmp_path, serving, page, complaints):
    import shutil

    shutil.copytree(GOLDEN / "decoder", tmp_path / "run")
    path = next(tmp_path.glob("run/step-00000200/*/attention.arrow"))
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    page.goto(serving(tmp_path / "run"))
    for layer in (0, 1):
        page.evaluate(f"() => {{ location.hash = '#step=200&layer={layer}'; }}")
        page.wait_for_timeout(500)
        said = page.locator('[data-view="head"]').inner_text()
        if "AssetDigestMismatch" in said or "changed after" in said:
            break
    else:
        pytest.fail(f"no layer names the damage: {said}")
    assert "attention.arrow" in said
