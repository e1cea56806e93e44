"""A carrier, and whose credential goes on what it carries.

Rule: a request that was refused for its credential has not run, so it is sent once more with another one, if there is
one; nothing else is ever sent twice, and the second refusal counts: the access then says what its user can do. Whoever
is cancelled meanwhile sends nothing more.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Final, TypeVar, final

from mcp_hub.credentials.access import Access
from mcp_hub.credentials.credential import Credential
from mcp_hub.credentials.missing import Missing
from mcp_hub.errors import ConnectionNeeded, RefusedCredential, UpstreamError
from mcp_hub.upstream.call import Call, Owner
from mcp_hub.upstream.carrier import Carrier, Overheard, RefusedOpening, Told
from mcp_hub.wire.eras import Client, Era
from mcp_hub.wire.jsonrpc import Json, Reply

T = TypeVar("T")
MOST_SHARED: Final = 4
"""How often one request may share in an opening that was refused for somebody else's credential, and be sent again."""


@final
class Credentialed:
    """One caller's way to one upstream, or that of all callers. What it does is what `Carrier` says.

    Each method raises what its `Access` raises, too: ConnectionNeeded, HubFault.
    """

    __slots__ = ("_access", "_carrier")

    def __init__(self, carrier: Carrier, access: Access) -> None:
        self._carrier = carrier
        self._access = access

    async def send(self, era: Era, call: Call) -> Reply:
        """See `Carrier.send`."""
        credential = self._access.ready() or await self._access.credential()
        try:
            return await self._carrier.send(era, call, credential)
        except RefusedCredential as error:
            refusal = error
        return await self._again(credential, refusal, lambda other: self._carrier.send(era, call, other))

    async def opened(self, owner: Owner, client: Client) -> Json:
        """See `Carrier.opened`."""
        credential = self._access.ready() or await self._access.credential()
        try:
            return await self._carrier.opened(owner, client, credential)
        except RefusedCredential as error:
            refusal = error
        return await self._again(credential, refusal, lambda other: self._carrier.opened(owner, client, other))

    @asynccontextmanager
    async def listen(self, wanted: Json, client: Client) -> AsyncGenerator[Told]:
        """See `Carrier.listen`. A stream that breaks off later is not opened again."""
        async with AsyncExitStack() as stack:
            yield await self._entered(stack, lambda credential: self._carrier.listen(wanted, client, credential))

    @asynccontextmanager
    async def overhear(self, client: Client) -> AsyncGenerator[Overheard]:
        """See `Carrier.overhear`."""
        async with AsyncExitStack() as stack:
            yield await self._entered(stack, lambda credential: self._carrier.overhear(client, credential))

    async def end(self, owner: Owner) -> None:
        """See `Carrier.end`."""
        await self._carrier.end(owner)

    async def end_others(self) -> None:
        """Close the sessions that are not those of the credential that is used from now on."""
        try:
            credential = self._access.ready() or await self._access.credential()
        except ConnectionNeeded:
            await self._carrier.end_others(None)
            raise
        await self._carrier.end_others(credential)

    async def end_idle(self, spared: Owner) -> None:
        """See `Carrier.end_idle`."""
        await self._carrier.end_idle(spared)

    def retire(self, why: UpstreamError) -> None:
        """From now on nothing is sent: whoever tries is told why."""
        self._access = Missing(why)

    async def aclose(self) -> None:
        """See `Carrier.aclose`."""
        await self._carrier.aclose()

    async def _entered(
        self, stack: AsyncExitStack, stream: Callable[[Credential], AbstractAsyncContextManager[T]]
    ) -> T:
        credential = self._access.ready() or await self._access.credential()
        try:
            return await stack.enter_async_context(stream(credential))
        except RefusedCredential as error:
            refusal = error
        return await self._again(credential, refusal, lambda other: stack.enter_async_context(stream(other)))

    async def _again(
        self, credential: Credential, refusal: RefusedCredential, once: Callable[[Credential], Awaitable[T]]
    ) -> T:
        """Once more with another credential; after the second refusal the access says what its user can do.

        Who shared in the opening of a session, and it was another credential that was refused for it, has not been
        refused.
        """
        refusals = 0
        for _ in range(MOST_SHARED):
            tried = refusal.credential if isinstance(refusal, RefusedOpening) else credential
            refusals += tried is credential
            another = await self._access.refused(tried, refusal)
            if refusals > 1:
                break
            credential = another
            try:
                return await once(credential)
            except RefusedCredential as error:
                refusal = error
        raise refusal
