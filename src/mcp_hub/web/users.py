"""The page "Users", for admins: who may use the hub, and the end of what acts in their name.

Rule: an admin sees what somebody has given access to and can end it, and can never use it. Whether the visitor is an
admin is looked at on every request, with the account as it is now.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final, Protocol, final

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from mcp_hub.errors import Forbidden
from mcp_hub.identity.browsers import SignedIn
from mcp_hub.identity.events import Events, Kind
from mcp_hub.identity.refusals import NotDone
from mcp_hub.principal import ADMIN, LOCAL_ISSUER
from mcp_hub.store.people import PersonalToken, User
from mcp_hub.web.access import Grants, client_shown, token_shown
from mcp_hub.web.forms import Form
from mcp_hub.web.frame import Frame, Notice
from mcp_hub.web.signed_in import looked_at, posted
from mcp_hub.web.visitors import Visitors

PATH: Final = "/admin/users"
SAID: Final = {
    "disable": Notice("Done. This account is let in nowhere any more, and everything that acted for it has ended."),
    "enable": Notice("Done. This account may sign in again."),
    "sign-out": Notice("Done. Every browser and every client of this account has to sign in again."),
    "end-client": Notice("Done. That client has no access any more."),
    "end-token": Notice("Done. That token is of no use any more."),
    "gone": Notice("That had ended already.", "warn"),
}
"""What is said after a form, by the code that the address carries."""

_Act = Callable[[User, User, Form], Awaitable[bool]]
"""What an admin does to a user's account with a form; `False` if there was nothing to do it with."""


class Accounts(Protocol):
    """Where accounts are kept. What may not be done raises `NotDone`."""

    async def users(self) -> list[User]: ...
    async def disable(self, user: User, *, actor: User) -> User: ...
    async def enable(self, user: User, *, actor: User) -> User: ...
    async def sign_out(self, user: User, *, actor: User) -> None: ...


class Tokens(Protocol):
    """Where personal tokens are found and ended."""

    async def list(self, user: User) -> list[PersonalToken]: ...
    async def revoke_any(self, token: str, *, actor: User, tenant: str) -> bool: ...


@dataclass(frozen=True, slots=True)
class UserShown:
    """An account, as the page shows it."""

    id: str
    name: str
    email: str
    path: str
    is_admin: bool
    is_disabled: bool
    is_you: bool
    signs_in: str
    since: float
    seen: float | None


@final
class Users:
    """The list, a page for each account, and their forms."""

    def __init__(
        self,
        frame: Frame,
        visitors: Visitors,
        *,
        accounts: Accounts,
        grants: Grants,
        tokens: Tokens,
        events: Events,
        now: Callable[[], float],
    ) -> None:
        self._frame = frame
        self._visitors = visitors
        self._accounts = accounts
        self._grants = grants
        self._tokens = tokens
        self._events = events
        self._now = now
        self._acts: Final[Mapping[str, _Act]] = {
            "disable": self._disable,
            "enable": self._enable,
            "sign-out": self._sign_out,
            "end-client": self._end_client,
            "end-token": self._end_token,
        }

    def routes(self) -> list[BaseRoute]:
        """The pages, and where their forms go."""
        visitors, acts = self._visitors, self._acts
        posts = [Route(f"{PATH}/{name}", posted(visitors, name, self._act(name)), methods=["POST"]) for name in acts]
        pages = [
            Route(PATH, looked_at(visitors, self._list)),
            Route(f"{PATH}/{{user}}", looked_at(visitors, self._one)),
        ]
        return [*posts, *pages]

    async def _list(self, visitor: SignedIn, request: Request) -> Response:
        del request
        _require_admin(visitor)
        users = [_user_shown(each, visitor) for each in await self._accounts.users()]
        return self._frame.page("users.html", visitor=self._visitors.shown(visitor), here=PATH, users=users)

    async def _one(self, visitor: SignedIn, request: Request) -> Response:
        _require_admin(visitor)
        user = await self._find(request.path_params["user"])
        return await self._shown(visitor, user, SAID.get(request.query_params.get("said", "")))

    def _act(self, name: str) -> Callable[[SignedIn, Form], Awaitable[Response]]:
        do = self._acts[name]

        async def act(visitor: SignedIn, form: Form) -> Response:
            _require_admin(visitor)
            user = await self._find(form.get("user", ""))
            try:
                done = await do(visitor.user, user, form)
            except NotDone as refused:
                return await self._shown(visitor, user, Notice(refused.public, "bad"), status=400)
            return _back(user, name if done else "gone")

        return act

    async def _disable(self, admin: User, user: User, form: Form) -> bool:
        del form
        await self._accounts.disable(user, actor=admin)
        return True

    async def _enable(self, admin: User, user: User, form: Form) -> bool:
        del form
        await self._accounts.enable(user, actor=admin)
        return True

    async def _sign_out(self, admin: User, user: User, form: Form) -> bool:
        del form
        await self._accounts.sign_out(user, actor=admin)
        return True

    async def _end_token(self, admin: User, user: User, form: Form) -> bool:
        return await self._tokens.revoke_any(form.get("token", ""), actor=admin, tenant=user.tenant)

    async def _end_client(self, admin: User, user: User, form: Form) -> bool:
        family = form.get("client", "")
        ended = await self._grants.revoke_family(user.tenant, family, user.id)
        if ended:
            self._events.note(Kind.TOKEN_REVOKED, actor=admin, about=family)
        return ended

    async def _find(self, number: str) -> User:
        found = next((each for each in await self._accounts.users() if each.id == number), None)
        if found is None:
            raise HTTPException(404)
        return found

    async def _shown(self, visitor: SignedIn, user: User, notice: Notice | None, *, status: int = 200) -> Response:
        families = await self._grants.families(user.tenant, user.id)
        tokens = await self._tokens.list(user)
        return self._frame.page(
            "user.html",
            status=status,
            visitor=self._visitors.shown(visitor),
            here=PATH,
            notice=notice,
            user=_user_shown(user, visitor),
            clients=[client_shown(family) for family in families],
            tokens=[token_shown(token, self._now()) for token in tokens],
            form_tokens={name: self._visitors.form_token(visitor, name) for name in self._acts},
        )


def _require_admin(visitor: SignedIn) -> None:
    if ADMIN not in visitor.user.roles:
        raise Forbidden("This page is for admins of the hub. Ask one of them for what you need.")


def _user_shown(user: User, visitor: SignedIn) -> UserShown:
    return UserShown(
        id=user.id,
        name=user.name or user.email or user.subject,
        email=user.email,
        path=f"{PATH}/{user.id}",
        is_admin=ADMIN in user.roles,
        is_disabled=user.disabled,
        is_you=user.id == visitor.user.id,
        signs_in="with a password" if user.issuer == LOCAL_ISSUER else user.issuer,
        since=user.created_at,
        seen=user.seen_at,
    )


def _back(user: User, code: str) -> Response:
    target = f"{PATH}/{user.id}?said={code}"
    return RedirectResponse(target, status_code=303, headers={"Cache-Control": "no-store"})
