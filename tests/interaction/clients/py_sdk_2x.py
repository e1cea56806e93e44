"""The Python SDK 2.x, which speaks both eras: `auto` finds out, `legacy` does not ask."""

from typing import Any

import mcp_types as types
from mcp import Client
from pydantic import BaseModel


def plain(value: BaseModel) -> Any:
    return value.model_dump(by_alias=True, mode="json", exclude_none=True)


def reference(ref: dict[str, str]) -> types.PromptReference | types.ResourceTemplateReference:
    model = types.PromptReference if ref["type"] == "ref/prompt" else types.ResourceTemplateReference
    return model.model_validate(ref)


async def visit(url: str, era: str, plan: dict[str, Any]) -> dict[str, Any]:
    """Lists everything, follows the plan, and gives what came back as plain JSON."""
    async with Client(url, mode=era) as client:
        return {
            "revision": client.protocol_version,
            "tools": plain(await client.list_tools())["tools"],
            "resources": plain(await client.list_resources())["resources"],
            "templates": plain(await client.list_resource_templates())["resourceTemplates"],
            "prompts": plain(await client.list_prompts())["prompts"],
            "called": [plain(await client.call_tool(c["name"], c["arguments"])) for c in plan.get("calls", ())],
            "read": [plain(await client.read_resource(uri)) for uri in plan.get("reads", ())],
            "got": [plain(await client.get_prompt(p["name"], p["arguments"])) for p in plan.get("prompts", ())],
            "completed": [
                plain(await client.complete(reference(c["ref"]), c["argument"])) for c in plan.get("completions", ())
            ],
        }
