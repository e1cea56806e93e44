"""Somebody connects their account: the hub sends their browser to a server, and takes it back.

Rule: a connection ends in the browser and for the user by whom it was begun, once, within ten minutes, at the server
it was begun with, under the registration it was begun with; whatever else comes back stores nothing. What is told of
it is in `flow`; nothing that the server writes is shown or logged but the code of an error.
"""

import hmac
import re
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Final, Protocol, final
from urllib.parse import urlsplit

import msgspec
import structlog

from mcp_hub.oauth.asked import Asked, address
from mcp_hub.oauth.client_proof import CannotProve
from mcp_hub.oauth.connection import ConnectFailed
from mcp_hub.oauth.flow import ERRORS, Event, Stage, step
from mcp_hub.oauth.server import Client, Server, Tokens
from mcp_hub.oauth.token_calls import Denied, NoAnswer, Unusable
from mcp_hub.principal import Principal
from mcp_hub.secret import Secret
from mcp_hub.store.connections import Grant, GrantState, Registration, Whose
from mcp_hub.store.grants import Pending
from mcp_hub.wire.jsonrpc import encode

KIND: Final = "connect"
LASTS: Final = 600.0
"""Seconds in which a connection has to be finished."""
MOST_WAITING: Final = 10_000
_LONGEST: Final = 8192
"""Characters of one parameter of what comes back."""
_READ: Final = frozenset({"state", "code", "iss", "error"})
_ERROR: Final = re.compile(r"[a-z][a-z0-9_]{0,63}")
_CLIENT: Final = frozenset({"invalid_client", "unauthorized_client"})

_log: Final = structlog.stdlib.get_logger("mcp_hub.oauth")


class PendingStore(Protocol):
    """What waits for a browser; see `GrantStore` of the store."""

    async def put_pending(self, item: Pending, *, at: float, most: int) -> bool:
        """See `GrantStore`."""
        ...

    async def take_pending(self, kind: str, digest: bytes, at: float) -> Pending | None:
        """See `GrantStore`."""
        ...


class Sealer(Protocol):
    """Keeps what waits in the store unreadable there. `row` is what it is bound to."""

    def seal(self, value: bytes, row: str) -> bytes:
        """The value, sealed."""
        ...

    async def open(self, sealed: bytes, row: str) -> bytes:
        """What was sealed for this row.

        Raises:
            HubFault: it cannot be opened.
        """
        ...


class Exchange(Protocol):
    """The token endpoint."""

    async def exchange(
        self,
        client: Client,
        token_endpoint: str,
        *,
        code: Secret,
        verifier: Secret,
        scopes: frozenset[str] = frozenset(),
        resource: str | None = None,
    ) -> Tokens:
        """See `TokenCalls`."""
        ...


class Registered(Protocol):
    """The hub's registrations, opened."""

    async def client(self, registration: str) -> Client | None:
        """The registration of this id, retired or not; `None` if it is gone. Raises: HubFault."""
        ...


Forgotten = Callable[[Registration], Awaitable[None]]
"""Notes that a registration is not known at its server any more."""


class _Flow(msgspec.Struct, frozen=True):
    """A connection under way, as it waits in the store. The digest of its state is what it is found by."""

    browser: bytes
    caller: tuple[str, str, str]
    upstream: str
    place: str
    registration: str
    issuer: str
    sends_iss: bool
    token_endpoint: str
    revocation_endpoint: str | None
    verifier: str
    redirect_uri: str
    scopes: list[str]
    resource: str | None
    window: bool

    def __repr__(self) -> str:
        return f"_Flow({self.upstream!r})"  # whoever has the verifier and the code has the tokens


_flow: Final = msgspec.json.Decoder(_Flow)


@dataclass(frozen=True, slots=True)
class Plan:
    """A connection that is to be made. `place` is the upstream's URL; `browser` is the digest of the cookie of the
    browser that will be sent away, and the only one that may come back."""

    whose: Whose
    place: str
    server: Server
    client: Client
    what: Asked
    browser: bytes
    window: bool = False


