"""Where an upstream's users sign in, found out as MCP says, step by step.

Rule: nothing is guessed while an answer could be had: a server that fails ends the search, and is never taken for one
that publishes nothing. Metadata of another resource or issuer end it before anybody is sent anywhere. What the
operator says stands in place of what is found. Every step is noted, in words that hold no body, query or secret.

1. Asked without a credential, the upstream may say where its metadata are (`resource_metadata` of its challenge).
2. Else they are at the well-known place with its path, else at the one without.
3. They name its authorization server; one that the operator pins goes before, then the one that is in use.
4. That server's metadata are at one of two places, or of three if it has a path.
5. Only where no metadata of a resource exist at all, the upstream itself is the server (MCP 2025-03-26).

Sources: MCP 2026-07-28 basic/authorization; RFC 9728 sections 3 and 5; RFC 8414 section 3; MCP 2025-03-26
basic/authorization "Server Metadata Discovery" and "Fallbacks".
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, final
from urllib.parse import urlsplit

from mcp_hub.config.model import OAuth
from mcp_hub.egress.fetch import Document, Door, FetchFailed
from mcp_hub.oauth.metadata import metadata_urls
from mcp_hub.oauth.published import NotNow, Published, kept_for, published
from mcp_hub.oauth.resources import Resource, WrongResource, places, read_resource
from mcp_hub.oauth.server import Found, Server, Step
from mcp_hub.oauth.servers import BadServer, is_issuer, older_server, read_server, told_server, with_told
from mcp_hub.single_flight import SingleFlight
from mcp_hub.wire.challenges import BearerChallenge, bearer
from mcp_hub.wire.eras import LATEST_MODERN, META_CLIENT_CAPABILITIES, META_CLIENT_INFO, META_VERSION
from mcp_hub.wire.jsonrpc import encode
from mcp_hub.wire.origin import Origin

RESOURCE_KEPT: Final = 3600.0
SERVER_KEPT: Final = 24 * 3600.0
"""Seconds for which metadata are used at most without being fetched anew."""
MOST_SECONDS: Final = 30.0
"""For a whole search."""

_MOST_KEPT: Final = 2000
_UNAUTHORIZED: Final = 401
_OLDER: Final = "2025-03-26"
_HEAD: Final = {
    "accept": "application/json, text/event-stream",
    "mcp-protocol-version": LATEST_MODERN,
    "mcp-method": "server/discover",
}
_NOT_POSTED: Final = frozenset({404, 405})
_OPEN: Final = {"accept": "text/event-stream"}
_OPEN_SECONDS: Final = 3.0
_BODY: Final = encode(
    {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "server/discover",
        "params": {
            "_meta": {META_VERSION: LATEST_MODERN, META_CLIENT_CAPABILITIES: {}, META_CLIENT_INFO: {"name": "mcp_hub"}}
        },
    }
)


@dataclass(frozen=True, slots=True)
class Target:
    """An upstream whose users sign in, or may. `said` is what the operator says of it; `expected` is whether they say
    that its users sign in, so that more is tried before that is given up. `title` is for sentences, if not the name."""

    name: str
    url: str
    said: OAuth = field(default_factory=OAuth)
    expected: bool = True
    title: str = ""

    @property
    def called(self) -> str:
        """What people call it."""
        return self.title or self.name


@dataclass(frozen=True, slots=True)
class NotOffered:
    """The upstream has nobody sign in, as far as can be found out."""

    trace: tuple[Step, ...] = ()


@dataclass(frozen=True, slots=True)
class DiscoveryFailed:
    """It could not be found out, or what was found cannot be used. `code` is a word of ours, `public` a sentence."""

    code: str
    public: str
    trace: tuple[Step, ...] = ()


Outcome = Found | NotOffered | DiscoveryFailed


@final
class Discovery:
    """Finds out, for all upstreams; one search per upstream at a time, shared by all who ask. Of one event loop."""

    def __init__(self, door: Door, now: Callable[[], float] = time.time) -> None:
        self._door = door
        self._kept = _Kept(now)
        self._flights: SingleFlight[tuple[object, ...], Outcome] = SingleFlight()

    async def find(
        self,
        target: Target,
        *,
        challenges: Sequence[str] | None = None,
        bound: str | None = None,
        fresh: bool = False,
    ) -> Outcome:
        """Where the users of `target` sign in. Never raises for what another side does.

        `challenges` are what it said when it refused (the values of `WWW-Authenticate`); `None` asks it first. `bound`
        is the issuer of a connection there is. `fresh` uses nothing that was fetched before.
        """
        said = None if challenges is None else tuple(challenges)

        async def work() -> Outcome:
            return await _Search(self._door, self._kept, target, bound, fresh=fresh).outcome(said)

        return await self._flights.run((target.name, target.url, said, bound, fresh), work)

    async def aclose(self) -> None:
        """End what is being fetched."""
        await self._flights.aclose()


@final
class _Kept:
    """Documents that were fetched, until they are too old."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._documents: dict[str, tuple[Published, float]] = {}

    def get(self, url: str) -> Published | None:
        kept = self._documents.get(url)
        return kept[0] if kept is not None and kept[1] > self._now() else None

    def put(self, url: str, found: Published, longest: float) -> None:
        self._documents.pop(url, None)
        while len(self._documents) >= _MOST_KEPT:
            del self._documents[next(iter(self._documents))]
        self._documents[url] = (found, self._now() + kept_for(found, longest))


