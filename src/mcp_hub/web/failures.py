"""Why a connection was not made, in sentences for the page on which that ends.

Rule: the address of that page holds one of these codes and nothing that came from elsewhere, so that whoever makes
up such an address can show nothing but a sentence of ours.
"""

from collections.abc import Mapping
from typing import Final

_SENTENCES: Final[Mapping[str, str]] = {
    "denied": "You did not allow it at {title}, or {title} did not. Nothing was stored.",
    "refused": "{title} did not let you in. Nothing was stored.",
    "signed_out": "Nobody is signed in to this hub in this browser, so nothing was stored. Sign in, and connect again.",
    "another_browser": "This was begun in another browser, so nothing was stored. Connect from this one.",
    "another_user": "This was begun by another user of this hub, so nothing was stored for you or for them.",
    "another_upstream": "This was begun for another upstream, so nothing was stored.",
    "expired": "It took too long, so nothing was stored. Try again, and sign in within ten minutes.",
    "used": "This way back was used already, so nothing was stored this time. If you are connected, all is well.",
    "unknown": "Nobody here has begun this, or it was used or has expired. Nothing was stored.",
    "wrong_issuer": "Another authorization server answered than the one you were sent to. Nothing was stored.",
    "malformed": "The answer of {title} makes no sense. Nothing was stored.",
    "no_answer": "The authorization server of {title} did not answer. Nothing was stored. Try again in a moment.",
    "refused_code": "The authorization server of {title} did not accept the hub's request. Nothing was stored.",
    "bad_address": "The authorization server of {title} named an address that is none. Nothing was done.",
    "not_here": "Nobody connects an account of their own with {title}. Nothing was stored.",
}
_OTHERWISE: Final = "{title} was not connected. Nothing was stored."


def sentence_of(code: str, title: str) -> str:
    """What this code means for an upstream of this title; one that is not ours means that it did not work."""
    return _SENTENCES.get(code, _OTHERWISE).format(title=title)
