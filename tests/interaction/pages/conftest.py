"""A real Chromium, and servers that it looks at."""

import asyncio
import socket
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import pytest
import uvicorn
from playwright.sync_api import Browser, sync_playwright

import browser_tools

T = TypeVar("T")


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """One browser for a file of tests. It ends with the file, since its loop must not meet those of other tests."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_tools.install(), args=browser_tools.flags())
        yield browser
        browser.close()


@pytest.fixture
def browser(chromium: Browser) -> Iterator[Browser]:
    """The same, without what the test before has opened."""
    yield chromium
    for context in chromium.contexts:
        context.close()


class Server:
    """A thread of this process that serves ASGI apps at addresses of their own, and does other things in its loop."""

    def __init__(self):
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)

    def do(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """What a coroutine gives, run beside what is served."""
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(10)

    @contextmanager
    def serve(self, app: Any = None) -> Iterator["Site"]:
        """A site at an address of its own."""
        with socket.socket() as listening:
            listening.bind(("127.0.0.1", 0))
            listening.listen(128)
            site = Site(f"http://127.0.0.1:{listening.getsockname()[1]}", app)
            server = uvicorn.Server(uvicorn.Config(site, log_level="critical", lifespan="off"))
            serving = asyncio.run_coroutine_threadsafe(server._serve([listening]), self.loop)
            yield site
            server.should_exit = True
            serving.result(10)


@dataclass
class Site:
    """What is served at `url`; each test may put an app of its own there."""

    url: str
    app: Any

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self.app(scope, receive, send)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    server = Server()
    server.thread.start()
    yield server
    server.loop.call_soon_threadsafe(server.loop.stop)
    server.thread.join(10)
    server.loop.close()
