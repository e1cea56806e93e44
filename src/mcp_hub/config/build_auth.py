"""From the shape of `auth` to what the rest of the hub reads."""

from typing import Literal, TypeVar

from mcp_hub.config.auth_shape import AuthShape
from mcp_hub.config.model import ApiKey, Auth, ClientCredentials, NoAuth, OAuth, OwnHeader, SharedHeader

T = TypeVar("T")


def auth_of(part: AuthShape | None) -> Auth | None:
    """The credential that `part` describes; nothing is checked any more."""
    if part is None:
        return None
    match part.type:
        case "api_key":
            return ApiKey(_there(part.value))
        case "header":
            return _header(part)
        case "oauth":
            return _oauth(part)
        case "client_credentials":
            return _client_credentials(part)
        case _:
            return NoAuth()


def _header(part: AuthShape) -> SharedHeader | OwnHeader:
    name, scheme = _there(part.name), part.scheme or ""
    if part.value is not None:
        return SharedHeader(name, part.value, scheme)
    return OwnHeader(name, *_source(part), scheme)


def _source(part: AuthShape) -> tuple[Literal["brought", "pasted", "claim"], str]:
    if part.from_ is not None:
        return "brought", part.from_
    return ("pasted", "") if part.claim is None else ("claim", part.claim)


def _oauth(part: AuthShape) -> OAuth:
    return OAuth(
        issuer=part.issuer,
        client_id=part.client_id,
        client_secret=part.client_secret,
        authorization_url=part.authorization_url,
        token_url=part.token_url,
        revocation_url=part.revocation_url,
        scopes=None if part.scopes is None else tuple(part.scopes),
        extra_params=dict(part.extra_params),
        resource=part.resource,
        document_url=part.document_url,
        unadvertised_pkce=part.unadvertised_pkce,
    )


def _client_credentials(part: AuthShape) -> ClientCredentials:
    return ClientCredentials(
        issuer=_there(part.issuer),
        client_id=_there(part.client_id),
        client_secret=part.client_secret,
        private_key=part.private_key,
        token_url=part.token_url,
        scopes=tuple(part.scopes or ()),
        resource=part.resource,
    )


def _there(value: T | None) -> T:
    """What the shape has made sure of.

    Raises:
        ValueError: it has not.
    """
    if value is None:
        raise ValueError("the shape let pass what its type needs")
    return value
