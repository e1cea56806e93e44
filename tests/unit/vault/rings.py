"""Keyrings as desktops, servers and worse have them."""

from dataclasses import dataclass, field


@dataclass
class FakeRing:
    """A keyring that works. `kept` is what it holds by (service, user)."""

    priority: float = 5
    kept: dict[tuple[str, str], str] = field(default_factory=dict)

    def get_password(self, service: str, username: str) -> str | None:
        return self.kept.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        self.kept[service, username] = password

    def delete_password(self, service: str, username: str) -> None:
        del self.kept[service, username]


class NullRing(FakeRing):
    """Takes everything, keeps nothing, complains never."""

    def set_password(self, service: str, username: str, password: str) -> None:
        pass

    def delete_password(self, service: str, username: str) -> None:
        pass


class FailingRing(FakeRing):
    """Fails the way a library far below it does."""

    def get_password(self, service: str, username: str) -> str | None:
        raise LookupError("no bus")

    def set_password(self, service: str, username: str, password: str) -> None:
        raise LookupError("no bus")

    def delete_password(self, service: str, username: str) -> None:
        raise LookupError("no bus")


class LockedLater(FakeRing):
    """Passes the probe and takes nothing else."""

    def set_password(self, service: str, username: str, password: str) -> None:
        if username != "probe":
            raise LookupError("locked")
        super().set_password(service, username, password)
