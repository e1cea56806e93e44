"""Which addresses an OAuth client may have the user's browser sent back to.

Rule: `https`; `http` on this computer only; a private-use scheme in reverse-domain form where the client is a native
app. No fragment, no user, no wildcard, and visible ASCII only, so that no two parsers see different places.
Source: RFC 6749 section 3.1.2, RFC 8252 sections 7.1 to 7.3, OAuth 2.1 section 2.3.1.
"""

import re
from typing import Final
from urllib.parse import urlsplit

MOST_URIS: Final = 10
LONGEST_URI: Final = 2048
LOOPBACK_HOSTS: Final = frozenset({"localhost", "127.0.0.1", "::1"})

_VISIBLE: Final = re.compile(r"[\x21-\x7e]+")
_SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):")
_REVERSE_DOMAIN: Final = re.compile(r"[a-z][a-z0-9+-]*(?:\.[a-z0-9+-]+)+")


def redirect_fault(uri: str, *, private_use: bool) -> str:
    """Why a client may not be sent back to `uri`: words that go on "the redirect URI …", empty if it may.

    `private_use`: whether schemes such as `com.example.app` are taken. The words never repeat the URI.
    """
    if len(uri) > LONGEST_URI:
        return f"is longer than {LONGEST_URI} characters"
    if not _VISIBLE.fullmatch(uri) or "\\" in uri:
        return "holds a character that does not belong into a URL"
    if "#" in uri:
        return "must not have a fragment (#…)"
    if "*" in uri:
        return "must not have a wildcard (*)"
    scheme = _SCHEME.match(uri)
    if scheme is None:
        return "must be an absolute URL"
    if scheme[1].lower() in ("http", "https"):
        return _web_fault(uri)
    if private_use and _REVERSE_DOMAIN.fullmatch(scheme[1]) and len(uri) > scheme.end():
        return ""
    return "must start with https://" + (", or with a scheme such as com.example.app:" if private_use else "")


def is_loopback_uri(uri: str) -> bool:
    """Whether a redirect URI without fault leads to this computer: any program on it may be listening there."""
    parts = urlsplit(uri)
    return parts.scheme == "http" and parts.hostname in LOOPBACK_HOSTS


def _web_fault(uri: str) -> str:
    try:
        parts = urlsplit(uri)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return "has a host or a port that cannot be read"
    if not uri[len(parts.scheme) :].startswith("://") or not host or port == 0:
        return "has a host or a port that cannot be read"
    if "@" in parts.netloc:
        return "must not have a user name or password"
    if parts.scheme == "http" and host not in LOOPBACK_HOSTS:
        return "must start with https://, except on this computer (localhost, 127.0.0.1 or [::1])"
    return ""
