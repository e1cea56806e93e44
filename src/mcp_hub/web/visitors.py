"""Who looks at a page, and whether a form really comes from one of ours.

Rule: a browser is known by one cookie, and that cookie alone changes nothing. What changes something is a POST of a
form that one of our own pages showed to this very browser: the browser says that it comes from our origin
(`Sec-Fetch-Site`, `Origin`), and the form brings a token that is bound to the browser's cookie and to one purpose.
Source: Fetch Metadata; Fetch "append a request Origin header"; RFC 6265bis section 4.1.3 (`__Host-`).
"""

import hmac
import re
import secrets
from base64 import urlsafe_b64encode
from dataclasses import dataclass
from hashlib import sha256
from typing import Final, Protocol
from urllib.parse import quote, urlsplit

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from mcp_hub.errors import Forbidden
from mcp_hub.identity.browsers import SignedIn
from mcp_hub.identity.tokens import digest
from mcp_hub.principal import ADMIN
from mcp_hub.secret import Secret
from mcp_hub.web.forms import Form, read_form

FORM_KEY: Final = "form-token-key"
"""What the key of form tokens is called in the store."""
FIELD: Final = "form_token"
"""The name of the hidden field in which a form brings its token."""
SIGN_OUT: Final = "sign out"
"""The purpose of the form that every page of somebody signed in has in its head."""

_SIGNED_IN: Final = "mcp_hub"
_NEWCOMER: Final = "mcp_hub_new"
_COOKIE: Final = re.compile(r"[A-Za-z0-9_-]{20,128}")
_PATH: Final = re.compile(r"/(?!/)[!-\[\]-~]{0,8191}")
_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})
_MAC: Final = 43
"""Characters of 32 bytes in base64 without padding."""

_OTHER_SITES: Final = ("cross-site", "same-site")


class CrossSite(Forbidden):
    """What a page of ours did not ask for: a form that none showed to this browser, or not for this purpose; or
    something that a page of another site asked for unseen. HTTP 403."""


class Browsers(Protocol):
    """Where browser sessions are looked up."""

    async def find(self, cookie: str) -> SignedIn | None:
        """Who is signed in with the cookie of this value, if they still are."""
        ...


@dataclass(frozen=True, slots=True)
class Newcomer:
    """A browser in which nobody has signed in yet. `digest` is what forms and logins under way are bound to.

    `cookie` is what it has to be given to be known again; `None` if it has brought it.
    """

    digest: bytes
    cookie: Secret | None


@dataclass(frozen=True, slots=True)
class Shown:
    """What the head of every page says of who looks at it. Without a token nobody has signed in: the hub has one user
    and no accounts."""

    name: str
    is_admin: bool
    sign_out_token: str


