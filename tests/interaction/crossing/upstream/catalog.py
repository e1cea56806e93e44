"""What the server offers besides tools. Its lists come in pages, so that whoever lists must follow cursors."""

import re
from collections.abc import Sequence
from typing import Any, TypeVar

import mcp_types as types
from hearers import Context, Hearers
from mcp.shared.exceptions import MCPError
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

T = TypeVar("T")

PAGE = 8
APP = "ui://view/main"
APP_TYPE = "text/html;profile=mcp-app"
FIRST = "note://first"
ABOUT = "about:notes"
BY = "note://by/{author}/{number}"
BY_MATCH = re.compile(r"note://by/([^/]+)/([^/]+)")
LEGACY_NOT_FOUND = -32002


def page(items: Sequence[T], params: types.PaginatedRequestParams | None) -> tuple[list[T], str | None]:
    """The page that the cursor names, and the cursor of the next one."""
    start = int(params.cursor) if params is not None and params.cursor else 0
    end = start + PAGE
    return list(items[start:end]), str(end) if end < len(items) else None


def is_modern(context: Context) -> bool:
    return context.protocol_version in MODERN_PROTOCOL_VERSIONS


class Catalog:
    """The handlers of resources, prompts and completion."""

    def __init__(self, hearers: Hearers) -> None:
        self._hearers = hearers

    async def resources(self, _: Context, params: types.PaginatedRequestParams | None) -> types.ListResourcesResult:
        listed = [
            types.Resource(uri=FIRST, name="first", title="The first", mime_type="text/plain"),
            types.Resource(uri=ABOUT, name="about"),
            types.Resource(uri=APP, name="view", mime_type=APP_TYPE),
            *(types.Resource(uri=f"note://{name}", name=name) for name in sorted(self._hearers.added["resources"])),
        ]
        items, following = page(listed, params)
        return types.ListResourcesResult(resources=items, next_cursor=following)

    async def templates(
        self, _: Context, params: types.PaginatedRequestParams | None
    ) -> types.ListResourceTemplatesResult:
        listed = [
            types.ResourceTemplate(uri_template=BY, name="by"),
            *(types.ResourceTemplate(uri_template=f"note://{name}/{{id}}", name=name) for name in "abc"),
        ]
        items, following = page(listed, params)
        return types.ListResourceTemplatesResult(resource_templates=items, next_cursor=following)

    async def read(self, context: Context, params: types.ReadResourceRequestParams) -> types.ReadResourceResult:
        uri = params.uri
        if uri == APP:
            contents = types.TextResourceContents(uri=uri, mime_type=APP_TYPE, text="<p>the app</p>")
        elif match := BY_MATCH.fullmatch(uri):
            contents = types.TextResourceContents(uri=uri, text=f"{match[2]} by {match[1]}")
        elif uri in (FIRST, ABOUT):
            contents = types.TextResourceContents(uri=uri, text=f"this is {uri}")
        else:
            code = types.INVALID_PARAMS if is_modern(context) else LEGACY_NOT_FOUND
            raise MCPError(code, "Resource not found", {"uri": uri})
        return types.ReadResourceResult(contents=[contents])

    async def prompts(self, _: Context, params: types.PaginatedRequestParams | None) -> types.ListPromptsResult:
        topic = [types.PromptArgument(name="topic", required=True)]
        names = ["ask", "tell", "show", "asks", *sorted(self._hearers.added["prompts"])]
        items, following = page([types.Prompt(name=name, arguments=topic) for name in names], params)
        return types.ListPromptsResult(prompts=items, next_cursor=following)

    async def prompt(self, name: str, topic: str) -> types.GetPromptResult:
        """A prompt about a topic, with a resource in it."""
        held = types.TextResourceContents(uri=f"note://by/{topic}/1", text=f"1 by {topic}")
        contents: list[Any] = [types.TextContent(text=f"{name} {topic}"), types.EmbeddedResource(resource=held)]
        return types.GetPromptResult(messages=[types.PromptMessage(role="user", content=each) for each in contents])

    async def complete(self, _: Context, params: types.CompleteRequestParams) -> types.CompleteResult:
        of = params.ref.name if isinstance(params.ref, types.PromptReference) else params.ref.uri
        value = f"{params.argument.value} for {params.argument.name} of {of}"
        return types.CompleteResult(completion=types.Completion(values=[value], total=1, has_more=False))
