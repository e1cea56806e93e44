"""The people who may use the hub: who they are, what they may do, and the end of both.

Rule: whoever is disabled or removed has lost everything at once: browsers, clients, personal tokens. What the file says
of somebody's role counts most. The last admin who can get in stays one.
"""

import asyncio
import re
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final, final

from mcp_hub.config.model import DeclaredUser, Provider
from mcp_hub.identity.arrival import Arrival, as_of, newcomer, require_allowed
from mcp_hub.identity.attempts import Attempts
from mcp_hub.identity.events import OK, Events, Kind
from mcp_hub.identity.passwords import Passwords, password_fault
from mcp_hub.identity.refusals import NotDone, NotSignedIn
from mcp_hub.identity.roles import USER, declared_roles, group_roles, roles_from
from mcp_hub.principal import ADMIN, DEFAULT_TENANT, LOCAL_ISSUER, Principal
from mcp_hub.store.people import PeopleStore, User

Actor = User | Principal

MOST_EMAIL: Final = 254
_EMAIL: Final = re.compile(r"[^@\s\x00-\x1f\x7f]{1,64}@[^@\s\x00-\x1f\x7f]{1,190}")
_WRONG: Final = "The address or the password is wrong."
_CHANGED: Final = "Somebody else changed this account at the same moment. Look at it again, then try again."


def email_fault(email: str) -> str:
    """Why this is no address of an account, as a sentence; empty if it is one."""
    if len(email) > MOST_EMAIL or not _EMAIL.fullmatch(email) or not email.isprintable():
        return "An account needs an email address, such as ada@example.com."
    return ""


def local_account(email: str, password: str | None, roles: frozenset[str], at: float, name: str = "") -> User:
    """A new account that the hub keeps itself; `password` is a hash, `None` for one that cannot sign in yet."""
    number = secrets.token_hex(8)
    return User(
        id=number,
        tenant=DEFAULT_TENANT,
        issuer=LOCAL_ISSUER,
        subject=number,
        email=email,
        name=name,
        roles=roles,
        groups=frozenset(),
        password=password,
        disabled=False,
        created_at=at,
        seen_at=None,
    )


