"""Which transport an upstream speaks is found out by trying, and only answers prove anything."""

import asyncio
from contextlib import asynccontextmanager

import pytest

from mcp_hub.errors import RefusedCredential, TimedOut, Unreachable
from mcp_hub.upstream.answer import NotModern, SessionGone
from mcp_hub.upstream.carrier import CATALOG_OWNER
from mcp_hub.upstream.channel import Limits
from mcp_hub.upstream.event_line import NotThisTransport
from mcp_hub.upstream.probe import probe
from mcp_hub.upstream.transports import Transports
from mcp_hub.wire.eras import Era
from rig.fake_upstream import Answer, FakeUpstream
from rig.old_server import OldServer
from rig.parts import INFO, LEGACY_CLIENT, LIMITS, MODERN_CLIENT, bearer, bearing, channel_to, tool_call

pytestmark = pytest.mark.promise("A3")

ALICE = ("session", "alice")
KEY = bearer("key")


@asynccontextmanager
async def way_to(server, limits: Limits = LIMITS, **pinned):
    async with channel_to(server, limits) as channel:
        way = Transports.over(channel, **pinned)
        try:
            yield way
        finally:
            async with asyncio.timeout(5):
                await way.aclose()


def call(client=LEGACY_CLIENT):
    return tool_call(owner=ALICE, client=client)


async def opened(way, pinned=None):
    return await probe("up", bearing(way, KEY), INFO, pinned=pinned)


@pytest.mark.promise("A3", "A5")
async def test_an_old_server_is_found_by_its_refusals_and_remembered():
    async with OldServer() as server, way_to(server) as way:
        opening = await opened(way)
        assert (opening.era, opening.revision, way.is_older) == (Era.LEGACY, "2024-11-05", True)
        assert [each.method or each.verb for each in server.seen[:3]] == ["server/discover", "initialize", "GET"]
        await way.send(Era.LEGACY, call(), KEY)
        await opened(way, Era.LEGACY)
        assert [each.path for each in server.asked("initialize")].count("/mcp") == 1


@pytest.mark.parametrize("eras", ["legacy", "modern", "legacy modern"])
async def test_streamable_http_is_never_asked_for_an_old_stream(eras):
    async with FakeUpstream(eras=eras) as server, way_to(server) as way:
        opening = await opened(way)
        client = LEGACY_CLIENT if opening.era is Era.LEGACY else MODERN_CLIENT
        await way.send(opening.era, call(client), KEY)
        assert [each for each in server.seen if each.verb == "GET"] == []
        assert way.is_older is (None if "modern" in eras else False)


async def test_a_call_of_a_known_era_finds_the_transport_by_itself():
    async with OldServer() as server, way_to(server) as way:
        assert (await way.send(Era.LEGACY, call(), KEY)).result is not None
        assert way.is_older
    async with FakeUpstream(eras="legacy") as server, way_to(server) as way:
        assert (await way.send(Era.LEGACY, call(), KEY)).result is not None
        assert way.is_older is False


async def test_a_server_of_neither_is_told_as_such_and_nothing_is_remembered():
    async with OldServer() as server, way_to(server) as way:
        server.before = answering(404)
        with pytest.raises(NotThisTransport, match="neither Streamable HTTP nor"):
            await opened(way)
        assert way.is_older is None
        server.before = answering(200, b"<html>", "text/html", verb="GET")
        with pytest.raises(NotThisTransport, match="no stream of events"):
            await way.send(Era.LEGACY, call(), KEY)
        assert way.is_older is None


@pytest.mark.parametrize(("status", "kind"), [(401, RefusedCredential), (403, RefusedCredential), (502, Unreachable)])
async def test_a_refused_credential_and_a_failure_prove_nothing(status, kind):
    async with OldServer() as server, way_to(server) as way:
        for verb in ("POST", "GET"):
            server.before = answering(status, verb=verb)
            with pytest.raises(kind):
                await opened(way)
            assert way.is_older is None
        server.before = None
        await opened(way)
        assert way.is_older


async def test_silence_proves_nothing():
    async with OldServer() as server, way_to(server, Limits(200_000, 10_000, 0.1, 0.1)) as way:
        release = asyncio.Event()

        async def silent(request):
            await release.wait()
            return Answer(status=404)

        server.before = silent
        with pytest.raises((TimedOut, Unreachable)):
            await way.opened(CATALOG_OWNER, LEGACY_CLIENT, KEY)
        assert way.is_older is None
        release.set()


async def test_what_was_remembered_is_forgotten_when_it_proves_wrong():
    async with OldServer() as server, way_to(server) as way:
        await opened(way)
        await way.end(CATALOG_OWNER)
        server.before = answering(405)
        with pytest.raises(NotThisTransport):
            await way.send(Era.LEGACY, call(), KEY)
        assert way.is_older is None


async def test_a_pinned_transport_is_the_only_one_that_is_tried():
    async with OldServer() as server:
        async with way_to(server, is_older=True) as way:
            await opened(way, Era.LEGACY)
            assert server.seen[0].verb == "GET"
            await way.end(CATALOG_OWNER)
            server.before = answering(405)
            with pytest.raises(NotThisTransport):
                await opened(way, Era.LEGACY)
            assert way.is_older is True
        server.seen.clear()
        server.before = None
        async with way_to(server, is_older=False) as way:
            with pytest.raises((NotModern, SessionGone, Unreachable)):
                await opened(way)
            assert {each.verb for each in server.seen} == {"POST"}


async def test_everything_is_ended_in_both():
    async with OldServer() as server, way_to(server) as way:
        await way.send(Era.LEGACY, call(), KEY)
        async with way.overhear(LEGACY_CLIENT, KEY):
            assert len(server.streams) == 2
        await way.end_idle(CATALOG_OWNER)
        await way.aclose()
        await server.until_left()


def answering(status, body=b"", kind="text/plain", verb=None):
    async def answer(request):
        return Answer(body, status, kind) if verb in (None, request.verb) else None

    return answer
