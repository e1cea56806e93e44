"""Why a connection was not made, in sentences for the page on which that ends.

Rule: the address of that page holds a word of the table in `flow` and nothing that came from elsewhere, so that whoever
makes up such an address can show nothing but a sentence of ours.
"""

from collections.abc import Mapping
from typing import Final

from mcp_hub.oauth.flow import TABLE

NOT_HERE: Final = "not_here"
"""It came back to an upstream where nobody connects an account of their own."""
BAD_ADDRESS: Final = "bad_address"
"""There is an authorization server, at an address that is none for browsers."""

_SENTENCES: Final[Mapping[str, str]] = {
    **{event: row.public for events in TABLE.values() for event, row in events.items() if row.public},
    NOT_HERE: "Nobody connects an account of their own with {title}, so nothing was stored.",
    BAD_ADDRESS: "The authorization server of {title} has an address that no browser may be sent to. Tell the operator"
    " of this hub.",
}
_OTHERWISE: Final = "{title} was not connected, and nothing was stored."


def sentence_of(code: str, title: str) -> str:
    """What this code means for an upstream of this title; one that is not ours means that it did not work."""
    return _SENTENCES.get(code, _OTHERWISE).format(title=title, host=title)
