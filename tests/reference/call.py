"""A handler may ask its caller for input in the middle of a call without knowing in which era it is called.

In the modern era a question ends the call with `input_required`, and the repeat of the call brings the answers.
In the legacy era it is a request on the stream of the call. `Call.ask` hides the difference.
"""

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import mcp_types as types
from mcp.server.context import ServerRequestContext
from mcp.shared.exceptions import MCPError
from mcp.shared.message import ServerMessageMetadata
from mcp_types.jsonrpc import MISSING_REQUIRED_CLIENT_CAPABILITY
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

Question = types.ElicitRequest | types.CreateMessageRequest | types.ListRootsRequest
Answer = types.ElicitResult | types.CreateMessageResult | types.ListRootsResult

ANSWERS = {
    "elicitation/create": types.ElicitResult,
    "sampling/createMessage": types.CreateMessageResult,
    "roots/list": types.ListRootsResult,
}
NEEDS = {
    "elicitation/create": types.ClientCapabilities(elicitation=types.ElicitationCapability()),
    "sampling/createMessage": types.ClientCapabilities(sampling=types.SamplingCapability()),
    "roots/list": types.ClientCapabilities(roots=types.RootsCapability()),
}


def session_id(context: ServerRequestContext[Any, Any]) -> str:
    """What names the session of a request, empty if there is none."""
    if not context.request:
        return ""
    # In the transport of 2024-11-05 it stands in the address.
    return context.request.headers.get("mcp-session-id") or context.request.query_params.get("session_id", "")


class InputNeeded(Exception):
    """The modern answer to a question: `result` is what the caller gets instead of the result it asked for."""

    def __init__(self, result: types.InputRequiredResult) -> None:
        super().__init__("input required")
        self.result = result


@dataclass
class Call:
    """One request as a handler sees it: its arguments, its context, and the answers it has so far."""

    context: ServerRequestContext[Any, Any]
    params: types.CallToolRequestParams | types.GetPromptRequestParams
    _answers: dict[str, Answer] = field(init=False)

    def __post_init__(self) -> None:
        state = json.loads(self.params.request_state) if self.params.request_state else {"answers": {}}
        kept = {key: ANSWERS[method].model_validate(raw) for key, (method, raw) in state["answers"].items()}
        given = self.params.input_responses or {}
        self._answers = {**kept, **given}

    @property
    def arguments(self) -> Mapping[str, Any]:
        return self.params.arguments or {}

    @property
    def modern(self) -> bool:
        return self.context.protocol_version in MODERN_PROTOCOL_VERSIONS

    @property
    def session_id(self) -> str | None:
        return session_id(self.context) or None

    def can(self, method: str) -> bool:
        """Whether the caller declared that it answers this kind of question."""
        return self.context.session.check_client_capability(NEEDS[method])

    def demand(self, method: str) -> None:
        """Raises: MCPError (-32021) if the caller did not declare that it answers this kind of question."""
        if not self.can(method):
            needed = NEEDS[method].model_dump(by_alias=True, mode="json", exclude_none=True)
            raise MCPError(
                MISSING_REQUIRED_CLIENT_CAPABILITY,
                f"This call needs a client that answers {method}.",
                {"requiredCapabilities": needed},
            )

    async def ask(self, questions: Mapping[str, Question], *, with_state: bool = False) -> dict[str, Answer]:
        """The answers, one per key of `questions`.

        Raises: InputNeeded in the modern era while an answer is missing or is of the wrong kind; it carries all
        earlier answers in its state if `with_state`. MCPError if the caller cannot be asked.
        """
        for question in questions.values():
            self.demand(question.method)
        if not self.modern:
            return {key: await self._ask_now(question) for key, question in questions.items()}
        if any(type(self._answers.get(key)) is not ANSWERS[q.method] for key, q in questions.items()):
            raise InputNeeded(
                types.InputRequiredResult(
                    input_requests=dict(questions), request_state=self._state() if with_state else None
                )
            )
        return {key: self._answers[key] for key in questions}

    async def _ask_now(self, question: Question) -> Answer:
        related = ServerMessageMetadata(related_request_id=self.context.request_id)
        return await self.context.session.send_request(question, ANSWERS[question.method], metadata=related)

    def _state(self) -> str:
        methods = {answer: method for method, answer in ANSWERS.items()}
        answers = {
            key: (methods[type(answer)], answer.model_dump(by_alias=True, mode="json", exclude_none=True))
            for key, answer in self._answers.items()
        }
        return json.dumps({"answers": answers, "nonce": secrets.token_hex(8)})


def form(message: str, **properties: dict[str, Any]) -> types.ElicitRequest:
    """A question that the user answers in a form; every property is required."""
    schema = {"type": "object", "properties": properties, "required": list(properties)}
    return types.ElicitRequest(params=types.ElicitRequestFormParams(message=message, requested_schema=schema))


def prompt(text: str, *, max_tokens: int = 100) -> types.CreateMessageRequest:
    """A question that the client's model answers."""
    message = types.SamplingMessage(role="user", content=types.TextContent(text=text))
    return types.CreateMessageRequest(
        params=types.CreateMessageRequestParams(messages=[message], max_tokens=max_tokens)
    )


def field_of(answer: Answer, name: str) -> str:
    """What the user entered in one field of a form, or "unknown" if there is no such entry."""
    content = answer.content if isinstance(answer, types.ElicitResult) else None
    return str((content or {}).get(name, "unknown"))
