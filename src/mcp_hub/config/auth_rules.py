"""What is wrong, or without effect, in what is said about credentials for upstreams. See `rules`."""

from collections.abc import Iterator
from typing import Final

from mcp_hub.config.addresses import split_url
from mcp_hub.config.findings import Finding, Path, Rule
from mcp_hub.config.model import (
    ApiKey,
    Auth,
    ClientCredentials,
    Config,
    NoAuth,
    OAuth,
    OwnHeader,
    SharedHeader,
    Upstream,
)
from mcp_hub.config.places import is_kept
from mcp_hub.config.reach import judge_address

_ADDRESSES: Final = ("issuer", "authorization_url", "token_url", "revocation_url")
_HEADER: Final = "Authorization"


def header_of(auth: Auth | None) -> str:
    """The header in which it sends a credential; empty if it sends none."""
    match auth:
        case OwnHeader() | SharedHeader():
            return auth.name
        case ApiKey() | OAuth() | ClientCredentials():
            return _HEADER
        case _:
            return ""


def _two_credentials(config: Config) -> Iterator[Finding]:
    for name, upstream in config.upstreams.items():
        if isinstance(upstream.auth, OAuth):
            continue  # no header at all goes with it: said below
        decided = _HEADER if isinstance(upstream.auth, NoAuth) else header_of(upstream.auth)
        for header in upstream.headers:
            if header.lower() == decided.lower():
                path: Path = ("upstreams", name, "headers", header)
                said = f"'auth' already decides what is sent as {decided}"
                yield Finding(path, said, "keep one of the two", (("upstreams", name, "auth"),), at_key=True)


def _headers_and_oauth(config: Config) -> Iterator[Finding]:
    for name, upstream in config.upstreams.items():
        if upstream.headers and isinstance(upstream.auth, OAuth):
            path: Path = ("upstreams", name, "headers")
            said = "a credential given here is sent for all callers alike, and turns off the OAuth that 'auth' asks for"
            hint = "remove 'headers', so that each caller signs in, or 'auth', so that all share these"
            yield Finding(path, said, hint, (("upstreams", name, "auth"),), at_key=True)


def _of_a_command(config: Config) -> Iterator[Finding]:
    for name, upstream in config.upstreams.items():
        at: Path = ("upstreams", name)
        said = {"headers": bool(upstream.headers), "auth": bool(header_of(upstream.auth))}
        for key in (key for key, is_said in said.items() if upstream.command and is_said):
            message = "has no effect on a command, which takes its credentials from its environment"
            yield Finding((*at, key), message, "set them in 'env'", ((*at, "command"),), at_key=True)


def _asked_addresses(config: Config) -> Iterator[Finding]:
    for name, upstream in config.upstreams.items():
        if not isinstance(upstream.auth, OAuth | ClientCredentials):
            continue
        for key in _ADDRESSES:
            url = split_url(getattr(upstream.auth, key, None) or "")
            if url is None:
                continue
            message, hint = judge_address(url.scheme, url.host or "", config.network.allow_private)
            if message:
                yield Finding(("upstreams", name, "auth", key), message, hint, needs=(("network",),))


def _no_page(config: Config) -> Iterator[Finding]:
    for name, upstream in config.upstreams.items():
        path: Path = ("upstreams", name, "auth")
        if config.login.type == "jwt" and on_page(upstream):
            message = "nobody could connect: with login jwt the hub has no page on which somebody is signed in"
            hint = "use 'login: {type: oidc, …}', or let clients send theirs: {type: header, name: …, from: …}"
            yield Finding(path, message, hint, needs=(("login",),))


def _nobody_to_name(config: Config) -> Iterator[Finding]:
    for name, upstream in config.upstreams.items():
        path: Path = ("upstreams", name, "auth", "claim")
        if config.login.type == "none" and _claim(upstream):
            message = "with login none nobody signs in, so there is nothing to say of the caller"
            hint = "set up 'login', or use 'value', or 'from' for what clients send themselves"
            yield Finding(path, message, hint, needs=(("login",),), at_key=True)


def _headers_decide(config: Config) -> Iterator[Finding]:
    for name, upstream in config.upstreams.items():
        path: Path = ("upstreams", name, "headers")
        if upstream.headers and upstream.auth is None and not upstream.command:
            message = "sent for all callers alike; with a credential given here, no sign-in (OAuth) is looked for"
            yield Finding(path, message, at_key=True)
        elif upstream.headers and isinstance(upstream.auth, NoAuth):
            message = "sent although 'auth' is none, which has no effect on headers"
            yield Finding(path, message, "remove 'auth: none', or the headers", at_key=True)


def _document_of_a_known_client(config: Config) -> Iterator[Finding]:
    for name, upstream in config.upstreams.items():
        auth = upstream.auth
        if isinstance(auth, OAuth) and auth.client_id is not None and auth.document_url is not None:
            path: Path = ("upstreams", name, "auth", "document_url")
            message = "has no effect: 'client_id' already says as what the hub is known there"
            yield Finding(
                path, message, "keep one of the two", (("upstreams", name, "auth", "client_id"),), at_key=True
            )


def _groups_of_nobody(config: Config) -> Iterator[Finding]:
    for name, upstream in config.upstreams.items():
        if config.login.type == "local" and _claim(upstream) == "groups":
            path: Path = ("upstreams", name, "auth", "claim")
            message = "accounts of the hub itself have no groups, so nobody can use this upstream"
            yield Finding(path, message, "'oidc' and 'jwt' logins have them", needs=(("login",),))


def _connections_of_a_moment(config: Config) -> Iterator[Finding]:
    if is_kept(config.store):
        return
    for name, upstream in config.upstreams.items():
        if on_page(upstream):
            path: Path = ("upstreams", name, "auth")
            message = "what users connect ends with the hub, since its store is in memory"
            yield Finding(path, message, "set store.url", needs=(("store", "url"),), at_key=True)


def on_page(upstream: Upstream) -> bool:
    """Whether its users connect on a page of the hub, because the configuration says so."""
    auth = upstream.auth
    return isinstance(auth, OAuth) or (isinstance(auth, OwnHeader) and auth.source == "pasted")


def _claim(upstream: Upstream) -> str:
    auth = upstream.auth
    return auth.word if isinstance(auth, OwnHeader) and auth.source == "claim" else ""


PROBLEMS: Final[tuple[Rule, ...]] = (
    _two_credentials,
    _headers_and_oauth,
    _of_a_command,
    _asked_addresses,
    _no_page,
    _nobody_to_name,
)

WARNINGS: Final[tuple[Rule, ...]] = (
    _headers_decide,
    _document_of_a_known_client,
    _groups_of_nobody,
    _connections_of_a_moment,
)
