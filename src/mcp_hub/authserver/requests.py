"""What a client asks for when it sends a browser to the authorization endpoint.

Rule: first who asks and where the answer goes, as literal strings; as long as either is in doubt there is a page and no
redirect. Everything else that is wrong is answered there, with a sentence of ours: nothing that was sent is repeated
but `state`, once. Pure.
Sources: RFC 6749 sections 3.1 and 4.1, RFC 7636, RFC 8707, RFC 9207, RFC 9700 sections 2.1 and 4.11.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qsl

from mcp_hub.authserver.clients import Client, ClientKind
from mcp_hub.authserver.errors import ErrorCode, OAuthError
from mcp_hub.authserver.redirects import matches, with_answer
from mcp_hub.errors import CallerError
from mcp_hub.identity.scopes import ADMIN, SUPPORTED, USE
from mcp_hub.wire.redirects import is_loopback_uri

MOST_BYTES: Final = 8000
"""Of a whole query: what also fits into the address of the login page that leads back here."""
MOST_PARAMETERS: Final = 100
LONGEST_STATE: Final = 2048

_RAW: Final = re.compile(rb"[!-\[\]-~]*")
"""The bytes that a query may have: printable ASCII without a backslash, which browsers read as they please."""
_CHALLENGE: Final = re.compile(r"[A-Za-z0-9._~-]{43,128}")
_IGNORED: Final = frozenset({"", "offline_access"})
"""Scopes that are no fault: refresh tokens are given to whoever registered for them, not to who asks here."""
_REFUSED: Final = ("request", "request_uri")


class Unanswerable(CallerError):
    """Nobody knows to whom to answer: a page in our own words, never a redirect."""

    def __init__(self, title: str, public: str, next_step: str) -> None:
        super().__init__(public)
        self.title = title
        self.next_step = next_step


@dataclass(frozen=True, slots=True)
class Query:
    """The parameters of a request by name, each with all its values, empty ones included."""

    values: Mapping[str, Sequence[str]]

    def get(self, name: str) -> str | None:
        """Its first value; one that is empty counts as absent (RFC 6749 section 3.1)."""
        return self.values.get(name, ("",))[0] or None

    def repeats(self, name: str) -> bool:
        """Whether it stands there more than once."""
        return len(self.values.get(name, ())) > 1


@dataclass(frozen=True, slots=True)
class Back:
    """Where the answer goes: `redirect_uri` is the one that was asked for, or the client's only one."""

    redirect_uri: str
    state: str | None
    issuer: str

    def answer(self, *members: tuple[str, str]) -> str:
        """The URL that brings these members to the client, with `state` and `iss` exactly once."""
        state = [] if self.state is None else [("state", self.state)]
        return with_answer(self.redirect_uri, [*members, *state, ("iss", self.issuer)])

    def error(self, code: ErrorCode, description: str) -> str:
        """The URL that brings an error to the client."""
        return self.answer(("error", code), ("error_description", description))


@dataclass(frozen=True, slots=True)
class Asked:
    """A whole request that is as it has to be. `literal` is its `redirect_uri`, empty if it had none."""

    client: str
    back: Back
    literal: str
    challenge: str
    resource: str
    scopes: frozenset[str]


def read_query(raw: bytes) -> Query:
    """The parameters of an encoded query.

    Raises:
        Unanswerable: it is too long, or holds bytes that no query has.
    """
    if len(raw) > MOST_BYTES or not _RAW.fullmatch(raw):
        raise _unreadable()
    try:
        pairs = parse_qsl(raw.decode(), keep_blank_values=True, max_num_fields=MOST_PARAMETERS, errors="strict")
    except ValueError:
        raise _unreadable() from None
    values: dict[str, list[str]] = {}
    for name, value in pairs:
        values.setdefault(name, []).append(value)
    return Query(values)


def client_id_of(query: Query) -> str:
    """Who asks.

    Raises:
        Unanswerable: it is not said, or more than once.
    """
    client_id = query.get("client_id")
    if client_id is None or query.repeats("client_id"):
        raise Unanswerable(
            "The app did not say which app it is",
            "An app sent you here to sign in, but did not say which app it is (client_id).",
            "Go back to the app and connect it again. If it stays like this, its maker has to correct it.",
        )
    return client_id


def unknown_client() -> Unanswerable:
    """Nobody is registered under the id that was sent."""
    return Unanswerable(
        "This app is not known here",
        "The app that sent you here is not registered with this hub, or was forgotten because nobody used it.",
        "Remove this hub from the app and add it again, so that the app registers anew.",
    )


