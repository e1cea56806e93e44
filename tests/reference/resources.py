"""Resources under fixed addresses and one template, as the conformance suite looks for them."""

import json
import re
from typing import Any

import mcp_types as types
import samples
from mcp.server.context import ServerRequestContext
from mcp.shared.exceptions import MCPError
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

Contents = types.TextResourceContents | types.BlobResourceContents

LEGACY_RESOURCE_NOT_FOUND = -32002
FIXED: dict[str, tuple[str, Contents]] = {
    contents.uri: (description, contents)
    for description, contents in (
        (
            "A short text.",
            types.TextResourceContents(
                uri="test://static-text",
                mime_type="text/plain",
                text="This is the content of the static text resource.",
            ),
        ),
        (
            "A small picture.",
            types.BlobResourceContents(uri="test://static-binary", mime_type="image/png", blob=samples.PNG),
        ),
        (
            "A text whose changes are announced.",
            types.TextResourceContents(
                uri="test://watched-resource", mime_type="text/plain", text="Watched resource content"
            ),
        ),
    )
}
TEMPLATE = "test://template/{id}/data"
TEMPLATE_MATCH = re.compile(r"test://template/(?P<id>[^/]+)/data")


async def list_resources(_: ServerRequestContext[Any, Any], __: Any) -> types.ListResourcesResult:
    return types.ListResourcesResult(
        resources=[
            types.Resource(
                uri=uri, name=uri.removeprefix("test://"), description=description, mime_type=contents.mime_type
            )
            for uri, (description, contents) in FIXED.items()
        ]
    )


async def list_templates(_: ServerRequestContext[Any, Any], __: Any) -> types.ListResourceTemplatesResult:
    template = types.ResourceTemplate(
        uri_template=TEMPLATE, name="template", description="Data by id.", mime_type="application/json"
    )
    return types.ListResourceTemplatesResult(resource_templates=[template])


async def read(
    context: ServerRequestContext[Any, Any], params: types.ReadResourceRequestParams
) -> types.ReadResourceResult:
    if params.uri in FIXED:
        return types.ReadResourceResult(contents=[FIXED[params.uri][1]])
    if match := TEMPLATE_MATCH.fullmatch(params.uri):
        data = {"id": match["id"], "templateTest": True, "data": f"Data for ID: {match['id']}"}
        contents = types.TextResourceContents(uri=params.uri, mime_type="application/json", text=json.dumps(data))
        return types.ReadResourceResult(contents=[contents])
    modern = context.protocol_version in MODERN_PROTOCOL_VERSIONS
    code = types.INVALID_PARAMS if modern else LEGACY_RESOURCE_NOT_FOUND
    raise MCPError(code, "Resource not found", {"uri": params.uri})
