"""What the hub asks of an authorization server's token and revocation endpoints, once per question.

Rule: only a complete answer of a known form counts, a redirect is a refusal, and of an error nothing is kept but its
code. Nothing is asked twice here: who asks again is decided by whoever knows what was at stake. Sources: RFC 6749
sections 4.1.3, 4.4, 5 and 6; RFC 7009; RFC 8707 section 2.
"""

import logging
import re
import time
from collections.abc import Callable, Mapping
from typing import Any, Final, Literal, cast, final

from mcp_hub.egress.fetch import MOST_SECONDS, Document, Fetch, FetchFailed
from mcp_hub.oauth.client_proof import Prover
from mcp_hub.oauth.scope_words import read_scopes, written
from mcp_hub.oauth.server import Client, Tokens
from mcp_hub.secret import Secret
from mcp_hub.wire.jsonrpc import Malformed, value

REVOKE_SECONDS: Final = 5.0
LONGEST_LIFE: Final = 366 * 86400.0
"""Seconds: no token is believed to last longer."""
_LONGEST_TOKEN: Final = 16 * 1024
_OK: Final = 200
_REDIRECTS: Final = range(300, 400)
_PASSING: Final = frozenset({408, 425, 429})
_FAULTS: Final = 500
_LONGEST_WAIT: Final = 3600.0
_CODE: Final = re.compile(r"[a-z][a-z0-9_]{0,63}")
_TOKEN: Final = re.compile(r"[\x21-\x7E]+")
_DIGITS: Final = re.compile(r"-?[0-9]{1,20}(\.[0-9]{1,6})?")
_PASSING_CODES: Final = frozenset({"temporarily_unavailable", "server_error", "slow_down"})

_log: Final = logging.getLogger(__name__)


class TokenCallFailed(Exception):
    """No tokens. The text is a part of a sentence about the server, safe to show."""


class NoAnswer(TokenCallFailed):
    """It may go well later: no connection, too slow, a fault of its own, too many requests.

    `retry_after` is what it asks for, in seconds. It may have acted nevertheless.
    """

    def __init__(self, why: str, retry_after: float | None = None) -> None:
        super().__init__(why)
        self.retry_after = retry_after


class Denied(TokenCallFailed):
    """It said no. `code` is its word for why (RFC 6749 section 5.2), empty where it has none that can be read."""

    def __init__(self, code: str, status: int) -> None:
        super().__init__(f"it refused with {code}" if code else f"it refused with status {status}")
        self.code = code
        self.status = status


class Unusable(TokenCallFailed):
    """It answered with something that is not what was asked for."""


