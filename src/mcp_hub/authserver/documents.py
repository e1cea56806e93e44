"""Clients whose id is the URL of a document about them (OAuth Client ID Metadata Documents).

Rule: the URL is judged as it is written, the document comes through the guarded door once for all who wait for it, and
what is wrong is never remembered: only a good document is, for as long as its server says, within bounds.
Sources: draft-ietf-oauth-client-id-metadata-document sections 3 to 6, MCP 2026-07-28 basic/authorization.
"""

import re
from collections.abc import Callable, Collection, Mapping
from email.utils import parsedate_to_datetime
from typing import Final, final

import structlog

from mcp_hub.authserver import details
from mcp_hub.authserver.clients import AuthMethod, Client, ClientKind, Details, NoDocument
from mcp_hub.authserver.errors import OAuthError
from mcp_hub.egress.fetch import Document, Fetch, FetchFailed
from mcp_hub.identity.limits import Limit, Limits
from mcp_hub.single_flight import SingleFlight
from mcp_hub.wire.jsonrpc import Json
from mcp_hub.wire.origin import Origin
from mcp_hub.wire.redirects import redirect_fault

MOST_BYTES: Final = 5 * 1024
MOST_SECONDS: Final = 5.0
SHORTEST: Final = 300.0
LONGEST: Final = 86_400.0
"""The bounds of how many seconds a document is taken for the current one."""
MOST_KEPT: Final = 1000
LONGEST_URL: Final = 2048

_METHODS: Final[tuple[AuthMethod, ...]] = ("none", "private_key_jwt")
_URL: Final = re.compile(r"https://[^/?#@\\%]+(/[^?#\\]*)(?:\?[^#\\]*)?")
_PRINTABLE: Final = re.compile(r"[!-~]+")
_MAX_AGE: Final = re.compile(r"(?:^|[,\s])max-age=\"?([0-9]{1,9})")
_AGE: Final = re.compile("[0-9]{1,9}")
_OK: Final = 200

_ABSENT: Final = "The document that should describe this app cannot be had from {host}."
_BUSY: Final = "The hub is looking up too many apps just now. Try again in {wait:.0f} seconds."
_WRONG: Final = "The document that should describe this app, at {host}, is not as it has to be: {why}"

_log: Final = structlog.stdlib.get_logger("mcp_hub.authserver")


@final
class PublishedDocuments:
    """The documents, through `fetch`; `hosts` are those that are taken, `None` for any.

    `fetch` must not reach networks that strangers have no business in. At most `MOST_KEPT` documents are kept.
    """

    def __init__(self, fetch: Fetch, limits: Limits, hosts: Collection[str] | None, now: Callable[[], float]) -> None:
        self._fetch = fetch
        self._limits = limits
        self._hosts = None if hosts is None else frozenset(host.lower() for host in hosts)
        self._now = now
        self._kept: dict[str, tuple[Client, float]] = {}
        self._flights: SingleFlight[str, Client] = SingleFlight()

    def may_be(self, client_id: str) -> bool:
        """See `clients.Documents`."""
        host = host_of(client_id)
        return host is not None and (
            self._hosts is None or host in self._hosts or host.partition(":")[0] in self._hosts
        )

    def known(self, client_id: str) -> Client | None:
        """See `clients.Documents`."""
        kept = self._kept.get(client_id)
        if kept is None:
            return None
        if kept[1] <= self._now():
            del self._kept[client_id]
            return None
        return kept[0]

    async def client(self, client_id: str) -> Client:
        """See `clients.Documents`. However many ask at once, the document is fetched once."""
        if not self.may_be(client_id):
            raise NoDocument("This is not the URL of a document that the hub takes.")
        return self.known(client_id) or await self._flights.run(client_id, lambda: self._fetched(client_id))

    async def aclose(self) -> None:
        """Give up what is being fetched."""
        await self._flights.aclose()

    async def _fetched(self, client_id: str) -> Client:
        host = host_of(client_id) or ""
        self._take(host)
        try:
            document = await self._fetch.get(client_id, most=MOST_BYTES, seconds=MOST_SECONDS)
        except FetchFailed as error:
            # Why, is for the operator: whoever chose the address learns nothing about the network the hub is in.
            _log.info("client document not fetched", host=host, reason=str(error))
            raise NoDocument(_ABSENT.format(host=host), is_temporary=True) from error
        if document.status != _OK:
            _log.info("client document not fetched", host=host, reason=f"status {document.status}")
            raise NoDocument(_ABSENT.format(host=host), is_temporary=True)
        client = _client(client_id, host, document)
        self._keep(client, lifetime(document.headers, self._now()))
        return client

    def _take(self, host: str) -> None:
        wait = self._limits.take(Limit.DOCUMENT_HOST, host) or self._limits.take(Limit.DOCUMENTS, "")
        if wait is not None:
            raise NoDocument(_BUSY.format(wait=wait), is_temporary=True)

    def _keep(self, client: Client, seconds: float) -> None:
        self._kept.pop(client.id, None)
        while len(self._kept) >= MOST_KEPT:
            del self._kept[next(iter(self._kept))]
        self._kept[client.id] = (client, self._now() + seconds)


