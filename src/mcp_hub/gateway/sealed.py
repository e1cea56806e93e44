"""`requestState` on its way through a client: sealed, so that it is of use only where it was made for.

Rule: what a client hands back is a stranger's. It is opened with the caller, the upstream, the method and the
parameters it was sealed for, and any difference, one flipped bit or a minute too late is the same refusal.
Source: MCP 2026-07-28, basic/patterns/mrtr, "Server Requirements" 4 and 5.
"""

import base64
import hashlib
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, final

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from mcp_hub.errors import BadRequest
from mcp_hub.wire.jsonrpc import Fields, encode, value

LONGEST: Final = 256 * 1024
"""Characters of a sealed state; an upstream that keeps more in it is refused by most clients too."""
_NONCE_BYTES: Final = 12
_NOT_SALIENT: Final = frozenset({"_meta", "inputResponses", "requestState"})
_sorted: Final = msgspec.json.Encoder(order="sorted")


@dataclass(frozen=True, slots=True)
class Binding:
    """What a state belongs to: a principal's key, an upstream, a method, a digest of the parameters."""

    principal: tuple[str, ...]
    upstream: str
    method: str
    digest: str


def digest(params: Fields) -> str:
    """The same for the same parameters, however a client spells them the second time.

    Raises:
        Malformed: a parameter is not valid JSON.
    """
    salient = {key: value(raw) for key, raw in params.items() if key not in _NOT_SALIENT}
    return hashlib.sha256(_sorted.encode(salient)).hexdigest()


@final
class Seal:
    """Seals and opens with one key, which all replicas share. `clock` gives unix seconds."""

    def __init__(self, key: bytes, clock: Callable[[], float] = time.time) -> None:
        self._aead = AESGCM(key)
        self._clock = clock

    def close(self, state: bytes, binding: Binding, *, lifetime: float) -> str:
        """The sealed state, of use for `lifetime` seconds."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        expires = int(self._clock() + lifetime).to_bytes(8, "big")
        sealed = self._aead.encrypt(nonce, expires + state, encode(binding))
        return base64.urlsafe_b64encode(nonce + sealed).decode("ascii")

    def open(self, sealed: str, binding: Binding) -> bytes:
        """The state that was sealed for this binding.

        Raises:
            BadRequest: it was not, or too long ago.
        """
        try:
            blob = base64.b64decode(sealed[: LONGEST + 1], altchars=b"-_", validate=True)
            opened = self._aead.decrypt(blob[:_NONCE_BYTES], blob[_NONCE_BYTES:], encode(binding))
        except (ValueError, InvalidTag) as error:
            raise _refused() from error
        if int.from_bytes(opened[:8], "big") < self._clock():
            raise _refused()
        return opened[8:]


def _refused() -> BadRequest:
    # Nobody can say any more what it was sealed for, and perhaps that was a call which has run.
    return BadRequest(
        "This requestState is not of this request, or has expired. Make the request again without it only if it does no"
        " harm that it may run a second time."
    )
