"""Task ids as clients see them: sealed, so that each is of use to the one caller it was shown to.

Rule: an id is a principal's, an upstream's and that upstream's own id, and nothing is kept to know it by. The same
task has the same id every time, after a restart and at another replica too; every other string, and every id that
another principal was shown, is the id of no task.
"""

import base64
import binascii
from typing import Final, final

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

from mcp_hub.wire.jsonrpc import encode

KEY_BYTES: Final = 64
LONGEST: Final = 1024
"""Characters of an upstream's own id."""
_LONGEST_SEALED: Final = 8192
_pair: Final = msgspec.json.Decoder(tuple[str, str])


@final
class TaskIds:
    """Seals and opens with one key, which all replicas share."""

    def __init__(self, key: bytes) -> None:
        # Deterministic (RFC 5297), because a task must keep its id; that it does so reveals nothing else.
        self._aead = AESSIV(key)

    def close(self, principal: tuple[str, ...], upstream: str, task: str) -> str:
        """The id that this principal is shown of an upstream's task."""
        sealed = self._aead.encrypt(encode((upstream, task)), [encode(principal)])
        return base64.urlsafe_b64encode(sealed).rstrip(b"=").decode("ascii")

    def open(self, principal: tuple[str, ...], shown: str) -> tuple[str, str] | None:
        """The upstream and its own id, `None` if this principal was never shown such an id."""
        if len(shown) > _LONGEST_SEALED:
            return None
        try:
            sealed = base64.b64decode(shown + "=" * (-len(shown) % 4), altchars=b"-_", validate=True)
            opened = _pair.decode(self._aead.decrypt(sealed, [encode(principal)]))
        except (ValueError, binascii.Error, InvalidTag):
            return None
        # Unused last bits would give one task several ids.
        return opened if self.close(principal, *opened) == shown else None
