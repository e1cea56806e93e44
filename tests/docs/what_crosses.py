"""The page *What crosses*, made from the rows that are tested.

`python tests/docs/what_crosses.py > docs/what-crosses.md` writes it.
"""

import sys
import textwrap
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from interaction.crossing.clients import Kind
from interaction.crossing.grid import ROWS
from interaction.crossing.hubs import Upstream
from interaction.crossing.rows import Row

CLIENTS = {
    Kind.MODERN: "A modern client (2026-07-28)",
    Kind.LEGACY: "A legacy client (2025-11-25)",
    Kind.FIRST_HTTP: "A legacy client (2025-03-26)",
    Kind.SSE: "A legacy client over HTTP+SSE",
}
UPSTREAMS = {
    Upstream.MODERN: "modern",
    Upstream.LEGACY: "legacy",
    Upstream.SSE: "HTTP+SSE",
    Upstream.STDIO: "stdio, modern",
    Upstream.OLD_STDIO: "stdio, legacy",
}
INTRO = """\
# What crosses

A client and a server seldom speak the same revision of MCP, and often not over the same transport. The hub stands
between them. This page says for every message of the protocol whether it reaches the other side, for each kind of
client and each kind of upstream.

It is made from the tests in `tests/interaction/crossing/`: every cell below is a test that ran with a client and a
server of the official Python SDK and a hub between them, for two users at once, one of them with two clients. Where
something of one of the three had reached another, the cell's test would have failed.

*Modern* is revision 2026-07-28, *legacy* everything before it. Both are spoken over Streamable HTTP, where nothing else
is said; *HTTP+SSE* is the transport of 2024-11-05. A *stdio* upstream is a local command that speaks on its standard
streams.

## What each message is about
"""
LEGEND = """\
`yes`: it crosses. `hub`: the hub answers it itself. `no`: it does not cross; the number says why,
[below](#where-the-answer-is-no).
"""


def page() -> str:
    """The whole page."""
    reasons = _reasons()
    tables = "\n".join(f"## {CLIENTS[client]}\n\n{_table(client, reasons)}\n" for client in Kind)
    meanings = "".join(f"| {row.message} | {row.sentence} |\n" for row in ROWS)
    numbered = "".join(_point(number, reason) for reason, number in reasons.items())
    return f"{INTRO}\n| message | what arrives |\n|---|---|\n{meanings}\n{LEGEND}\n{tables}\n{_NO}\n{numbered}"


_NO = "## Where the answer is no\n"


def _point(number: int, reason: str) -> str:
    """A numbered point in lines of at most 120 characters."""
    mark = f"{number}. "
    return textwrap.fill(reason, 120, initial_indent=mark, subsequent_indent=" " * len(mark)) + "\n"


def _reasons() -> dict[str, int]:
    """Every reason and its number, in the order of the rows."""
    found = dict.fromkeys(no.reason for row in ROWS for no in row.nos)
    return {reason: number for number, reason in enumerate(found, start=1)}


def _table(client: Kind, reasons: dict[str, int]) -> str:
    head = "".join(f" {UPSTREAMS[upstream]} |" for upstream in Upstream)
    rows = "".join(f"| {row.message} |{_cells(row, client, reasons)}\n" for row in ROWS)
    return f"| message |{head}\n|---|{'---|' * len(Upstream)}\n{rows}".rstrip("\n")


def _cells(row: Row, client: Kind, reasons: dict[str, int]) -> str:
    nos = [row.no(client, upstream) for upstream in Upstream]
    yes = "hub" if row.answered else "yes"
    return "".join(f" {yes if no is None else f'no ({reasons[no.reason]})'} |" for no in nos)


if __name__ == "__main__":
    sys.stdout.write(page())
