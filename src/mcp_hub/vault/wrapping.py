"""How data keys are wrapped by the master key. Pure.

Rule: the master key itself encrypts nothing; what does is derived from it (HKDF-SHA256, RFC 5869), and a wrapped key
opens only under the id it was wrapped for. Beside it stands, for anybody to read, which master key that takes.

Form: `w1`, 8 bytes that name the master key, a nonce of 12 bytes, ciphertext and tag of AES-256-GCM.
"""

import secrets
from dataclasses import dataclass, field
from typing import Final, final

from cryptography.exceptions import InvalidTag, UnsupportedAlgorithm
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from mcp_hub.errors import VaultLocked
from mcp_hub.vault.sealing import KEY_BYTES, Algorithm, DataKey

MASTER_BYTES: Final = 32
_FORM: Final = b"w1"
_ID_BYTES: Final = 8
_NONCE_BYTES: Final = 12
_HEAD_BYTES: Final = len(_FORM) + _ID_BYTES
_AT: Final = _HEAD_BYTES + _NONCE_BYTES


@dataclass(frozen=True, slots=True)
class Master:
    """A master key, and where it came from in words that may be shown."""

    key: bytes = field(repr=False)
    source: str

    @property
    def id(self) -> bytes:
        """What names this key and tells nothing of it."""
        return _derived(self.key, b"mcp_hub/master-id/v1", _ID_BYTES)


class WrongMaster(Exception):
    """Wrapped by another master key, or changed since."""


@final
class Wrapping:
    """Wraps and unwraps with what is derived from one master key."""

    def __init__(self, master: Master) -> None:
        self._aead = AESGCM(_derived(master.key, b"mcp_hub/kek/v1", KEY_BYTES))
        self._head = _FORM + master.id

    def wrap(self, key: DataKey) -> bytes:
        """The data key as it may be stored."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return self._head + nonce + self._aead.encrypt(nonce, key.exposed(), self._head + key.kid)

    def fits(self, wrapped: bytes) -> bool:
        """Whether a key says that it was wrapped by this master key."""
        return wrapped.startswith(self._head)

    def unwrap(self, kid: bytes, wrapped: bytes) -> DataKey:
        """The data key of this id.

        Raises:
            WrongMaster: it was not wrapped by this master key, or not as this.
            VaultLocked: it is for an algorithm that this computer cannot do.
        """
        if not self.fits(wrapped):
            raise WrongMaster
        try:
            opened = self._aead.decrypt(wrapped[_HEAD_BYTES:_AT], wrapped[_AT:], self._head + kid)
            return DataKey(kid, opened[1:], Algorithm(opened[0]))
        except (InvalidTag, ValueError) as error:
            raise WrongMaster from error
        except UnsupportedAlgorithm as error:
            raise VaultLocked(
                "The store is sealed with AES-256-GCM-SIV, which the OpenSSL of this computer cannot do (it takes 3.2"
                " or newer). Nothing was changed. Install the 'cryptography' package from PyPI, which brings its own."
            ) from error


def master_id(wrapped: bytes) -> bytes:
    """Which master key a wrapped key takes."""
    return wrapped[len(_FORM) : _HEAD_BYTES]


def _derived(master: bytes, info: bytes, size: int) -> bytes:
    return HKDF(SHA256(), size, salt=None, info=info).derive(master)
