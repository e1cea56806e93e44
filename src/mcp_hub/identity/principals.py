"""From an account to the principal it is when it calls."""

from mcp_hub.principal import Principal
from mcp_hub.store.people import User


def principal_of(user: User, *, client: str = "", scopes: frozenset[str] = frozenset()) -> Principal:
    """Who `user` is when `client` calls for them with a token of these scopes."""
    return Principal(
        issuer=user.issuer,
        subject=user.subject,
        tenant=user.tenant,
        roles=user.roles,
        label=user.email or user.name,
        email=user.email,
        groups=user.groups,
        client=client,
        scopes=scopes,
    )
