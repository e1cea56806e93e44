"""Pasted keys, sealed. Rule: what was sealed for one principal, upstream and pasting opens for no other."""

from dataclasses import replace
from typing import Final

from mcp_hub.secret import Secret
from mcp_hub.store.connections import PastedKey
from mcp_hub.vault.sealing import Binding
from mcp_hub.vault.vault import Vault

_TABLE: Final = "pasted_keys"


def key_binding(key: PastedKey) -> Binding:
    """The place of a pasted key."""
    whose = key.whose
    return Binding(_TABLE, key.id, "key", whose.tenant, whose.issuer, whose.subject, whose.upstream)


def seal_key(vault: Vault, key: PastedKey, secret: Secret) -> PastedKey:
    """The same with this secret in it, sealed."""
    return replace(key, key=vault.seal(secret.open(), key_binding(key)))


async def open_key(vault: Vault, key: PastedKey) -> Secret:
    """The secret of a pasted key.

    Raises:
        Unsealable: it was not sealed for this one.
        StoreFailed, VaultLocked: as `Vault.open`.
    """
    return Secret((await vault.open(key.key, key_binding(key))).decode())
