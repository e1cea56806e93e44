"""What the authorization server says of itself.

Rule: the issuer is one string, the same to the letter here, in every answer and in the protected resource metadata;
and only what is built is named. Source: RFC 8414 section 2, RFC 9207 section 3.
"""

from typing import Final

from mcp_hub.authserver.clients import CLIENT_GRANT, GRANTS
from mcp_hub.authserver.paths import AUTHORIZE, REGISTER, REVOKE, TOKEN
from mcp_hub.identity.scopes import SUPPORTED
from mcp_hub.identity.signatures import ASYMMETRIC
from mcp_hub.wire.jsonrpc import Json

AUTH_METHODS: Final = ("none", "client_secret_basic", "client_secret_post", "private_key_jwt")


def metadata(issuer: str, *, registration: bool) -> Json:
    """The document of the hub whose base URL is `issuer`; `registration`: whether clients may register themselves."""
    said: Json = {
        "issuer": issuer,
        "authorization_endpoint": f"{issuer}{AUTHORIZE}",
        "token_endpoint": f"{issuer}{TOKEN}",
        "revocation_endpoint": f"{issuer}{REVOKE}",
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": [*GRANTS, CLIENT_GRANT],
        "code_challenge_methods_supported": ["S256"],
        "token_endpoint_auth_methods_supported": list(AUTH_METHODS),
        "token_endpoint_auth_signing_alg_values_supported": list(ASYMMETRIC),
        "revocation_endpoint_auth_methods_supported": list(AUTH_METHODS),
        "revocation_endpoint_auth_signing_alg_values_supported": list(ASYMMETRIC),
        "scopes_supported": list(SUPPORTED),
        "client_id_metadata_document_supported": True,
        "authorization_response_iss_parameter_supported": True,
    }
    if registration:
        said["registration_endpoint"] = f"{issuer}{REGISTER}"
    return said
