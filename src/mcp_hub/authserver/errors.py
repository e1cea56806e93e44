"""What a client of the authorization server did wrong, in the words of the RFCs.

Rule: `code` is one that the RFC of the endpoint knows, and the description is a fixed sentence of ours: nothing that
was sent is ever in it.
"""

from typing import Literal

from mcp_hub.errors import CallerError

ErrorCode = Literal[
    "invalid_request",
    "invalid_client",
    "invalid_grant",
    "unauthorized_client",
    "unsupported_grant_type",
    "unsupported_response_type",
    "unsupported_token_type",
    "invalid_scope",
    "invalid_target",
    "access_denied",
    "interaction_required",
    "invalid_redirect_uri",
    "invalid_client_metadata",
    "server_error",
    "temporarily_unavailable",
]
"""RFC 6749 sections 4.1.2.1 and 5.2, RFC 7009 section 2.2.1, RFC 7591 section 3.2.2, RFC 8707 section 2;
OpenID Connect Core section 3.1.2.6."""


class OAuthError(CallerError):
    """A request that is refused. HTTP `status`; `challenge` is the value of `WWW-Authenticate`, empty for none.

    It is answered as JSON by the endpoints that clients call themselves, and as a redirect, or a page where a redirect
    would be unsafe, by the one that browsers are sent to.
    """

    def __init__(self, code: ErrorCode, description: str, status: int = 400, challenge: str = "") -> None:
        super().__init__(description)
        self.code: ErrorCode = code
        self.description = description
        self.status = status
        self.challenge = challenge
