"""A real Chromium, and servers that it looks at."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import uvicorn
from playwright.sync_api import Browser, sync_playwright

import browser_tools


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """One browser for a file of tests. It ends with the file, since its loop must not meet those of other tests."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_tools.install(), args=browser_tools.flags())
        yield browser
        browser.close()


@contextmanager
def served(app: Any) -> Iterator[str]:
    """The address at which a thread of this process serves an ASGI app; an app may be made once it is known."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(128)
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        server = uvicorn.Server(uvicorn.Config(app(url), log_level="critical", lifespan="off"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        yield url
        server.should_exit = True
        thread.join(10)
