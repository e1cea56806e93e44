"""A header that says who the caller is, as the hub knows them.

Rule: what is sent was vouched for by whoever let the caller in; a text that could be read as something else, such as a
group with a comma in its name, is not sent at all.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from mcp_hub.config.model import OwnHeader
from mcp_hub.credentials.given import Given, own_header
from mcp_hub.credentials.needed import Place, name_of
from mcp_hub.credentials.values import wrong_with
from mcp_hub.errors import ConnectionNeeded, RefusedCredential
from mcp_hub.principal import Principal
from mcp_hub.secret import Secret

_NOTHING: Final = MappingProxyType[str, Secret]({})


def _groups(caller: Principal) -> str:
    return ",".join(sorted(caller.groups))


_CLAIMS: Final[Mapping[str, Callable[[Principal], str]]] = {
    "email": lambda caller: caller.email,
    "subject": lambda caller: caller.subject,
    "issuer": lambda caller: caller.issuer,
    "tenant": lambda caller: caller.tenant,
    "name": lambda caller: caller.label,
    "groups": _groups,
}


def claimed_access(caller: Principal, place: Place, header: OwnHeader, also: Mapping[str, Secret] = _NOTHING) -> Given:
    """What is known of this caller, for an upstream that is configured with `header` (`source` is `claim`)."""
    value = _CLAIMS[header.word](caller)
    wrong = _wrong(caller, header.word, value)
    credential = None if wrong else own_header(header, value, also)

    def needed(refusal: RefusedCredential | None) -> ConnectionNeeded:
        if refusal is None:
            said = f"{place.title} is told the {header.word} of its callers, and that of {name_of(caller)} {wrong}."
        else:
            said = f"{place.title} refused {name_of(caller)}, whom it knows by their {header.word}."
        public = f"{said} Ask whoever runs this hub to change your account, or what {place.title} is told."
        return ConnectionNeeded(
            place.upstream, public, url=None, state="not_connected" if refusal is None else "reconnect_needed"
        )

    return Given(credential, needed)


def _wrong(caller: Principal, word: str, value: str) -> str:
    if not value:
        return "is not known"
    if word == "email" and not caller.email_verified:
        return "is what they call themselves, since whoever let them in does not vouch for it"
    if word == "groups" and any("," in group for group in caller.groups):
        return "cannot be told apart, since one has a comma in its name"
    return wrong_with(value)
