"""Who looks at a page that is about themselves, whether people sign in here or there is only one.

Rule: such a page knows a principal, and a browser that its forms and logins are bound to; how both were found is not
its business. In a hub with a login that is the browser session. In a private hub whoever reaches it is its one user,
and the browser is known by the cookie of those who have not signed in: without it, a form or a callback that another
site makes the browser send would be taken for the user's own.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, Protocol, final

from starlette.requests import Request
from starlette.responses import Response

from mcp_hub.identity.browsers import SignedIn
from mcp_hub.identity.principals import principal_of
from mcp_hub.principal import LOCAL, Principal
from mcp_hub.web.forms import Form
from mcp_hub.web.visitors import Newcomer, Shown, Visitors


@dataclass(frozen=True, slots=True)
class Looker:
    """Somebody at a page: as whom they act, what its head says of them, and what their browser is known by."""

    caller: Principal
    shown: Shown
    holder: SignedIn | Newcomer

    @property
    def browser(self) -> bytes:
        """The digest of the cookie that forms and logins are bound to."""
        return self.holder.digest if isinstance(self.holder, Newcomer) else self.holder.session.digest


class Known(Protocol):
    """Knows people by what their browsers bring."""

    async def looker(self, request: Request) -> Looker | None:
        """Who looks; `None` for somebody who has to sign in first.

        Raises:
            StoreFailed: it cannot be looked up.
        """
        ...


@final
class Members:
    """Those who have signed in."""

    def __init__(self, visitors: Visitors) -> None:
        self._visitors = visitors

    async def looker(self, request: Request) -> Looker | None:
        """See `Known`."""
        found = await self._visitors.visitor(request)
        return None if found is None else Looker(principal_of(found.user), self._visitors.shown(found), found)


@final
class Owner:
    """The one user of a private hub, in whatever browser."""

    def __init__(self, visitors: Visitors) -> None:
        self._visitors = visitors

    async def looker(self, request: Request) -> Looker | None:
        """See `Known`: there is always one."""
        return Looker(LOCAL, _OWNER, self._visitors.newcomer(request))


@final
class NoSessions:
    """The browser sessions of a hub where nobody signs in."""

    async def find(self, cookie: str) -> SignedIn | None:
        """There are none."""
        del cookie
        return None


Show = Callable[[Looker, Request], Awaitable[Response]]
Act = Callable[[Looker, Request, Form], Awaitable[Response]]
Endpoint = Callable[[Request], Awaitable[Response]]


@final
class Doorway:
    """Lets those in who are `known`, and the forms of pages that were shown to them."""

    def __init__(self, known: Known, visitors: Visitors) -> None:
        self._known = known
        self._visitors = visitors

    async def looker(self, request: Request) -> Looker | None:
        """See `Known`."""
        return await self._known.looker(request)

    def looked_at(self, show: Show) -> Endpoint:
        """A page for somebody who is known; others are sent to sign in before anything is read."""

        async def endpoint(request: Request) -> Response:
            self._visitors.check_looked(request)
            looker = await self._known.looker(request)
            return self.sign_in_first(request) if looker is None else self._to(looker, await show(looker, request))

        return endpoint

    def posted(self, verb: str, act: Act) -> Endpoint:
        """What happens to a form of ours that does this to the upstream in the path; `Looker` is who was shown it."""

        async def endpoint(request: Request) -> Response:
            looker = await self._known.looker(request)
            if looker is None:
                return self.sign_in_first(request)
            form = await self._visitors.form(request, _purpose(verb, request.path_params["upstream"]))
            return self._to(looker, await act(looker, request, form))

        return endpoint

    def sign_in_first(self, request: Request) -> Response:
        """To where people sign in, and from there back."""
        return self._visitors.sign_in_first(request)

    def token(self, looker: Looker, verb: str, upstream: str) -> str:
        """What a form brings with it that does this to an upstream: good for nothing else, and in this browser."""
        return self._visitors.form_token(looker.holder, _purpose(verb, upstream))

    def _to(self, looker: Looker, response: Response) -> Response:
        holder = looker.holder
        return self._visitors.remember(response, holder) if isinstance(holder, Newcomer) else response


_OWNER: Final = Shown("", is_admin=False, sign_out_token="")


def _purpose(verb: str, upstream: str) -> str:
    return f"{verb} {upstream}"
