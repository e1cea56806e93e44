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
from typing import Final, Protocol, final

from msgspec import Raw
from msgspec.structs import replace

from mcp_hub.errors import ConnectionNeeded
from mcp_hub.gateway.ask import Ask
from mcp_hub.gateway.asking import MAY_ASK, OF_ROUNDS, STATE_LIFETIME
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
PATIENCE: Final = 45.0
"""Seconds in which a user who has opened the page can finish there while their call waits: less than clients wait."""
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
    """A request that comes back: `ask` without what it brought. `wants` says what for, `accepted` that they opened it.

    `rounds` counts how often this call has asked.
    """

    ask: Ask
    upstream: str
    wants: str
    rounds: int
    accepted: bool


@final
class Inviting:
    """Asks users to connect. `patience` is in seconds."""

    def __init__(self, seal: Seal, *, patience: float = PATIENCE) -> None:
        self._seal = seal
        self._patience = patience

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
        rounds, _, wants = said.partition(" ")
        again = replace(ask, params={key: each for key, each in ask.params.items() if key not in OF_ROUNDS})
        return Invited(again, upstream, wants, int(rounds), _accepted(ask.params))

    def first(self, ask: Ask, need: ConnectionNeeded) -> Reply:
        """Ask the user of a call that nobody has been asked for yet.

        Raises:
            ConnectionNeeded: the same, where the client cannot be asked, or the request brings answers to an upstream:
                perhaps the call they are for has begun, and must not be tried anew.
        """
        if "requestState" in ask.params:
            raise need
        return self._asked(ask, need, 1)

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
        may_be_old = True
        while True:
            try:
                return await once(invited.ask)
            except ConnectionNeeded as need:
                if _wants(need) != invited.wants:
                    return self._asked(invited.ask, need, invited.rounds + 1)
                if not invited.accepted:
                    raise
                # That nothing is known of an upstream may have been so until a moment ago: asking once more costs
                # that upstream nothing, since it is not asked without a credential.
                if not (may_be_old and need.state == "not_connected"):
                    await _until(changed, late, need)
                may_be_old = False
                changed.clear()
            await scene.settled(invited.upstream)

    def _asked(self, ask: Ask, need: ConnectionNeeded, rounds: int) -> Reply:
        if need.url is None or rounds > MOST_ROUNDS or not opens_addresses(ask.client):
            raise need
        if ask.client.era is Era.LEGACY:
            return _url_required(need, need.url)
        if ask.method not in MAY_ASK:
            raise need
        sealed = self._seal.close(
            f"{rounds} {_wants(need)}".encode("ascii"), _binding(ask, need.upstream), lifetime=STATE_LIFETIME
        )
        question = {"method": "elicitation/create", "params": _question(need, need.url)}
        state = f"{_MARK}{need.upstream}:{sealed}"
        result = {"resultType": "input_required", "inputRequests": {_KEY: question}, "requestState": state}
        return Reply(result=encode(result))


def opens_addresses(client: Client) -> bool:
    """Whether a client said that it has its user open an address where it is asked to."""
    if client.era is Era.LEGACY and client.revision != SINCE:
        return False
    with suppress(Malformed):
        return "url" in fields(fields(client.capabilities).get("elicitation", _NOTHING))
    return False


async def _until(changed: asyncio.Event, late: float, need: ConnectionNeeded) -> None:
    try:
        async with asyncio.timeout_at(late):
            await changed.wait()
    except TimeoutError:
        raise need from None


def _url_required(need: ConnectionNeeded, url: str) -> Reply:
    asked = {**_question(need, url), "elicitationId": secrets.token_urlsafe(16)}
    data: Json = {"elicitations": [asked], "upstream": need.upstream, "state": need.state}
    return Reply(error=Raw(encode(error_object(URL_ELICITATION_REQUIRED, need.public, data))))


def _question(need: ConnectionNeeded, url: str) -> Json:
    return {"mode": "url", "url": url, "message": need.public}


def _wants(need: ConnectionNeeded) -> str:
    """The same for the same need, so that one who is asked twice is asked for two things."""
    told = encode((need.upstream, need.state, need.public))
    return hashlib.sha256(told).hexdigest()[:32]


def _accepted(params: Fields) -> bool:
    answer = fields(fields(params.get("inputResponses", _NOTHING)).get(_KEY, _NOTHING))
    return text(answer.get("action")) == "accept"


def _binding(ask: Ask, upstream: str) -> Binding:
    # In words of their own, so that nothing sealed here is taken for what an upstream keeps in its state.
    return Binding(ask.caller.key, upstream, f"connect for {ask.method}", digest(ask.params))
