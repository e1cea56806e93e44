"""Questions of an upstream to the client in the middle of a call, in every combination of eras.

    client  upstream  the way of a question
    modern  modern    in the result; its `requestState` is sealed on the way out and opened on the way back
    modern  legacy    the call is parked, the question becomes a result, and the repeat continues the same call
    legacy  modern    asked on the stream of the call; the upstream is asked again with the answers
    legacy  legacy    asked on the stream of the call, by the wire itself

Rule: only the client that made the call is asked, only what it said that it answers, and nothing runs twice: a modern
upstream that asks has not run, and a legacy one goes on with the call it has.
"""

import secrets
from collections.abc import Awaitable
from typing import Final, final

from msgspec import Raw
from msgspec.structs import replace

from mcp_hub.errors import BadRequest, BrokeProtocol, Interrupted
from mcp_hub.gateway.ask import Ask
from mcp_hub.gateway.bridge import to_client
from mcp_hub.gateway.parking import Asked, Parking, Questions
from mcp_hub.gateway.sealed import Binding, Seal, digest
from mcp_hub.upstream.call import PROGRESS, PROGRESS_TOKEN, AskClient, Call, Emit, answerable
from mcp_hub.upstream.upstream import Upstream
from mcp_hub.wire.eras import ASKING, Era
from mcp_hub.wire.jsonrpc import Fields, Malformed, Reply, encode, fields, notification, parse, text

MAY_ASK: Final = frozenset({"tools/call", "prompts/get", "resources/read"})
"""Requests whose results may ask for input (basic/patterns/mrtr, "Supported Requests")."""
MOST_ROUNDS: Final = 16
MOST_QUESTIONS: Final = 16
"""In one result."""
LONGEST_STATE: Final = 128 * 1024
STATE_LIFETIME: Final = 3600.0
"""Seconds in which a modern upstream's question can be answered."""
REFERENCE_LIFETIME: Final = 30 * 86400.0
"""Seconds in which whoever comes back to a parked call is told what became of it; that call itself is gone earlier."""
_RELAYED: Final = b"R"
_PARKED: Final = b"P"
OF_ROUNDS: Final = frozenset({"inputResponses", "requestState"})
"""The params by which a request goes on that was answered by a question."""
_NOTHING: Final = Raw(b"{}")


@final
class Asking:
    """Sends calls, and carries what the upstream asks on the way to the client and back."""

    def __init__(self, seal: Seal, parking: Parking) -> None:
        self.seal = seal
        self._parking = parking

    async def send(self, ask: Ask, upstream: Upstream, call: Call) -> Reply:
        """The upstream's reply, or for a modern client the questions it has to answer first.

        Raises:
            BadRequest: a `requestState` that is not of this request.
            Interrupted: the call that it belongs to is gone.
            UpstreamError: as `Upstream.send` says.
        """
        era = upstream.known.era or await upstream.era()
        if call.method not in MAY_ASK:
            apart = era is Era.LEGACY and ask.client.era is Era.MODERN
            return await upstream.send(_in_own_session(call) if apart else call)
        if ask.client.era is Era.LEGACY:
            # Between legacy sides the wire asks by itself, and a result is a result, whatever it says.
            rounds = self._ask_in_rounds if era is Era.MODERN else _once
            return await rounds(upstream, call)
        opened = self._opened(ask, upstream, call)
        if opened.startswith(_PARKED):
            return await self._continue(ask, upstream, call, opened[1:].decode("ascii"))
        if era is Era.LEGACY:
            return await self._begin(ask, upstream, call)
        if opened:
            call = replace(call, params={**call.params, "requestState": Raw(encode(opened[1:].decode("utf-8")))})
        reply = await upstream.send(call)
        return self._sealed(ask, upstream, call, reply) if reply.traits.asks else reply

    # Modern clients

    def _opened(self, ask: Ask, upstream: Upstream, call: Call) -> bytes:
        """What the client brought back, by its first byte of one kind or the other; nothing if it brought nothing."""
        if "requestState" not in call.params:
            return b""
        return self.seal.open(text(call.params["requestState"]) or "", _binding(ask, upstream, call))

    async def _continue(self, ask: Ask, upstream: Upstream, call: Call, reference: str) -> Reply:
        given = fields(call.params.get("inputResponses", _NOTHING))
        for answer in given.values():
            fields(answer)  # whatever is no object answers nothing, and the call goes on waiting
        emit = _retold(call)
        return self._shown(ask, upstream, call, await self._parking.resume(ask.caller.key, reference, given, emit))

    async def _begin(self, ask: Ask, upstream: Upstream, call: Call) -> Reply:
        if not OF_ROUNDS.isdisjoint(call.params):
            # Answers to a modern upstream that has become a legacy one since: it asked, so nothing has run yet.
            call = replace(call, params=_without_rounds(call.params))
        if not answerable(ask.client):
            return await upstream.send(call)
        own = _in_own_session(call)

        def work(ask_client: AskClient, emit: Emit) -> Awaitable[Reply]:
            return upstream.send(replace(own, ask_client=ask_client, emit=emit))

        return self._shown(ask, upstream, call, await self._parking.run(ask.caller.key, work, call.emit))

    def _shown(self, ask: Ask, upstream: Upstream, call: Call, came: Reply | Questions | None) -> Reply:
        if came is None:
            raise Interrupted(
                upstream.name,
                f"The call to {upstream.name} does not wait for this answer any more: it was interrupted, or answered"
                " already. It may have had effects. Make it again only if that is safe.",
            )
        if isinstance(came, Reply):
            # Only legacy calls are parked, whatever their upstream has become since.
            return came if upstream.known.era is Era.LEGACY else to_client(came, call.method, Era.MODERN, Era.LEGACY)
        binding = _binding(ask, upstream, call)
        state = self.seal.close(_PARKED + came.reference.encode("ascii"), binding, lifetime=REFERENCE_LIFETIME)
        result = {"resultType": "input_required", "inputRequests": came.requests, "requestState": state}
        return Asked(result=encode(result))

    def _sealed(self, ask: Ask, upstream: Upstream, call: Call, reply: Reply) -> Reply:
        asking = questions(reply, upstream.name)
        state = text(asking["requestState"]) if asking is not None and "requestState" in asking else None
        if asking is None or state is None:
            return reply
        if len(state) > LONGEST_STATE:
            raise BrokeProtocol(upstream.name, f"{upstream.name} keeps more in its requestState than the hub carries.")
        sealed = self.seal.close(_RELAYED + state.encode(), _binding(ask, upstream, call), lifetime=STATE_LIFETIME)
        return Reply(result=encode({**asking, "requestState": sealed}))

    # Legacy clients

    async def _ask_in_rounds(self, upstream: Upstream, call: Call) -> Reply:
        params = _without_rounds(call.params)
        call = replace(call, params=params)
        for _ in range(MOST_ROUNDS):
            reply = await upstream.send(call)
            asking = questions(reply, upstream.name)
            if asking is None:
                return reply
            if call.ask_client is None:
                raise BrokeProtocol(
                    upstream.name, f"{upstream.name} asks this client something that it does not answer."
                )
            given: Fields = {
                "inputResponses": Raw(encode(await _answers(call.ask_client, call, asking, upstream.name)))
            }
            if "requestState" in asking:
                given["requestState"] = asking["requestState"]
            # It asked instead of running, so asking again runs nothing twice.
            call = replace(call, params={**params, **given})
        raise BrokeProtocol(upstream.name, f"{upstream.name} asked for input {MOST_ROUNDS} times without an end.")


