"""A header that the caller's own client sends, handed on under another name.

Rule: only what `Principal.brought` holds, which is what the configuration names; it goes to the one upstream that is
configured to get it, and nothing of it is kept beyond the caller's own access.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, Literal

from mcp_hub.config.model import OwnHeader
from mcp_hub.credentials.credential import Credential
from mcp_hub.credentials.given import Given, own_header
from mcp_hub.credentials.needed import Place
from mcp_hub.credentials.values import wrong_with
from mcp_hub.errors import ConnectionNeeded, RefusedCredential
from mcp_hub.principal import Principal
from mcp_hub.secret import Secret

_NOTHING: Final = MappingProxyType[str, Secret]({})


def brought_access(caller: Principal, place: Place, header: OwnHeader, also: Mapping[str, Secret] = _NOTHING) -> Given:
    """What this caller brought for an upstream that is configured with `header` (`source` is `brought`)."""
    value = next((each.open() for name, each in caller.brought if name == header.word), "")
    wrong = wrong_with(value) if value else ""
    credential: Credential | None = own_header(header, value, also) if value and not wrong else None

    def needed(refusal: RefusedCredential | None) -> ConnectionNeeded:
        where = f"the header {header.word}"
        if refusal is not None:
            return _needed(place, f"{place.title} refused what your client sends in {where}.", "reconnect_needed")
        if wrong:
            return _needed(place, f"What your client sends in {where} {wrong}.", "reconnect_needed")
        said = f"{place.title} needs a credential of your own, which your client sends in {where}."
        return _needed(place, said, "not_connected")

    return Given(credential, needed)


def _needed(place: Place, said: str, state: Literal["not_connected", "reconnect_needed"]) -> ConnectionNeeded:
    public = f"{said} Set it where your client is told the address of this hub, then try again."
    return ConnectionNeeded(place.upstream, public, url=None, state=state)
