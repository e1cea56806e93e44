"""A library: needs a key in a header, reports progress, answers with large results. Speaks both eras."""

import hmac
import os
import random

from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp_types import ToolAnnotations
from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

HEADER = "X-API-Key"
KEY = os.environ.get("EXAMPLE_KEY", "example-key")
BOOKS = {
    "The Patient Gardener": 40_000,
    "Tides and Timetables": 120_000,
    "A Short History of Doors": 8_000,
}
"""Title to number of words."""
PROSE = "the a door tide garden slowly under morning opens and waits between water stone for nobody light again"

server = MCPServer(
    "library",
    title="Library",
    description="Books that nobody wrote, whole or by the shelf.",
    version="1.0",
    log_level="ERROR",
)


@server.tool(annotations=ToolAnnotations(read_only_hint=True))
def search(text: str = "") -> list[str]:
    """Titles that hold a text, in any case; all of them without one."""
    return [title for title in BOOKS if text.lower() in title.lower()]


@server.tool(annotations=ToolAnnotations(read_only_hint=True), structured_output=False)
def read_book(title: str) -> str:
    """The whole text of a book: the longest has about 700 KB."""
    if title not in BOOKS:
        raise ToolError(f"There is no book called {title!r}. Search for one.")
    return text_of(title)


@server.tool(annotations=ToolAnnotations(read_only_hint=True))
async def count_words(ctx: Context) -> dict[str, int]:
    """Count the words of every book, reporting progress after each."""
    counted: dict[str, int] = {}
    for done, title in enumerate(BOOKS, start=1):
        counted[title] = len(text_of(title).split())
        await ctx.report_progress(done, len(BOOKS), f"Counted {title}")
    return counted


@server.resource("book://catalogue", title="The catalogue", mime_type="text/markdown")
def catalogue() -> str:
    """Every title with its length."""
    return "\n".join(f"- {title}: {words} words" for title, words in BOOKS.items())


def text_of(title: str) -> str:
    # Seeded by the title: the same words on every machine, no book in the repository.
    chance = random.Random(title)  # noqa: S311 - prose, not a secret
    return " ".join(chance.choices(PROSE.split(), k=BOOKS[title]))


def app() -> ASGIApp:
    return asking_for_key(server.streamable_http_app())


def asking_for_key(app: ASGIApp) -> ASGIApp:
    async def guarded(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            given = Headers(scope=scope).get(HEADER, "")
            if not hmac.compare_digest(given.encode(), KEY.encode()):
                await PlainTextResponse(f"{HEADER} is missing or wrong", 401)(scope, receive, send)
                return
        await app(scope, receive, send)

    return guarded
