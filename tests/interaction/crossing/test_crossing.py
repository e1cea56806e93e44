"""Every message crosses: each row of the grid in each combination of client and upstream, with real SDK programs.

Each test has three clients at once: two principals, of whom the first has two clients. What is of one of them and
reaches another fails the test, whatever the row.
"""

import asyncio
import warnings

import pytest
from mcp.shared.exceptions import MCPDeprecationWarning

from interaction.crossing.clients import UPDATED, Caller, Kind
from interaction.crossing.grid import ROWS
from interaction.crossing.hubs import Ground, Upstream
from interaction.crossing.rows import Cell, Row

pytestmark = pytest.mark.promise("A1", "A4", "A5", "A7", "B22", "F2", "T16", "T26")
SECONDS = 30


def _strangers(caller: Caller, callers: tuple[Caller, ...]) -> list[str]:
    """Whose things reached this caller, besides its own."""
    heard = repr((caller.heard.asked, caller.heard.logs, caller.heard.notices))
    return [other.mark for other in callers if other is not caller and other.mark in heard]


def test_what_reaches_a_stranger_is_found():
    alice, bob = (Caller(Kind.MODERN, mark) for mark in ("alice-1", "bob-1"))
    alice.heard.logs.append(("info", "alice-1 info"))
    assert (_strangers(alice, (alice, bob)), _strangers(bob, (alice, bob))) == ([], [])
    bob.heard.notice((UPDATED, "modern+note://by/alice-1/1"))
    assert _strangers(bob, (alice, bob)) == ["alice-1"]


@pytest.mark.parametrize("upstream", list(Upstream))
@pytest.mark.parametrize("client", list(Kind))
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.id)
async def test_it_crosses_or_is_refused_as_the_page_says(row: Row, client: Kind, upstream: Upstream, ground: Ground):
    no = row.no(client, upstream)
    # What the newest revision deprecates is what must cross still.
    with warnings.catch_warnings(action="ignore", category=MCPDeprecationWarning):
        async with asyncio.timeout(SECONDS):
            callers = await ground.crowd.of(client, **row.options)
            await (row.carries if no is None else no.shown)(Cell(ground, upstream, callers))
    assert {each.mark: _strangers(each, callers) for each in callers} == {each.mark: [] for each in callers}
