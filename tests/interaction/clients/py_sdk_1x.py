"""The Python SDK 1.x, which speaks the legacy era only; runs in an environment of its own.

Usage: python py_sdk_1x.py URL ERA PLAN, where PLAN is JSON. Prints one JSON line.
"""

import asyncio
import json
import sys
from typing import Any

from mcp import ClientSession, types
from mcp.client.streamable_http import streamable_http_client
from pydantic import BaseModel


def plain(value: BaseModel) -> Any:
    return value.model_dump(by_alias=True, mode="json", exclude_none=True)


def reference(ref: dict[str, str]) -> types.PromptReference | types.ResourceTemplateReference:
    model = types.PromptReference if ref["type"] == "ref/prompt" else types.ResourceTemplateReference
    return model.model_validate(ref)


async def visit(session: ClientSession, plan: dict[str, Any]) -> dict[str, Any]:
    return {
        "tools": plain(await session.list_tools())["tools"],
        "resources": plain(await session.list_resources())["resources"],
        "templates": plain(await session.list_resource_templates())["resourceTemplates"],
        "prompts": plain(await session.list_prompts())["prompts"],
        "called": [plain(await session.call_tool(c["name"], c["arguments"])) for c in plan.get("calls", ())],
        "read": [plain(await session.read_resource(types.AnyUrl(uri))) for uri in plan.get("reads", ())],
        "got": [plain(await session.get_prompt(p["name"], p["arguments"])) for p in plan.get("prompts", ())],
        "completed": [
            plain(await session.complete(reference(c["ref"]), c["argument"])) for c in plan.get("completions", ())
        ],
    }


async def main(url: str, plan: dict[str, Any]) -> None:
    async with streamable_http_client(url) as (read, write, _), ClientSession(read, write) as session:
        started = await session.initialize()
        outcome = await visit(session, plan)
    print(json.dumps({"revision": started.protocolVersion, **outcome}))


asyncio.run(main(sys.argv[1], json.loads(sys.argv[3])))
