"""Accesses without an authorization server behind them, honest about what is ready, refused and changed."""

import asyncio
from collections.abc import Callable
from typing import Literal

from mcp_hub.credentials.credential import Credential
from mcp_hub.errors import ConnectionNeeded, RefusedCredential
from rig.parts import bearer


class OwnAccess:
    """One caller's tokens at one upstream, one after the other: each is given until it is refused.

    Without any the caller is not connected; once the last has been refused, they have to connect anew.
    """

    def __init__(self, *tokens: str, upstream: str = "up", whose: str = "you", is_ready: bool = True) -> None:
        self._tokens = [bearer(each) for each in tokens]
        self._names = dict(zip(map(id, self._tokens), tokens, strict=True))
        self._state: Literal["not_connected", "reconnect_needed"] = "not_connected"
        self._watching: list[Callable[[], object]] = []
        self.upstream = upstream
        self.whose = whose
        self.is_ready = is_ready
        self.asked = 0
        self.refusals: list[str] = []
        self.gate: asyncio.Event | None = None
        self.entered = asyncio.Event()

    def ready(self) -> Credential | None:
        return self._tokens[0] if self._tokens and self.is_ready else None

    async def credential(self) -> Credential:
        self.asked += 1
        await self._pass()
        return self._now()

    async def refused(self, credential: Credential, refusal: RefusedCredential) -> Credential:
        self.refusals.append(self._names[id(credential)])
        await self._pass()
        if self._tokens and self._tokens[0] is credential:
            self._tokens.pop(0)
            self._state = "reconnect_needed"
        return self._now()

    def watch(self, changed: Callable[[], object]) -> Callable[[], None]:
        self._watching.append(changed)
        return lambda: self._watching.remove(changed)

    @property
    def watched(self) -> int:
        return len(self._watching)

    # What its user does, in a browser

    def connect(self, *tokens: str) -> None:
        self._tokens = [bearer(each) for each in tokens]
        self._names |= dict(zip(map(id, self._tokens), tokens, strict=True))
        self._changed()

    def renew(self, token: str) -> None:
        """Another token takes the place of the one there is, as after a refresh: nobody is told."""
        made = bearer(token)
        self._names[id(made)] = token
        self._tokens = [made]

    def disconnect(self) -> None:
        self._tokens, self._state = [], "not_connected"
        self._changed()

    def _changed(self) -> None:
        for each in list(self._watching):
            each()

    async def _pass(self) -> None:
        self.entered.set()
        if self.gate is not None:
            await self.gate.wait()

    def _now(self) -> Credential:
        if self._tokens:
            return self._tokens[0]
        what = "is not connected" if self._state == "not_connected" else "has to be connected anew"
        url = f"https://hub.test/connect/{self.upstream}"
        sentence = f"{self.upstream} {what} for {self.whose}. Open {url}, then try again."
        raise ConnectionNeeded(self.upstream, sentence, url=url, state=self._state)
