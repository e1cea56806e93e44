"""Everybody's own connections: how each caller stands with each upstream, and how they make and end a connection.

Rule: whatever is asked here is asked for one caller, and acts on nobody else's. No answer holds a secret.
"""

from collections.abc import Sequence
from typing import Protocol

from mcp_hub.credentials.access import Access
from mcp_hub.errors import RefusedCredential
from mcp_hub.oauth.connection import Connection, Ending, Finished, Prospect
from mcp_hub.principal import Principal
from mcp_hub.secret import Secret
from mcp_hub.wire.jsonrpc import Json


class Connections(Protocol):
    """The connections of everybody. Belongs to one event loop.

    Every method that takes a name raises `KeyError` for an upstream that is not declared or where callers have no
    connection of their own; those that wait raise `HubFault` where the store or the vault fails.
    """

    def sign_in(self, upstream: str) -> str:
        """How callers come by a credential for this upstream: a `SignIn`. `undecided` until it has been asked."""
        ...

    async def signs_in(self, upstream: str, refusal: RefusedCredential) -> bool:
        """Whether an undecided upstream, which has refused to answer without a credential, has people sign in.

        The answer is remembered, for all processes and as long as the upstream's URL is the same, if it is certain:
        from then on `sign_in` says `oauth` or `none`. Never raises for what the other side does.
        """
        ...

    def access(self, caller: Principal, upstream: str) -> Access:
        """The caller's own way to a credential there; the same one each time, while it is in use."""
        ...

    async def shown(self, caller: Principal) -> list[Connection]:
        """How the caller stands with each upstream where callers have a connection of their own, as declared."""
        ...

    async def one(self, caller: Principal, upstream: str) -> Connection:
        """How the caller stands with one of them."""
        ...

    async def prospect(self, caller: Principal, upstream: str) -> Prospect:
        """What connecting would mean, before anything is done.

        Raises:
            ConnectFailed: they cannot connect; nothing was changed.
        """
        ...

    async def begin(self, caller: Principal, upstream: str, browser: bytes, *, window: bool = False) -> str:
        """The address to send the caller's browser to, where they sign in. Registers the hub there if need be.

        `browser` is the digest of the browser's cookie: the connection ends in that browser or nowhere.

        Raises:
            ConnectFailed: they cannot connect now; the sentence says whose turn it is.
        """
        ...

    async def finish(
        self, upstream: str, query: Sequence[tuple[str, str]], caller: Principal | None, browser: bytes
    ) -> Finished:
        """Make the connection with what came back to `upstream`'s callback in that browser, where `caller` is signed
        in; `None` if nobody is.

        Raises:
            ConnectFailed: nothing was stored, for one of the reasons of the table in `flow`.
        """
        ...

    async def paste(self, caller: Principal, upstream: str, key: Secret) -> None:
        """Keep a key of the caller's for an upstream that takes one; it replaces the one before.

        Raises:
            ConnectFailed: this cannot be a key; nothing was changed.
        """
        ...

    async def disconnect(self, caller: Principal, upstream: str) -> Ending:
        """End the caller's connection, or forget their key. The hub's copy is gone before the other side is asked."""
        ...

    def client_document(self, name: str) -> Json | None:
        """What is published at `/oauth/client/{name}`, where `name` ends with `.json`; `None` if nothing is."""
        ...

    def jwks(self) -> Json:
        """What is published at `/oauth/jwks.json`: the public half of the hub's key."""
        ...
