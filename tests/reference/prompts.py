"""Prompts, and completion of their arguments, as the conformance suite looks for them."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import mcp_types as types
import samples
from call import Call, InputNeeded, field_of, form
from mcp.server.context import ServerRequestContext
from mcp.shared.exceptions import MCPError

Content = types.TextContent | types.ImageContent | types.EmbeddedResource

COMPLETIONS = ("paris", "park", "party", "test1", "test2")


async def _simple(_: Call) -> list[Content]:
    return [samples.text("This is a simple prompt for testing.")]


async def _with_arguments(call: Call) -> list[Content]:
    first, second = (call.arguments.get(name, "") for name in ("arg1", "arg2"))
    return [samples.text(f"Prompt with arguments: arg1='{first}', arg2='{second}'")]


async def _with_resource(call: Call) -> list[Content]:
    resource = samples.embedded(call.arguments["resourceUri"], "Embedded resource content for testing.")
    return [resource, samples.text("Please process the embedded resource above.")]


async def _with_image(_: Call) -> list[Content]:
    return [samples.image(), samples.text("Please analyze the image above.")]


async def _asking(call: Call) -> list[Content]:
    question = form("What context should the prompt use?", context={"type": "string"})
    answers = await call.ask({"user_context": question})
    return [samples.text(f"Use this context: {field_of(answers['user_context'], 'context')}")]


@dataclass(frozen=True, slots=True)
class Entry:
    description: str
    handler: Callable[[Call], Awaitable[list[Content]]]
    arguments: tuple[str, ...] = ()


PROMPTS = {
    "test_simple_prompt": Entry("A short text.", _simple),
    "test_prompt_with_arguments": Entry("Repeats its arguments.", _with_arguments, ("arg1", "arg2")),
    "test_prompt_with_embedded_resource": Entry("Holds a resource.", _with_resource, ("resourceUri",)),
    "test_prompt_with_image": Entry("Holds a picture.", _with_image),
    "test_input_required_result_prompt": Entry("Asks for a context.", _asking),
}


async def list_prompts(_: ServerRequestContext[Any, Any], __: Any) -> types.ListPromptsResult:
    return types.ListPromptsResult(
        prompts=[
            types.Prompt(
                name=name,
                description=entry.description,
                arguments=[types.PromptArgument(name=argument, required=True) for argument in entry.arguments],
            )
            for name, entry in PROMPTS.items()
        ]
    )


async def get(
    context: ServerRequestContext[Any, Any], params: types.GetPromptRequestParams
) -> types.GetPromptResult | types.InputRequiredResult:
    entry = PROMPTS.get(params.name)
    if entry is None:
        raise MCPError(types.INVALID_PARAMS, f"Unknown prompt: {params.name}")
    try:
        contents = await entry.handler(Call(context, params))
    except InputNeeded as needed:
        return needed.result
    return types.GetPromptResult(messages=[types.PromptMessage(role="user", content=item) for item in contents])


async def complete(_: ServerRequestContext[Any, Any], params: types.CompleteRequestParams) -> types.CompleteResult:
    values = [value for value in COMPLETIONS if value.startswith(params.argument.value)]
    return types.CompleteResult(completion=types.Completion(values=values, total=len(values), has_more=False))
