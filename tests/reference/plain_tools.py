"""Tools that answer by themselves; their names and answers are the ones the conformance suite looks for."""

from typing import Any

import anyio
import mcp_types as types
import samples
from call import Call
from notices import Notices
from toolbox import Toolbox, ToolFailed

STEP_SECONDS = 0.05
WATCHED = "test://watched-resource"

HEADER_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"region": {"type": "string", "x-mcp-header": "Region"}},
    "required": ["region"],
}
FULL_SCHEMA: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "$defs": {
        "address": {
            "$anchor": "addressDef",
            "type": "object",
            "properties": {"street": {"type": "string"}, "city": {"type": "string"}},
        }
    },
    "properties": {
        "name": {"type": "string"},
        "address": {"$ref": "#/$defs/address"},
        "contactMethod": {"type": "string", "enum": ["phone", "email"]},
        "phone": {"type": "string"},
        "email": {"type": "string"},
    },
    "allOf": [{"anyOf": [{"required": ["phone"]}, {"required": ["email"]}]}],
    "if": {"properties": {"contactMethod": {"const": "phone"}}, "required": ["contactMethod"]},
    "then": {"required": ["phone"]},
    "else": {"required": ["email"]},
    "additionalProperties": False,
}

content = Toolbox()


@content.tool("test_simple_text", "Answers with a short text.")
async def simple_text(_: Call) -> list[types.TextContent]:
    return [samples.text("This is a simple text response for testing.")]


@content.tool("test_image_content", "Answers with a picture.")
async def image_content(_: Call) -> list[types.ImageContent]:
    return [samples.image()]


@content.tool("test_audio_content", "Answers with a sound.")
async def audio_content(_: Call) -> list[types.AudioContent]:
    return [samples.audio()]


@content.tool("test_embedded_resource", "Answers with a resource inside the result.")
async def embedded_resource(_: Call) -> list[types.EmbeddedResource]:
    return [samples.embedded("test://embedded-resource", "This is an embedded resource content.")]


@content.tool("test_resource_link", "Answers with a link to a resource.")
async def resource_link(_: Call) -> list[types.ResourceLink]:
    return [types.ResourceLink(uri="test://static-text", name="static-text", mime_type="text/plain")]


@content.tool("test_multiple_content_types", "Answers with a text, a picture and a resource.")
async def multiple_content_types(_: Call) -> list[types.ContentBlock]:
    resource = samples.embedded("test://mixed-content-resource", '{"test":"data","value":123}', "application/json")
    return [samples.text("Multiple content types test:"), samples.image(), resource]


@content.tool("test_error_handling", "Fails every time.")
async def error_handling(_: Call) -> list[types.TextContent]:
    raise ToolFailed("This tool intentionally returns an error for testing")


@content.tool("json_schema_2020_12_tool", "Takes a schema that uses all of JSON Schema 2020-12.", FULL_SCHEMA)
async def json_schema_2020_12_tool(call: Call) -> list[types.TextContent]:
    return [samples.text(f"JSON Schema 2020-12 tool called with: {sorted(call.arguments)}")]


@content.tool("test_x_mcp_header", "Takes an argument that is mirrored into a header.", HEADER_SCHEMA)
async def x_mcp_header(call: Call) -> list[types.TextContent]:
    return [samples.text(f"Region: {call.arguments['region']}")]


@content.tool("test_tool_with_progress", "Reports progress at 0, 50 and 100 of 100.")
async def tool_with_progress(call: Call) -> list[types.TextContent]:
    for done in (0, 50, 100):
        await call.context.session.report_progress(done, 100)
        await anyio.sleep(STEP_SECONDS)
    return [samples.text("Progress reported.")]


@content.tool("test_reconnection", "Closes its stream before it answers; resuming finds the answer.")
async def reconnection(call: Call) -> list[types.TextContent]:
    await anyio.sleep(STEP_SECONDS)  # the client must have seen an event by which it can resume
    if call.context.close_sse_stream is not None:
        await call.context.close_sse_stream()
    await anyio.sleep(STEP_SECONDS)
    return [samples.text("Reconnection test completed successfully.")]


def noticing(notices: Notices) -> Toolbox:
    """The tools that cause log messages and notices."""
    tools = Toolbox()

    async def log(call: Call, message: str) -> None:
        if call.modern or notices.wants(call.session_id, "info"):
            await call.context.session.send_log_message(
                "info", message, "reference", related_request_id=call.context.request_id
            )

    @tools.tool("test_tool_with_logging", "Logs three messages while it works.")
    async def tool_with_logging(call: Call) -> list[types.TextContent]:
        for message in ("Tool execution started", "Tool processing data", "Tool execution completed"):
            await log(call, message)
            await anyio.sleep(STEP_SECONDS)
        return [samples.text("Tool with logging executed successfully.")]

    @tools.tool("test_logging_tool", "Logs one message.")
    async def logging_tool(call: Call) -> list[types.TextContent]:
        await log(call, "Diagnostic message")
        return [samples.text("Logging evaluated.")]

    @tools.tool("test_trigger_tool_change", "Announces that the list of tools changed.")
    async def trigger_tool_change(_: Call) -> list[types.TextContent]:
        await notices.tools_changed()
        return [samples.text("Tool change announced.")]

    @tools.tool("test_trigger_prompt_change", "Announces that the list of prompts changed.")
    async def trigger_prompt_change(_: Call) -> list[types.TextContent]:
        await notices.prompts_changed()
        return [samples.text("Prompt change announced.")]

    @tools.tool("test_trigger_resource_update", "Announces that the watched resource changed.")
    async def trigger_resource_update(_: Call) -> list[types.TextContent]:
        await notices.resource_changed(WATCHED)
        return [samples.text("Resource update announced.")]

    return tools
