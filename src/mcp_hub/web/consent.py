"""The pages of the authorization endpoint: the question, the way back, and why there is none.

Rule: whoever decides sees who asks, who says so, where they are sent and what they give; what a client calls itself is
never taken for what it is. Source: MCP security best practices "Consent page"; OAuth client id metadata document
draft, section 6.
"""

from dataclasses import dataclass
from math import ceil
from typing import Final, final

from starlette.responses import Response

from mcp_hub.authserver.clients import Client, ClientKind, NoDocument
from mcp_hub.authserver.consents import Decision, NotAsked, Question
from mcp_hub.authserver.errors import OAuthError
from mcp_hub.authserver.redirects import is_local, is_web, shown_host
from mcp_hub.authserver.requests import Back, Unanswerable, is_trusted
from mcp_hub.web.frame import Frame, try_again
from mcp_hub.web.visitors import Shown
from mcp_hub.web.words import scope_at_length
from mcp_hub.wire.redirects import is_loopback_uri

_AGAIN: Final = "Go back to the app and connect it again."
_TEMPORARY: Final = "Wait a little, then go back to the app and connect it again."
_FAILED: Final = "This did not work"
_Reason = Unanswerable | NotAsked | NoDocument


@dataclass(frozen=True, slots=True)
class _Way:
    """To the client, by this URL."""

    client: Client
    back: Back
    url: str


@final
class ConsentPages:
    """Draws them in the frame of the hub."""

    def __init__(self, frame: Frame) -> None:
        self._frame = frame

    def question(self, question: Question, visitor: Shown, form_token: str) -> Response:
        """What the client wants, with the buttons Allow and Deny."""
        client, redirect = question.client, question.asked.back.redirect_uri
        return self._frame.page(
            "consent.html",
            visitor=visitor,
            form_token=form_token,
            key=question.key,
            name=client.name,
            is_configured=client.kind is ClientKind.CONFIGURED,
            host=client.host,
            goes_to=shown_host(redirect),
            place=_place(redirect),
            resource=question.asked.resource,
            scopes=[(scope_at_length(scope), scope in question.new) for scope in question.scopes],
            is_known=question.is_known,
            changed=question.changed,
            is_loopback_only=client.is_loopback_only,
        )

    def on_the_way(self, decision: Decision) -> Response:
        """To the client, with the answer; by itself, but to an app only by a click."""
        title = "Access allowed" if decision.allowed else "Access denied"
        way = _Way(decision.client, decision.asked.back, decision.url)
        return self._leave(way, title)

    def refused(self, client: Client, back: Back, error: OAuthError) -> Response:
        """The client asked for something that it cannot have. To go and tell it so is up to the user, unless the
        place is trusted.
        """
        way = _Way(client, back, back.error(error.code, error.description))
        if is_trusted(client, back):
            return self._leave(way, _FAILED, error.description)
        return self._page(way, _FAILED, error.description, status=400)

    def stay(self, reason: _Reason) -> Response:
        """Why nobody is sent anywhere."""
        if isinstance(reason, Unanswerable):
            return self._frame.error(reason.title, reason.public, reason.next_step, status=400)
        if isinstance(reason, NoDocument):
            next_step = _TEMPORARY if reason.is_temporary else _AGAIN
            return self._frame.error("This app cannot be recognised", reason.public, next_step, status=400)
        return self._frame.error("Nothing was allowed", reason.public, _AGAIN, status=403)

    def too_often(self, wait: float) -> Response:
        """Too many requests from one address; `wait` is in seconds."""
        sentence = "Too many apps were sent here from your network address."
        answer = self._frame.error("Please wait", sentence, f"Try again in {ceil(wait)} seconds.", status=429)
        return try_again(answer, wait)

    def _leave(self, way: _Way, title: str, sentence: str = "") -> Response:
        is_automatic = is_web(way.back.redirect_uri)
        answer = self._page(way, title, sentence, is_automatic=is_automatic)
        if is_automatic:
            answer.headers["Refresh"] = f"0;url={way.url}"
        return answer

    def _page(self, way: _Way, title: str, sentence: str, *, is_automatic: bool = False, status: int = 200) -> Response:
        return self._frame.page(
            "leave.html",
            status=status,
            title=title,
            sentence=sentence,
            name=way.client.name,
            goes_to=shown_host(way.back.redirect_uri),
            place=_place(way.back.redirect_uri),
            url=way.url,
            is_automatic=is_automatic,
        )


def _place(redirect: str) -> str:
    """What kind of place it is: a site, a program on this computer that listens, or an app that it opens."""
    if is_loopback_uri(redirect):
        return "program"
    return "app" if is_local(redirect) else "site"
