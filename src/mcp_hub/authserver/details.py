"""What a client says of itself, checked field by field; for clients that register and for those with a document.

Rule: a field that the hub uses has the right type and an allowed value, or the whole is refused; what it does not use
is ignored. Sources: RFC 7591 sections 2 and 3.2.2, OpenID Connect Registration 1.0 section 2.
"""

import re
from collections.abc import Collection
from typing import Any, Final, cast

import msgspec

from mcp_hub.authserver.clients import CODE_GRANT, GRANTS, ApplicationType, AuthMethod
from mcp_hub.authserver.errors import OAuthError
from mcp_hub.authserver.redirects import is_local
from mcp_hub.catalog.text import label
from mcp_hub.wire.jsonrpc import Json
from mcp_hub.wire.origin import Origin

LONGEST_NAME: Final = 100
"""Characters of a name that are shown."""
LONGEST_URL: Final = 2048
MOST_KEYS: Final = 10

_URLS: Final = ("client_uri", "logo_uri", "tos_uri", "policy_uri", "jwks_uri")
_PUBLIC_KEYS: Final = frozenset({"RSA", "EC", "OKP"})
_PRIVATE: Final = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})
_PRINTABLE: Final = re.compile(r"[!-~]+")
_decoder: Final = msgspec.json.Decoder()


def bad(sentence: str) -> OAuthError:
    """The error that says that a field is not as it has to be."""
    return OAuthError("invalid_client_metadata", sentence)


def json_object(body: bytes) -> Json:
    """The JSON object that the bytes are; members that are `null` or empty texts count as absent.

    Raises:
        OAuthError: they are something else.
    """
    try:
        said = _decoder.decode(body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise bad("This is not JSON.") from error
    if not isinstance(said, dict):
        raise bad("This is not a JSON object.")
    return {name: value for name, value in cast("Json", said).items() if value is not None and value != ""}


def name_of(said: Json) -> str:
    """`client_name` on one line, without what cannot be seen; empty if there is none."""
    name = said.get("client_name", "")
    if not isinstance(name, str):
        raise bad("client_name has to be a text.")
    return label(name, 4 * LONGEST_NAME)[:LONGEST_NAME]


def texts(said: Json, field: str) -> tuple[str, ...]:
    """A list of texts, empty if there is none."""
    values = said.get(field, [])
    if not isinstance(values, list) or not all(isinstance(each, str) for each in cast("list[Any]", values)):
        raise bad(f"{field} has to be a list of texts.")
    return tuple(cast("list[str]", values))


def application_type(said: Json, uris: Collection[str]) -> ApplicationType:
    """What it says, or what its redirects say if it does not."""
    said_type = said.get("application_type", "native" if any(map(is_local, uris)) else "web")
    if said_type not in ("native", "web"):
        raise bad("application_type has to be native or web.")
    return said_type


def grant_types(said: Json) -> tuple[str, ...]:
    """Those of the asked for that the hub gives to clients it does not know beforehand; RFC 7591: if none is named,
    `authorization_code`.
    """
    asked = texts(said, "grant_types") or (CODE_GRANT,)
    if CODE_GRANT not in asked:
        raise bad("grant_types has to contain authorization_code.")
    if "code" not in (texts(said, "response_types") or ("code",)):
        raise bad("response_types has to contain code.")
    return tuple(grant for grant in GRANTS if grant in asked)


def auth_method(said: Json, allowed: Collection[AuthMethod], default: AuthMethod) -> AuthMethod:
    """`token_endpoint_auth_method`, with the keys that it needs."""
    method = said.get("token_endpoint_auth_method", default)
    if method not in allowed:
        raise bad(f"token_endpoint_auth_method has to be one of {', '.join(allowed)}.")
    if method == "private_key_jwt" and "jwks" not in said and "jwks_uri" not in said:
        raise bad("private_key_jwt needs jwks_uri or jwks.")
    return method


def check_urls(said: Json) -> None:
    """Every URL is an https one."""
    for field in _URLS:
        if field in said and not _is_https(said[field]):
            raise bad(f"{field} has to be an https URL of at most {LONGEST_URL} characters.")


def _is_https(url: object) -> bool:
    if not isinstance(url, str) or len(url) > LONGEST_URL or not _PRINTABLE.fullmatch(url):
        return False
    try:
        return Origin.from_url(url.partition("#")[0]).scheme == "https"
    except ValueError:
        return False


def key_set(said: Json) -> tuple[str | None, Json | None]:
    """`jwks_uri` and `jwks`, of which there may be one."""
    url, keys = said.get("jwks_uri"), said.get("jwks")
    if keys is None:
        return url, None
    if url is not None:
        raise bad("There is jwks_uri or jwks, not both.")
    if not _is_public_key_set(keys):
        raise bad(f"jwks has to be a set of 1 to {MOST_KEYS} public keys.")
    return None, keys


def _is_public_key_set(keys: object) -> bool:
    listed: object = cast("Json", keys).get("keys") if isinstance(keys, dict) else None
    if not isinstance(listed, list):
        return False
    each = cast("list[object]", listed)
    return 0 < len(each) <= MOST_KEYS and all(map(_is_public_key, each))


def _is_public_key(key: object) -> bool:
    if not isinstance(key, dict):
        return False
    members = cast("Json", key)
    kty = members.get("kty")
    return isinstance(kty, str) and kty in _PUBLIC_KEYS and _PRIVATE.isdisjoint(members)
