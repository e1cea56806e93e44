"""A client that was asked to have an address opened is told when that is done, and nobody else is."""

import asyncio
import json

import pytest

from mcp_hub.gateway.completing import COMPLETE, Completing
from mcp_hub.gateway.listener import Listener

pytestmark = pytest.mark.promise("B20")
ALICE = ("default", "idp", "alice")


class Connection:
    """A connection that tests change."""

    def __init__(self) -> None:
        self.watching = []

    def watch(self, changed):
        self.watching.append(changed)
        return lambda: self.watching.remove(changed)

    def change(self) -> None:
        for changed in list(self.watching):
            changed()


def listener() -> Listener:
    return Listener(ALICE, frozenset(), lambda _: None)


async def heard(who: Listener) -> list[tuple[str, str]]:
    async with asyncio.timeout(5):
        return [(method, json.loads(bytes(params["elicitationId"]))) for method, params in await who.heard()]


async def test_who_was_asked_is_told_once_and_nothing_is_watched_any_more():
    completing, connection, client = Completing(), Connection(), listener()
    completing.expect("e1", client, connection.watch)
    completing.expect("e2", client, connection.watch)
    assert len(completing) == 2
    connection.change()
    connection.change()
    assert await heard(client) == [(COMPLETE, "e1"), (COMPLETE, "e2")]
    assert (connection.watching, len(completing)) == ([], 0)


@pytest.mark.promise("T26", "B22")
async def test_a_change_of_somebody_elses_connection_tells_nothing():
    completing, mine, theirs, me, they = Completing(), Connection(), Connection(), listener(), listener()
    completing.expect("mine", me, mine.watch)
    completing.expect("theirs", they, theirs.watch)
    theirs.change()
    mine.change()
    assert await heard(they) == [(COMPLETE, "theirs")]
    assert await heard(me) == [(COMPLETE, "mine")]


async def test_a_client_that_has_gone_is_not_told():
    completing, connection, client = Completing(), Connection(), listener()
    completing.expect("e", client, connection.watch)
    client.close()
    connection.change()
    assert await heard(client) == []


async def test_there_are_never_more_than_so_many():
    completing, connection, client = Completing(most=2), Connection(), listener()
    for number in range(5):
        completing.expect(str(number), client, connection.watch)
    assert len(completing) == len(connection.watching) == 2
    connection.change()
    assert await heard(client) == [(COMPLETE, "3"), (COMPLETE, "4")]
