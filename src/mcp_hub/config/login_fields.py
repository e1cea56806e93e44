"""How the values are read that say who may sign in, and which clients may bring them."""

import re
from dataclasses import dataclass
from typing import Any, Final, Literal, cast

from mcp_hub.config.addresses import Address, Host, split_url
from mcp_hub.config.fields import CONTROL, NAME, VARIABLE, Json, Reader, wrong
from mcp_hub.secret import Secret
from mcp_hub.wire.redirects import LONGEST_URI, redirect_fault

# RFC 6749 section 3.3: scope-token = 1*( %x21 / %x23-5B / %x5D-7E )
_SCOPE: Final = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]{1,256}")
_EMAIL: Final = re.compile(r"[^@\s]{1,64}@[^@\s]{1,190}")
_DOMAIN: Final = re.compile(r"(?:[a-z0-9](?:[a-z0-9-]*[a-z0-9])?\.)+[a-z0-9-]{2,}")


@dataclass(frozen=True, slots=True)
class SecretText(Reader):
    """A secret that was given by or to somebody else: wrapped here, where it is read."""

    least: int = 1
    takes = "a secret"

    def read(self, raw: str) -> Secret:
        if not raw:
            raise wrong("must not be empty")
        if CONTROL.search(raw) or "\n" in raw or raw.strip() != raw:
            raise wrong("holds a line break, a control character, or a space at one end", "check where it is set")
        if len(raw) < self.least:
            raise wrong(f"is too easy to guess: at least {self.least} characters", "openssl rand -hex 32  makes one")
        return Secret(raw)

    def schema(self) -> Json:
        return {"type": "string"}


@dataclass(frozen=True, slots=True)
class Scope(Reader):
    """A scope of OAuth."""

    takes = "a scope such as openid"

    def read(self, raw: str) -> str:
        if not _SCOPE.fullmatch(raw):
            raise wrong("must be one scope, without spaces and quotes", "a list holds one scope per item")
        return raw

    def schema(self) -> Json:
        return {"type": "string"}


@dataclass(frozen=True, slots=True)
class Label(Reader):
    """Text that names something somewhere else: a claim, a group, an audience."""

    takes = "text"

    def read(self, raw: str) -> str:
        if not raw or CONTROL.search(raw) or "\n" in raw:
            raise wrong("must be one line of text")
        return raw

    def schema(self) -> Json:
        return {"type": "string"}


@dataclass(frozen=True, slots=True)
class Email(Reader):
    """An address of mail."""

    takes = "an email address"

    def read(self, raw: str) -> str:
        if not _EMAIL.fullmatch(raw) or CONTROL.search(raw):
            raise wrong(f"must be {self.takes}", "as in  ada@example.com: {roles: [admin]}")
        return raw

    def schema(self) -> Json:
        return {"type": "string", "pattern": "@"}


@dataclass(frozen=True, slots=True)
class Domain(Reader):
    """What stands behind the @ of addresses."""

    takes = "a domain such as example.com"

    def read(self, raw: str) -> str:
        lower = raw.lower()
        if not _DOMAIN.fullmatch(lower):
            raise wrong("must be a domain, without @ and without wildcards", "as in  allowed_domains: [example.com]")
        return lower

    def schema(self) -> Json:
        return {"type": "string"}


@dataclass(frozen=True, slots=True)
class ClientName(Reader):
    """The id of a client that the operator registered."""

    takes = "a name of lower-case letters, digits and hyphens"

    def read(self, raw: str) -> str:
        if not NAME.fullmatch(raw):
            raise wrong("must be 1 to 32 lower-case letters, digits and hyphens, starting with a letter")
        return raw

    def schema(self) -> Json:
        return {"type": "string", "pattern": rf"^{NAME.pattern}$"}


@dataclass(frozen=True, slots=True)
class RedirectUri(Reader):
    """Where a client may have a browser sent back to, kept as it is written."""

    takes = "a redirect URI"

    def read(self, raw: str) -> str:
        fault = redirect_fault(raw, private_use=True)
        if fault:
            raise wrong(fault)
        return raw

    def schema(self) -> Json:
        return {"anyOf": [{"type": "string", "maxLength": LONGEST_URI}, VARIABLE]}


@dataclass(frozen=True, slots=True)
class PageOrigin(Reader):
    """The origin of web pages, as browsers write it into `Origin`."""

    takes = "an origin such as https://app.example.com"

    def read(self, raw: str) -> str:
        url = split_url(raw)
        lower = raw.lower()
        if url is None or url.username is not None or url.password is not None:
            raise wrong(f"must be {self.takes}", "" if "://" in raw else "start it with https://")
        if not re.fullmatch(r"https?://[^/?#]+", lower):
            raise wrong("must end with the host, or its port: without a path", "remove the slash and what follows")
        # Browsers leave out the port that belongs to the scheme (RFC 6454 section 6.2).
        return lower.removesuffix(":443" if lower.startswith("https:") else ":80")

    def schema(self) -> Json:
        return {"anyOf": [{"type": "string", "pattern": "^https?://[^/]+$"}, VARIABLE]}


@dataclass(frozen=True, slots=True)
class Documents(Reader):
    """From which hosts client metadata documents are taken."""

    takes = "any, none or a list of hosts"

    def read(self, raw: str) -> Literal["any"] | tuple[str, ...]:
        if raw == "any":
            return "any"
        if raw == "none":
            return ()
        raise wrong(f"must be {self.takes}", "as in  client_documents: [claude.ai, chatgpt.com]")

    def schema(self) -> Json:
        return {"anyOf": [{"enum": ["any", "none"]}, {"type": "array", "items": {"type": "string"}}, VARIABLE]}

    def _read(self, raw: object) -> Any:
        if not isinstance(raw, list):
            return Reader._read(self, raw)  # noqa: SLF001 - the method that is being extended
        return tuple(Host().read(str(item)).lower() for item in cast("list[object]", raw))


@dataclass(frozen=True, slots=True)
class IssuerUrl(Address):
    """An issuer identifier, kept exactly as it is written: it is compared letter by letter."""

    query: bool = False
    takes = "a URL such as https://id.example.com"
