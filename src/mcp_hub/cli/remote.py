"""How commands speak to a hub that runs: its JSON, and its MCP endpoint as any client would."""

import os
import re
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from ipaddress import ip_network
from typing import Any, Final, final
from urllib.parse import urlsplit

import msgspec
from msgspec import Raw

from mcp_hub import __version__
from mcp_hub.config.model import Config
from mcp_hub.config.reach import is_loopback
from mcp_hub.credentials.credential import NOTHING, Credential
from mcp_hub.egress.client import HttpClient, Request
from mcp_hub.egress.dial import Dialer
from mcp_hub.egress.errors import DialError, DialStep, EgressError
from mcp_hub.errors import (
    BadRequest,
    BrokeProtocol,
    ConnectionNeeded,
    Forbidden,
    RefusedCredential,
    Unauthenticated,
    Unreachable,
)
from mcp_hub.secret import Secret
from mcp_hub.upstream.channel import Channel, Limits
from mcp_hub.upstream.modern import ModernWire, own_client
from mcp_hub.upstream.probe import own_call
from mcp_hub.wire.jsonrpc import Json, Reply, encode
from mcp_hub.wire.origin import Origin

_ANYWHERE: Final = (ip_network("0.0.0.0/0"), ip_network("::/0"))
"""Whoever types a hub's address means it; the rules about addresses are for what upstreams and clients send."""
_LIMITS: Final = Limits(result=64 * 2**20, event=2**20, first_byte=120.0, listing=30.0)
_STATUS_LIMIT: Final = 2**24
_UNAUTHORIZED, _FORBIDDEN = 401, 403
VARIABLE: Final = "MCP_HUB_TOKEN"
"""The environment variable in which commands find the token for the hub they speak to."""
_TOKEN: Final = re.compile(r"[\x21-\x7e]+")


@final
class RemoteHub:
    """A hub at `base_url`, as the command line sees it. Made by `remote_hub`."""

    def __init__(self, base_url: str, http: HttpClient, credential: Credential) -> None:
        self._origin = Origin.from_url(base_url)
        self._base = base_url
        self._http = http
        self._credential = credential
        self._wire = ModernWire(Channel("the hub", f"{base_url}/mcp", http, _LIMITS))

    async def ask(self, method: str, params: Json, name: str | None = None) -> Json:
        """One MCP request; `name` is what the header `Mcp-Name` repeats.

        Raises:
            UpstreamError: the hub cannot be reached.
            Unauthenticated: it wants to know who asks.
            ConnectionNeeded: whoever calls has to connect to one of its upstreams first.
            BadRequest: it answered with another error; the sentence is the hub's.
        """
        client = own_client(Raw(encode({"name": "mcp-hub", "version": __version__})))
        call = own_call(client, method, **{key: Raw(encode(each)) for key, each in params.items()})
        call.name = name
        call.repeatable = method != "tools/call"
        try:
            return _result(await self._wire.send(call, self._credential))
        except Unreachable as error:
            raise _nobody(self._base, error) from error
        except RefusedCredential as error:
            raise self._unknown() from error

    async def read(self, path: str, *, post: bool = False) -> Any:
        """One document of the hub's own API.

        Raises:
            Unreachable: no hub answers there.
            Unauthenticated: it wants to know who asks.
            Forbidden: it knows, and this is for others.
            BadRequest: it answered with an error.
        """
        request = Request(
            method=b"POST" if post else b"GET",
            origin=self._origin,
            target=path.encode("ascii"),
            head=self._credential.open(),
            repeatable=not post,
        )
        try:
            response = await self._http.send(request)
            body = await response.read(_STATUS_LIMIT, within=30.0)
        except EgressError as error:
            raise _nobody(self._base, error) from error
        if response.status == _UNAUTHORIZED:
            raise self._unknown()
        return _document(self._base, response.status, body)

    def _unknown(self) -> Unauthenticated:
        if self._credential is NOTHING:
            said = f"The hub at {self._base} wants to know who asks"
        else:
            said = f"The hub at {self._base} does not take the token in {VARIABLE}"
        return Unauthenticated(
            f"{said}. Make a token with 'mcp-hub token create --user EMAIL', and put it into {VARIABLE}."
        )


@asynccontextmanager
async def remote_hub(base_url: str) -> AsyncGenerator[RemoteHub, None]:
    """A hub to speak to while the context lasts. `base_url` may be its MCP endpoint or what stands before `/mcp`.

    Raises:
        BadRequest: not an address.
    """
    base_url = base_url.rstrip("/").removesuffix("/mcp")
    http = HttpClient(Dialer(allow_private=_ANYWHERE))
    try:
        yield RemoteHub(base_url, http, _credential(base_url, os.environ.get(VARIABLE, "")))
    except ValueError as error:
        raise BadRequest(f"This is not the address of a hub: {error}") from error
    finally:
        await http.aclose()


def _credential(base_url: str, token: str) -> Credential:
    """What is sent along, where the environment holds a token.

    Raises:
        BadRequest: it could be read on the way.
    """
    if not token:
        return NOTHING
    parts = urlsplit(base_url)
    if parts.scheme == "http" and not is_loopback(parts.hostname or ""):
        raise BadRequest(f"The token in {VARIABLE} is not sent over plain http. Name the hub by its https address.")
    if not _TOKEN.fullmatch(token):
        raise BadRequest(f"What stands in {VARIABLE} is no token: it holds a space or another character that none has.")
    return Credential({"Authorization": Secret(f"Bearer {token}")})


def address(url: str | None, config: Config | None) -> str:
    """Where the hub is: as said, else as configured."""
    return url or (config or Config()).server.base_url


def _nobody(base: str, error: BaseException) -> Unreachable:
    """No hub there; if not even a connection was tried, or it could not be trusted, why."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, DialError):
        cause = cause.__cause__
    if cause is not None and cause.step is not DialStep.CONNECT:
        return Unreachable("hub", f"No hub answers at {base}. {cause.public}")
    return Unreachable("hub", f"No hub answers at {base}. Start one with 'mcp-hub serve', or name another with --url.")


def _result(reply: Reply) -> Json:
    if reply.result is not None:
        return msgspec.json.decode(reply.result)
    error = msgspec.json.decode(reply.error or b"{}")
    sentence = str(error.get("message", "The hub answered with an error."))
    match error.get("data"):
        case {"upstream": str(upstream), "state": "not_connected" | "reconnect_needed" as state, "url": str(url)}:
            raise ConnectionNeeded(upstream, sentence, url=url, state=state)
        case _:
            raise BadRequest(sentence)


def _document(base: str, status: int, body: bytes) -> Any:
    try:
        found = msgspec.json.decode(body)
    except msgspec.DecodeError as error:
        raise BrokeProtocol("hub", f"What answers at {base} is not a hub.") from error
    if status >= 400:  # noqa: PLR2004
        said = str(found.get("error", f"The hub answered HTTP {status}."))
        raise Forbidden(said) if status == _FORBIDDEN else BadRequest(said)
    return found
