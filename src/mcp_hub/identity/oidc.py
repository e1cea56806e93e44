"""Signing in at an OpenID Connect provider: the hub sends a browser there, and takes it back.

Rule: a login ends in the browser in which it began, once, within ten minutes, at the provider it was begun with, and
with a proof made for it; whatever else comes back lets nobody in and is not shown. What comes back is judged in a fixed
order, and nothing of it is acted on before it is known to belong to a login of this browser and to come from this
provider. Sources: OpenID Connect Core 1.0 section 3.1; RFC 9207; RFC 9700 section 4.

| what came back, in this order                                  | reason             |
|----------------------------------------------------------------|--------------------|
| a parameter that counts stands twice, or is too long           | `malformed`        |
| no state, or one of no login that is under way                 | `no_such_login`    |
| the login was begun in another browser                         | `another_browser`  |
| `iss` is missing though announced, or names another issuer     | `another_issuer`   |
| an error: they did not sign in there                           | `denied`           |
| no code                                                        | `malformed`        |
| the provider does not answer                                   | `provider_down`    |
| what it answers proves nothing                                 | `proof_refused`    |
"""

import hmac
import logging
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Protocol, final
from urllib.parse import urlencode, urlsplit

import msgspec

from mcp_hub.config.model import Provider
from mcp_hub.egress.fetch import Fetch
from mcp_hub.identity.arrival import Arrival, LoginFailed
from mcp_hub.identity.jose import KeySets, KeysUnavailable
from mcp_hub.identity.provider import ProofRefused, ProviderClient, ProviderUnavailable
from mcp_hub.identity.roles import groups_of
from mcp_hub.identity.signatures import Claims
from mcp_hub.identity.tokens import digest
from mcp_hub.oauth.metadata import Discovery, openid_urls
from mcp_hub.oauth.pkce import METHOD, challenge_of
from mcp_hub.store.grants import Pending
from mcp_hub.wire.jsonrpc import encode

KIND: Final = "oidc"
LASTS: Final = 600.0
"""Seconds in which a login has to be finished."""
MOST_WAITING: Final = 10_000
_LONGEST: Final = 4096
"""Characters of one parameter of what comes back."""
_LONGEST_TEXT: Final = 255
_READ: Final = frozenset({"state", "code", "iss", "error"})
_ISS: Final = "authorization_response_iss_parameter_supported"

_AGAIN: Final = "Begin again on the hub's login page."
_DOWN: Final = (
    "{host} cannot be asked now, so nobody can sign in with it: {why}. Try again in a moment; if it lasts, tell the "
    "hub's operator."
)
_PROVES_NOTHING: Final = (
    "What {host} answered does not prove who you are, so you were not signed in. Try again; if it happens again, tell "
    "the hub's operator, who finds the cause in the log."
)

_log: Final = logging.getLogger(__name__)


class PendingStore(Protocol):
    """What a login asks of the store; see `GrantStore`."""

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


class _Login(msgspec.Struct, frozen=True):
    """A login under way, as it waits in the store. The digest of its state is what it is found by."""

    browser: bytes
    issuer: str
    nonce: str
    verifier: str
    next_path: str


_login: Final = msgspec.json.Decoder(_Login)


