"""Where users may be sent back to.

Rule: a redirect URI is a literal string. It is compared as one, with the port of `http` loopback URIs as the only
freedom, and nothing that could run code or reach a file is ever registered. Nothing here is parsed twice or repaired.
Sources: RFC 6749 section 3.1.2, RFC 8252 sections 7 and 8, RFC 9700 section 4.1.
"""

import re
from collections.abc import Iterable
from typing import Final
from urllib.parse import quote, unquote

from mcp_hub.wire.origin import Origin

MOST_CHARACTERS: Final = 2048
LOOPBACK: Final = ("127.0.0.1", "[::1]", "localhost")

_FIT: Final = re.compile(r"[!$&-;=?-Z_a-z~%\[\]@]+")
"""The characters of RFC 3986, but for `#`: no fragment, no backslash, no quotes, no angle brackets."""
_SCHEME: Final = re.compile(r"([a-z][a-z0-9+.-]*):")
_LOOPBACK: Final = re.compile(
    r"(http://(?:127\.0\.0\.1|\[::1\]|localhost))(?::([1-9][0-9]{0,4}))?((?:[/?].*)?)", re.DOTALL
)
_REVERSE_DOMAIN: Final = re.compile(r"[a-z][a-z0-9-]*(?:\.[a-z0-9-]+)+")
_MOST_PORT: Final = 65_535

APPS: Final = frozenset({"claude", "cursor", "raycast", "vscode", "vscode-insiders", "warp", "windsurf", "zed"})
"""Schemes of well-known apps that are not reversed domain names, as RFC 8252 section 7.1 wants them."""
DANGEROUS: Final = frozenset({"about", "blob", "data", "file", "filesystem", "javascript", "vbscript", "view-source"})
"""Schemes that a browser gives a meaning of its own."""


def problem(uri: str, *, allow_apps: bool = True) -> str | None:
    """Why this may not be registered, as the end of a sentence; `None` if it may.

    `https`, `http` to a loopback host, and (with `allow_apps`) the private-use scheme of an app.
    """
    if not uri or len(uri) > MOST_CHARACTERS:
        return f"has to have between 1 and {MOST_CHARACTERS} characters"
    if not _FIT.fullmatch(uri):
        return "contains a fragment or a character that no URI has"
    if "*" in uri.partition("?")[0]:
        return "contains a wildcard"
    scheme = _scheme(uri)
    if scheme in ("http", "https"):
        return _web_problem(uri, scheme)
    if not allow_apps or scheme in DANGEROUS or not (scheme in APPS or _REVERSE_DOMAIN.fullmatch(scheme)):
        return "has to begin with https://, with http:// and a loopback host, or with the reversed domain of an app"
    return None if len(uri) > len(scheme) + 1 else "names a scheme and nothing else"


def _web_problem(uri: str, scheme: str) -> str | None:
    if not uri.startswith(f"{scheme}://"):
        return "is not an absolute URL"
    authority = re.split(r"[/?]", uri.removeprefix(f"{scheme}://"), maxsplit=1)[0]
    if "%" in authority or "@" in authority:
        return "contains a user name or an escaped host"
    try:
        Origin.from_url(uri)
    except ValueError:
        return "has a host or a port that cannot be read"
    if scheme == "http" and not is_loopback(uri):
        return "uses http with a host other than 127.0.0.1, [::1] and localhost"
    return None


def _scheme(uri: str) -> str:
    match = _SCHEME.match(uri)
    return match[1] if match else ""


def is_loopback(uri: str) -> bool:
    """Whether it is `http` to this computer."""
    return _without_port(uri) is not None


def is_local(uri: str) -> bool:
    """Whether it stays on the user's computer: loopback, or the scheme of an app."""
    return is_loopback(uri) or not is_web(uri)


def is_web(uri: str) -> bool:
    """Whether a browser goes there itself."""
    return _scheme(uri) in ("http", "https")


def _without_port(uri: str) -> str | None:
    match = _LOOPBACK.fullmatch(uri)
    if match is None or int(match[2] or 1) > _MOST_PORT:
        return None
    return f"{match[1]}{match[3]}"


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
        return f"{_scheme(uri)}:"
    return Origin.from_url(uri).authority.decode()


def form_target(uri: str) -> str | None:
    """The origin as `form-action` of a content security policy names it; `None` if that cannot be said there."""
    if not is_web(uri):
        return None
    origin = Origin.from_url(uri)
    return None if ":" in origin.host else str(origin)  # no policy can name an IPv6 address


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
