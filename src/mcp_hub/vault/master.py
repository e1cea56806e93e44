"""Where the master key comes from.

Rule: a key that somebody gave counts alone, and is never passed over for another. Only where none was given does the
hub look for one it has made itself, and it makes one beside the store only where nobody else can reach it.

In this order: the file that `MCP_HUB_MASTER_KEY_FILE` names, `MCP_HUB_MASTER_KEY`, the keyring of this user, and for a
hub of one computer a file beside the store.
"""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final, Protocol, final

from mcp_hub.errors import VaultLocked
from mcp_hub.vault import ring as rings
from mcp_hub.vault.ring import Ring, system_ring
from mcp_hub.vault.wrapping import Master
from mcp_hub.vault.written import exchange, from_file, from_text, generated, make_file

FILE_VARIABLE: Final = "MCP_HUB_MASTER_KEY_FILE"
VARIABLE: Final = "MCP_HUB_MASTER_KEY"
FILE_NAME: Final = "master.key"
NEW_KEY: Final = "name its file with --new-key-file, or set MCP_HUB_NEW_MASTER_KEY"
RING: Final = "the keyring of this user"
_FILE: Final = "file:"


class Masters(Protocol):
    """Where a vault finds the master key it takes."""

    def held(self, master: bytes) -> Iterator[Master]:
        """The keys that there are and that may have this id, the one that counts first.

        Raises:
            VaultLocked: one was given that is none.
        """
        ...

    def made(self) -> Master:
        """The key for a new store: the one that was given, or a new one, which is found again from then on.

        Raises:
            VaultLocked: there is none, and none may be made.
        """
        ...


@final
class Given:
    """One master key and no other."""

    def __init__(self, master: Master) -> None:
        self._master = master

    def held(self, master: bytes) -> Iterator[Master]:
        del master
        yield self._master

    def made(self) -> Master:
        return self._master


@final
class MasterKeys:
    """The master key of a hub on this computer.

    `said` is `store.key`; `beside` is the file that the hub makes for itself where `is_private`: nobody else can reach
    it.
    """

    def __init__(
        self,
        said: str,
        environ: Mapping[str, str],
        beside: Path,
        *,
        is_private: bool,
        ring: Callable[[], Ring | None] = system_ring,
    ) -> None:
        self._said = said
        self._environ = environ
        self._beside = beside
        self._is_private = is_private and said == "auto"
        self._ring = ring

    def held(self, master: bytes) -> Iterator[Master]:
        given = self._given()
        if given is not None:
            yield given
            return
        for path in (self._beside, self._named(master)):
            if self._is_private and path.exists():
                yield from_file(path, str(path))
        ring = self._ring()
        text = None if ring is None else rings.read(ring, master)
        if text is not None:
            yield from_text(text, RING)

    def made(self) -> Master:
        given = self._given()
        if given is not None:
            return given
        if not (self._is_private and self._beside.exists()):
            ring = self._ring()
            if ring is not None and rings.keeps(ring):
                return _put_into(ring)
            self._refuse_to_make()
            make_file(self._beside, generated())
        return from_file(self._beside, str(self._beside))

    def renewed(self, old: Master) -> Master:
        """A new key where the hub found the one that it has made for itself. Either is found until `settle`.

        Raises:
            VaultLocked: that one was given, so the next has to be given, too; or it cannot be kept.
        """
        ring = self._ring() if old.source == RING else None
        if ring is not None:
            return _put_into(ring)
        if old.source not in {str(self._beside), str(self._named(old.id))}:
            raise VaultLocked(f"The master key comes from outside ({old.source}), so a new one has to, too: {NEW_KEY}.")
        text = generated()
        path = self._named(from_text(text, "").id)
        make_file(path, text)
        return from_file(path, str(path))

    def settle(self, old: Master, new: Master) -> str:
        """Put the new key in the place of the old one. Says where the old one is now; backups may take it."""
        if old.source == RING:
            return RING
        # After a change that was broken off, an older one still lies there.
        first = from_file(self._beside, str(self._beside)) if self._beside.exists() else old
        exchange(self._beside, self._named(first.id), self._named(new.id))
        return str(self._named(old.id))

    def _named(self, master: bytes) -> Path:
        return self._beside.with_name(f"{self._beside.stem}-{master.hex()}{self._beside.suffix}")

    def _given(self) -> Master | None:
        if self._said.startswith(_FILE):
            name = self._said.removeprefix(_FILE)
            return from_file(Path(name), f"The file {name} (store.key)")
        if self._said == "keyring":
            return None
        name, text = self._environ.get(FILE_VARIABLE), self._environ.get(VARIABLE)
        if name is not None:
            return from_file(Path(name), f"The file {name or '...'} ({FILE_VARIABLE})")
        if text is not None:
            return from_text(text, VARIABLE)
        if self._said == "env":
            raise VaultLocked(f"'store.key' is env, and neither {FILE_VARIABLE} nor {VARIABLE} is set. {_HOW}")
        return None

    def _refuse_to_make(self) -> None:
        if self._said == "keyring":
            raise VaultLocked(
                "'store.key' is keyring, and this user has none that keeps what it is given. Install the extra"
                f" (mcp-hub-gateway[keyring]) and run the hub in a desktop session, or give it a key. {_HOW}"
            )
        if not self._is_private:
            raise VaultLocked(
                f"A hub that others can reach does not make a master key for itself. {_HOW}{self._moved()}"
            )

    def _moved(self) -> str:
        if not self._beside.exists():
            return ""
        return f" This hub had one of its own, {self._beside}: move that one, so that what is sealed with it opens."


_HOW: Final = (
    "Make one with 'mcp-hub key generate', keep it in a file that only this user can read and that is not backed up"
    f" with the store, and name that file in {FILE_VARIABLE}."
)


def _put_into(ring: Ring) -> Master:
    text = generated()
    master = from_text(text, RING)
    if not rings.write(ring, master.id, text):
        raise VaultLocked(f"The keyring of this user did not keep a new master key. {_HOW}")
    return master
