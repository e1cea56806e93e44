"""How the hub describes itself."""

import pytest

from mcp_hub.oauth.document import document, document_url, is_public, named

pytestmark = pytest.mark.promise("B17")

BASE = "https://hub.example/x"


def test_a_document_is_about_one_upstream_and_is_its_own_address():
    for method, name in (("private_key_jwt", "gh.json"), ("none", "gh.public.json")):
        said = document(BASE, "gh", method)
        assert said["client_id"] == document_url(BASE, "gh", method) == f"{BASE}/oauth/client/{name}"
        assert said["redirect_uris"] == [f"{BASE}/oauth/callback/gh"]
        assert said["token_endpoint_auth_method"] == method
        assert said["application_type"] == "web"
        assert "refresh_token" in said["grant_types"]
        assert named(name) == ("gh", method)
    assert document(BASE, "gh", "private_key_jwt")["jwks_uri"] == f"{BASE}/oauth/jwks.json"
    assert "jwks_uri" not in document(BASE, "gh", "none")
    assert named("gh") is named("gh.txt") is None


def test_a_hub_on_this_computer_is_an_app():
    assert document("http://127.0.0.1:8080", "gh", "none")["application_type"] == "native"


@pytest.mark.parametrize(
    ("base", "expected"),
    [(BASE, True), ("http://hub.example", False), ("https://localhost:1", False), ("https://[::1]", False)],
)
def test_a_document_is_offered_only_where_it_can_be_fetched(base, expected):
    assert is_public(base) is expected
