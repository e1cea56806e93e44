"""Which era an upstream speaks: every row of the table."""

import asyncio
import json
from dataclasses import replace

import pytest

from mcp_hub.errors import BrokeProtocol, Busy, RefusedCredential, TimedOut, Unreachable, UpstreamError
from mcp_hub.upstream.carrier import CATALOG_OWNER
from mcp_hub.upstream.probe import probe
from mcp_hub.wire.eras import Era
from rig.fake_upstream import LEGACY, MODERN, Answer, FakeUpstream, Request, error, result
from rig.parts import INFO, LIMITS, bearing, wires_to

pytestmark = pytest.mark.promise("A3", "A5")


async def found(fake: FakeUpstream, pinned=None, limits=LIMITS):
    async with wires_to(fake, limits) as wires, asyncio.timeout(5):
        return await probe("up", bearing(wires), INFO, pinned=pinned)


def discover(answer):
    """A server of the legacy era that answers the modern question so."""
    fake = FakeUpstream(eras="legacy", name="old")

    async def handler(request: Request) -> Answer:
        return answer(request)

    fake.handlers["server/discover"] = handler
    return fake


async def test_a_discover_result_that_offers_the_modern_revision_is_modern():
    async with FakeUpstream(name="new") as fake:
        fake.instructions = "Use me."
        opening = await found(fake)
    assert (opening.era, opening.revision) == (Era.MODERN, MODERN)
    assert opening.server_info == {"name": "new", "version": "1"}
    assert opening.capabilities == fake.capabilities
    assert opening.instructions == "Use me."
    assert len(fake.seen) == 1


async def test_a_server_of_both_eras_is_spoken_to_in_the_modern_one():
    async with FakeUpstream(eras="modern legacy") as fake:
        assert (await found(fake)).era is Era.MODERN
    assert not fake.asked("initialize")


LEGACY_PROOFS = {
    "discover result without the modern revision": lambda r: result(r, {"supportedVersions": [LEGACY]}),
    "discover result that is none": lambda r: result(r, {"supportedVersions": MODERN}),
    "discover result with nothing": lambda r: result(r, {}),
    "method not found": lambda r: error(r, -32601, "no"),
    "method not found with 404": lambda r: error(r, -32601, "no", status=404),
    "invalid request with 400": lambda r: error(r, -32600, "no session", status=400),
    "an error without an id": lambda r: Answer(b'{"jsonrpc":"2.0","id":null,"error":{"code":-32000}}', 400),
    "unsupported version that names only old ones": lambda r: error(r, -32022, "no", {"supported": [LEGACY]}),
    "unsupported version without a list": lambda r: error(r, -32022, "no", {"supported": MODERN}),
    "unsupported version without data": lambda r: error(r, -32022, "no"),
    "an error that is no object": lambda r: Answer(b'{"jsonrpc":"2.0","id":1,"error":"no"}'),
    "an error with a number beyond all bounds": lambda r: Answer(rb'{"jsonrpc":"2.0","id":1,"error":{"m":1e400}}'),
    "400 with nothing": lambda r: Answer(b"", 400, "text/plain"),
    "404 with nothing": lambda r: Answer(b"", 404, "text/plain"),
    "405 with nothing": lambda r: Answer(b"", 405, "text/plain"),
    "406 with HTML": lambda r: Answer(b"<p>", 406, "text/html"),
    "415": lambda r: Answer(b"", 415),
}


@pytest.mark.parametrize("proof", LEGACY_PROOFS)
async def test_what_only_a_legacy_server_answers_proves_the_legacy_era(proof):
    async with discover(LEGACY_PROOFS[proof]) as fake:
        fake.instructions = "Use me."
        opening = await found(fake)
    assert (opening.era, opening.revision, opening.instructions) == (Era.LEGACY, LEGACY, "Use me.")
    assert opening.server_info == {"name": "old", "version": "1"}
    assert [each.method for each in fake.seen[:3]] == ["server/discover", "initialize", "notifications/initialized"]


@pytest.mark.parametrize(
    "answer",
    [
        lambda r: error(r, -32022, "no", {"supported": ["2099-01-01", MODERN]}, status=400),
        lambda r: error(r, -32020, "mismatch", status=400),
        lambda r: error(r, -32021, "missing capability", status=400),
        lambda r: error(r, -32021, "missing capability"),
    ],
)
async def test_errors_of_the_modern_era_prove_it(answer):
    async with discover(answer) as fake:
        opening = await found(fake)
    assert opening.era is Era.MODERN
    assert set(opening.capabilities) == {"tools", "resources", "prompts"}
    assert not fake.asked("initialize")


