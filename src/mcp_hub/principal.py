"""Who calls. Rule: everything kept for a caller is kept under `Principal.key`, so isolation is in the key."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Principal:
    """An authenticated caller: `subject` as named by `issuer`, inside `tenant`.

    Two principals are the same caller exactly if their keys are equal; roles and label do not count.
    """

    issuer: str
    subject: str
    tenant: str = "default"
    roles: frozenset[str] = field(default=frozenset(), compare=False)
    label: str = field(default="", compare=False)

    @property
    def key(self) -> tuple[str, str, str]:
        """What sessions, caches and pools of this caller are kept under: (tenant, issuer, subject)."""
        return (self.tenant, self.issuer, self.subject)

    def __str__(self) -> str:
        return self.label or self.subject


LOCAL = Principal(issuer="local", subject="me", roles=frozenset({"admin"}), label="you")
"""The one caller of a private hub (`login: none`, loopback only)."""
