"""The first admin: whoever holds the code that the hub printed when it started.

Rule: a code works once, for ten minutes, and only while there is no admin; it is stored as a digest, and trying codes
is slow. A mistake in the form does not use the code up.
"""

import secrets
import time
from collections.abc import Callable
from typing import Final, final

from mcp_hub.identity.accounts import email_fault, is_admin, local_account
from mcp_hub.identity.events import Events, Kind
from mcp_hub.identity.limits import Limit, Limits, neighbourhood
from mcp_hub.identity.passwords import Passwords, password_fault
from mcp_hub.identity.refusals import NotDone, NotSignedIn
from mcp_hub.identity.tokens import digest
from mcp_hub.principal import ADMIN, DEFAULT_TENANT, LOCAL_ISSUER
from mcp_hub.store.grants import GrantStore, Pending
from mcp_hub.store.people import PeopleStore, User

LASTS: Final = 600.0
"""Seconds that a code works."""
_KIND: Final = "setup"
_LETTERS: Final = "23456789ABCDEFGHJKMNPQRSTUVWXYZ"
"""Without those that are taken for others."""
_LENGTH: Final = 8
_MOST: Final = 100
_OVER: Final = "This link has been used, or is older than ten minutes. Start the hub again for another."


@final
class Setup:
    """Makes the first admin. Every method raises `StoreFailed` where the store does not answer."""

    def __init__(
        self,
        people: PeopleStore,
        pending: GrantStore,
        passwords: Passwords,
        limits: Limits,
        events: Events,
        *,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._people = people
        self._pending = pending
        self._passwords = passwords
        self._limits = limits
        self._events = events
        self._now = now

    async def offer(self) -> str | None:
        """A fresh code, such as `K7Q2-9FMD`, for whoever set up this hub; `None` if there is an admin."""
        if any(map(is_admin, await self._people.users(DEFAULT_TENANT))):
            return None
        letters = "".join(secrets.choice(_LETTERS) for _ in range(_LENGTH))
        at = self._now()
        item = Pending(_KIND, _digest(letters), b"", at + LASTS)
        if not await self._pending.put_pending(item, at=at, most=_MOST):
            return None
        return f"{letters[:4]}-{letters[4:]}"

    async def is_good(self, code: str, address: str) -> bool:
        """Whether a code works now. `address` is the network address it comes from.

        Raises:
            NotSignedIn: too many codes were tried.
        """
        self._count(address)
        return await self._pending.pending(_KIND, _digest(code), self._now()) is not None

    async def claim(self, code: str, email: str, password: str, address: str) -> User:
        """The first admin, with this address and password.

        Raises:
            NotDone: the address or the password will not do; the code still works.
            NotSignedIn: the code does not work, or somebody was first.
        """
        email = email.strip()
        if not await self.is_good(code, address):
            raise self._refused("no_such_code", address)
        await self._require_fit(email, password)
        user = local_account(email, await self._passwords.hash(password), frozenset({ADMIN}), self._now())
        if await self._pending.take_pending(_KIND, _digest(code), self._now()) is None:
            raise self._refused("code_was_used", address)
        if not await self._people.add_first_admin(user):
            raise self._refused("there_is_an_admin", address)
        self._events.note(Kind.SETUP, actor=user, about=user.id, address=address)
        return user

    async def _require_fit(self, email: str, password: str) -> None:
        for fault, field in ((email_fault(email), "email"), (password_fault(password, email), "password")):
            if fault:
                raise NotDone(fault, field)
        if await self._people.user_by_email(DEFAULT_TENANT, LOCAL_ISSUER, email) is not None:
            sentence = "There is an account with this address, which is no admin. Take another address"
            raise NotDone(f"{sentence}, or run 'mcp-hub user role {email} admin'.", "email")

    def _count(self, address: str) -> None:
        wait = self._limits.take(Limit.SETUP, neighbourhood(address))
        if wait is not None:
            raise NotSignedIn("Too many codes were tried. Try again in a minute.", Limit.SETUP, wait=wait)

    def _refused(self, reason: str, address: str) -> NotSignedIn:
        self._events.note(Kind.SETUP, reason, address=address)
        return NotSignedIn(_OVER, reason)


def _digest(code: str) -> bytes:
    return digest("".join(code.upper().split()).replace("-", ""))
