"""An upstream that refuses to run until its user has opened addresses: its error -32042, as each client can take it.

    client                                             what it gets
    2025-11-25, opens addresses                        the error as it came
    modern, opens addresses, a request that may ask    the addresses as questions in a result; it repeats the request
    any other                                          the same words as an error that it knows

Rule: only who said that they open addresses are handed any to open. What refuses with this error has not run, so the
repeat runs nothing twice, and who does not agree is not asked again.
Sources: MCP 2025-11-25 client/elicitation ("URL Elicitation Required Error"); MCP 2026-07-28 basic/index "Error Codes".
"""

from typing import Final

import msgspec
from msgspec import Raw

from mcp_hub.gateway.ask import Ask
from mcp_hub.gateway.asking import MAY_ASK, MOST_QUESTIONS
from mcp_hub.gateway.inviting import opens_addresses
from mcp_hub.gateway.parking import Asked
from mcp_hub.wire.eras import Era
from mcp_hub.wire.jsonrpc import (
    INTERNAL_ERROR,
    URL_ELICITATION_REQUIRED,
    Fields,
    Json,
    Malformed,
    Reply,
    encode,
    fields,
    text,
)

_NOTHING: Final = Raw(b"{}")
_CODE: Final = b"%d" % URL_ELICITATION_REQUIRED


class _Question(msgspec.Struct):
    url: str
    message: str
    mode: str = ""


class _Data(msgspec.Struct):
    elicitations: list[_Question]


_data: Final = msgspec.json.Decoder(_Data)


def for_client(ask: Ask, reply: Reply) -> Reply:
    """The error as the client of this request can take it; every other reply as it is."""
    if reply.error is None or _CODE not in bytes(reply.error):
        return reply
    try:
        error = fields(reply.error)
    except Malformed:
        return reply
    if bytes(error.get("code", b"")) != _CODE:
        return reply
    if opens_addresses(ask.client):
        if ask.client.era is Era.LEGACY:
            return reply
        asked = _questions(error) if ask.method in MAY_ASK and _may_be_asked(ask.params) else {}
        if asked:
            return Asked(result=encode({"resultType": "input_required", "inputRequests": asked}))
    return Reply(error=Raw(encode({**error, "code": INTERNAL_ERROR})))


def _may_be_asked(params: Fields) -> bool:
    """Whether the user has not been asked yet, or has agreed to everything."""
    try:
        answers = [fields(each) for each in fields(params.get("inputResponses", _NOTHING)).values()]
        return all(text(each.get("action")) == "accept" for each in answers)
    except Malformed:
        return False


def _questions(error: Fields) -> Json:
    try:
        asked = _data.decode(error.get("data", Raw(b"null"))).elicitations
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return {}
    if len(asked) > MOST_QUESTIONS or any(each.mode != "url" for each in asked):
        return {}
    return {
        f"address-{number}": {
            "method": "elicitation/create",
            "params": {"mode": "url", "url": each.url, "message": each.message},
        }
        for number, each in enumerate(asked, 1)
    }
