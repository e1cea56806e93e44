"""A call that its user has to connect for first: how they are asked to, and how the call goes on then.

    client                                             the way it is asked
    modern, opens addresses, a request that may ask    in the result; the repeat waits for the user and tries anew
    2025-11-25, opens addresses                        the error -32042, which names the page
    any other                                          not here: the sentence that names the page is what it gets

Rule: what the user is to open is the hub's own page and the same for everybody, so it holds nothing of anybody's. A
call that was refused for want of a connection has not run, so trying it anew runs nothing twice; it is tried when the
user has acted, and never without an end.
Sources: MCP 2026-07-28 client/elicitation ("URL Mode Elicitation Requests"), basic/patterns/mrtr; MCP 2025-11-25
client/elicitation ("URL Elicitation Required Error").
"""

import asyncio
import hashlib
import secrets
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Final, Protocol, final

from msgspec import Raw
from msgspec.structs import replace

from mcp_hub.errors import ConnectionNeeded
from mcp_hub.gateway.ask import Ask
from mcp_hub.gateway.asking import MAY_ASK, OF_ROUNDS, STATE_LIFETIME
from mcp_hub.gateway.completing import Completing
from mcp_hub.gateway.sealed import Binding, Seal, digest
from mcp_hub.wire.eras import Client, Era
from mcp_hub.wire.jsonrpc import (
    URL_ELICITATION_REQUIRED,
    Fields,
    Json,
    Malformed,
    Reply,
    encode,
    error_object,
    fields,
    text,
)

MOST_ROUNDS: Final = 3
"""How often one call may ask its user to connect: each time for something else than before."""
MOST_TRIES: Final = 6
"""How often one request is tried: some are told of a change although nothing changed for them."""
PATIENCE: Final = 45.0
"""Seconds that one request waits for a user who has opened the page: less than clients wait."""
MOST_WAITS: Final = 4
"""How many requests of one call wait so, one after the other; clients make ten at most."""
SINCE: Final = "2025-11-25"
"""The one revision with a handshake in which a client can be asked to open an address."""
_MARK: Final = "connect."
_KEY: Final = "connect"
_NOTHING: Final = Raw(b"{}")

Once = Callable[[Ask], Awaitable[Reply]]
"""Makes a call, once, as if it had not been asked for before."""


class Scene(Protocol):
    """What happens with the upstreams while a call waits for its user."""

    def watch(self, upstream: str, changed: Callable[[], object]) -> Callable[[], None]:
        """Call `changed` whenever the caller's connection with it has changed. Returns what ends the watch."""
        ...

    async def settled(self, upstream: str) -> None:
        """Return when it is known what it offers the caller now, or that takes too long."""
        ...


@dataclass(frozen=True, slots=True)
class Invited:
    """A request that comes back: `ask` without what it brought. `wants` says what it had asked for.

    `rounds` counts how often this call has asked, `waits` how often it has waited. `answer` is what the client says of
    its user: `accept`, another word, or nothing.
    """

    ask: Ask
    upstream: str
    wants: str
    rounds: int
    waits: int
    answer: str


