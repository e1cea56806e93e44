"""Which addresses an OAuth client may have the user's browser sent back to.

Rule: `https`; `http` on this computer only; the private-use scheme of an app where the client is a native one. Scheme
in lower case, no fragment, no user, no wildcard, and only the characters that RFC 3986 knows, so that no two parsers
see different places.
Source: RFC 6749 section 3.1.2, RFC 8252 sections 7.1 to 7.3, OAuth 2.1 section 2.3.1.
"""

import re
from typing import Final

from mcp_hub.wire.origin import Origin

MOST_URIS: Final = 10
LONGEST_URI: Final = 2048
APPS: Final = frozenset({"claude", "cursor", "raycast", "vscode", "vscode-insiders", "warp", "windsurf", "zed"})
"""Schemes of well-known apps, which are not the reversed domain that RFC 8252 section 7.1 wants."""
LOOPBACK: Final = re.compile(
    r"(?P<host>http://(?:127\.0\.0\.1|\[::1\]|localhost))(?::(?P<port>[1-9][0-9]{0,4}))?(?P<rest>(?:[/?].*)?)",
    re.DOTALL,
)
"""`http` to this computer, in the three ways in which it can be written."""

_CHARACTERS: Final = re.compile(r"[!$&-;=?-Z_a-z~%\[\]@]+")
_SCHEME: Final = re.compile(r"([a-z][a-z0-9+.-]*):")
_REVERSE_DOMAIN: Final = re.compile(r"[a-z][a-z0-9+-]*(?:\.[a-z0-9+-]+)+")
_MOST_PORT: Final = 65_535


def redirect_fault(uri: str, *, private_use: bool) -> str:
    """Why a client may not be sent back to `uri`: words that go on "the redirect URI …", empty if it may.

    `private_use`: whether the schemes of apps, such as `com.example.app`, are taken. The words never repeat the URI.
    """
    if len(uri) > LONGEST_URI:
        return f"is longer than {LONGEST_URI} characters"
    if "#" in uri:
        return "must not have a fragment (#…)"
    if not _CHARACTERS.fullmatch(uri):
        return "holds a character that does not belong into a URL"
    if "*" in uri:
        return "must not have a wildcard (*)"
    scheme = scheme_of(uri)
    if scheme in ("http", "https"):
        return _web_fault(uri, scheme)
    if private_use and (scheme in APPS or _REVERSE_DOMAIN.fullmatch(scheme)) and len(uri) > len(scheme) + 1:
        return ""
    return "must start with https://" + (", or with a scheme such as com.example.app:" if private_use else "")


def scheme_of(uri: str) -> str:
    """The scheme of an absolute URI; empty if it has none that is written in lower case."""
    match = _SCHEME.match(uri)
    return match[1] if match else ""


def is_loopback_uri(uri: str) -> bool:
    """Whether a redirect URI leads to this computer: any program on it may be listening there."""
    match = LOOPBACK.fullmatch(uri)
    return match is not None and int(match["port"] or 1) <= _MOST_PORT


def _web_fault(uri: str, scheme: str) -> str:
    authority = re.split(r"[/?]", uri.removeprefix(f"{scheme}://"), maxsplit=1)[0]
    if "@" in authority:
        return "must not have a user name or password"
    try:
        Origin.from_url(uri)
    except ValueError:
        return "has a host or a port that cannot be read"
    if not uri.startswith(f"{scheme}://") or "%" in authority:
        return "has a host or a port that cannot be read"
    if scheme == "http" and not is_loopback_uri(uri):
        return "must start with https://, except on this computer (localhost, 127.0.0.1 or [::1])"
    return ""
