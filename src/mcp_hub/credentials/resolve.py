"""Which credential for this call. Rule: nothing a client sends reaches an upstream unless it was decided here."""

from collections.abc import Mapping
from typing import final

from mcp_hub.credentials.credential import NOTHING, Credential
from mcp_hub.principal import Principal


@final
class Credentials:
    """The credentials the configuration gives to all callers alike, by upstream name."""

    def __init__(self, shared: Mapping[str, Credential]) -> None:
        self._shared = dict(shared)

    def for_call(self, caller: Principal, upstream: str) -> Credential:
        """The credential `caller` uses at `upstream`: a dictionary look-up, no I/O."""
        del caller  # every credential there is so far is shared
        return self._shared.get(upstream, NOTHING)
