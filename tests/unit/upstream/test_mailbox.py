"""What is announced between other messages waits, bounded, for whoever listens."""

import asyncio
from contextlib import aclosing

import pytest

from mcp_hub.upstream.mailbox import MOST, Mailbox
from mcp_hub.wire.jsonrpc import Message, parse

pytestmark = pytest.mark.promise("A5")


def update(uri: object) -> Message:
    return parse(
        b'{"jsonrpc":"2.0","method":"notifications/resources/updated","params":{"uri":"%s"}}' % str(uri).encode()
    )


async def taken(box: Mailbox) -> list[bytes]:
    box.close()
    async with asyncio.timeout(5), aclosing(box.told()) as told:
        return [bytes(message.params) async for several in told for message in several]


async def test_the_same_announcement_waits_once():
    box = Mailbox("up")
    for uri in "aba":
        box.put(update(uri))
    assert await taken(box) == [b'{"uri":"a"}', b'{"uri":"b"}']


async def test_a_flood_of_announcements_is_bounded_and_said_once(caplog):
    box = Mailbox("up")
    for number in range(MOST * 3):
        box.put(update(number))
    assert len(await taken(box)) == MOST
    assert [each.message for each in caplog.records] == ["up announces more than can be heard; some of it is left out"]


async def test_whoever_waits_is_woken_by_news_and_by_the_end():
    box = Mailbox("up")
    waiting = asyncio.ensure_future(box.any())
    await asyncio.sleep(0)
    box.put(update("a"))
    async with asyncio.timeout(5):
        assert await waiting
    assert await taken(box) == [b'{"uri":"a"}']
    assert not await box.any()
