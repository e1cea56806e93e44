"""How a secret is sealed for the one place it belongs to. Pure.

Rule: whatever is not exactly what was sealed, under exactly that binding, is `Unsealable`, whatever else may be wrong
with it; a sealed value that is moved to another row, column, user or version opens nowhere.

Form: `v1`, 4 bytes that name the data key, a nonce of 12 bytes, ciphertext and tag. The first three are authenticated
with the binding. A data key is for AES-256-GCM-SIV (RFC 8452) where this computer can do that, since a nonce that came
twice costs nothing much there, else for AES-256-GCM with random nonces.
"""

import secrets
from dataclasses import dataclass
from enum import IntEnum
from typing import Final, final

from cryptography.exceptions import InvalidTag, UnsupportedAlgorithm
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, AESGCMSIV

from mcp_hub.errors import Unsealable

KEY_BYTES: Final = 32
KID_BYTES: Final = 4
_FORM: Final = b"v1"
_NONCE_BYTES: Final = 12
_TAG_BYTES: Final = 16
_HEAD_BYTES: Final = len(_FORM) + KID_BYTES
_LEAST: Final = _HEAD_BYTES + _NONCE_BYTES + _TAG_BYTES


class Algorithm(IntEnum):
    """What a data key is for; stored with the key."""

    GCM = 1
    GCM_SIV = 2


@dataclass(frozen=True, slots=True)
class Binding:
    """The place a sealed value belongs to; what does not apply stays empty. None of it is secret or stored with it.

    `row` is the row's own id in `table`. (`tenant`, `issuer`, `subject`) is whose it is. `version` is for values that
    must not be put back once they were replaced: raise it with every new value of the row.
    """

    table: str
    row: str
    column: str
    tenant: str = ""
    issuer: str = ""
    subject: str = ""
    upstream: str = ""
    version: int = 1

    def encoded(self) -> bytes:
        """The same for equal bindings only: each part with its length before it."""
        parts = (self.table, self.row, self.column, self.tenant, self.issuer, self.subject, self.upstream)
        texts = [part.encode("utf-8", "surrogatepass") for part in (*parts, str(self.version))]
        return b"".join(len(text).to_bytes(4, "big") + text for text in texts)


@final
class DataKey:
    """One data key: it seals and opens, and shows its bytes only to be wrapped."""

    __slots__ = ("_aead", "_key", "algorithm", "kid")

    def __init__(self, kid: bytes, key: bytes, algorithm: Algorithm) -> None:
        """
        Raises:
            UnsupportedAlgorithm: this computer cannot do that.
        """
        self.kid = kid
        self.algorithm = algorithm
        self._key = key
        self._aead = AESGCMSIV(key) if algorithm is Algorithm.GCM_SIV else AESGCM(key)

    def exposed(self) -> bytes:
        """Algorithm and key. Call it only to wrap them."""
        return bytes([self.algorithm]) + self._key

    def seal(self, value: bytes, binding: Binding) -> bytes:
        """The sealed value."""
        head = _FORM + self.kid
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return head + nonce + self._aead.encrypt(nonce, value, head + binding.encoded())

    def open(self, sealed: bytes, binding: Binding) -> bytes:
        """What was sealed with this key for this binding.

        Raises:
            Unsealable: it was not.
        """
        if kid_of(sealed, binding) != self.kid:
            raise unsealable(binding)
        nonce, rest = sealed[_HEAD_BYTES : _HEAD_BYTES + _NONCE_BYTES], sealed[_HEAD_BYTES + _NONCE_BYTES :]
        try:
            return self._aead.decrypt(nonce, rest, sealed[:_HEAD_BYTES] + binding.encoded())
        except InvalidTag:
            raise unsealable(binding) from None


def new_key(algorithm: Algorithm | None = None) -> DataKey:
    """A random key of the best algorithm there is, or of that one."""
    kid, key = secrets.token_bytes(KID_BYTES), secrets.token_bytes(KEY_BYTES)
    try:
        return DataKey(kid, key, algorithm or Algorithm.GCM_SIV)
    except UnsupportedAlgorithm:
        return DataKey(kid, key, Algorithm.GCM)


def kid_of(sealed: bytes, binding: Binding) -> bytes:
    """Which key a value was sealed with.

    Raises:
        Unsealable: it is no sealed value.
    """
    if len(sealed) < _LEAST or not sealed.startswith(_FORM):
        raise unsealable(binding)
    return sealed[len(_FORM) : _HEAD_BYTES]


def unsealable(binding: Binding) -> Unsealable:
    """The refusal, in words that name the kind of value and nobody it belongs to."""
    return Unsealable(
        f"A sealed value in the store ({binding.table}, {binding.column}) cannot be opened: it was changed or moved, or"
        " sealed with a key that is not in this store. It was left as it is. The operator restores a backup of the"
        " store, or the value has to be given anew."
    )
