"""Questions in the middle of a call: a result in the modern era, a request on the call's stream in the legacy one."""

from typing import Any

import mcp_types as types
from catalog import is_modern
from hearers import Context
from mcp.shared.exceptions import MCPError
from mcp.shared.message import ServerMessageMetadata
from mcp_types.jsonrpc import MISSING_REQUIRED_CLIENT_CAPABILITY

PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg=="
WEATHER = types.Tool(name="weather", input_schema={"type": "object", "properties": {"city": {"type": "string"}}})
NAME = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}


class InputNeeded(Exception):
    """The modern answer to a question: `result` is what the caller gets instead of the result it asked for."""

    def __init__(self, result: types.InputRequiredResult) -> None:
        super().__init__("input required")
        self.result = result


def _form(text: str) -> Any:
    return types.ElicitRequest(params=types.ElicitRequestFormParams(message=f"Who, {text}?", requested_schema=NAME))


def _url(text: str) -> Any:
    there = {"url": f"https://pay.example/{text}", "elicitation_id": f"pay-{text}"}
    return types.ElicitRequest(params=types.ElicitRequestURLParams(message=f"Pay, {text}", **there))


def _sampling(text: str, **more: Any) -> Any:
    content = [types.TextContent(text=f"What is this, {text}?"), types.ImageContent(data=PNG, mime_type="image/png")]
    messages = [types.SamplingMessage(role="user", content=each) for each in content]
    params = types.CreateMessageRequestParams(messages=messages, max_tokens=50, system_prompt=f"for {text}", **more)
    return types.CreateMessageRequest(params=params)


def _sampling_tools(text: str) -> Any:
    return _sampling(text, tools=[WEATHER], tool_choice=types.ToolChoice(mode="auto"))


def _roots(_: str) -> Any:
    return types.ListRootsRequest()


_ELICITATION = types.ClientCapabilities(elicitation=types.ElicitationCapability())
_SAMPLING = types.ClientCapabilities(sampling=types.SamplingCapability())
_WITH_TOOLS = types.ClientCapabilities(sampling=types.SamplingCapability(tools=types.SamplingToolsCapability()))
_ROOTS = types.ClientCapabilities(roots=types.RootsCapability())

ASKS: dict[str, Any] = {
    "form": (_form, types.ElicitResult, _ELICITATION),
    "url": (_url, types.ElicitResult, _ELICITATION),
    "sampling": (_sampling, types.CreateMessageResult, _SAMPLING),
    "sampling_tools": (_sampling_tools, types.CreateMessageResultWithTools, _WITH_TOOLS),
    "roots": (_roots, types.ListRootsResult, _ROOTS),
}
"""By kind: the question about a text, the type of its answer, and what a client must have said that it can do."""


async def ask(context: Context, params: Any, kind: str, text: str) -> Any:
    """The caller's answer.

    Raises: InputNeeded in the modern era while there is none. MCPError (-32021) if the caller did not say that it
    answers this, or (-32602) if it brings back another state than it was given.
    """
    question, answer, needs = ASKS[kind]
    if not context.session.check_client_capability(needs):
        needed = needs.model_dump(by_alias=True, mode="json", exclude_none=True)
        raise MCPError(MISSING_REQUIRED_CLIENT_CAPABILITY, "This client cannot be asked.", {"requires": needed})
    if not is_modern(context):
        related = ServerMessageMetadata(related_request_id=context.request_id)
        return await context.session.send_request(question(text), answer, metadata=related)
    answers = params.input_responses or {}
    if "it" not in answers:
        state = f"state of {text}"
        raise InputNeeded(types.InputRequiredResult(input_requests={"it": question(text)}, request_state=state))
    if params.request_state != f"state of {text}":
        raise MCPError(types.INVALID_PARAMS, "That is not the state that was given.")
    return answers["it"]
