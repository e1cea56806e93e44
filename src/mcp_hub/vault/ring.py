"""The keyring of the operating system, if there is one that keeps what it is given.

Rule: a keyring is trusted only after it has given back what was put into it. Servers have backends that refuse every
call, and one whose calls all succeed and keep nothing.
"""

import importlib.util
import secrets
from typing import Final, Protocol, cast

SERVICE: Final = "mcp_hub"
_PROBE: Final = "probe"
_LEAST_PRIORITY: Final = 1
"""What the package `keyring` itself recommends to use at least."""


class Ring(Protocol):
    """A keyring; what its methods raise depends on the system it stands for."""

    @property
    def priority(self) -> float:
        """How far it is recommended."""
        ...

    def get_password(self, service: str, username: str) -> str | None:
        """What is kept under this name."""
        ...

    def set_password(self, service: str, username: str, password: str) -> None:
        """Keep it under this name."""
        ...

    def delete_password(self, service: str, username: str) -> None:
        """Forget it."""
        ...


def system_ring() -> Ring | None:
    """The keyring of this user, `None` where the package `keyring` is not installed."""
    if importlib.util.find_spec("keyring") is None:
        return None
    import keyring  # noqa: PLC0415 - optional, and slow to load where it is not wanted

    return cast("Ring", keyring.get_keyring())


def read(ring: Ring, master: bytes) -> str | None:
    """The master key of this id; `None` too where the keyring cannot be asked."""
    try:
        return ring.get_password(SERVICE, _entry(master)) if ring.priority >= _LEAST_PRIORITY else None
    except Exception:  # noqa: BLE001 - backends raise whatever the libraries below them do
        return None


def keeps(ring: Ring) -> bool:
    """Whether it gives back what it is given."""
    said = secrets.token_hex(8)
    try:
        if ring.priority < _LEAST_PRIORITY:
            return False
        ring.set_password(SERVICE, _PROBE, said)
        found = ring.get_password(SERVICE, _PROBE)
        ring.delete_password(SERVICE, _PROBE)
    except Exception:  # noqa: BLE001 - as above
        return False
    return found == said


def write(ring: Ring, master: bytes, text: str) -> bool:
    """Keep the master key of this id there; whether it is there now."""
    try:
        ring.set_password(SERVICE, _entry(master), text)
    except Exception:  # noqa: BLE001 - as above
        return False
    return read(ring, master) == text


def _entry(master: bytes) -> str:
    return f"master-key {master.hex()}"
