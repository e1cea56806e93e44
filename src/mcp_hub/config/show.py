"""A configuration as people may see it: every value, and where it was said.

Rule: a secret shows as `***`; of a URL that may hold one, only what cannot be secret shows.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from ipaddress import IPv4Network, IPv6Network
from typing import Any, Final, cast

from mcp_hub.config.addresses import split_url
from mcp_hub.config.document import dotted
from mcp_hub.config.fields import duration_text, size_text
from mcp_hub.config.model import (
    ApiKey,
    Client,
    ClientCredentials,
    Config,
    DeclaredUser,
    Issuer,
    Login,
    NoAuth,
    OAuth,
    Origin,
    OwnHeader,
    Provider,
    SharedHeader,
    Upstream,
)
from mcp_hub.secret import Secret

DURATIONS: Final = frozenset(
    {"timeout", "list_timeout", "catalog_ttl", "session_idle"}
    | {"access_token", "refresh_token_idle", "refresh_token", "browser_idle", "browser"}
)
SIZES: Final = frozenset({"max_request", "max_result", "max_event"})
_INHERITED: Final = frozenset({"timeout", "catalog_ttl", "max_result"})
_PARTS: Final = ("version", "server", "login", "clients", "users", "store", "network", "defaults", "upstreams")
_GIVEN_OUT: Final = frozenset({"registration", "client_documents", "lifetimes"})
_TYPES: Final = {
    NoAuth: "none",
    ApiKey: "api_key",
    SharedHeader: "header",
    OwnHeader: "header",
    OAuth: "oauth",
    ClientCredentials: "client_credentials",
}
"""As what each kind of credential stands in the file."""
_URLS: Final = frozenset({"url", "public_url", "authorization_url", "token_url", "revocation_url", "document_url"})
_MASK: Final = "***"

Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Shown:
    """One value as it is written in the file, or `***`, and where it comes from."""

    path: str
    value: Any
    origin: str


def effective(config: Config) -> list[Shown]:
    """Every value of a configuration, in the order of the file's form; upstreams as they were declared."""
    return [found for name in _PARTS for found in _walk(config, (name,), getattr(config, name))]


def shown_url(config: Config, upstream: str) -> str:
    """The URL of a declared upstream, without what may be a secret in it; empty if it has none."""
    url = config.upstreams[upstream].url
    return "" if url is None else str(_written(config, ("upstreams", upstream, "url"), url))


def _walk(config: Config, path: Path, value: Any) -> Iterator[Shown]:
    if type(value) in _TYPES:
        yield Shown(dotted((*path, "type")), _TYPES[type(value)], _origin(config, path))
    if isinstance(value, Mapping) and value:
        for key, inner in cast("Mapping[str, Any]", value).items():
            yield from _walk(config, (*path, key), inner)
    elif is_dataclass(cast("object", value)):
        for name, inner in _members(value):
            yield from _walk(config, path if isinstance(inner, Provider | Issuer) else (*path, name), inner)
    else:
        yield Shown(dotted(path), _written(config, path, value), _origin(config, path))


def _members(value: Any) -> list[tuple[str, Any]]:
    if isinstance(value, OwnHeader):
        return [("name", value.name), ("scheme", value.scheme), _source(value)]
    members = [(field.name, getattr(value, field.name)) for field in fields(value)]
    return [(name, inner) for name, inner in members if not _is_added(value, name, inner)]


def _source(own: OwnHeader) -> tuple[str, Any]:
    match own.source:
        case "brought":
            return "from", own.word
        case "claim":
            return "claim", own.word
        case "pasted":
            return "per_user", True


def _is_added(value: Any, name: str, inner: Any) -> bool:
    """Whether the file could not say it: its loader adds it, or it belongs to another type of login."""
    match value:
        case Upstream():
            return name in {"name", "source"}
        case Client():
            return name == "name"
        case DeclaredUser():
            return name == "email"
        case Login(type=kind):
            return (name in _GIVEN_OUT and kind in {"none", "jwt"}) or (name in {"provider", "external"} and not inner)
        case _:
            return False


def _origin(config: Config, path: Path) -> str:
    said = _said(config, path)
    if said is not None:
        place = f"{config.source}, line {said.line}"
        names = " and ".join(said.variables)
        return f"environment variable {names} ({place})" if names else place
    inherited = path[0] == "upstreams" and path[-1] in _INHERITED
    return "as in defaults" if inherited else "default"


def _said(config: Config, path: Path) -> Origin | None:
    # A type in its short form (`login: none`) was said where its mapping would stand.
    return config.origins.get(path[:-1] if path[-1] == "type" and path not in config.origins else path)


def _written(config: Config, path: Path, value: Any) -> Any:
    key = path[-1]
    match value:
        case Secret():
            return _MASK
        case str():
            return _text(value, path, from_variable=_is_from_variable(config, path))
        case float() | int() if key in DURATIONS or key in SIZES:
            return duration_text(value) if key in DURATIONS else size_text(int(value))
        case IPv4Network() | IPv6Network():
            return str(value)
        case None | () if key == "client_documents":
            return "any" if value is None else "none"
        case tuple():
            write = _word if key == "command" else _item
            return [write(config, (*path, n), item) for n, item in enumerate(cast("tuple[Any, ...]", value))]
        case _:
            return _plain(value)


def _is_from_variable(config: Config, path: Path) -> bool:
    said = _said(config, path)
    return bool(said and said.variables)


def _text(text: str, path: Path, *, from_variable: bool) -> Any:
    if path[-1] in _URLS:
        return _address(text, from_variable=from_variable)
    if "extra_params" in path and from_variable:
        return _MASK
    return False if path[-1] == "resource" and not text else text


def _plain(value: Any) -> Any:
    if isinstance(value, frozenset):
        return sorted(cast("frozenset[str]", value))
    return {} if isinstance(value, Mapping) else value


def _item(config: Config, path: Path, item: Any) -> Any:
    return _written(config, path[:-1], item)


def _word(config: Config, path: Path, word: Secret) -> str:
    """A word of a command, unless it came from a variable."""
    said = _said(config, path)
    return _MASK if said is None or said.variables else word.open()


def _address(raw: str, *, from_variable: bool) -> str:
    """Scheme and host always; path only if it stands in the file itself; a query never."""
    url = split_url(raw)
    if url is None:
        return _MASK if from_variable else raw
    shown, question, _ = raw.partition("?")
    if from_variable and url.path not in {None, "", "/"}:
        origin = "/".join(raw.split("/")[:3]).partition("?")[0]
        return f"{origin}/{_MASK}"
    return f"{shown}?{_MASK}" if question else shown