class _Stop(Exception):
    """The search is over."""

    def __init__(self, code: str, public: str) -> None:
        super().__init__(public)
        self.code = code
        self.public = public


@final
class _Search:
    """One search."""

    def __init__(self, door: Door, kept: _Kept, target: Target, bound: str | None, *, fresh: bool) -> None:
        self._door = door
        self._kept = kept
        self._target = target
        self._said = target.said
        self._bound = bound
        self._fresh = fresh
        self._trace: list[Step] = []
        self._fetched: list[tuple[str, Published, float]] = []

    async def outcome(self, challenges: tuple[str, ...] | None) -> Outcome:
        try:
            async with asyncio.timeout(MOST_SECONDS):
                found = await self._found(challenges)
        except _Stop as stop:
            return DiscoveryFailed(stop.code, stop.public, tuple(self._trace))
        except TimeoutError:
            self._note("everything together", f"took longer than {MOST_SECONDS:g} s", ok=False)
            return DiscoveryFailed("unavailable", _DOWN.format(name=self._target.called), tuple(self._trace))
        if found is None:
            return NotOffered(tuple(self._trace))
        server, resource, scopes, is_refused = found
        for each in self._fetched:
            self._kept.put(*each)  # only what could be used: what is wrong may be put right at any moment
        named = None if resource is None else resource.resource
        return Found(server, named, scopes, tuple(self._trace), is_refused=is_refused)

    async def _found(
        self, challenges: tuple[str, ...] | None
    ) -> tuple[Server, Resource | None, tuple[str, ...] | None, bool] | None:
        is_refused, challenge = await self._asked(challenges)
        resource = await self._resource(challenge)
        issuer = self._issuer(resource)
        server = await self._server(issuer, is_refused=is_refused, is_bearer=challenge is not None)
        if server is None:
            return None
        scopes = tuple(challenge.scope.split()) if challenge and challenge.scope else None
        return server, resource, scopes or (None if resource is None else resource.scopes), is_refused

    # What the upstream says when it is asked without a credential

    async def _asked(self, challenges: tuple[str, ...] | None) -> tuple[bool, BearerChallenge | None]:
        """Whether it refuses, and what it says then."""
        if challenges is not None:
            self._note("the upstream", "refused a request without a credential")
            return True, bearer(challenges)
        answer = await self._knock()
        if answer is None or answer.status != _UNAUTHORIZED:
            how = "could not be asked" if answer is None else f"answered with status {answer.status}"
            self._note("the upstream, without a credential", how, ok=answer is not None)
            return False, None
        self._note("the upstream, without a credential", "refused, as it should")
        said = answer.headers.get("www-authenticate")
        return True, None if said is None else bearer([said])

    async def _knock(self) -> Document | None:
        try:
            answer = await self._door.post_json(self._target.url, _BODY, headers=_HEAD)
            return await self._opened() or answer if answer.status in _NOT_POSTED else answer
        except FetchFailed as error:
            if self._is_told:
                return None
            self._note("the upstream, without a credential", str(error), ok=False)
            raise _Stop("unreachable", f"{self._target.called} cannot be reached: {error}. Try again later.") from error

    async def _opened(self) -> Document | None:
        """What an upstream of HTTP+SSE says, where nothing is posted; one that lets anybody in does not end."""
        try:
            return await self._door.get(self._target.url, headers=_OPEN, seconds=_OPEN_SECONDS)
        except FetchFailed:
            return None

    @property
    def _is_told(self) -> bool:
        """Whether the operator has described the server whole, so that nothing found can be missing."""
        return told_server(self._said, None) is not None

    # The metadata of the resource

    async def _resource(self, challenge: BearerChallenge | None) -> Resource | None:
        said = None if challenge is None else challenge.resource_metadata
        for place in [*([said] if said else []), *places(self._target.url)]:
            try:
                document = await self._document(place, "protected resource metadata", RESOURCE_KEPT)
            except _Stop:
                if self._is_told:
                    return None
                raise
            found = None if document is None else self._read_resource(document)
            if found is not None:
                return found
        return None

    def _read_resource(self, document: Mapping[str, Any]) -> Resource | None:
        try:
            found = read_resource(document, self._target.url)
        except WrongResource as error:
            self._note("its resource", "is another one than the upstream that was asked", ok=False)
            raise _Stop("resource_mismatch", _MISMATCH.format(name=self._target.called)) from error
        if found is None:
            self._note("its resource", "is not named: this is no such document", ok=False)
        else:
            self._note("its resource", "is this upstream")
        return found

    def _issuer(self, resource: Resource | None) -> str | None:
        """The authorization server to ask; `None` where nobody names one, and nobody has said that one is needed."""
        if self._said.issuer is not None:
            self._note("the authorization server", f"{_host(self._said.issuer)}, as the configuration says")
            return self._said.issuer
        if resource is None or (self._is_told and not resource.servers):
            return None
        if not resource.servers:
            self._note("the authorization server", "is not named", ok=False)
            raise _Stop("no_server", _NO_SERVER.format(name=self._target.called))
        issuer = self._bound if self._bound in resource.servers else resource.servers[0]
        if not is_issuer(issuer):
            self._note("the authorization server", "has an address that cannot be used", ok=False)
            raise _Stop("bad_issuer", _NO_SERVER.format(name=self._target.called))
        self._note("the authorization server", _host(issuer))
        return issuer

    # The authorization server

    async def _server(self, issuer: str | None, *, is_refused: bool, is_bearer: bool) -> Server | None:
        told = told_server(self._said, issuer)
        try:
            if issuer is not None:
                return await self._published_server(issuer)
            if told is None:
                return await self._older(is_refused=is_refused, is_bearer=is_bearer)
        except _Stop:
            if told is None:
                raise
        self._note("the authorization server's addresses", "as the configuration says")
        return told

    async def _published_server(self, issuer: str) -> Server:
        for place in metadata_urls(issuer):
            metadata = await self._document(place, "authorization server metadata", SERVER_KEPT)
            if metadata is not None:
                return self._read_server(metadata, issuer)
        raise _Stop("no_metadata", _NO_METADATA.format(name=self._target.called, host=_host(issuer)))

    async def _older(self, *, is_refused: bool, is_bearer: bool) -> Server | None:
        """The upstream itself, if it is of 2025-03-26."""
        origin = str(Origin.from_url(self._target.url))
        place = metadata_urls(origin)[0]
        what = "authorization server metadata of the upstream itself"
        metadata = await self._document(place, what, SERVER_KEPT, {"mcp-protocol-version": _OLDER})
        if metadata is not None:
            # Only here the issuer is not anybody's word, but made of the upstream's address.
            named = metadata.get("issuer")
            return self._read_server(metadata, f"{origin}/" if named == f"{origin}/" else origin)
        if is_refused and (is_bearer or self._target.expected):
            self._note("the authorization server", "the upstream itself, at the places that were usual before 2025-06")
            return with_told(older_server(origin), self._said)
        return None

    def _read_server(self, metadata: Mapping[str, Any], issuer: str) -> Server:
        try:
            server = read_server(metadata, issuer, self._said)
        except BadServer as error:
            self._note("what they say", str(error), ok=False)
            public = _BAD_SERVER.format(name=self._target.called, host=_host(issuer), why=error)
            raise _Stop(error.code, public) from error
        self._note("what they say", "can be used")
        return server

    # Fetching

    async def _document(
        self, place: str, what: str, longest: float, headers: Mapping[str, str] | None = None
    ) -> Mapping[str, Any] | None:
        kept = None if self._fresh else self._kept.get(place)
        if kept is not None:
            self._note(f"{what} at {_place(place)}", "known already")
            return kept.document
        try:
            found = await published(self._door, place, headers)
        except NotNow as error:
            self._note(f"{what} at {_place(place)}", str(error), ok=False)
            raise _Stop("unavailable", _DOWN.format(name=self._target.called)) from error
        if found.document is not None:
            self._fetched.append((place, found, longest))
        self._note(f"{what} at {_place(place)}", found.detail, ok=found.document is not None)
        return found.document

    def _note(self, what: str, detail: str, *, ok: bool = True) -> None:
        self._trace.append(Step(what, ok, detail))


def _host(url: str) -> str:
    return urlsplit(url).netloc


def _place(url: str) -> str:
    """An address without its query."""
    parts = urlsplit(url)
    return f"{parts.netloc}{parts.path}"


_DOWN: Final = (
    "Where {name} has people sign in cannot be found out now. Try again in a moment; if it lasts, tell the hub's"
    " operator, who finds the cause in the log."
)
_MISMATCH: Final = (
    "{name} says that it is another server than the one the hub was told to use, so nobody was sent there to sign in."
    " Tell the hub's operator: its URL in the configuration has to be the one that it publishes."
)
_NO_SERVER: Final = (
    "{name} has people sign in, but does not say where in a way that can be used. Tell the hub's operator, who can"
    " configure its issuer."
)
_NO_METADATA: Final = (
    "{name} has people sign in at {host}, which does not publish what the hub needs for that. Tell the hub's operator,"
    " who can configure its addresses."
)
_BAD_SERVER: Final = (
    "{name} has people sign in at {host}, but {why}, so nobody was sent there. Tell the hub's operator."
)
