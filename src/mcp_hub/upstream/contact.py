"""What the hub itself asks of one upstream: what it is, what it offers, and to be told of changes.

Rule: one contact at a time. Each goes all the way, so that a list is always of the server that introduced itself.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import final

from msgspec import Raw

from mcp_hub.catalog.parts import Part
from mcp_hub.errors import TimedOut
from mcp_hub.upstream.carrier import CATALOG_OWNER
from mcp_hub.upstream.credentialed import Credentialed
from mcp_hub.upstream.fetch import Fetch
from mcp_hub.upstream.probe import Opening, probe
from mcp_hub.upstream.settings import Settings
from mcp_hub.upstream.subscriptions import Subscriptions
from mcp_hub.upstream.watch import Heard, Watch


@final
class Contact:
    """The hub's own dealings with one upstream. `changed` is called when its lists may have, `heard` with each notice
    of that, and `updated` with the params of each notice of a resource that is subscribed to."""

    def __init__(
        self,
        settings: Settings,
        carrier: Credentialed,
        *,
        changed: Callable[[], None],
        heard: Heard,
        updated: Callable[[Raw], None],
    ) -> None:
        name, info = settings.name, settings.info
        self._settings = settings
        self._carrier = carrier
        self._fetch = Fetch(name, carrier, info, settings.listing)
        self.subscriptions = Subscriptions(name, carrier, info, updated=updated, deadline=settings.listing)
        self.watch = Watch(
            name, carrier, info, changed=changed, heard=heard, listening_in=self.subscriptions.listening_in
        )

    async def make(self, *, anew: bool, as_another: bool) -> tuple[Opening, Part]:
        """Everything that it says of itself and offers, from now on listened to.

        `anew`: it may not be the process it was. `as_another`: it may not be the same account that is spoken for.

        Raises:
            UpstreamError, ConnectionNeeded, HubFault: no complete list could be had.
        """
        if as_another:
            await self._end_others()
        if anew:
            # While all is well the session stays: some servers announce a change in every new one, and would have
            # their lists fetched without end.
            self.watch.stop()
            await self._carrier.end(CATALOG_OWNER)
        opening = await self._introduced()
        self.watch.start(opening)  # before the lists, so that no change falls between them and the listening
        self.subscriptions.start(opening)
        return opening, await self._fetch.part(opening)

    def stop(self) -> None:
        """Listen no more until the next contact is made."""
        self.watch.stop()
        self.subscriptions.stop()

    async def aclose(self) -> None:
        """Listen no more; returns when the streams are closed."""
        await self.watch.aclose()
        await self.subscriptions.aclose()

    async def _introduced(self) -> Opening:
        settings = self._settings
        try:
            async with asyncio.timeout(settings.introduction):
                return await probe(settings.name, self._carrier, settings.info, pinned=settings.pinned)
        except TimeoutError as error:
            sentence = f"{settings.name} did not introduce itself within {settings.introduction:g} s."
            raise TimedOut(settings.name, sentence) from error

    async def _end_others(self) -> None:
        with suppress(TimeoutError):  # whoever is slow to say goodbye is not waited for
            async with asyncio.timeout(self._settings.listing):
                await self._carrier.end_others()
