"""How addresses are read: URLs, hosts, ranges.

Rule: this is advice to the operator, given early; what an upstream's name really resolves to is judged where the
connection is made.
"""

import ipaddress
import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from pydantic_core import Url

from mcp_hub.config.fields import CONTROL, VARIABLE, Json, Reader, wrong
from mcp_hub.wire.origin import Origin

IPNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network

_KEY_SOURCES: Final = ("auto", "env", "keyring")
_HOST: Final = re.compile(r"(?:[A-Za-z0-9_.-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?")


@dataclass(frozen=True, slots=True)
class Range(Reader):
    """A range of addresses."""

    takes = "a range such as 10.20.0.0/16, or one address"

    def read(self, raw: str) -> IPNetwork:
        try:
            network = ipaddress.ip_network(raw, strict=False)
        except ValueError:
            raise wrong(f"must be {self.words}") from None
        if "/" in raw and str(network.network_address) != str(ipaddress.ip_interface(raw).ip):
            raise wrong("an address inside a range is not the range", f"did you mean {network}?")
        return network

    def schema(self) -> Json:
        return {"type": "string"}


@dataclass(frozen=True, slots=True)
class Address(Reader):
    """An http or https URL without user, password and fragment; kept as it is written."""

    takes = "a URL such as https://example.com/mcp"
    query: bool = True

    def read(self, raw: str) -> str | None:
        if not raw:
            return None
        url = split_url(raw)
        if url is None:
            raise wrong(f"must be {self.words}", "" if "://" in raw else "start it with https://")
        if url.username is not None or url.password is not None:
            raise wrong("holds a user name or password", "take it out of the URL and send it in 'headers'")
        if "#" in raw:
            raise wrong("ends in a fragment (#…), which is never sent", "remove it")
        if not self.query and "?" in raw:
            raise wrong("must not hold a query (?…)")
        return raw

    def schema(self) -> Json:
        return {"anyOf": [{"type": "string", "pattern": "^https?://"}, VARIABLE]}


@dataclass(frozen=True, slots=True)
class StoreUrl(Reader):
    """Where the store is."""

    takes = "sqlite:///PATH"

    def read(self, raw: str) -> str:
        if raw.startswith(("postgresql:", "postgres:")):
            raise wrong("PostgreSQL is not supported yet", "leave it out, or write sqlite:///PATH")
        if not raw.startswith("sqlite:///") or len(raw) == len("sqlite:///") or CONTROL.search(raw):
            raise wrong("must be sqlite:///PATH", "an absolute path has four slashes: sqlite:////var/lib/hub.db")
        return raw

    def schema(self) -> Json:
        return {"anyOf": [{"type": "string", "pattern": "^sqlite:///."}, VARIABLE]}


@dataclass(frozen=True, slots=True)
class KeySource(Reader):
    """Where the master key comes from."""

    takes = "auto, env, keyring or file:PATH"

    def read(self, raw: str) -> str:
        is_file = raw.startswith("file:") and len(raw) > len("file:") and not CONTROL.search(raw)
        if raw not in _KEY_SOURCES and not is_file:
            # Somebody may have put the key itself here, so nothing of it is said again.
            raise wrong(f"must be {self.words}", "the key itself never stands here: mcp-hub key generate")
        return raw

    def schema(self) -> Json:
        return {"anyOf": [{"enum": list(_KEY_SOURCES)}, {"type": "string", "pattern": "^file:."}, VARIABLE]}


@dataclass(frozen=True, slots=True)
class Host(Reader):
    """A host name or address, perhaps with a port, as it stands in a `Host` header."""

    takes = "a host name or address"

    def read(self, raw: str) -> str:
        if not _HOST.fullmatch(raw):
            raise wrong(f"must be {self.words}, without https:// and without a path")
        return raw

    def schema(self) -> Json:
        return {"type": "string"}


@dataclass(frozen=True, slots=True)
class Bind(Reader):
    """An address to listen on."""

    takes = "an address to listen on"

    def read(self, raw: str) -> str:
        if raw == "localhost":
            return raw
        try:
            return str(ipaddress.ip_address(raw))
        except ValueError:
            raise wrong("must be an IP address or localhost") from None

    def schema(self) -> Json:
        return {"type": "string"}


def split_url(raw: str) -> Url | None:
    """The parts of an absolute http or https URL, or `None`.

    Only visible ASCII is taken and no backslash, since parsers disagree about everything else; the host comes out in
    its usual spelling, so that `http://0x7f.1/` is seen to be 127.0.0.1.
    """
    if not re.fullmatch(r"https?://[^/?#\\][\x21-\x5b\x5d-\x7e]*", raw, re.IGNORECASE) or not raw.isascii():
        return None
    try:
        # A connection reads hosts and ports more strictly than the parser of URLs does.
        parts = urlsplit(raw)
        Origin(parts.scheme, parts.hostname or "", 443 if parts.port is None else parts.port)
        return Url(raw)
    except ValueError:
        return None
