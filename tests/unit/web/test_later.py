"""Pages that are put together when somebody asks for them."""

import asyncio

import httpx2
import pytest
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from mcp_hub.errors import StoreFailed
from mcp_hub.web.frame import Frame
from mcp_hub.web.later import Later
from mcp_hub.web.site import Site

pytestmark = pytest.mark.promise("E37")


class Making:
    def __init__(self):
        self.times = 0
        self.failing = False

    async def __call__(self):
        self.times += 1
        await asyncio.sleep(0)
        if self.failing:
            raise StoreFailed("The store does not answer.")
        return [self]

    def routes(self):
        return [Route("/", self.answer), Route("/connect/{upstream}", self.answer, methods=["POST"])]

    async def answer(self, request):
        return PlainTextResponse(request.path_params.get("upstream", "home"))


@pytest.fixture
def making():
    return Making()


@pytest.fixture
def http(making):
    app = Site([Later(("/", "/connect/{rest:path}"), making)], Frame("9.9")).app()
    return httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://hub")


async def test_nothing_is_made_until_somebody_asks_and_then_once(making, http):
    assert making.times == 0
    answers = await asyncio.gather(*(http.get("/") for _ in range(5)))
    assert {answer.text for answer in answers} == {"home"}
    assert (await http.post("/connect/github")).text == "github"
    assert making.times == 1


async def test_what_is_not_below_them_is_told_like_everywhere(http):
    missing = await http.get("/connect/a/b", headers={"accept": "text/html"})
    assert (missing.status_code, "There is no page here" in missing.text) == (404, True)
    assert (await http.get("/connect/github")).status_code == 405


async def test_a_failure_is_told_and_the_next_one_may_try_again(making, http):
    making.failing = True
    assert (await http.get("/")).status_code == 503
    making.failing = False
    assert (await http.get("/")).text == "home"