class Visitors:
    """Knows the browsers of one hub. `base_url` is the hub's; `key` is at least 32 random bytes that stay."""

    def __init__(self, browsers: Browsers, *, base_url: str, key: bytes) -> None:
        self._browsers = browsers
        self._key = key
        parts = urlsplit(base_url)
        self._scheme = parts.scheme
        self._origin = f"{parts.scheme}://{parts.netloc}".lower()
        self._secure = parts.scheme == "https"
        prefix = "__Host-" if self._secure else ""
        self._signed_in, self._newcomer = f"{prefix}{_SIGNED_IN}", f"{prefix}{_NEWCOMER}"

    async def visitor(self, request: Request) -> SignedIn | None:
        """Who is signed in in the browser that asks.

        Raises:
            StoreFailed: it cannot be looked up.
        """
        cookie = self.cookie(request)
        return None if cookie is None else await self._browsers.find(cookie)

    def cookie(self, request: Request) -> str | None:
        """The value of the cookie of a browser session, whether it is one or not."""
        return _well_formed(request.cookies.get(self._signed_in))

    def sign_in_first(self, request: Request) -> Response:
        """To the login page, and from there back to what was asked for, if that was only looked at."""
        url = request.url
        path = f"{url.path}?{url.query}" if url.query else url.path
        wanted = safe_next(path) if request.method in ("GET", "HEAD") else "/"
        target = "/login" if wanted == "/" else f"/login?next={quote(wanted, safe='/')}"
        return RedirectResponse(target, status_code=303, headers={"Cache-Control": "no-store"})

    def newcomer(self, request: Request) -> Newcomer:
        """The browser that asks, known by a cookie of its own until somebody signs in; give it `remember`ed."""
        cookie = _well_formed(request.cookies.get(self._newcomer))
        if cookie is not None:
            return Newcomer(digest(cookie), None)
        fresh = Secret(secrets.token_urlsafe(32))
        return Newcomer(digest(fresh), fresh)

    def remember(self, response: Response, newcomer: Newcomer) -> Response:
        """Give the browser the cookie it is known by, if it has none."""
        if newcomer.cookie is not None:
            self._set(response, self._newcomer, newcomer.cookie)
        return response

    def set_cookie(self, response: Response, value: Secret) -> None:
        """Sign the browser in: its cookie of before ends, so that no form of before is of use."""
        self._set(response, self._signed_in, value)
        self._clear(response, self._newcomer)

    def clear_cookie(self, response: Response) -> None:
        """Sign the browser out."""
        self._clear(response, self._signed_in)

    def shown(self, visitor: SignedIn) -> Shown:
        """What pages show of who is signed in: `frame.page(..., visitor=visitors.shown(visitor))`."""
        user = visitor.user
        token = self.form_token(visitor, SIGN_OUT)
        return Shown(user.email or user.name or user.subject, ADMIN in user.roles, token)

    def form_token(self, holder: SignedIn | Newcomer, purpose: str) -> str:
        """A fresh token for a form of this purpose, good for as long as the holder's cookie is."""
        bound_to = holder.digest if isinstance(holder, Newcomer) else holder.session.digest
        nonce = secrets.token_urlsafe(16)
        return nonce + self._mac(nonce, bound_to, purpose)

    async def form(self, request: Request, purpose: str) -> Form:
        """The form of a POST that one of our pages showed to this browser for this purpose.

        Raises:
            CrossSite: it did not.
            BadForm: it cannot be read.
        """
        self.check_origin(request)
        form = await read_form(request)
        token = form.get(FIELD, "")
        cookies = (self.cookie(request), _well_formed(request.cookies.get(self._newcomer)))
        if not any(self._is_ours(token, digest(cookie), purpose) for cookie in cookies if cookie is not None):
            raise CrossSite("This form is no longer valid. Load the page again, and send it once more.")
        return form

    def check_looked(self, request: Request) -> None:
        """Return if this page is to be seen, as far as the browser says: pages of other sites may lead here, but not
        ask in the background, where nobody sees what they have the hub do (Fetch Metadata, W3C).

        Raises:
            CrossSite: one does.
        """
        site, destination = request.headers.get("sec-fetch-site"), request.headers.get("sec-fetch-dest")
        if site in _OTHER_SITES and destination not in (None, "document"):
            raise CrossSite("A page of another site asked for this one without showing it. Open it here.")

    def check_origin(self, request: Request) -> None:
        """Return if the request comes from one of our own pages, as far as the browser says.

        Raises:
            CrossSite: it comes from elsewhere.
        """
        site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
        if site not in (None, "same-origin") or not (origin is None or self._is_own(origin, request)):
            raise CrossSite("The form was sent by a page of another site. Open the page here, and send it from there.")

    def _is_own(self, origin: str, request: Request) -> bool:
        # The name in `Host` has been judged: it is one of the hub's, of which it may have several.
        host = request.headers.get("host", "").lower()
        local = {f"http://{host}"} if urlsplit(f"//{host}").hostname in _LOOPBACK else set[str]()
        return origin.lower() in {self._origin, f"{self._scheme}://{host}", *local}

    def _is_ours(self, token: str, bound_to: bytes, purpose: str) -> bool:
        nonce, mac = token[:-_MAC], token[-_MAC:]
        return hmac.compare_digest(mac.encode(), self._mac(nonce, bound_to, purpose).encode())

    def _mac(self, nonce: str, bound_to: bytes, purpose: str) -> str:
        message = b"\0".join((b"form", nonce.encode(), bound_to.hex().encode(), purpose.encode()))
        return _text(hmac.digest(self._key, message, sha256))

    def _set(self, response: Response, name: str, value: Secret) -> None:
        response.set_cookie(name, value.open(), path="/", secure=self._secure, httponly=True, samesite="lax")

    def _clear(self, response: Response, name: str) -> None:
        response.delete_cookie(name, path="/", secure=self._secure, httponly=True, samesite="lax")


def safe_next(text: str) -> str:
    """Where to go on after signing in: `text` if it is a path of this hub, else its first page.

    A path begins with one slash and holds no backslash, space or control character, which browsers would read as
    another slash, or leave out.
    """
    return text if _PATH.fullmatch(text) else "/"


def _well_formed(cookie: str | None) -> str | None:
    return cookie if cookie is not None and _COOKIE.fullmatch(cookie) else None


def _text(data: bytes) -> str:
    return urlsafe_b64encode(data).decode().rstrip("=")
