"""The hub registers itself, at servers that take it, want less, or refuse."""

import json

import pytest

from mcp_hub.egress.fetch import Document, FetchFailed
from mcp_hub.oauth.dynamic import Dynamic, Refused, registered_method
from mcp_hub.oauth.server import Server

pytestmark = pytest.mark.promise("B17")

BASE, LOCAL = "https://hub.example", "http://127.0.0.1:8080"
JWKS = {"keys": [{"kty": "EC"}]}
PLACE = "https://as.example/register"


class Posts:
    """A server that gives these answers, one after the other."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.asked = []

    async def post_json(self, url, body, *, headers=None, most=0, seconds=0):
        assert url == PLACE
        self.asked.append(json.loads(body))
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        status, said = answer
        return Document(status, {}, said if isinstance(said, bytes) else json.dumps(said).encode())


def server(methods=("none",)):
    return Server("https://as.example", "https://as.example/a", "https://as.example/t", PLACE, auth_methods=methods)


async def register(*answers, methods=("none",), base=BASE):
    posts = Posts(*answers)
    return posts, await Dynamic(posts, lambda: JWKS).register(server(methods), base, "gh")


async def refused(*answers, methods=("none",)):
    posts = Posts(*answers)
    with pytest.raises(Refused) as failed:
        await Dynamic(posts, lambda: JWKS).register(server(methods), BASE, "gh")
    assert "SECRET" not in str(failed.value)
    return posts, failed.value


GIVEN = {"client_id": "c"}


async def test_it_says_what_it_is_and_where_people_come_back():
    posts, given = await register((201, GIVEN))
    (asked,) = posts.asked
    assert asked["redirect_uris"] == [f"{BASE}/oauth/callback/gh"]
    assert asked["application_type"] == "web"
    assert asked["grant_types"] == ["authorization_code", "refresh_token"]
    assert asked["response_types"] == ["code"]
    assert asked["token_endpoint_auth_method"] == "none"
    assert (given.client_id, given.auth_method, given.secret, given.management) == ("c", "none", None, None)


async def test_on_this_computer_it_is_an_app_and_brings_its_key_along():
    posts, given = await register((201, GIVEN), methods=("private_key_jwt",), base=LOCAL)
    assert (posts.asked[0]["application_type"], posts.asked[0]["jwks"]) == ("native", JWKS)
    assert given.auth_method == "private_key_jwt"
    posts, _ = await register((201, GIVEN), methods=("private_key_jwt",))
    assert posts.asked[0]["jwks_uri"] == f"{BASE}/oauth/jwks.json"


@pytest.mark.parametrize(
    ("offered", "method"),
    [
        (None, "client_secret_basic"),
        ((), "none"),
        (("none", "client_secret_post"), "client_secret_post"),
        (("client_secret_post", "client_secret_basic"), "client_secret_basic"),
        (("client_secret_basic", "private_key_jwt"), "private_key_jwt"),
        (("tls_client_auth",), "none"),
    ],
)
def test_it_proves_itself_in_the_best_way_that_is_offered(offered, method):
    assert registered_method(offered) == method


async def test_what_a_server_makes_of_it_is_kept():
    said = {
        **GIVEN,
        "client_secret": "s",
        "client_secret_expires_at": 1234,
        "token_endpoint_auth_method": "client_secret_post",
        "registration_access_token": "rat",
        "registration_client_uri": "https://as.example/register/c",
    }
    _, given = await register((200, said), methods=("client_secret_basic",))
    assert given.secret is not None
    assert (given.secret.open(), given.secret_expires_at, given.auth_method) == ("s", 1234.0, "client_secret_post")
    assert json.loads(given.management.open()) == {"token": "rat", "uri": "https://as.example/register/c"}
    assert "rat" not in repr(given)


async def test_a_secret_that_lasts_for_ever_says_so():
    said = {**GIVEN, "client_secret": "s", "client_secret_expires_at": 0}
    _, given = await register((201, said), methods=("client_secret_basic",))
    assert given.secret_expires_at is None


@pytest.mark.parametrize(
    "said",
    [
        {},
        {"client_id": 7},
        {"client_id": "c\n"},
        {**GIVEN, "token_endpoint_auth_method": "tls_client_auth"},
        {**GIVEN, "token_endpoint_auth_method": "client_secret_basic"},
        {**GIVEN, "token_endpoint_auth_method": "private_key_jwt"},
        {**GIVEN, "redirect_uris": ["https://evil.example/"]},
        b"SECRET",
        [],
    ],
)
async def test_what_it_could_not_live_with_is_not_taken(said):
    await refused((201, said))


async def test_a_server_that_does_not_take_web_sites_is_asked_for_an_app():
    posts, given = await register((400, {"error": "invalid_redirect_uri"}), (201, GIVEN))
    assert [each["application_type"] for each in posts.asked] == ["web", "native"]
    assert given.client_id == "c"


async def test_a_server_that_cannot_do_with_keys_is_asked_without():
    posts, given = await register(
        (400, {"error": "invalid_client_metadata"}),
        (201, {**GIVEN, "client_secret": "s"}),
        methods=("private_key_jwt", "client_secret_basic"),
    )
    assert "jwks_uri" not in posts.asked[1]
    assert given.auth_method == "client_secret_basic"


async def test_it_is_tried_twice_and_no_more():
    posts, error = await refused((400, {"error": "invalid_client_metadata", "error_description": "SECRET"}), (400, {}))
    assert (len(posts.asked), error.is_temporary) == (2, False)


@pytest.mark.parametrize("answer", [(403, {"error": "access_denied"}), (401, {"error": "invalid_token"})])
async def test_a_plain_refusal_is_one(answer):
    posts, error = await refused(answer)
    assert (len(posts.asked), error.is_temporary) == (1, False)


@pytest.mark.parametrize("answer", [(503, b"SECRET"), (429, b""), FetchFailed("down")])
async def test_a_server_that_fails_may_take_it_later(answer):
    posts, error = await refused(answer)
    assert (len(posts.asked), error.is_temporary) == (1, True)
