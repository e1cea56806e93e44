"""The hub registers itself at an authorization server (RFC 7591).

Rule: it asks where the server's metadata say so, or where a server of 2025-03-26 has it by agreement, twice at most. It
takes what the server makes of it only if it can live with that. Nothing that a server writes is shown but an error's
code. Sources: RFC 7591 sections 2 and 3; MCP 2026-07-28 basic/authorization "Dynamic Client Registration".
"""

import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast, final

from mcp_hub.egress.fetch import Document, FetchFailed, Posts
from mcp_hub.oauth.client_proof import METHODS
from mcp_hub.oauth.document import JWKS, SIGNED, described, is_public
from mcp_hub.oauth.resources import texts
from mcp_hub.oauth.server import Server
from mcp_hub.secret import Secret
from mcp_hub.wire.jsonrpc import Json, Malformed, encode, value

_GIVEN: Final = frozenset({200, 201})
_BAD: Final = 400
_PASSING: Final = frozenset({408, 425, 429})
_FAULTS: Final = 500
_LONGEST: Final = 2048
_CODE: Final = re.compile(r"[a-z][a-z0-9_]{0,63}")
_TEXT: Final = re.compile(r"[\x20-\x7e]+")
_WITH_SECRET: Final = frozenset({"client_secret_basic", "client_secret_post"})


class Refused(Exception):
    """The hub was not registered. The text is a part of a sentence, and safe to show."""

    def __init__(self, why: str, code: str = "", *, is_temporary: bool = False) -> None:
        super().__init__(why)
        self.code = code
        self.is_temporary = is_temporary


@dataclass(frozen=True, slots=True)
class Registered:
    """What a server gave. `management` is an encoded object: the token and the address of RFC 7592."""

    client_id: str
    auth_method: str
    secret: Secret | None
    secret_expires_at: float | None
    management: Secret | None


@final
class Dynamic:
    """Registers. `jwks` gives what is published of the hub's key."""

    def __init__(self, posts: Posts, jwks: Callable[[], Json], now: Callable[[], float] = time.time) -> None:
        self._posts = posts
        self._jwks = jwks
        self._now = now

    async def register(self, server: Server, base_url: str, upstream: str) -> Registered:
        """Register at `server`, which has a place for that. A server that refuses is asked once more, for less.

        Raises:
            Refused: it does not take the hub, or not so that the hub could be used there.
        """
        wanted = self._wanted(server, base_url, upstream)
        try:
            return await self._asked(server, wanted)
        except Refused as refused:
            if refused.is_temporary or refused.code not in _ADJUSTABLE:
                raise
            return await self._asked(server, _adjusted(wanted, refused.code))

    def _wanted(self, server: Server, base_url: str, upstream: str) -> Json:
        method = registered_method(server.auth_methods)
        said = {**described(base_url, upstream), "token_endpoint_auth_method": method}
        if method == "private_key_jwt":
            said |= SIGNED | ({"jwks_uri": f"{base_url}{JWKS}"} if is_public(base_url) else {"jwks": self._jwks()})
        return said

    async def _asked(self, server: Server, wanted: Json) -> Registered:
        try:
            answer = await self._posts.post_json(server.registration_endpoint or "", encode(wanted))
        except FetchFailed as error:
            raise Refused(str(error), is_temporary=True) from error
        if answer.status in _PASSING or answer.status >= _FAULTS:
            raise Refused(f"it answered with status {answer.status}", is_temporary=True)
        said = _object(answer)
        if answer.status not in _GIVEN:
            code = said.get("error")
            known = code if isinstance(code, str) and _CODE.fullmatch(code) else ""
            why = f"it refused with {known or f'status {answer.status}'}"
            raise Refused(why, known or ("invalid_request" if answer.status == _BAD else ""))
        return self._read(said, wanted)

    def _read(self, said: Mapping[str, Any], wanted: Json) -> Registered:
        name, secret = said.get("client_id"), said.get("client_secret")
        if not _is_text(name):
            raise Refused("it gave the hub no client id")
        method = said.get("token_endpoint_auth_method", wanted["token_endpoint_auth_method"])
        if method not in METHODS or (method in _WITH_SECRET and not _is_text(secret)):
            raise Refused("it wants the hub to prove itself in a way that it cannot")
        if method == "private_key_jwt" and wanted["token_endpoint_auth_method"] != method:
            raise Refused("it wants the hub to sign with a key that it was not told")
        uris = texts(said, "redirect_uris")
        if uris is not None and wanted["redirect_uris"][0] not in uris:
            raise Refused("it does not send people back to where the hub is")
        kept = Secret(cast("str", secret)) if method in _WITH_SECRET else None
        return Registered(cast("str", name), method, kept, self._end(said) if kept else None, _management(said))

    def _end(self, said: Mapping[str, Any]) -> float | None:
        at = said.get("client_secret_expires_at")
        return float(at) if isinstance(at, int | float) and not isinstance(at, bool) and at > 0 else None


_ADJUSTABLE: Final = frozenset({"invalid_redirect_uri", "invalid_client_metadata", "invalid_request"})


def _adjusted(wanted: Json, code: str) -> Json:
    """What is asked for the second time. It may be that only one type of application is taken there, or no keys."""
    if "token_endpoint_auth_signing_alg" in wanted and code != "invalid_redirect_uri":
        keyless = {name: each for name, each in wanted.items() if name not in _OF_KEYS}
        return {**keyless, "token_endpoint_auth_method": "client_secret_basic"}
    return {**wanted, "application_type": "native" if wanted["application_type"] == "web" else "web"}


_OF_KEYS: Final = frozenset({"jwks", "jwks_uri", *SIGNED})


def registered_method(offered: Sequence[str] | None) -> str:
    """How the hub wants to prove itself where it registers; Basic where the server does not say (RFC 8414)."""
    if offered is None:
        return "client_secret_basic"
    return next((each for each in METHODS if each in offered), "none")


def _management(said: Mapping[str, Any]) -> Secret | None:
    token, uri = said.get("registration_access_token"), said.get("registration_client_uri")
    if not _is_text(token) or not _is_text(uri):
        return None
    return Secret(encode({"token": token, "uri": uri}).decode())


def _is_text(said: object) -> bool:
    return isinstance(said, str) and len(said) <= _LONGEST and _TEXT.fullmatch(said) is not None


def _object(answer: Document) -> Mapping[str, Any]:
    try:
        said = value(answer.body)
    except Malformed:
        return {}
    return cast("Mapping[str, Any]", said) if isinstance(said, dict) else {}