@final
class Accounts:
    """The accounts of one hub. `declared` are the users of its file; `provider` is where people sign in, if anywhere.

    Every method raises `StoreFailed` where the store does not answer.
    """

    def __init__(
        self,
        store: PeopleStore,
        passwords: Passwords,
        attempts: Attempts,
        events: Events,
        *,
        declared: Mapping[str, DeclaredUser],
        provider: Provider | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._passwords = passwords
        self._attempts = attempts
        self._events = events
        self._declared = declared
        self._provider = provider
        self._now = now
        self._admins = asyncio.Lock()

    async def settle(self) -> None:
        """Make the stored roles what the file says now. Call it before anybody is let in.

        Somebody of a provider is only made less here: that an address is theirs is known when they sign in.
        """
        for user in await self._store.users(DEFAULT_TENANT):
            said = self._said(user)
            if said is not None and said != user.roles and (user.issuer == LOCAL_ISSUER or ADMIN not in said):
                await self._store.update_user(replace(user, roles=said), was=user)

    def _said(self, user: User) -> frozenset[str] | None:
        """The roles that follow from the file for somebody, if any do."""
        said = declared_roles(self._declared, user.email)
        if said is not None or self._provider is None or user.issuer != self._provider.issuer:
            return said
        return group_roles(user.groups, self._provider.admin_groups)

    # Signing in

    async def sign_in(self, email: str, password: str, address: str) -> User:
        """The account that this password belongs to. `address` is the network address that the attempt comes from.

        Raises:
            NotSignedIn: wrong, too often, disabled, or an account that is not for this hub's kind of login.
        """
        email = email.strip()
        try:
            self._attempts.begin(email, address)
            user = await self._with_password(email, password)
        except NotSignedIn as refused:
            # What is no address may well be a password that was typed into the wrong field.
            about = "" if email_fault(email) else email
            self._events.note(Kind.SIGN_IN, refused.reason, about=about, address=address)
            raise
        self._attempts.succeeded(email, address)
        return await self._seen(user, address)

    async def _with_password(self, email: str, password: str) -> User:
        user = None if email_fault(email) else await self._store.user_by_email(DEFAULT_TENANT, LOCAL_ISSUER, email)
        checked = await self._passwords.check(user.password if user is not None else None, password)
        if user is None or not checked.is_right:
            raise NotSignedIn(_WRONG, "wrong_password")
        if user.disabled:
            raise _disabled()
        if self._provider is not None and ADMIN not in user.roles:
            sentence = "People sign in with their provider here; passwords are for admins when it does not answer."
            raise NotSignedIn(sentence, "not_with_password")
        if checked.fresh is not None:
            await self._store.update_user(replace(user, password=checked.fresh), was=user)
        return user

    async def arrived(self, arrival: Arrival, address: str = "") -> User:
        """The account of somebody who comes from the provider, made or brought up to date.

        Raises:
            NotSignedIn: they may not use this hub, or are disabled.
        """
        try:
            user = await self._account_of(arrival)
        except NotSignedIn as refused:
            who = Principal(arrival.issuer, arrival.subject)
            self._events.note(Kind.SIGN_IN, refused.reason, actor=who, about=arrival.email, address=address)
            raise
        return await self._seen(user, address)

    async def _account_of(self, arrival: Arrival) -> User:
        provider = self._provider
        if provider is None or arrival.issuer != provider.issuer:
            raise NotSignedIn("Nobody signs in from there any more. Sign in again.", "another_issuer")
        require_allowed(arrival, provider)
        known = await self._linked(arrival, provider)
        if known is None:
            known = await self._store.user_known_as(DEFAULT_TENANT, arrival.issuer, arrival.subject)
            fresh = newcomer(arrival, provider, self._declared, self._now()) if known is None else None
            if fresh is not None and await self._store.add_user(fresh):
                return fresh
            known = known or await self._store.user_known_as(DEFAULT_TENANT, arrival.issuer, arrival.subject)
            if known is None:
                raise NotSignedIn("Your account was changed while you signed in. Sign in again.", "changed")
            known = await self._brought_up_to_date(known, as_of(known, arrival, provider, self._declared))
        if known.disabled:
            raise _disabled()
        return known

    async def _linked(self, arrival: Arrival, provider: Provider) -> User | None:
        if not (provider.link_by_email and arrival.email_verified and arrival.email):
            return None
        return await self._store.user_by_email(DEFAULT_TENANT, LOCAL_ISSUER, arrival.email)

    async def _brought_up_to_date(self, known: User, now: User) -> User:
        if now == known or known.disabled or await self._store.update_user(now, was=known):
            return known if known.disabled else now
        # Somebody changed it meanwhile, perhaps to take something away: what they did counts.
        raise NotSignedIn("Your account was changed while you signed in. Sign in again.", "changed")

    async def _seen(self, user: User, address: str) -> User:
        at = self._now()
        await self._store.see_user(user.id, at)
        self._events.note(Kind.SIGN_IN, OK, actor=user, about=user.id, address=address)
        return replace(user, seen_at=at)

    # Keeping accounts

    async def users(self) -> list[User]:
        """All accounts, by address."""
        return await self._store.users(DEFAULT_TENANT)

    async def find(self, who: str) -> User:
        """The account that a person names by its address or its id.

        Raises:
            NotDone: there is none, or several have this address.
        """
        found = await self._store.user(who)
        if found is not None:
            return found
        named = [user for user in await self.users() if user.email.lower() == who.lower()]
        if len(named) > 1:
            ids = ", ".join(f"{user.id} ({user.issuer})" for user in named)
            raise NotDone(f"Several accounts have this address. Name one by its id: {ids}.")
        if not named:
            raise NotDone("There is no account with this address. 'mcp-hub user list' shows all.", "email")
        return named[0]

    async def add_local(
        self, email: str, password: str | None, *, actor: Actor, roles: frozenset[str] = frozenset({USER})
    ) -> User:
        """A new account with a password, or for now without one.

        Raises:
            NotDone: no address, a password that is not good enough, or there is one already.
        """
        email = email.strip()
        self.require_good(email, password)
        stored = None if password is None else await self._passwords.hash(password)
        roles = declared_roles(self._declared, email) or roles_from(roles)
        user = local_account(email, stored, roles, self._now())
        if not await self._store.add_user(user):
            raise NotDone("There is an account with this address already.", "email")
        self._events.note(Kind.USER_ADDED, actor=actor, about=user.id)
        return user

    def require_good(self, email: str, password: str | None) -> None:
        """Return if an account may have this address and this password.

        Raises:
            NotDone: it may not.
        """
        fault = email_fault(email)
        if fault:
            raise NotDone(fault, "email")
        fault = "" if password is None else password_fault(password, email)
        if fault:
            raise NotDone(fault, "password")

    async def set_password(self, user: User, password: str, *, actor: Actor) -> User:
        """Give a local account another password, and end what was signed in with the old one.

        Raises:
            NotDone: not good enough, or the account signs in elsewhere.
        """
        if user.issuer != LOCAL_ISSUER:
            raise NotDone("This account signs in with its provider and has no password here.")
        self.require_good(user.email, password)
        changed = replace(user, password=await self._passwords.hash(password))
        await self._change(user, changed)
        await self._store.sign_out(user.id)
        self._events.note(Kind.USER_CHANGED, "password", actor=actor, about=user.id)
        return changed

    async def set_roles(self, user: User, roles: frozenset[str], *, actor: Actor) -> User:
        """Give an account another role.

        Raises:
            NotDone: the file says which it has, or it is the last admin.
        """
        said = declared_roles(self._declared, user.email)
        roles = roles_from(roles)
        if said is not None and said != roles:
            raise NotDone("The configuration says what this address may do. Change it there, under 'users'.", "roles")
        async with self._admins:
            if ADMIN not in roles:
                await self._require_another_admin(user)
            changed = replace(user, roles=roles)
            await self._change(user, changed)
        self._events.note(Kind.USER_CHANGED, next(iter(roles)), actor=actor, about=user.id)
        return changed

    async def disable(self, user: User, *, actor: Actor) -> User:
        """Let somebody in nowhere any more, and end all that is signed in for them, their personal tokens included.

        Raises:
            NotDone: it is the last admin.
        """
        async with self._admins:
            await self._require_another_admin(user)
            changed = replace(user, disabled=True)
            await self._change(user, changed)
        await self._store.sign_out(user.id)
        for token in await self._store.personal_tokens(user.tenant, user.id):
            await self._store.revoke_personal_token(user.tenant, token.id, user.id)
        self._events.note(Kind.USER_DISABLED, actor=actor, about=user.id)
        return changed

    async def enable(self, user: User, *, actor: Actor) -> User:
        """Let somebody in again; they have to sign in anew everywhere."""
        changed = replace(user, disabled=False)
        await self._change(user, changed)
        self._events.note(Kind.USER_ENABLED, actor=actor, about=user.id)
        return changed

    async def remove(self, user: User, *, actor: Actor) -> None:
        """Delete an account with everything that is signed in for it.

        Raises:
            NotDone: it is the last admin.
        """
        async with self._admins:
            await self._require_another_admin(user)
            await self._store.remove_user(user.id)
        self._events.note(Kind.USER_REMOVED, actor=actor, about=user.id)

    async def sign_out(self, user: User, *, actor: Actor) -> None:
        """End all browsers and clients of somebody; personal tokens stay."""
        await self._store.sign_out(user.id)
        self._events.note(Kind.SIGN_OUT, "everywhere", actor=actor, about=user.id)

    async def _change(self, was: User, user: User) -> None:
        if not await self._store.update_user(user, was=was):
            raise NotDone(_CHANGED)

    async def _require_another_admin(self, user: User) -> None:
        if user.disabled or ADMIN not in user.roles:
            return
        if not any(is_admin(each) and each.id != user.id for each in await self.users()):
            raise NotDone("This is the last admin, and nothing was changed: make somebody else an admin first.")


def is_admin(user: User) -> bool:
    """Whether somebody is an admin and is let in."""
    return ADMIN in user.roles and not user.disabled


def _disabled() -> NotSignedIn:
    return NotSignedIn("This account has been disabled. Ask an admin of the hub to enable it.", "disabled")
