"""A real server over a real run, and the watched pages of the browser tests."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.browser.conftest import complaints, new_page, page

__all__ = ["complaints", "new_page", "page", "serving"]


@contextlib.contextmanager
def served(*runs: Path) -> Iterator[str]:
    """Serve runs as `attnlog view` does, on a free port; gives the address."""
    import uvicorn

    from attnlog.view.server import application, find_runs, listen

    made = listen(None)
    server = uvicorn.Server(uvicorn.Config(application(find_runs(runs)), log_level="error", lifespan="off"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [made]}, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{made.getsockname()[1]}/"
    server.should_exit = True
    thread.join()
    made.close()


@pytest.fixture
def serving() -> Iterator[Callable[..., str]]:
    """Serve runs until the test ends."""
    with contextlib.ExitStack() as stack:
        yield lambda *runs: stack.enter_context(served(*runs))
