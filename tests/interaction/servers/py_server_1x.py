"""A server on the Python SDK 1.x, which speaks the legacy era only; runs in an environment of its own.

Usage: python py_server_1x.py [sse]. Prints `Endpoint http://...` as soon as it accepts requests. With `sse` it speaks
the transport of 2024-11-05.
"""

import asyncio
import socket
import sys
from typing import Annotated

import uvicorn
from mcp import types
from mcp.server.fastmcp import Context, FastMCP, Image
from pydantic import BaseModel, Field

server = FastMCP("python-1x", instructions="Say what you want.", log_level="ERROR")
PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010806000000"
    "1f15c4890000000d49444154789c6360000002000001e221bc330000000049454e44ae426082"
)


class Sum(BaseModel):
    """What came of an addition."""

    total: int
    summands: list[int]


@server.tool(title="Adding up", annotations=types.ToolAnnotations(readOnlyHint=True))
def add(summands: Annotated[list[int], Field(description="What to add")]) -> Sum:
    """Adds up."""
    return Sum(total=sum(summands), summands=summands)


@server.tool()
async def work(steps: int, ctx: Context) -> str:
    """Tells how far it is."""
    for step in range(steps):
        await ctx.report_progress(step + 1, steps, f"step {step + 1} of {steps}")
        await ctx.info(f"working on {step + 1}")
    return "done, ¡señor! 中"


@server.tool()
def fails() -> str:
    """Fails."""
    raise ValueError("this is what it does")


@server.tool()
def draws() -> Image:
    """Draws a pixel."""
    return Image(data=PIXEL, format="png")


@server.tool()
def points() -> list[types.ContentBlock]:
    """Points at resources, and brings one along."""
    held = types.TextResourceContents(uri=types.AnyUrl("memo://held"), text="held", mimeType="text/plain")
    return [
        types.ResourceLink(type="resource_link", uri=types.AnyUrl("memo://first"), name="first"),
        types.EmbeddedResource(type="resource", resource=held),
    ]


@server.resource("memo://first", mime_type="text/markdown")
def first() -> str:
    """The first memo."""
    return "# First"


@server.resource("memo://by/{author}/{number}")
def memo(author: str, number: str) -> str:
    """Any memo."""
    return f"{number} by {author}"


@server.prompt(title="Asking")
def ask(topic: str) -> str:
    """Asks about something."""
    return f"What about {topic}?"


@server.completion()
async def complete(
    ref: types.PromptReference | types.ResourceTemplateReference,
    argument: types.CompletionArgument,
    context: types.CompletionContext | None,
) -> types.Completion:
    del context
    of = ref.name if isinstance(ref, types.PromptReference) else ref.uri
    return types.Completion(values=[f"{argument.value} for {argument.name} of {of}"], hasMore=False)


async def main() -> None:
    is_older = sys.argv[1:] == ["sse"]
    listener = socket.create_server(("127.0.0.1", 0))
    path = "sse" if is_older else "mcp"
    print(f"Endpoint http://127.0.0.1:{listener.getsockname()[1]}/{path}", flush=True)
    app = server.sse_app() if is_older else server.streamable_http_app()
    settings = uvicorn.Config(app, log_level="error", timeout_graceful_shutdown=1)
    await uvicorn.Server(settings).serve(sockets=[listener])


asyncio.run(main())
