"""What somebody may do: where it is said, and which of it counts.

Rule: pure. What the file says of an address counts most, and only for an address that is theirs beyond doubt.
"""

from collections.abc import Mapping
from typing import Any, Final, cast

from mcp_hub.config.model import DeclaredUser
from mcp_hub.principal import ADMIN

USER: Final = "user"
"""The role of everybody else."""
MOST_GROUPS: Final = 1000
_LONGEST: Final = 255


def roles_from(said: frozenset[str]) -> frozenset[str]:
    """The one role that follows from what was said: `admin`, else `user`."""
    return frozenset({ADMIN if ADMIN in said else USER})


def declared_roles(declared: Mapping[str, DeclaredUser], email: str) -> frozenset[str] | None:
    """What the file says of this address, without regard to case; `None` if it says nothing."""
    found = next((each for each in declared.values() if email and each.email.lower() == email.lower()), None)
    return None if found is None else roles_from(found.roles)


def group_roles(groups: frozenset[str], admin_groups: tuple[str, ...]) -> frozenset[str] | None:
    """What follows from groups; `None` where no group makes anybody an admin."""
    if not admin_groups:
        return None
    return frozenset({ADMIN if groups.intersection(admin_groups) else USER})


def groups_of(claims: Mapping[str, Any], name: str) -> frozenset[str]:
    """The groups that a claim of this name holds; where there is none, dots in the name lead into objects."""
    found: Any = claims.get(name)
    if found is None:
        found = claims
        for part in name.split("."):
            found = cast("Mapping[str, Any]", found).get(part) if isinstance(found, dict) else None
    several = cast("list[object]", found) if isinstance(found, list) else [found]
    return frozenset(each for each in several[:MOST_GROUPS] if isinstance(each, str) and 0 < len(each) <= _LONGEST)