@final
class TokenCalls:
    """Calls of the endpoints that a registration or a grant names. `now` gives unix seconds."""

    def __init__(self, fetch: Fetch, prover: Prover, now: Callable[[], float] = time.time) -> None:
        self._fetch = fetch
        self._prover = prover
        self._now = now

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
        """The tokens for a code; `scopes` are those that were asked for when it was made.

        Raises:
            NoAnswer, Denied, Unusable, CannotProve: there are none.
        """
        form = {
            "grant_type": "authorization_code",
            "code": code.open(),
            "redirect_uri": client.registration.redirect_uri,
            "code_verifier": verifier.open(),
        }
        return await self._tokens(client, token_endpoint, form, scopes, resource)

    async def refresh(
        self,
        client: Client,
        token_endpoint: str,
        *,
        refresh_token: Secret,
        scopes: frozenset[str] = frozenset(),
        resource: str | None = None,
        say_scopes: bool = True,
    ) -> Tokens:
        """New tokens for a refresh token, with the scopes it has; where none is returned, the old one stays good.

        Raises:
            NoAnswer, Denied, Unusable, CannotProve: there are none.
        """
        form = {"grant_type": "refresh_token", "refresh_token": refresh_token.open()}
        if say_scopes and scopes:
            form["scope"] = written(scopes)
        return await self._tokens(client, token_endpoint, form, scopes, resource)

    async def client_credentials(
        self,
        client: Client,
        token_endpoint: str,
        *,
        scopes: frozenset[str] = frozenset(),
        resource: str | None = None,
    ) -> Tokens:
        """Tokens for the hub itself.

        Raises:
            NoAnswer, Denied, Unusable, CannotProve: there are none.
        """
        form = {"grant_type": "client_credentials"}
        if scopes:
            form["scope"] = written(scopes)
        return await self._tokens(client, token_endpoint, form, scopes, resource)

    async def revoke(
        self,
        client: Client,
        revocation_endpoint: str,
        token: Secret,
        kind: Literal["refresh_token", "access_token"],
    ) -> None:
        """Have a token ended, within `REVOKE_SECONDS`. One that is not known there any more has ended.

        Raises:
            NoAnswer, Denied, Unusable, CannotProve: nobody confirmed it.
        """
        proof = self._prover.proof(client, revocation_endpoint)
        form = {"token": token.open(), "token_type_hint": kind, **proof.form}
        answer = await self._post(revocation_endpoint, form, proof.headers, REVOKE_SECONDS)
        if answer.status != _OK:
            raise _denied(answer, _object(answer))

    async def _tokens(
        self, client: Client, url: str, form: dict[str, str], scopes: frozenset[str], resource: str | None
    ) -> Tokens:
        proof = self._prover.proof(client, url)
        form |= proof.form
        if resource:
            form["resource"] = resource
        answer = await self._post(url, form, proof.headers, MOST_SECONDS)
        said, at = _object(answer), self._now()
        # Some servers refuse with status 200.
        if answer.status != _OK or ("access_token" not in said and isinstance(said.get("error"), str)):
            error = _denied(answer, said)
            _log.warning("a token endpoint gave no tokens (%s): %s", form["grant_type"], error)
            raise error
        return _read(said, at, scopes)

    async def _post(self, url: str, form: Mapping[str, str], headers: Mapping[str, str], seconds: float) -> Document:
        try:
            answer = await self._fetch.post(url, form, headers=headers, seconds=seconds)
        except FetchFailed as error:
            raise NoAnswer(str(error)) from error
        if answer.status in _PASSING or answer.status >= _FAULTS:
            raise NoAnswer(f"it answered with status {answer.status}", _retry_after(answer))
        if answer.status in _REDIRECTS:
            raise Unusable("it answered with a redirect, which is not followed with secrets")
        return answer


def _read(said: Mapping[str, Any], at: float, scopes: frozenset[str]) -> Tokens:
    if str(said.get("token_type", "")).lower() != "bearer":
        raise Unusable("it gave a token that is not of the type Bearer")
    access, renewal = said.get("access_token"), said.get("refresh_token")
    if not _is_token(access) or not (renewal in (None, "") or _is_token(renewal)):
        raise Unusable("it gave no token that can be sent")
    life = lifetime(said.get("expires_in"))
    return Tokens(
        Secret(cast("str", access)),
        Secret(renewal) if renewal else None,
        None if life is None else at + life,
        read_scopes(said.get("scope")) or scopes,
    )


def lifetime(said: object) -> float | None:
    """Seconds for which a token lasts, `None` where nothing that can be is said: it is used until it is refused.

    That holds for 0 and less, too: nobody gives out a token that has ended, and one that is renewed before each call
    would be worse than one that is refused now and then.
    """
    if isinstance(said, str) and _DIGITS.fullmatch(said):
        said = float(said)
    if isinstance(said, bool) or not isinstance(said, int | float) or not said > 0:
        return None
    return float(min(said, LONGEST_LIFE))


def _is_token(said: object) -> bool:
    return isinstance(said, str) and len(said) <= _LONGEST_TOKEN and _TOKEN.fullmatch(said) is not None


def _denied(answer: Document, said: Mapping[str, Any]) -> TokenCallFailed:
    code = said.get("error")
    known = code if isinstance(code, str) and _CODE.fullmatch(code) else ""
    if known in _PASSING_CODES:
        return NoAnswer(f"it refused for now with {known}", _retry_after(answer))
    return Denied(known, answer.status)


def _retry_after(answer: Document) -> float | None:
    said = answer.headers.get("retry-after", "")
    # A date is not read: it is rare, and the wait is bounded anyway.
    return min(float(said), _LONGEST_WAIT) if said.isascii() and said.isdigit() else None


def _object(answer: Document) -> Mapping[str, Any]:
    try:
        said = value(answer.body)
    except Malformed:
        return {}
    return cast("Mapping[str, Any]", said) if isinstance(said, dict) else {}
