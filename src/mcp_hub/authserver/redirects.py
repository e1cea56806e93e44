"""Where users may be sent back to.

Rule: a redirect URI is a literal string. It is compared as one, with the port of `http` loopback URIs as the only
freedom. Nothing here is repaired or normalised. Which ones may be registered is in `wire.redirects`.
Sources: RFC 6749 section 3.1.2, RFC 8252 section 7.3, RFC 9700 section 4.1.
"""

from collections.abc import Iterable
from urllib.parse import quote, unquote

from mcp_hub.wire.origin import Origin
from mcp_hub.wire.redirects import LOOPBACK, is_loopback_uri, scheme_of


def is_local(uri: str) -> bool:
    """Whether it stays on the user's computer: loopback, or the scheme of an app."""
    return is_loopback_uri(uri) or not is_web(uri)


def is_web(uri: str) -> bool:
    """Whether a browser goes there itself."""
    return scheme_of(uri) in ("http", "https")


def _without_port(uri: str) -> str | None:
    match = LOOPBACK.fullmatch(uri)
    return f"{match['host']}{match['rest']}" if match is not None and is_loopback_uri(uri) else None


def matches(registered: Iterable[str], asked: str) -> bool:
    """Whether `asked` is one of the registered ones: the same string, or for loopback the same but for the port."""
    known = tuple(registered)
    if asked in known:
        return True
    bare = _without_port(asked)
    return bare is not None and any(bare == _without_port(each) for each in known)


def shown_host(uri: str) -> str:
    """What a person is told about where it leads: a host with its port, or the scheme of an app with its colon."""
    if not is_web(uri):
        return f"{scheme_of(uri)}:"
    return Origin.from_url(uri).authority.decode()


def with_answer(uri: str, answer: Iterable[tuple[str, str]]) -> str:
    """The URI with the members of an answer in its query; members of those names that it had are gone."""
    added = list(answer)
    own = {"code", "error", "error_description", "error_uri", "iss", "state", *(name for name, _ in added)}
    before, mark, query = uri.partition("?")
    kept = [part for part in query.split("&") if mark and part and _name(part) not in own]
    return f"{before}?{'&'.join([*kept, *(f'{_quoted(name)}={_quoted(value)}' for name, value in added)])}"


def _name(part: str) -> str:
    return unquote(part.partition("=")[0].replace("+", " "))


def _quoted(text: str) -> str:
    return quote(text, safe="")