def host_of(client_id: str) -> str | None:
    """The host (and port) of a URL that may be that of a document; `None` if this is not one.

    Judged as it is written: https, a path that is more than `/`, and neither a user name nor a fragment nor a segment
    that is `.` or `..`, however that is escaped.
    """
    match = _URL.fullmatch(client_id)
    if match is None or len(client_id) > LONGEST_URL or not _PRINTABLE.fullmatch(client_id) or match[1] == "/":
        return None
    segments = match[1].lower().replace("%2e", ".").replace("%2f", "/").split("/")
    if "." in segments or ".." in segments:
        return None
    try:
        return Origin.from_url(client_id).authority.decode()
    except ValueError:
        return None


def lifetime(headers: Mapping[str, str], now: float) -> float:
    """For how many seconds an answer is good: as its headers say, but within the bounds."""
    control = headers.get("cache-control", "").lower()
    age = _AGE.fullmatch(headers.get("age", ""))
    said = SHORTEST
    match = _MAX_AGE.search(control)
    if "no-store" in control or "no-cache" in control:
        said = 0.0
    elif match is not None:
        said = float(match[1]) - (float(age[0]) if age else 0.0)
    elif "expires" in headers:
        said = _until(headers["expires"], now)
    return min(max(said, SHORTEST), LONGEST)


def _until(date: str, now: float) -> float:
    try:
        return parsedate_to_datetime(date).timestamp() - now
    except (ValueError, OverflowError):
        return 0.0


def _client(client_id: str, host: str, document: Document) -> Client:
    try:
        return Client(client_id, ClientKind.DOCUMENT, _details(client_id, document), host=host)
    except OAuthError as error:
        raise NoDocument(_WRONG.format(host=host, why=error.description)) from error


def _details(client_id: str, document: Document) -> Details:
    said = _said(document)
    if said.get("client_id") != client_id:
        raise details.bad("its client_id is not its URL.")
    if "client_secret" in said or "client_secret_expires_at" in said:
        raise details.bad("it contains a client secret.")
    details.check_urls(said)
    uris = _redirects(said)
    name = details.name_of(said)
    if not name:
        raise details.bad("it has no client_name.")
    method = details.auth_method(said, _METHODS, "none")
    jwks_url, jwks = details.key_set(said)
    kind = details.application_type(said, uris)
    return Details(name, uris, method, details.grant_types(said), kind, jwks_url, jwks)


def _said(document: Document) -> Json:
    media = document.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media != "application/json" and not (media.startswith("application/") and media.endswith("+json")):
        raise details.bad("it is not served as JSON.")
    return details.json_object(document.body)


def _redirects(said: Json) -> tuple[str, ...]:
    """Those that may be used: what a document lists for servers with other rules does no harm by standing there."""
    apps = said.get("application_type") != "web"
    uris = tuple(uri for uri in details.texts(said, "redirect_uris") if not redirect_fault(uri, private_use=apps))
    if not uris:
        raise details.bad("it has no redirect_uris that may be used.")
    return uris
