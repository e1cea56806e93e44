"""Somebody who comes back from the identity provider, and what the hub makes of what it says of them.

Rule: pure. Whoever it is, is said by issuer and subject alone; an address counts only if the provider verified it.
"""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from mcp_hub.audit.clean import one_line
from mcp_hub.config.model import DeclaredUser, Provider
from mcp_hub.identity.refusals import NotSignedIn
from mcp_hub.identity.roles import USER, declared_roles, group_roles
from mcp_hub.principal import DEFAULT_TENANT
from mcp_hub.store.people import User

_LONGEST: Final = 254
"""Characters kept of an address or a name."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """Somebody as the provider says they are, checked; `next_path` is where on the hub they were going."""

    issuer: str
    subject: str
    email: str = ""
    email_verified: bool = False
    name: str = ""
    groups: frozenset[str] = frozenset()
    next_path: str = "/"


class LoginFailed(NotSignedIn):
    """A login at the provider did not end as it should; nobody is signed in. `public` and `reason` as there."""


def require_allowed(arrival: Arrival, provider: Provider) -> None:
    """Return if they may use this hub at all.

    Raises:
        NotSignedIn: they are in none of the groups, or their address is in none of the domains, that may.
    """
    if provider.allowed_groups and not arrival.groups.intersection(provider.allowed_groups):
        raise NotSignedIn("You signed in, but you are in no group that may use this hub.", "no_allowed_group")
    domain = arrival.email.rpartition("@")[2].lower()
    if provider.allowed_domains and not (arrival.email_verified and domain in provider.allowed_domains):
        raise NotSignedIn("You signed in, but people with your address may not use this hub.", "no_allowed_domain")


def newcomer(arrival: Arrival, provider: Provider, declared: Mapping[str, DeclaredUser], at: float) -> User:
    """The account of somebody who arrives for the first time."""
    blank = User(
        id=secrets.token_hex(8),
        tenant=DEFAULT_TENANT,
        issuer=arrival.issuer,
        subject=arrival.subject,
        email="",
        name="",
        roles=frozenset({USER}),
        groups=frozenset(),
        password=None,
        disabled=False,
        created_at=at,
        seen_at=None,
    )
    return as_of(blank, arrival, provider, declared)


def as_of(user: User, arrival: Arrival, provider: Provider, declared: Mapping[str, DeclaredUser]) -> User:
    """The account with what the provider says now: name, address, groups and what follows from them.

    An address that is not verified is shown, gives no role and is told to no upstream. Where neither the file nor a
    group says anything, the role stays as it is.
    """
    said = declared_roles(declared, arrival.email) if arrival.email_verified else None
    roles = said or group_roles(arrival.groups, provider.admin_groups) or user.roles
    email, name = one_line(arrival.email[:_LONGEST]), one_line(arrival.name[:_LONGEST])
    is_verified = bool(email) and arrival.email_verified
    return replace(user, email=email, email_verified=is_verified, name=name, groups=arrival.groups, roles=roles)
