"""How a caller stands with an upstream, from what is stored. Rule: pure, and nothing of it is secret."""

from typing import Final

from mcp_hub.credentials.decide import SignIn
from mcp_hub.credentials.needed import MOVED
from mcp_hub.credentials.state import State
from mcp_hub.oauth.connection import Connection
from mcp_hub.oauth.declared import Declared
from mcp_hub.store.connections import Grant, GrantState, PastedKey


def standing(declared: Declared, sign_in: SignIn, state: State, sentence: str) -> Connection:
    """One of which no more is known."""
    return Connection(declared.name, declared.title, declared.host, sign_in.value, state, sentence)


def of_grant(declared: Declared, grant: Grant | None, trouble: str = "") -> Connection:
    """By what somebody gave the hub; `trouble` is why it could not be renewed the last time."""
    if grant is None:
        return standing(declared, SignIn.OAUTH, State.NOT_CONNECTED, _CONNECT.format(title=declared.title))
    is_here = grant.place == declared.place
    is_ready = grant.state is GrantState.READY and is_here
    reason = grant.reason or MOVED.format(title=declared.title)
    wanted = grant.wanted - grant.scopes
    sentence = (
        f"{declared.title} asked for more than you have allowed. Connect again to allow it." if wanted else trouble
    )
    return Connection(
        upstream=declared.name,
        title=declared.title,
        host=declared.host,
        sign_in=SignIn.OAUTH.value,
        state=State.READY if is_ready else State.RECONNECT_NEEDED,
        sentence=sentence if is_ready else f"{reason} Connect again to go on.",
        account=grant.account,
        scopes=grant.scopes,
        since=grant.created_at,
        used=grant.used_at,
        wanted=wanted,
    )


def of_key(declared: Declared, key: PastedKey | None) -> Connection:
    """By what somebody pasted."""
    if key is None:
        return standing(declared, SignIn.PASTED, State.NOT_CONNECTED, _PASTE.format(title=declared.title))
    is_here = key.place == declared.place
    return Connection(
        upstream=declared.name,
        title=declared.title,
        host=declared.host,
        sign_in=SignIn.PASTED.value,
        state=State.READY if is_here else State.RECONNECT_NEEDED,
        sentence="" if is_here else f"{MOVED.format(title=declared.title)} Paste your key again to go on.",
        since=key.created_at,
        used=key.used_at,
        key_hint=key.hint,
    )


_CONNECT: Final = "Connect it to use {title} with your own account."
_PASTE: Final = "Paste your key to use {title} with your own account."