@final
class RelyingParty:
    """The login at one provider. `redirect_uri` is registered there, and served by whoever calls `finish`."""

    def __init__(
        self,
        provider: Provider,
        redirect_uri: str,
        store: PendingStore,
        *,
        fetch: Fetch,
        sealer: Sealer,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._provider = provider
        self._host = urlsplit(provider.issuer).netloc
        self._discovery = Discovery(fetch, now, provider.issuer, openid_urls(provider.issuer))
        self._keys = KeySets(fetch, now)
        self._client = ProviderClient(provider, redirect_uri, fetch=fetch, discovery=self._discovery, keys=self._keys)
        self._store = store
        self._sealer = sealer
        self._now = now

    async def aclose(self) -> None:
        """End what is being fetched."""
        await self._discovery.aclose()
        await self._keys.aclose()

    async def begin(self, browser: bytes, next_path: str) -> str:
        """The URL to send a browser to, which is known by this digest of its cookie.

        `next_path` is where on the hub they were going; it is handed back as it is.

        Raises:
            LoginFailed: the provider cannot be asked, or too many people are signing in.
            StoreFailed: the store fails.
        """
        try:
            metadata = await self._client.metadata()
        except ProviderUnavailable as error:
            raise self._down(error) from error
        state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
        login = _Login(browser, self._provider.issuer, nonce, verifier, next_path)
        await self._keep(state, login)
        parameters = {
            "response_type": "code",
            "client_id": self._provider.client_id,
            "redirect_uri": self._client.redirect_uri,
            "scope": " ".join(self._provider.scopes),
            "state": state,
            "nonce": nonce,
            "code_challenge": challenge_of(verifier),
            "code_challenge_method": METHOD,
        }
        url = metadata["authorization_endpoint"]
        return f"{url}{'&' if '?' in url else '?'}{urlencode(parameters)}"

    async def finish(self, query: Sequence[tuple[str, str]], browser: bytes) -> Arrival:
        """Who came back with this query, in the browser of this digest.

        Raises:
            LoginFailed: nobody, for one of the reasons of the table.
            StoreFailed, VaultLocked: we could not look.
        """
        said = _parameters(query)
        login = await self._begun(said, browser)
        try:
            await self._require_issuer(said)
            if "error" in said:
                raise LoginFailed(f"You were not signed in at {self._host}. {_AGAIN}", "denied")
            if not said.get("code"):
                raise LoginFailed(f"{self._host} sent you back without a code. {_AGAIN}", "malformed")
            claims = await self._client.proof(said["code"], login.verifier, login.nonce)
        except (ProviderUnavailable, KeysUnavailable) as error:
            raise self._down(error) from error
        except ProofRefused as error:
            _log.warning("a login at the identity provider was refused: %s", error)
            raise LoginFailed(_PROVES_NOTHING.format(host=self._host), "proof_refused") from error
        return self._arrival(claims, login.next_path)

    async def _keep(self, state: str, login: _Login) -> None:
        key, now = digest(state), self._now()
        item = Pending(KIND, key, self._sealer.seal(encode(login), key.hex()), now + LASTS)
        await self._store.put_pending(item, at=now, most=MOST_WAITING)

    async def _begun(self, said: Mapping[str, str], browser: bytes) -> _Login:
        key = digest(said.get("state", ""))
        waiting = await self._store.take_pending(KIND, key, self._now())
        if waiting is None:
            raise LoginFailed(f"This login took too long, or was finished already. {_AGAIN}", "no_such_login")
        login = _login.decode(await self._sealer.open(waiting.payload, key.hex()))
        if not hmac.compare_digest(login.browser, browser):
            raise LoginFailed(f"This login was begun in another browser. {_AGAIN}", "another_browser")
        if login.issuer != self._provider.issuer:
            raise LoginFailed(f"The hub's provider was changed meanwhile. {_AGAIN}", "another_issuer")
        return login

    async def _require_issuer(self, said: Mapping[str, str]) -> None:
        metadata = await self._client.metadata()
        named = said.get("iss")
        if named != self._provider.issuer and (named is not None or metadata.get(_ISS) is True):
            raise LoginFailed(f"This answer does not come from {self._host}. {_AGAIN}", "another_issuer")

    def _arrival(self, claims: Claims, next_path: str) -> Arrival:
        return Arrival(
            issuer=self._provider.issuer,
            subject=claims["sub"],
            email=_text(claims, "email"),
            email_verified=claims.get("email_verified") is True or claims.get("email_verified") == "true",
            name=_text(claims, "name") or _text(claims, "preferred_username"),
            groups=groups_of(claims, self._provider.groups_claim),
            next_path=next_path,
        )

    def _down(self, error: Exception) -> LoginFailed:
        _log.warning("the identity provider cannot be used: %s", error)
        return LoginFailed(_DOWN.format(host=self._host, why=error), "provider_down")


def _parameters(query: Sequence[tuple[str, str]]) -> dict[str, str]:
    read = [(name, value) for name, value in query if name in _READ]
    said = dict(read)
    if len(said) != len(read) or any(len(value) > _LONGEST for value in said.values()):
        raise LoginFailed(f"What came back from the provider cannot be read. {_AGAIN}", "malformed")
    return said


def _text(claims: Mapping[str, Any], name: str) -> str:
    said = claims.get(name)
    return said if isinstance(said, str) and len(said) <= _LONGEST_TEXT else ""
