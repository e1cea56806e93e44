"""What a caller is told whose grant cannot be used as it is, beside what every kind of connection tells.

Rule: each sentence is complete: what is wrong, whose turn it is, and what to do then. Pure.
"""

import re
from collections.abc import Iterable
from typing import Final

from mcp_hub.credentials.needed import Place, name_of
from mcp_hub.errors import ConnectionNeeded, Unreachable
from mcp_hub.principal import Principal

_MOST_NAMED: Final = 8
_PLAIN: Final = re.compile(r"[A-Za-z0-9_:-]{1,40}")


def allow_more(place: Place, caller: Principal, missing: Iterable[str]) -> ConnectionNeeded:
    """They have to allow more than they did; `missing` are scopes, in the form that RFC 6749 gives them.

    They are an upstream's words in a sentence of the hub's, so only plain names are shown: nothing that could be taken
    for an address, or for more of the sentence.
    """
    wanted = sorted(missing)
    names = [each for each in wanted if _PLAIN.fullmatch(each)][:_MOST_NAMED]
    named = ", ".join(names) + (" and more" if len(names) < len(wanted) else "")
    public = (
        f"{place.title} asks for more than {name_of(caller)} allowed{f' (missing: {named})' if names else ''}."
        f" Open {place.page} to allow it, then try again."
    )
    return ConnectionNeeded(place.upstream, public, url=place.page, state="reconnect_needed")


def away(place: Place, why: str) -> Unreachable:
    """Nobody can get a credential now; `why` is a whole public sentence."""
    return Unreachable(place.upstream, f"{why} Nothing was sent to {place.title}. Try again in a moment.")


def for_admin(place: Place, why: str) -> Unreachable:
    """An admin has to act; `why` is a whole public sentence."""
    return Unreachable(
        place.upstream,
        f"{why} Your connection is kept. An administrator of this hub has to set right as which client it is known"
        f" there for {place.title}; connecting anew helps only then.",
    )