def _in_own_session(call: Call) -> Call:
    """The call in a session of the upstream's that was told of what this modern client can be asked, and no other."""
    # A session is told once, and every request of its owner may say something else.
    said = answerable(call.client)
    return replace(call, owner=(*call.owner, encode(said).decode())) if said else call


async def _once(upstream: Upstream, call: Call) -> Reply:
    return await upstream.send(call)


def _without_rounds(params: Fields) -> Fields:
    return {key: raw for key, raw in params.items() if key not in OF_ROUNDS}


def _retold(call: Call) -> Emit:
    """Puts what a parked call tells on the stream of the request that continues it, under that one's own token."""
    token = call.meta.get(PROGRESS_TOKEN)

    async def emit(told: bytes) -> None:
        message = parse(told)
        if message.method == PROGRESS:
            if token is None:
                return
            told = notification(PROGRESS, {**fields(message.params), PROGRESS_TOKEN: token})
        await call.emit(told)

    return emit


def questions(reply: Reply, name: str) -> Fields | None:
    """The members of a result that asks for input, `None` for every other reply.

    Raises:
        BrokeProtocol: what it asks is not of the form it must have, or is too much; `name` is the upstream's.
    """
    if reply.result is None or not reply.traits.asks:
        return None
    try:
        asking = fields(reply.result)
        asked = [fields(each) for each in fields(asking.get("inputRequests", _NOTHING)).values()]
    except Malformed as error:
        raise BrokeProtocol(name, f"{name} asks for input in a form that is not the protocol's.") from error
    if len(asked) > MOST_QUESTIONS:
        raise BrokeProtocol(name, f"{name} asks more than {MOST_QUESTIONS} things at once.")
    return asking


async def _answers(ask_client: AskClient, call: Call, asking: Fields, name: str) -> Fields:
    said = answerable(call.client)
    asked = {key: fields(raw) for key, raw in fields(asking.get("inputRequests", _NOTHING)).items()}
    methods = {key: text(question.get("method")) or "" for key, question in asked.items()}
    if any(ASKING.get(method) not in said for method in methods.values()):  # before anybody is asked in vain
        raise BrokeProtocol(name, f"{name} asks this client something that it does not answer.")
    answers: Fields = {}
    for key, question in asked.items():
        reply = await ask_client(methods[key], _for_legacy(question.get("params", _NOTHING)))
        if reply.result is None:
            raise BadRequest(f"Your client did not answer what {name} asked, so the call was not made.")
        answers[key] = Raw(reply.result)
    return answers


def _for_legacy(params: Raw) -> Raw:
    """The question's params for a legacy client: elicitation by URL has no id in 2026-07-28, and 2025-11-25 wants one.

    Source: MCP 2025-11-25, client/elicitation ("URL Mode Elicitation Requests").
    """
    members = fields(params)
    if "elicitationId" in members or text(members.get("mode")) != "url":
        return params
    return Raw(encode({**members, "elicitationId": secrets.token_urlsafe(16)}))


def _binding(ask: Ask, upstream: Upstream, call: Call) -> Binding:
    return Binding(ask.caller.key, upstream.name, call.method, digest(call.params))
