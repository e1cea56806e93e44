import pytest

from mcp_hub.identity.protected import INSUFFICIENT_SCOPE, INVALID_TOKEN, Protected

pytestmark = pytest.mark.promise("C23")

MCP = Protected("https://hub.example/mcp", ("https://hub.example",))


def test_the_metadata_say_what_the_resource_is_and_who_gives_tokens_for_it():
    assert MCP.document() == {
        "resource": "https://hub.example/mcp",
        "authorization_servers": ["https://hub.example"],
        "scopes_supported": ["hub:use"],
        "bearer_methods_supported": ["header"],
        "resource_name": "mcp_hub",
    }


@pytest.mark.parametrize(
    ("resource", "url"),
    [
        ("https://hub.example/mcp", "https://hub.example/.well-known/oauth-protected-resource/mcp"),
        ("https://hub.example/a/b/mcp", "https://hub.example/.well-known/oauth-protected-resource/a/b/mcp"),
        ("http://127.0.0.1:8080/mcp", "http://127.0.0.1:8080/.well-known/oauth-protected-resource/mcp"),
        ("http://[::1]:8080/mcp", "http://[::1]:8080/.well-known/oauth-protected-resource/mcp"),
    ],
)
def test_the_metadata_are_where_the_resource_is_below_the_well_known_path(resource, url):
    assert Protected(resource, ()).metadata_url == url


def test_a_challenge_without_a_token_names_no_error():
    where = "https://hub.example/.well-known/oauth-protected-resource/mcp"
    assert MCP.challenge() == f'Bearer resource_metadata="{where}", scope="hub:use"'


def test_a_challenge_names_the_error_and_all_scopes_that_are_needed():
    assert MCP.challenge(INVALID_TOKEN).startswith('Bearer error="invalid_token", resource_metadata="https://hub')
    assert MCP.challenge(INSUFFICIENT_SCOPE, scopes=["a", "b"]).endswith(', scope="a b"')
    assert "scope" not in MCP.challenge(scopes=[])


def test_no_scope_is_published_that_is_not_needed_to_use_the_hub():
    assert not {"hub:admin", "offline_access"} & set(MCP.document()["scopes_supported"])


def test_a_resource_that_needs_no_scope_names_none():
    plain = Protected("https://hub.example/mcp", ("https://idp.example",), ())
    assert "scopes_supported" not in plain.document()
    assert "scope" not in plain.challenge()
