"""How a code is tied to whoever began the login: PKCE (RFC 7636), by the one method that the hub knows on both sides.

Rule: pure. Who made the verifier may ask for the code's tokens; a challenge gives the verifier away to nobody.
"""

from base64 import urlsafe_b64encode
from hashlib import sha256
from typing import Final

METHOD: Final = "S256"


def challenge_of(verifier: str) -> str:
    """The challenge that belongs to a verifier, which is of ASCII."""
    return urlsafe_b64encode(sha256(verifier.encode()).digest()).rstrip(b"=").decode()
