"""The page "Clients and tokens": everything that acts in somebody's name, since when, and a button that ends it.

Rule: everybody sees and ends their own alone; whose it is is asked of the store together with what is to end. A token
is shown once, in the answer to the form that made it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from typing import Final, Protocol, final
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from mcp_hub.identity.browsers import SignedIn
from mcp_hub.identity.events import Events, Kind
from mcp_hub.identity.personal import MOST_NAME
from mcp_hub.identity.refusals import NotDone
from mcp_hub.identity.scopes import ADMIN as ADMIN_SCOPE
from mcp_hub.identity.scopes import USE
from mcp_hub.principal import ADMIN
from mcp_hub.secret import Secret
from mcp_hub.store.grants import Family
from mcp_hub.store.people import BrowserSession, PersonalToken, User
from mcp_hub.web.forms import Form
from mcp_hub.web.frame import Frame, Notice
from mcp_hub.web.signed_in import looked_at, posted
from mcp_hub.web.visitors import Visitors
from mcp_hub.web.words import browser_name, known_from, scopes_in_words

PATH: Final = "/account/clients"
END_CLIENT: Final = f"{PATH}/end"
MAKE_TOKEN: Final = "/account/tokens"  # noqa: S105 - a path
END_TOKEN: Final = "/account/tokens/end"  # noqa: S105 - a path
END_BROWSER: Final = "/account/browsers/end"
END_ALL: Final = "/account/end-all"

_DAY: Final = 86400.0
LIFETIMES: Final = {"7": "7 days", "30": "30 days", "90": "90 days", "365": "1 year", "never": "Never"}

SAID: Final = {
    "client": Notice("Done. That client has no access any more; it has to ask you again."),
    "token": Notice("Done. That token is of no use any more."),
    "browser": Notice("Done. That browser is signed out."),
    "gone": Notice("That had ended already.", "warn"),
}
"""What is said after a form, by the code that the address carries."""
_NO_LIFETIME: Final = Notice("Nothing was made: choose from the list when the token expires.", "bad")


class Grants(Protocol):
    """Where clients with access are found and ended."""

    async def families(self, tenant: str, user: str | None = None) -> list[Family]: ...
    async def revoke_family(self, tenant: str, family: str, user: str | None = None) -> bool: ...


class Sessions(Protocol):
    """Where the browsers are found in which somebody is signed in."""

    async def browser_sessions(self, user: str) -> list[BrowserSession]: ...


class Browsers(Protocol):
    """Where one of them is signed out."""

    async def end_session(self, session: BrowserSession) -> None: ...


class Accounts(Protocol):
    """Where all browsers and clients of somebody are ended at once."""

    async def sign_out(self, user: User, *, actor: User) -> None: ...


class Tokens(Protocol):
    """Where personal tokens are made, found and ended."""

    async def create(
        self, user: User, name: str, expires_in: float | None, scopes: frozenset[str]
    ) -> tuple[PersonalToken, Secret]: ...
    async def list(self, user: User) -> list[PersonalToken]: ...
    async def revoke(self, user: User, token: str) -> bool: ...


@dataclass(frozen=True, slots=True)
class ClientShown:
    """A client with access, as the page shows it."""

    id: str
    name: str
    known_from: str
    may: list[str]
    since: float
    used: float


@dataclass(frozen=True, slots=True)
class TokenShown:
    """A personal token, as the page shows it."""

    id: str
    name: str
    prefix: str
    may: list[str]
    since: float
    used: float | None
    expires: float | None
    has_expired: bool


@dataclass(frozen=True, slots=True)
class BrowserShown:
    """A browser that is signed in, as the page shows it. `id` says nothing about its cookie."""

    id: str
    name: str
    since: float
    used: float
    is_this: bool


@final
class Access:
    """The page and its forms. `endpoint` is the URL that tokens are for."""

    def __init__(
        self,
        frame: Frame,
        visitors: Visitors,
        *,
        grants: Grants,
        sessions: Sessions,
        browsers: Browsers,
        accounts: Accounts,
        tokens: Tokens,
        events: Events,
        endpoint: str,
        now: Callable[[], float],
    ) -> None:
        self._frame = frame
        self._visitors = visitors
        self._grants = grants
        self._sessions = sessions
        self._browsers = browsers
        self._accounts = accounts
        self._tokens = tokens
        self._events = events
        self._endpoint = endpoint
        self._now = now

    def routes(self) -> list[BaseRoute]:
        """The page, and where its forms go."""
        forms = {
            END_CLIENT: self._end_client,
            MAKE_TOKEN: self._make_token,
            END_TOKEN: self._end_token,
            END_BROWSER: self._end_browser,
            END_ALL: self._end_all,
        }
        posts = [Route(path, posted(self._visitors, path, act), methods=["POST"]) for path, act in forms.items()]
        return [Route(PATH, looked_at(self._visitors, self._page)), *posts]

    async def _page(self, visitor: SignedIn, request: Request) -> Response:
        return await self._shown(visitor, SAID.get(request.query_params.get("said", "")))

    async def _shown(self, visitor: SignedIn, notice: Notice | None, *, status: int = 200) -> Response:
        user = visitor.user
        families = await self._grants.families(user.tenant, user.id)
        tokens = await self._tokens.list(user)
        browsers = await self._sessions.browser_sessions(user.id)
        return self._frame.page(
            "access.html",
            status=status,
            visitor=self._visitors.shown(visitor),
            here=PATH,
            notice=notice,
            clients=[client_shown(family) for family in families],
            tokens=[token_shown(token, self._now()) for token in tokens],
            browsers=[_browser_shown(each, visitor.session) for each in browsers],
            lifetimes=LIFETIMES,
            max_name=MOST_NAME,
            may_administer=ADMIN in user.roles,
            form_tokens={path: self._visitors.form_token(visitor, path) for path in _FORMS},
        )

    async def _end_client(self, visitor: SignedIn, form: Form) -> Response:
        family = form.get("client", "")
        ended = await self._grants.revoke_family(visitor.user.tenant, family, visitor.user.id)
        if ended:
            self._events.note(Kind.TOKEN_REVOKED, actor=visitor.user, about=family)
        return _said("client" if ended else "gone")

    async def _end_token(self, visitor: SignedIn, form: Form) -> Response:
        token = form.get("token", "")
        return _said("token" if await self._tokens.revoke(visitor.user, token) else "gone")

    async def _end_browser(self, visitor: SignedIn, form: Form) -> Response:
        wanted = form.get("browser", "")
        sessions = await self._sessions.browser_sessions(visitor.user.id)
        found = next((each for each in sessions if _public_id(each) == wanted), None)
        if found is None:
            return _said("gone")
        await self._browsers.end_session(found)
        self._events.note(Kind.SIGN_OUT, actor=visitor.user, about=visitor.user.id)
        return self._signed_out() if found.digest == visitor.session.digest else _said("browser")

    async def _end_all(self, visitor: SignedIn, form: Form) -> Response:
        del form
        await self._accounts.sign_out(visitor.user, actor=visitor.user)
        return self._signed_out()

    async def _make_token(self, visitor: SignedIn, form: Form) -> Response:
        lifetime = form.get("lifetime", "")
        if lifetime not in LIFETIMES:
            return await self._shown(visitor, _NO_LIFETIME, status=400)
        seconds = None if lifetime == "never" else int(lifetime) * _DAY
        scopes = frozenset({USE, ADMIN_SCOPE} if form.get("administers") == "yes" else {USE})
        try:
            token, secret = await self._tokens.create(visitor.user, form.get("name", "").strip(), seconds, scopes)
        except NotDone as refused:
            return await self._shown(visitor, Notice(refused.public, "bad"), status=400)
        return self._shown_once(visitor, token, secret)

    def _shown_once(self, visitor: SignedIn, token: PersonalToken, secret: Secret) -> Response:
        return self._frame.page(
            "token.html",
            visitor=self._visitors.shown(visitor),
            here=PATH,
            token=token_shown(token, self._now()),
            secret=secret.open(),
            endpoint=self._endpoint,
        )

    def _signed_out(self) -> Response:
        response = RedirectResponse("/login", status_code=303, headers={"Cache-Control": "no-store"})
        self._visitors.clear_cookie(response)
        return response


_FORMS: Final = (END_CLIENT, MAKE_TOKEN, END_TOKEN, END_BROWSER, END_ALL)


def client_shown(family: Family) -> ClientShown:
    """What pages show of a client's access."""
    name = family.client_name or family.client
    may = scopes_in_words(family.scopes)
    return ClientShown(family.id, name, known_from(family.client), may, family.created_at, family.used_at)


def token_shown(token: PersonalToken, at: float) -> TokenShown:
    """What pages show of a personal token at this moment."""
    return TokenShown(
        token.id,
        token.name,
        token.prefix,
        scopes_in_words(token.scopes),
        token.created_at,
        token.used_at,
        token.expires_at,
        has_expired=token.expires_at is not None and token.expires_at <= at,
    )


def _browser_shown(session: BrowserSession, this: BrowserSession) -> BrowserShown:
    name, is_this = browser_name(session.agent), session.digest == this.digest
    return BrowserShown(_public_id(session), name, session.created_at, session.used_at, is_this)


def _public_id(session: BrowserSession) -> str:
    return sha256(b"browser session" + session.digest).hexdigest()[:32]


def _said(code: str) -> Response:
    target = f"{PATH}?{urlencode({'said': code})}"
    return RedirectResponse(target, status_code=303, headers={"Cache-Control": "no-store"})