@final
class Inviting:
    """Asks users to connect. `patience` is in seconds."""

    def __init__(self, seal: Seal, *, patience: float = PATIENCE) -> None:
        self._seal = seal
        self._patience = patience
        self._completing = Completing()

    def opened(self, ask: Ask) -> Invited | None:
        """What an earlier answer of this hub said, if the request brings that back; `None` where it brings another's.

        Raises:
            BadRequest: it is not of this request, or too old.
            Malformed: what it brings is not of the protocol's form.
        """
        state = text(ask.params.get("requestState")) or ""
        mark, _, sealed = state.partition(":")
        if not mark.startswith(_MARK):
            return None
        upstream = mark.removeprefix(_MARK)
        said = self._seal.open(sealed, _binding(ask, upstream)).decode("ascii")
        rounds, waits, wants = said.split(" ")
        again = replace(ask, params={key: each for key, each in ask.params.items() if key not in OF_ROUNDS})
        # Who waits already has agreed, and may not have been asked anything since.
        answer = _answer(ask.params) or ("accept" if int(waits) else "")
        return Invited(again, upstream, wants, int(rounds), int(waits), answer)

    def first(self, ask: Ask, need: ConnectionNeeded, scene: Scene) -> Reply:
        """Ask the user of a call that nobody has been asked for yet.

        Raises:
            ConnectionNeeded: the same, where the client cannot be asked, or the request brings answers to an upstream:
                perhaps the call they are for has begun, and must not be tried anew.
        """
        if "requestState" in ask.params:
            raise need
        return self._asked(ask, need, 1, 0, scene)

    async def again(self, invited: Invited, once: Once, scene: Scene) -> Reply:
        """Try anew what was asked for, waiting for the user if they are still at it.

        Raises:
            ConnectionNeeded: they did not connect, or were asked often enough.
        """
        changed = asyncio.Event()
        stop = scene.watch(invited.upstream, changed.set)  # first, so that nothing is missed in between
        try:
            return await self._tried(invited, once, scene, changed)
        finally:
            stop()

    async def _tried(self, invited: Invited, once: Once, scene: Scene, changed: asyncio.Event) -> Reply:
        late = asyncio.get_running_loop().time() + self._patience
        for tries in range(1, MOST_TRIES):
            try:
                return await once(invited.ask)
            except ConnectionNeeded as need:
                if _wants(need) != invited.wants or not invited.answer:
                    return self._asked(invited.ask, need, invited.rounds + 1, invited.waits, scene)
                if invited.answer != "accept":
                    raise
                # That nothing is known of an upstream may have been so until a moment ago: asking once more costs
                # that upstream nothing, since it is not asked without a credential.
                may_be_old = tries == 1 and need.state == "not_connected"
                if not may_be_old and not await _until(changed, late):
                    return self._still_waiting(invited, need)
                changed.clear()
            await scene.settled(invited.upstream)
        return await once(invited.ask)

    def _still_waiting(self, invited: Invited, need: ConnectionNeeded) -> Reply:
        """Have the client come back at once: no request waits longer than clients do."""
        waits = invited.waits + 1
        if waits >= MOST_WAITS:
            raise need
        state = self._state(invited.ask, need, invited.rounds, waits)
        return Reply(result=encode({"resultType": "input_required", "requestState": state}))

    def _asked(self, ask: Ask, need: ConnectionNeeded, rounds: int, waits: int, scene: Scene) -> Reply:
        if need.url is None or rounds > MOST_ROUNDS or not opens_addresses(ask.client):
            raise need
        if ask.client.era is Era.LEGACY:
            return self._url_required(ask, need, need.url, scene)
        if ask.method not in MAY_ASK:
            raise need
        question = {"method": "elicitation/create", "params": _question(need, need.url)}
        state = self._state(ask, need, rounds, waits)
        result = {"resultType": "input_required", "inputRequests": {_KEY: question}, "requestState": state}
        return Reply(result=encode(result))

    def _state(self, ask: Ask, need: ConnectionNeeded, rounds: int, waits: int) -> str:
        said = f"{rounds} {waits} {_wants(need)}".encode("ascii")
        sealed = self._seal.close(said, _binding(ask, need.upstream), lifetime=STATE_LIFETIME)
        return f"{_MARK}{need.upstream}:{sealed}"

    def _url_required(self, ask: Ask, need: ConnectionNeeded, url: str, scene: Scene) -> Reply:
        asked = {**_question(need, url), "elicitationId": secrets.token_urlsafe(16)}
        if ask.listener is not None:
            self._completing.expect(asked["elicitationId"], ask.listener, partial(scene.watch, need.upstream))
        data: Json = {"elicitations": [asked], "upstream": need.upstream, "state": need.state}
        return Reply(error=Raw(encode(error_object(URL_ELICITATION_REQUIRED, need.public, data))))


def opens_addresses(client: Client) -> bool:
    """Whether a client said that it has its user open an address where it is asked to."""
    if client.era is Era.LEGACY and client.revision != SINCE:
        return False
    with suppress(Malformed):
        return "url" in fields(fields(client.capabilities).get("elicitation", _NOTHING))
    return False


async def _until(changed: asyncio.Event, late: float) -> bool:
    with suppress(TimeoutError):
        async with asyncio.timeout_at(late):
            await changed.wait()
    return changed.is_set()


def _question(need: ConnectionNeeded, url: str) -> Json:
    return {"mode": "url", "url": url, "message": need.public}


def _wants(need: ConnectionNeeded) -> str:
    """The same for the same need, so that one who is asked twice is asked for two things."""
    told = encode((need.upstream, need.state, need.public))
    return hashlib.sha256(told).hexdigest()[:32]


def _answer(params: Fields) -> str:
    answers = fields(params.get("inputResponses", _NOTHING))
    return (text(fields(answers[_KEY]).get("action")) or "none") if _KEY in answers else ""


def _binding(ask: Ask, upstream: str) -> Binding:
    # In words of their own, so that nothing sealed here is taken for what an upstream keeps in its state.
    return Binding(ask.caller.key, upstream, f"connect for {ask.method}", digest(ask.params))