def unknown_place() -> Unanswerable:
    """The answer would go to an address that is not the client's."""
    return Unanswerable(
        "The app asks to send you to an unknown place",
        "The address to which the app wants you sent back is not one that it registered, so you stay here.",
        "If you began this yourself, remove this hub from the app and add it again.",
    )


def way_back(query: Query, client: Client, issuer: str) -> Back:
    """Where the answer goes.

    Raises:
        Unanswerable: that is not one of the client's addresses, or it is not clear which.
    """
    asked = query.get("redirect_uri")
    if query.repeats("redirect_uri") or not _may_go(asked, client):
        raise unknown_place()
    state = query.get("state")
    return Back(asked or client.redirect_uris[0], state if _is_state(query) else None, issuer)


def _may_go(asked: str | None, client: Client) -> bool:
    return len(client.redirect_uris) == 1 if asked is None else matches(client.redirect_uris, asked)


def is_trusted(client: Client, back: Back) -> bool:
    """Whether a browser may be sent there without asking its user: otherwise the hub would take people wherever
    somebody who registered a client likes (RFC 9700 section 4.11.2).
    """
    return client.kind is ClientKind.CONFIGURED or is_loopback_uri(back.redirect_uri)


def judged(query: Query, client: Client, back: Back, resources: Sequence[str]) -> Asked:
    """The request; `resources` are those of the hub, the first of them what is meant if none is named.

    Raises:
        OAuthError: something is wrong with it; the client is told so.
    """
    _check_form(query)
    _check_response(query)
    return Asked(
        client=client.id,
        back=back,
        literal=query.get("redirect_uri") or "",
        challenge=_challenge(query),
        resource=_resource(query, resources),
        scopes=_scopes(query),
    )


def check_rights(asked: Asked, *, is_admin: bool) -> None:
    """Whether the user can give what is asked for.

    Raises:
        OAuthError: `invalid_scope`.
    """
    if ADMIN in asked.scopes and not is_admin:
        raise OAuthError("invalid_scope", "Only an admin of the hub can allow hub:admin.")


def _check_form(query: Query) -> None:
    if any(query.repeats(name) for name in query.values if name != "resource"):
        raise OAuthError("invalid_request", "A parameter was sent twice.")
    if not _is_state(query):
        raise OAuthError("invalid_request", f"state is longer than {LONGEST_STATE} bytes.")
    if any(query.get(name) is not None for name in _REFUSED):
        raise OAuthError("invalid_request", "This hub takes no request objects: send the parameters themselves.")


def _is_state(query: Query) -> bool:
    state = query.get("state") or ""
    return not query.repeats("state") and len(state.encode()) <= LONGEST_STATE


def _check_response(query: Query) -> None:
    wanted = query.get("response_type")
    if wanted is None:
        raise OAuthError("invalid_request", "response_type is missing: send code.")
    if wanted != "code":
        raise OAuthError("unsupported_response_type", "response_type has to be code.")
    if query.get("response_mode") not in (None, "query"):
        raise OAuthError("invalid_request", "response_mode has to be query.")
    if "none" in (query.get("prompt") or "").split(" "):
        raise OAuthError("interaction_required", "This hub always asks its user.")


def _challenge(query: Query) -> str:
    challenge = query.get("code_challenge")
    if challenge is None:
        raise OAuthError("invalid_request", "code_challenge is missing: this hub requires PKCE.")
    if query.get("code_challenge_method") != "S256":
        raise OAuthError("invalid_request", "code_challenge_method has to be S256.")
    if not _CHALLENGE.fullmatch(challenge):
        raise OAuthError("invalid_request", "code_challenge has to have 43 to 128 characters of RFC 7636.")
    return challenge


def _resource(query: Query, resources: Sequence[str]) -> str:
    named = query.get("resource")
    if query.repeats("resource"):
        raise OAuthError("invalid_target", "A token of this hub is for one resource: send one.")
    if named is not None and named not in resources:
        raise OAuthError("invalid_target", "This is not the address of an endpoint of this hub.")
    return named or resources[0]


def _scopes(query: Query) -> frozenset[str]:
    asked = frozenset((query.get("scope") or "").split(" ")) - _IGNORED
    if not asked.issubset(SUPPORTED):
        raise OAuthError("invalid_scope", f"The scopes of this hub are {' and '.join(SUPPORTED)}.")
    return asked or frozenset({USE})


def _unreadable() -> Unanswerable:
    return Unanswerable(
        "The app's request cannot be read",
        "An app sent you here to sign in, but its request is too long or garbled.",
        "Go back to the app and connect it again. If it stays like this, its maker has to correct it.",
    )
