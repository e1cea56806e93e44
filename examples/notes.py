"""Notes: tools that read and write, resources with a template, a prompt, completion. Speaks both eras."""

from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.exceptions import ResourceNotFoundError, ToolError
from mcp.server.mcpserver.resources import FunctionResource
from mcp_types import (
    Completion,
    CompletionArgument,
    CompletionContext,
    PromptReference,
    ResourceTemplateReference,
    ToolAnnotations,
)
from starlette.types import ASGIApp

NOTES = {
    "groceries": "Oats, apples, coffee, rye bread.",
    "release": "Cut the branch on Tuesday. Write the changelog first.",
    "reading": "Finish chapter seven before the book club.",
}
MOST = 1000

server = MCPServer(
    "notes",
    title="Notes",
    description="Short notes, kept in memory.",
    instructions="Search before adding: there may be a note already.",
    version="1.0",
    log_level="ERROR",
)


@server.tool(annotations=ToolAnnotations(read_only_hint=True))
def list_notes() -> list[str]:
    """The names of all notes."""
    return sorted(NOTES)


@server.tool(annotations=ToolAnnotations(read_only_hint=True))
def search(text: str) -> list[str]:
    """The names of the notes that hold a text, in any case."""
    return sorted(name for name, note in NOTES.items() if text.lower() in f"{name} {note}".lower())


@server.tool()
async def add(name: str, text: str, ctx: Context) -> str:
    """Add a note, or replace the one of that name."""
    if len(NOTES) >= MOST:
        raise ToolError(f"There are {MOST} notes already.")
    if not name.isidentifier():
        raise ToolError("A note's name consists of letters, digits and underscores.")
    known = name in NOTES
    NOTES[name] = text
    if not known:
        offer(name)
        await ctx.notify_resources_changed()
    return f"{'Replaced' if known else 'Added'} {name}."


@server.resource("note://{name}", title="A note", mime_type="text/plain")
def note(name: str) -> str:
    """One note by its name."""
    if name not in NOTES:
        raise ResourceNotFoundError(f"There is no note {name}.")
    return NOTES[name]


@server.prompt(title="Summarise a note")
def summarise(name: str, tone: str = "plain") -> str:
    """Ask for a summary of a note."""
    return f"Summarise this note in a {tone} tone, in one sentence:\n\n{NOTES.get(name, '(there is no such note)')}"


@server.completion()
async def complete(
    ref: PromptReference | ResourceTemplateReference, argument: CompletionArgument, context: CompletionContext | None
) -> Completion:
    """Names of notes and tones, by how they begin."""
    del ref, context
    choices = {"name": sorted(NOTES), "tone": ["cheerful", "formal", "plain"]}.get(argument.name, [])
    return Completion(values=[choice for choice in choices if choice.startswith(argument.value)][:100])


def offer(name: str) -> None:
    server.add_resource(
        FunctionResource(uri=f"note://{name}", name=name, mime_type="text/plain", fn=lambda: NOTES[name])
    )


for first in NOTES:
    offer(first)


def app() -> ASGIApp:
    return server.streamable_http_app(json_response=True)
