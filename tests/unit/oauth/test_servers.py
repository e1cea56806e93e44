"""What an authorization server's metadata mean."""

import pytest

from mcp_hub.config.model import OAuth
from mcp_hub.oauth.servers import BadServer, is_issuer, older_server, read_server, told_server, with_told

pytestmark = pytest.mark.promise("B15")

LOCAL = "http://127.0.0.1:9000"


def said(issuer=LOCAL, **changes):
    return {"issuer": issuer, "authorization_endpoint": f"{issuer}/a", "token_endpoint": f"{issuer}/t", **changes}


@pytest.mark.promise("T42")
def test_a_page_without_tls_is_on_the_host_that_the_operator_let_the_hub_ask():
    assert read_server(said(), LOCAL, OAuth()).authorization_endpoint == f"{LOCAL}/a"
    on_another_port = said(authorization_endpoint="http://127.0.0.1:9001/a")
    assert read_server(on_another_port, LOCAL, OAuth()).authorization_endpoint == "http://127.0.0.1:9001/a"
    with pytest.raises(BadServer) as failed:
        read_server(said(authorization_endpoint="http://evil.example/a"), LOCAL, OAuth())
    assert failed.value.code == "bad_endpoint"
    assert read_server(said(authorization_endpoint="https://b.example/a"), LOCAL, OAuth())


@pytest.mark.promise("T44")
@pytest.mark.parametrize("named", [f"{LOCAL}/", LOCAL.upper(), "https://evil.example", None])
def test_metadata_of_another_issuer_are_not_read(named):
    with pytest.raises(BadServer) as failed:
        read_server(said() | {"issuer": named}, LOCAL, OAuth())
    assert failed.value.code == "issuer_mismatch"


@pytest.mark.parametrize(
    ("issuer", "expected"),
    [
        ("https://a.example", True),
        ("https://a.example/t1", True),
        (LOCAL, True),
        ("https://a.example?x=1", False),
        ("https://a.example/../b", False),
        ("https://a.example#x", False),
        ("https://ä.example", False),
        ("ftp://a.example", False),
        ("", False),
    ],
)
def test_an_issuer_is_an_address_without_a_query(issuer, expected):
    assert is_issuer(issuer) is expected


def test_what_the_operator_says_whole_needs_nothing_else():
    told = OAuth(authorization_url="https://a.example/a", token_url="https://b.example/t")
    server = told_server(told, None)
    assert server is not None
    assert (server.issuer, server.has_metadata, server.registration_endpoint) == ("https://b.example", False, None)
    assert told_server(told, "https://c.example").issuer == "https://c.example"
    assert told_server(OAuth(token_url="https://b.example/t"), None) is None


def test_an_older_server_can_be_told_in_part():
    server = with_told(older_server(LOCAL), OAuth(token_url="https://b.example/t"))
    assert (server.authorization_endpoint, server.token_endpoint) == (f"{LOCAL}/authorize", "https://b.example/t")
