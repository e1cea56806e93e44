"""Who calls. Rule: everything kept for a caller is kept under `Principal.key`, so isolation is in the key."""

from dataclasses import dataclass, field
from typing import Final

from mcp_hub.secret import Secret

DEFAULT_TENANT: Final = "default"
ADMIN: Final = "admin"
"""The role of those who may change what all share."""
LOCAL_ISSUER: Final = "local"
"""The issuer of accounts that the hub keeps itself."""


@dataclass(frozen=True, slots=True)
class Principal:
    """An authenticated caller: `subject` as named by `issuer`, inside `tenant`.

    Two principals are the same caller exactly if their keys are equal; nothing else counts. An `email` that is not
    verified is what they call themselves: it is shown, and says to nobody who they are. `client` is the OAuth
    client that calls for them, empty where there is none; `scopes` are what its token allows. `brought` are the
    headers of this request that some upstream is configured to be sent, by name in lower case and in that order; all
    others stay outside.
    """

    issuer: str
    subject: str
    tenant: str = DEFAULT_TENANT
    roles: frozenset[str] = field(default=frozenset(), compare=False)
    label: str = field(default="", compare=False)
    email: str = field(default="", compare=False)
    groups: frozenset[str] = field(default=frozenset(), compare=False)
    email_verified: bool = field(default=False, compare=False)
    client: str = field(default="", compare=False)
    scopes: frozenset[str] = field(default=frozenset(), compare=False)
    brought: tuple[tuple[str, Secret], ...] = field(default=(), compare=False)

    @property
    def key(self) -> tuple[str, str, str]:
        """What sessions, caches and pools of this caller are kept under: (tenant, issuer, subject)."""
        return (self.tenant, self.issuer, self.subject)

    @property
    def is_admin(self) -> bool:
        """Whether they may change what all share."""
        return ADMIN in self.roles

    def __str__(self) -> str:
        return self.label or self.subject


LOCAL = Principal(issuer=LOCAL_ISSUER, subject="me", roles=frozenset({ADMIN}), label="you")
"""The one caller of a private hub (`login: none`, loopback only)."""
