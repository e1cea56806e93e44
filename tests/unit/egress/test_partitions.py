"""Connections of one partition are never used for another, however many there are."""

import asyncio

import pytest

from mcp_hub.egress.client import HttpClient, Request
from mcp_hub.egress.errors import PoolFull

pytestmark = pytest.mark.promise("T16", "B22")


def post(server, whose: bytes, body=b"{}") -> Request:
    return Request(b"POST", server.origin(), b"/mcp", [(b"X-Whose", whose or b"-")], body, 5.0, partition=whose)


class Book:
    """A server that notes whose requests came on which connection, and answers with whose this one was."""

    def __init__(self) -> None:
        self.seen: dict[int, set[bytes]] = {}
        self.gate = asyncio.Event()
        self.gate.set()
        self.inside = asyncio.Semaphore(0)

    async def until(self, times: int) -> None:
        async with asyncio.timeout(5):
            for _ in range(times):
                await self.inside.acquire()

    async def __call__(self, peer) -> None:
        while heard := await peer.hear():
            whose = heard.headers[b"x-whose"]
            self.seen.setdefault(peer.number, set()).add(whose)
            self.inside.release()
            await self.gate.wait()
            await peer.answer(whose)


async def send(client: HttpClient, server, whose: bytes) -> bytes:
    response = await client.send(post(server, whose))
    return await response.read(100, within=5)


async def test_two_hundred_interleaved_requests_share_no_connection_across_partitions(serve, connect):
    book = Book()
    server, client = await serve(book), connect()
    people = [b"", b"ada", b"bob", b"ad", b"a"]
    sent = [people[n % len(people)] for n in range(200)]
    got = await asyncio.gather(*(send(client, server, whose) for whose in sent))
    assert got == [whose or b"-" for whose in sent]
    assert all(len(whose) == 1 for whose in book.seen.values())
    again = await asyncio.gather(*(send(client, server, whose) for whose in people))  # on those that were kept
    assert again == [whose or b"-" for whose in people]
    assert all(len(whose) == 1 for whose in book.seen.values())


async def test_within_a_partition_connections_are_kept(serve, connect):
    book = Book()
    server, client = await serve(book), connect()
    for _ in range(5):
        await send(client, server, b"ada")
    assert len(book.seen) == 1


async def test_a_partition_that_uses_no_connection_makes_room_for_another(serve, connect):
    book = Book()
    server, client = await serve(book), connect(partitions=2)
    for whose in (b"a", b"b", b"c", b"d"):
        assert await send(client, server, whose) == whose
    assert client.load.idle == 2


async def test_a_partition_in_use_is_never_closed_for_another_one(serve, connect):
    book = Book()
    server, client = await serve(book), connect(partitions=2)
    book.gate.clear()
    busy = [asyncio.ensure_future(send(client, server, whose)) for whose in (b"a", b"b")]
    await book.until(2)
    with pytest.raises(PoolFull):
        await send(client, server, b"c")
    book.gate.set()
    assert await asyncio.gather(*busy) == [b"a", b"b"]
    assert await send(client, server, b"c") == b"c"


async def test_what_all_share_has_room_whatever_the_others_do(serve, connect):
    book = Book()
    server, client = await serve(book), connect(partitions=1)
    book.gate.clear()
    busy = asyncio.ensure_future(send(client, server, b"a"))
    shared = asyncio.ensure_future(send(client, server, b""))
    await book.until(2)
    book.gate.set()
    assert (await busy, await shared) == (b"a", b"-")
