"""A credential that is decided once: it is there, or its user has to act.

Rule: nothing is kept that could change. Whoever brings another value, or is known as somebody else, gets another one.
"""

from collections.abc import Callable, Mapping
from typing import final

from mcp_hub.config.model import OwnHeader
from mcp_hub.credentials.credential import Credential
from mcp_hub.credentials.values import with_scheme
from mcp_hub.errors import ConnectionNeeded, RefusedCredential
from mcp_hub.secret import Secret


@final
class Given:
    """An `Access` that never changes. `needed` makes what is raised, from what the upstream refused if it did."""

    def __init__(
        self, credential: Credential | None, needed: Callable[[RefusedCredential | None], ConnectionNeeded]
    ) -> None:
        self._credential = credential
        self._needed = needed

    def ready(self) -> Credential | None:
        """See `Access`."""
        return self._credential

    async def credential(self) -> Credential:
        """See `Access`."""
        if self._credential is None:
            raise self._needed(None)
        return self._credential

    async def refused(self, credential: Credential, refusal: RefusedCredential) -> Credential:
        """See `Access`: there is no other one."""
        del credential
        raise self._needed(refusal) from refusal

    def watch(self, changed: Callable[[], object]) -> Callable[[], None]:
        """See `Access`: it never does."""
        del changed
        return _nothing


def own_header(header: OwnHeader, value: str, also: Mapping[str, Secret]) -> Credential:
    """The credential of somebody whose value this is, beside the headers that `also` go there for everybody."""
    return Credential({**also, header.name: Secret(with_scheme(header.scheme, value))})


def _nothing() -> None:
    pass