@dataclass(frozen=True, slots=True)
class Made:
    """What somebody brought back: a grant without its tokens, the tokens, and whether its page has its own window."""

    grant: Grant
    tokens: Tokens
    window: bool


@dataclass(frozen=True, slots=True)
class Back:
    """Somebody who came back. `place` is the upstream's URL as it is configured now; `caller` is who is signed in."""

    upstream: str
    title: str
    place: str
    query: Sequence[tuple[str, str]]
    caller: Principal | None
    browser: bytes


@final
class Authorizing:
    """Connections under way. `now` gives unix seconds."""

    def __init__(
        self,
        store: PendingStore,
        sealer: Sealer,
        exchange: Exchange,
        *,
        registered: Registered,
        forgotten: Forgotten,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._sealer = sealer
        self._exchange = exchange
        self._registered = registered
        self._forgotten = forgotten
        self._now = now

    async def begin(self, plan: Plan) -> str:
        """The address to send a browser to.

        Raises:
            HubFault: the store fails.
        """
        state, verifier = secrets.token_urlsafe(32), secrets.token_urlsafe(48)
        whose, server, registration, what = plan.whose, plan.server, plan.client.registration, plan.what
        flow = _Flow(
            browser=plan.browser,
            caller=(whose.tenant, whose.issuer, whose.subject),
            upstream=whose.upstream,
            place=_digest(plan.place).hex(),
            registration=registration.id,
            issuer=server.issuer,
            sends_iss=server.sends_iss,
            token_endpoint=server.token_endpoint,
            revocation_endpoint=server.revocation_endpoint,
            verifier=verifier,
            redirect_uri=registration.redirect_uri,
            scopes=sorted(what.scopes),
            resource=what.resource,
            window=plan.window,
        )
        key, at = _digest(state), self._now()
        item = Pending(KIND, key, self._sealer.seal(encode(flow), key.hex()), at + LASTS)
        await self._store.put_pending(item, at=at, most=MOST_WAITING)
        return address(server.authorization_endpoint, registration, what, state=state, verifier=verifier)

    async def finish(self, back: Back) -> Made:
        """What somebody brought back.

        Raises:
            ConnectFailed: nothing, for one of the reasons of the table.
            HubFault: the store or the vault fails.
        """
        run = _Run(back)
        said = run.read()
        flow = await self._claimed(run, said.get("state", ""))
        run.judge(flow, said)
        client = await self._registered.client(flow.registration)
        if client is None:
            raise run.failed(Event.CLIENT_UNKNOWN)
        if "error" in said:
            raise await self._error(run, client, said["error"])
        run.take(Event.CODE if said.get("code") else Event.NO_CODE)
        tokens = await self._tokens(run, flow, client, Secret(said["code"]))
        run.take(Event.TOKENS)
        return Made(self._grant(flow, tokens), tokens, flow.window)

    async def _claimed(self, run: "_Run", state: str) -> _Flow:
        key = _digest(state)
        waiting = await self._store.take_pending(KIND, key, self._now())
        if waiting is None:
            raise run.failed(Event.NO_SUCH_FLOW)
        flow = _flow.decode(await self._sealer.open(waiting.payload, key.hex()))
        run.host = urlsplit(flow.issuer).netloc
        run.claim(flow)
        return flow

    async def _error(self, run: "_Run", client: Client, code: str) -> ConnectFailed:
        event = ERRORS.get(code, Event.ERROR)
        if event is Event.CLIENT_UNKNOWN:
            await self._forgotten(client.registration)
        return run.failed(event, code if _ERROR.fullmatch(code) else "an error without a code")

    async def _tokens(self, run: "_Run", flow: _Flow, client: Client, code: Secret) -> Tokens:
        try:
            return await self._exchanged(flow, client, code)
        except Denied as error:
            is_unknown = error.code in _CLIENT
            if is_unknown:
                await self._forgotten(client.registration)
            raise run.failed(Event.CLIENT_REFUSED if is_unknown else Event.CODE_REFUSED, str(error)) from error
        except NoAnswer as error:
            raise run.failed(Event.NO_ANSWER, str(error)) from error
        except Unusable as error:
            raise run.failed(Event.UNUSABLE, str(error)) from error
        except CannotProve as error:
            raise run.failed(Event.CLIENT_REFUSED, str(error)) from error

    async def _exchanged(self, flow: _Flow, client: Client, code: Secret) -> Tokens:
        """The tokens; where the client's secret is not taken, it may be that the one before it still is."""
        try:
            return await self._exchange_with(flow, client, code)
        except Denied as error:
            if error.code not in _CLIENT or client.previous_secret is None:
                raise
        return await self._exchange_with(flow, replace(client, secret=client.previous_secret), code)

    async def _exchange_with(self, flow: _Flow, client: Client, code: Secret) -> Tokens:
        return await self._exchange.exchange(
            client,
            flow.token_endpoint,
            code=code,
            verifier=Secret(flow.verifier),
            scopes=frozenset(flow.scopes),
            resource=flow.resource,
        )

    def _grant(self, flow: _Flow, tokens: Tokens) -> Grant:
        at = self._now()
        return Grant(
            id=secrets.token_urlsafe(16),
            whose=Whose(*flow.caller, flow.upstream),
            registration=flow.registration,
            authorization_server=flow.issuer,
            token_endpoint=flow.token_endpoint,
            revocation_endpoint=flow.revocation_endpoint,
            resource=flow.resource,
            scopes=tokens.scopes,
            wanted=frozenset(),
            access_token=b"",
            refresh_token=None,
            expires_at=tokens.expires_at,
            state=GrantState.READY,
            reason="",
            account=tokens.account,
            version=1,
            created_at=at,
            refreshed_at=at,
            used_at=None,
        )


@final
class _Run:
    """One answer on its way through the table."""

    def __init__(self, back: Back) -> None:
        self._back = back
        self.stage = Stage.WAITING
        self.host = "the server"

    def take(self, event: Event) -> None:
        """
        Raises:
            ConnectFailed: that ends it.
        """
        row = step(self.stage, event)
        if row.next is Stage.OVER:
            raise self.failed(event)
        self.stage = row.next

    def failed(self, event: Event, why: str = "") -> ConnectFailed:
        """The end; `why` is for the log."""
        public = step(self.stage, event).public.format(title=self._back.title, host=self.host)
        reference = secrets.token_hex(4)
        _log.warning(
            "a connection was not made", upstream=self._back.upstream, code=event.value, reference=reference, reason=why
        )
        return ConnectFailed(public, event.value, reference=reference)

    def read(self) -> dict[str, str]:
        """What counts of the query."""
        said: dict[str, str] = {}
        for name, value in self._back.query:
            if name in _READ:
                if name in said or len(value) > _LONGEST:
                    raise self.failed(Event.MALFORMED)
                said[name] = value
        return said

    def claim(self, flow: _Flow) -> None:
        """Whether it is for whoever brings it."""
        back, caller = self._back, self._back.caller
        if not hmac.compare_digest(flow.browser, back.browser):
            self.take(Event.ANOTHER_BROWSER)
        if caller is None:
            self.take(Event.NOT_SIGNED_IN)
        elif caller.key != flow.caller:
            self.take(Event.ANOTHER_USER)
        if flow.upstream != back.upstream:
            self.take(Event.ANOTHER_UPSTREAM)
        if flow.place != _digest(back.place).hex():
            self.take(Event.CHANGED)
        self.take(Event.MINE)

    def judge(self, flow: _Flow, said: Mapping[str, str]) -> None:
        """Whether it comes from the server they were sent to. Both are compared as they are written."""
        named = said.get("iss")
        is_other = flow.sends_iss if named is None else named != flow.issuer
        self.take(Event.ANOTHER_ISSUER if is_other else Event.SAME_ISSUER)


def _digest(text: str) -> bytes:
    return sha256(text.encode("utf-8", "surrogatepass")).digest()
