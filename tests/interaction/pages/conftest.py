"""A real Chromium, and servers that it looks at."""

import asyncio
import socket
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import pytest
import uvicorn
from playwright.sync_api import Browser, Page, sync_playwright
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse
from starlette.routing import Route

import browser_tools
from mcp_hub.principal import ADMIN
from mcp_hub.store.people import User
from rig.household import People
from rig.site import site_of

T = TypeVar("T")


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """One browser for a file of tests. It ends with the file, since its loop must not meet those of other tests."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_tools.find(), args=browser_tools.flags())
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


@contextmanager
def server_thread() -> Iterator[Server]:
    server = Server()
    server.thread.start()
    yield server
    server.loop.call_soon_threadsafe(server.loop.stop)
    server.thread.join(10)
    server.loop.close()


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with server_thread() as server:
        yield server


@contextmanager
def served(make: Callable[[str], Any]) -> Iterator[str]:
    """The address at which a thread of its own serves the app that `make` makes of it."""
    with server_thread() as server, server.serve() as site:
        site.app = make(site.url)
        yield site.url


@dataclass
class Hub:
    """A hub's account pages on `url`, and whom they are about: Ada, and Bo, who is an admin."""

    url: str
    server: Server
    people: People
    ada: User
    bo: User

    def page(self, browser: Browser, user: User | None = None, path="/account/clients", **options) -> Page:
        """A page, seen by somebody signed in in a browser of their own."""
        context = browser.new_context(viewport={"width": 1280, "height": 800}, **options)
        context.set_default_timeout(5000)
        cookie = self.server.do(self.people.sign_in(user or self.bo))
        context.add_cookies(
            [{"name": "mcp_hub", "value": cookie, "url": self.url, "sameSite": "Lax", "httpOnly": True}]
        )
        page = context.new_page()
        page.goto(self.url + path)
        return page

    def everything(self):
        return self.server.do(self.people.everything())


@pytest.fixture(scope="module")
def address(server: Server) -> Iterator[Site]:
    with server.serve() as site:
        yield site


@pytest.fixture
def hub(server: Server, address: Site) -> Iterator[Hub]:
    people = People()
    address.app = site_of(people, address.url).app()
    yield Hub(address.url, server, people, server.do(people.add("Ada")), server.do(people.add("Bo", ADMIN)))
    server.do(people.aclose())


class Stranger:
    """A site of somebody else's, with one page; it notes what else was asked for, with its query."""

    def __init__(self):
        self.url = self.html = ""
        self.asked: list[str] = []
        self.app = Starlette(routes=[Route("/", self.page), Route("/{path}", self.other)])

    async def page(self, request: Request) -> HTMLResponse:
        return HTMLResponse(self.html)

    async def other(self, request: Request) -> PlainTextResponse:
        if request.url.path != "/favicon.ico":
            self.asked.append(str(request.url).removeprefix(self.url))
        return PlainTextResponse("The app of somebody else")


@pytest.fixture(scope="module")
def stranger(server: Server) -> Iterator[Stranger]:
    stranger = Stranger()
    with server.serve(stranger.app) as site:
        stranger.url = site.url
        yield stranger
