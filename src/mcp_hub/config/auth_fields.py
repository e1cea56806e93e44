"""How the values are read that say with which credential an upstream is called."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import parse_qsl, urlsplit

from mcp_hub.config.addresses import Address, split_url
from mcp_hub.config.fields import CONTROL, VARIABLE, Json, Reader, wrong
from mcp_hub.config.headers import TOKEN, HeaderName
from mcp_hub.secret import Secret

FILE: Final = "file:"
"""What stands before the path of a file that holds the value."""

_LARGEST_KEY: Final = 65_536
_PEM: Final = re.compile(r"-----BEGIN ([A-Z0-9 ]{1,40})-----\s[A-Za-z0-9+/=:,\s-]+-----END \1-----\s*")
_SET_BY_OTHERS: Final = re.compile(r"origin|referer|sec-.*|accept-.*|via|x-real-ip|set-cookie", re.IGNORECASE)
# RFC 3986 section 3.1, in the characters of section 2; RFC 8707 section 2: without a fragment.
_URI: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[!$-;=?-Z_a-z~\[\]]+")
_PROTOCOL: Final = frozenset(
    {"client_id", "client_secret", "redirect_uri", "response_type", "response_mode", "scope", "state", "resource"}
    | {"code_challenge", "code_challenge_method", "code", "code_verifier", "grant_type", "iss", "request"}
    | {"request_uri", "client_assertion", "client_assertion_type", "dpop_jkt"}
)
"""What the flow itself sends, and what would change how its answer is read."""


@dataclass(frozen=True, slots=True)
class OwnHeaderName(HeaderName):
    """The name of a header whose value may be the caller's own."""

    def read(self, raw: str) -> str:
        name = HeaderName.read(self, raw)
        if _SET_BY_OTHERS.fullmatch(name):
            raise wrong("this header belongs to browsers and proxies, and holds no credential")
        return name


@dataclass(frozen=True, slots=True)
class BroughtName(Reader):
    """The name of a header of the caller's request, in lower case."""

    takes = "a header name"

    def read(self, raw: str) -> str:
        if raw.lower() == "authorization":
            message = "this header is what the caller signs in to the hub with, and never leaves it"
            raise wrong(message, "have clients send theirs in a header of its own, as in  from: X-Billing-Token")
        return OwnHeaderName().read(raw).lower()

    def schema(self) -> Json:
        return OwnHeaderName().schema()


@dataclass(frozen=True, slots=True)
class Scheme(Reader):
    """What stands before a credential in a header."""

    takes = "a word such as Bearer"

    def read(self, raw: str) -> str:
        if not TOKEN.fullmatch(raw):
            raise wrong("must be one word, as in Bearer", "a space is put between it and the value")
        return raw

    def schema(self) -> Json:
        return {"anyOf": [{"type": "string", "pattern": rf"^{TOKEN.pattern}$"}, VARIABLE]}


@dataclass(frozen=True, slots=True)
class Chosen(Reader):
    """`true`: what is not chosen is left out."""

    takes = "true"

    def read(self, raw: str) -> bool:
        if raw != "true":
            raise wrong("must be true, or left out")
        return True

    def schema(self) -> Json:
        return {"anyOf": [{"const": True}, VARIABLE]}


@dataclass(frozen=True, slots=True)
class Parameter(Reader):
    """The name of a further parameter of the authorization request."""

    takes = "the name of a parameter"

    def read(self, raw: str) -> str:
        if not re.fullmatch(r"[A-Za-z0-9_.~-]{1,64}", raw):
            raise wrong("must be 1 to 64 letters, digits, _, ., ~ or -")
        if raw.lower() in _PROTOCOL:
            raise wrong("this parameter belongs to the protocol; the hub sets it itself")
        return raw

    def schema(self) -> Json:
        return {"type": "string", "pattern": "^[A-Za-z0-9_.~-]{1,64}$"}


@dataclass(frozen=True, slots=True)
class SignInPage(Address):
    """The address on which users sign in; its query stays, and says nothing that is the flow's to say."""

    takes = "a URL such as https://id.example.com/authorize"

    def read(self, raw: str) -> str | None:
        read = Address.read(self, raw)
        names = {name.lower() for name, _ in parse_qsl(urlsplit(raw).query, keep_blank_values=True)}
        if names & _PROTOCOL:
            raise wrong("holds a parameter that belongs to the protocol; the hub sets it itself", "remove it")
        return read


@dataclass(frozen=True, slots=True)
class Resource(Reader):
    """What is sent as `resource` (RFC 8707); empty for nothing at all."""

    takes = "a URI such as https://docs.example.com/mcp, or false"

    def read(self, raw: str) -> str:
        if raw == "false":
            return ""
        if not _URI.fullmatch(raw):
            raise wrong("must be an absolute URI without a fragment (#…), or false")
        return raw

    def schema(self) -> Json:
        return {"anyOf": [{"const": False}, {"type": "string", "pattern": ":."}, VARIABLE]}


@dataclass(frozen=True, slots=True)
class DocumentUrl(Address):
    """The URL of a client document. (draft-ietf-oauth-client-id-metadata-document-00 section 3)."""

    query: bool = False
    takes = "a URL such as https://hub.example.com/client.json"

    def read(self, raw: str) -> str | None:
        read = Address.read(self, raw)
        url = split_url(raw)
        if url is not None and (url.scheme != "https" or not (url.path or "").strip("/")):
            raise wrong("must start with https:// and have a path", "it is the hub's name at authorization servers")
        if re.search(r"/(\.|%2e){1,2}(/|$)", raw, re.IGNORECASE):
            raise wrong("must not hold the parts . and ..")
        return read


@dataclass(frozen=True, slots=True)
class PrivateKey(Reader):
    """A private key in PEM, as it stands here or in a file: wrapped where it is read, and never shown."""

    takes = "a private key in PEM, or file:PATH"

    def read(self, raw: str) -> Secret:
        pem = _content(raw.removeprefix(FILE)) if raw.startswith(FILE) else raw
        found = _PEM.fullmatch(pem.strip())
        if found is None:
            raise wrong(f"must be {self.words}", 'as in  private_key: "${BILLING_KEY}"')
        if "ENCRYPTED" in found[1] or "ENCRYPTED" in pem:
            raise wrong("this key is locked with a passphrase, which nobody is there to enter", "unlock it first")
        if not found[1].endswith("PRIVATE KEY"):
            raise wrong("this is no private key", "the private one of the pair is what the hub signs with")
        return Secret(pem)

    def schema(self) -> Json:
        return {"type": "string"}


def _content(path: str) -> str:
    if not path or "\n" in path or CONTROL.search(path):
        raise wrong("names no file", "as in  file:/run/secrets/billing.pem")
    try:
        with Path(path).open("rb") as file:
            return file.read(_LARGEST_KEY).decode("ascii")
    except UnicodeDecodeError:
        raise wrong("the file that is named here holds no key in PEM") from None
    except OSError as error:
        missing = isinstance(error, FileNotFoundError)
        why = "there is no such file" if missing else "the file that is named here could not be read"
        raise wrong(why, "" if missing else "check that this user may read it") from None
