"""The token and the revocation endpoint, without their HTTP: forms in, what clients are told out.

Rule: what a request wants is looked up before its client is, since only who holds something of a client makes the hub
fetch that client's document; and nothing is done before the client has shown who it is.
Sources: RFC 6749 section 3.2, RFC 7009 section 2.
"""

from collections.abc import Mapping, Sequence
from typing import final

from mcp_hub.authserver.client_auth import ClientProofs, Shown, refused_client, shown
from mcp_hub.authserver.clients import (
    CLIENT_GRANT,
    CODE_GRANT,
    GRANTS,
    REFRESH_GRANT,
    Client,
    ClientKind,
    Clients,
    NoDocument,
)
from mcp_hub.authserver.errors import OAuthError
from mcp_hub.authserver.rules import CodeRequest
from mcp_hub.authserver.tokens import Tokens, TokenStore
from mcp_hub.identity.events import Events, Kind
from mcp_hub.identity.tokens import Kind as TokenKind
from mcp_hub.identity.tokens import digest
from mcp_hub.wire.jsonrpc import Json

Form = Mapping[str, str]


@final
class TokenEndpoint:
    """Serves the clients of one hub. Forms have each name once; `authorizations` are the headers of that name."""

    def __init__(
        self, store: TokenStore, clients: Clients, proofs: ClientProofs, tokens: Tokens, events: Events
    ) -> None:
        self._store = store
        self._clients = clients
        self._proofs = proofs
        self._tokens = tokens
        self._events = events

    async def token(self, form: Form, authorizations: Sequence[str], address: str) -> Json:
        """The answer to a request for tokens, from this network address.

        Raises:
            OAuthError: it is not in order.
            StoreFailed: the store could not be asked or written.
        """
        form = _said(form)
        match _needed(form, "grant_type"):
            case "authorization_code":
                return await self._redeem(form, shown(form, authorizations), address)
            case "refresh_token":
                return await self._refresh(form, shown(form, authorizations), address)
            case "client_credentials":
                return await self._give(form, shown(form, authorizations), address)
            case _:
                sentence = f"grant_type has to be one of {', '.join((*GRANTS, CLIENT_GRANT))}."
                raise OAuthError("unsupported_grant_type", sentence)

    async def revoke(self, form: Form, authorizations: Sequence[str], address: str) -> None:
        """Take a token back; one that nobody knows is no error. `token_type_hint` is not needed and not looked at.

        Raises:
            OAuthError: the request is not in order, or the token is another client's.
            StoreFailed: the store could not be asked or written.
        """
        form = _said(form)
        proof = shown(form, authorizations)
        text = _needed(form, "token")
        if text.startswith(TokenKind.PERSONAL):
            raise OAuthError("unsupported_token_type", "Personal tokens are revoked by their owners, at the hub.")
        owner = await self._owner(text)
        if owner is None and self._clients.is_document(proof.client_id):
            return  # nothing is there to be revoked, so nothing is fetched to find out who asks
        client = await self._known(proof, owner, address)
        await self._tokens.revoke(text, client, address)

    async def _redeem(self, form: Form, proof: Shown, address: str) -> Json:
        code = await self._store.code(digest(_needed(form, "code")))
        client = await self._known(proof, None if code is None else code.client, address)
        _require_grant(client, CODE_GRANT)
        asked = CodeRequest(client.id, form.get("redirect_uri"), form.get("code_verifier"), form.get("resource"))
        return await self._tokens.redeem(code, asked, client, address)

    async def _refresh(self, form: Form, proof: Shown, address: str) -> Json:
        text = _needed(form, "refresh_token")
        found = await self._store.refresh_token(digest(text))
        client = await self._known(proof, None if found is None else found[1].client, address)
        _require_grant(client, REFRESH_GRANT)
        return await self._tokens.refresh(text, form.get("scope"), form.get("resource"), client, address)

    async def _give(self, form: Form, proof: Shown, address: str) -> Json:
        client = await self._known(proof, None, address)
        if not _acts_for_itself(client):
            raise _unauthorized()
        return await self._tokens.give(form.get("scope"), form.get("resource"), client, address)

    async def _owner(self, text: str) -> str | None:
        key = digest(text)
        found = await self._store.refresh_token(key) or await self._store.access_token(key)
        return None if found is None else found[1].client

    async def _known(self, proof: Shown, owner: str | None, address: str) -> Client:
        """The client that shows this; `owner` is the client of what it brings along."""
        try:
            return await self._checked(proof, owner)
        except OAuthError as refused:
            if refused.code == "invalid_client":
                self._events.note(
                    Kind.CLIENT_REFUSED, refused.code, client=proof.client_id, about=proof.client_id, address=address
                )
            raise

    async def _checked(self, proof: Shown, owner: str | None) -> Client:
        holds = owner == proof.client_id
        try:
            client = await self._clients.find(proof.client_id, may_fetch=holds)
        except NoDocument as gone:
            if gone.is_temporary:
                sentence = "The document of this client cannot be had just now. Try again later."
                raise OAuthError("temporarily_unavailable", sentence, 503) from gone
            raise refused_client("The document of this client cannot be had, or is not as it has to be.") from gone
        if client is None and not holds and self._clients.is_document(proof.client_id):
            raise OAuthError("invalid_grant", "This is not valid (any more). Send the user to the hub again.")
        if client is None:
            sentence = "This client is not known here (any more). Register it again."
            raise refused_client(sentence, basic=proof.way == "basic")
        await self._proofs.check(client, proof)
        return client


def _said(form: Form) -> Form:
    # What is sent without a value counts as not sent (RFC 6749 section 3.2).
    return {name: value for name, value in form.items() if value}


def _needed(form: Form, name: str) -> str:
    value = form.get(name)
    if value is None:
        raise OAuthError("invalid_request", f"{name} is missing.")
    return value


def _require_grant(client: Client, grant: str) -> None:
    if grant not in client.grant_types:
        raise _unauthorized()


def _acts_for_itself(client: Client) -> bool:
    """Whether a client is one without users: the operator gave it a secret or a key, and nowhere to send users to."""
    is_proven = client.kind is ClientKind.CONFIGURED and client.auth_method != "none"
    return is_proven and not client.redirect_uris


def _unauthorized() -> OAuthError:
    return OAuthError("unauthorized_client", "This client may not use this grant_type.")