NO_PROOFS = {
    "401": (lambda r: Answer(b"", 401), RefusedCredential),
    "403": (lambda r: Answer(b"", 403), RefusedCredential),
    "429": (lambda r: Answer(b"", 429), Busy),
    "500": (lambda r: Answer(b"", 500), Unreachable),
    "500 with JSON-RPC": (lambda r: error(r, -32603, "x", status=500), Unreachable),
    "502": (lambda r: Answer(b"<p>", 502, "text/html"), Unreachable),
    "503": (lambda r: Answer(b"", 503), Busy),
    "HTML": (lambda r: Answer(b"<p>", 200, "text/html"), BrokeProtocol),
    "redirect": (lambda r: Answer(b"", 301, headers={"location": "/x"}), BrokeProtocol),
    "hung up": (lambda r: Answer(raw=b"", hangs_up=True), Unreachable),
    "discover result with a number beyond all bounds": (
        lambda r: Answer(rb'{"jsonrpc":"2.0","id":1,"result":{"m":1e400}}'),
        BrokeProtocol,
    ),
}


@pytest.mark.parametrize("outcome", NO_PROOFS)
async def test_what_proves_nothing_is_raised_and_the_other_era_is_not_tried(outcome):
    answer, kind = NO_PROOFS[outcome]
    async with discover(answer) as fake:
        with pytest.raises(kind):
            await found(fake)
    assert not fake.asked("initialize")


async def test_no_connection_and_no_answer_in_time_prove_nothing():
    async def never(request: Request) -> Answer:
        await request.until_hung_up()
        return Answer(raw=b"", hangs_up=True)

    async with FakeUpstream() as fake:
        fake.before = never
        with pytest.raises(TimedOut):
            await found(fake, limits=replace(LIMITS, first_byte=0.05))
        await fake.stop()
        with pytest.raises(Unreachable):
            await found(fake)


async def test_an_era_that_is_pinned_is_not_found_out():
    async with FakeUpstream(eras="modern legacy") as fake:
        assert (await found(fake, Era.LEGACY)).era is Era.LEGACY
        assert not fake.asked("server/discover")
        assert (await found(fake, Era.MODERN)).era is Era.MODERN


async def test_a_pinned_modern_era_that_is_not_spoken_says_so():
    async with FakeUpstream(eras="legacy") as fake:
        with pytest.raises(BrokeProtocol, match="up does not speak 2026-07-28, which its configuration pins"):
            await found(fake, Era.MODERN)
    assert not fake.asked("initialize")


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (lambda r: Answer(b"", 404), "up does not speak Streamable HTTP at this URL"),
        (lambda r: Answer(b"", 405), "up does not speak Streamable HTTP at this URL"),
        (lambda r: error(r, -32600, "SECRET"), "up refused to open a session"),
        (lambda r: result(r, {"protocolVersion": "1999-01-01"}), "up speaks no revision of the protocol"),
        (lambda r: result(r, {"protocolVersion": [LEGACY]}), "up speaks no revision of the protocol"),
        (lambda r: result(r, {}), "up speaks no revision of the protocol"),
    ],
)
@pytest.mark.promise("T10")
async def test_a_server_that_opens_no_session_either_is_no_mcp_server(answer, sentence):
    async def handler(request: Request) -> Answer:
        return answer(request)

    async with FakeUpstream(eras="legacy") as fake:
        fake.handlers["initialize"] = handler
        with pytest.raises(UpstreamError, match=sentence) as caught:
            await found(fake)
    assert "SECRET" not in caught.value.public


async def test_what_a_server_says_of_itself_in_the_wrong_shape_is_not_heard():
    async def handler(request: Request) -> Answer:
        odd = {"serverInfo": "me", "capabilities": [], "instructions": {"a": 1}}
        return result(request, {"protocolVersion": "2024-11-05", **odd})

    async with FakeUpstream(eras="legacy") as fake:
        fake.handlers["initialize"] = handler
        opening = await found(fake)
    assert (opening.server_info, opening.capabilities, opening.instructions) == ({}, {}, "")
    assert opening.revision == "2024-11-05"


async def test_a_session_that_is_open_is_not_opened_again():
    async with FakeUpstream(eras="legacy") as fake, wires_to(fake) as wires, asyncio.timeout(5):
        first = await probe("up", bearing(wires), INFO, pinned=None)
        assert await probe("up", bearing(wires), INFO, pinned=None) == first
        assert len(fake.asked("initialize")) == 1
        assert CATALOG_OWNER in wires.legacy._sessions


KNOWS_APPS = {"extensions": {"io.modelcontextprotocol/ui": {"mimeTypes": ["text/html;profile=mcp-app"]}}}


async def test_the_hub_introduces_itself_and_offers_nothing_but_to_know_apps():
    async with FakeUpstream(eras="legacy") as fake:
        await found(fake)
    asked = fake.asked("initialize")[0].message["params"]
    assert asked == {"protocolVersion": LEGACY, "capabilities": KNOWS_APPS, "clientInfo": json.loads(bytes(INFO))}
