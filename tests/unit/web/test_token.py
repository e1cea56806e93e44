"""The token and the revocation endpoint on HTTP: the RFC's errors for whatever comes, and nothing of it comes back."""

from typing import Any

import httpx2
import pytest
from starlette.applications import Starlette

from mcp_hub.errors import StoreFailed
from mcp_hub.identity.limits import Limits
from mcp_hub.web.token import TokenRoutes
from rig.token_service import service

pytestmark = pytest.mark.promise("C24")
FORM = {"content-type": "application/x-www-form-urlencoded"}
BOTH = pytest.mark.parametrize("path", ["/token", "/revoke"])


@pytest.fixture
async def hub():
    async with service() as one:
        yield one


@BOTH
@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b"", FORM, None),
        (b"", {}, 400),
        (b'{"grant_type":"authorization_code"}', {"content-type": "application/json"}, 400),
        (b"grant_type=a&token=x&client_id=app&client_id=app", FORM, 400),
        (b"grant_type=a&grant_type=b&token=x&token=y", FORM, 400),
        (b"resource=a&resource=b&token=x", FORM, 400),
        (b"grant_type=%ff&token=%ff&client_id=%ff", FORM, None),
        (b"grant_type=%00&token=%00&client_id=%00", FORM, None),
        (b"\xff\xfe", FORM, 400),
        (b"&".join(b"a%d=1" % n for n in range(200)), FORM, 400),
        (b"token=" + b"x" * 65536, FORM, 413),
        (b"<script>=alert(1)&token=<script>&client_id=<script>&grant_type=<script>", FORM, None),
    ],
)
async def test_whatever_comes_has_an_error_of_the_rfc_and_nothing_of_it_comes_back(hub, path, body, headers, status):
    answer = await hub.http.post(path, content=body, headers=headers)
    assert answer.status_code == status or (status is None and answer.status_code in (400, 401))
    assert answer.headers["content-type"] == "application/json"
    told = answer.json()
    assert set(told) == {"error", "error_description"}
    assert told["error"] in {"invalid_request", "invalid_client", "unsupported_grant_type"}
    assert "<" not in answer.text


@BOTH
async def test_parameters_in_the_address_are_not_taken(hub, path):
    query = "?grant_type=client_credentials&token=x&client_id=machine&client_secret=m4chine"
    answer = await hub.http.post(path + query, content=b"", headers=FORM)
    assert answer.json()["error"] == {"/token": "invalid_request", "/revoke": "invalid_client"}[path]


@BOTH
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH"])
async def test_only_posts_are_served(hub, path, method):
    assert (await hub.http.request(method, path)).status_code == 405


@BOTH
async def test_no_cache_keeps_an_answer_and_any_page_may_read_it(hub, path):
    pair = await hub.signed_in()
    good = await hub.post("/revoke", client_id="app", token=pair["access_token"])
    code = await hub.code()
    for answer in (good, await hub.redeem(code), await hub.redeem(code), await hub.post(path)):
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["pragma"] == "no-cache"
        assert answer.headers["access-control-allow-origin"] == "*"
        assert "access-control-allow-credentials" not in answer.headers
        assert "set-cookie" not in answer.headers


@BOTH
async def test_a_page_may_ask_before(hub, path):
    asked = {"origin": "https://client.example", "access-control-request-method": "POST"}
    answer = await hub.http.options(path, headers=asked)
    assert answer.status_code == 204
    assert answer.headers["access-control-allow-origin"] == "*"
    assert "POST" in answer.headers["access-control-allow-methods"]
    assert "authorization" in answer.headers["access-control-allow-headers"]


async def test_a_header_of_the_name_twice_is_refused(hub):
    headers = [("authorization", "Basic YTpi"), ("authorization", "Basic YTpi"), *FORM.items()]
    answer = await hub.http.post("/token", content=b"grant_type=client_credentials", headers=headers)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")


async def test_the_header_is_asked_for_where_it_was_used(hub):
    form = {"grant_type": "client_credentials"}
    answer = await hub.post("/token", {"authorization": "Basic YTpi"}, **form)
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")
    assert answer.headers["www-authenticate"].startswith("Basic ")
    answer = await hub.post("/token", **form, client_id="a", client_secret="b")
    assert "www-authenticate" not in answer.headers


async def test_who_asks_too_often_has_to_wait_and_is_told_how_long():
    async with service(rate="3 per minute") as hub:
        answers = [await hub.post("/token") for _ in range(3)] + [await hub.post("/revoke")]
        assert [answer.status_code for answer in answers] == [400, 400, 400, 429]
        assert 0 < int(answers[3].headers["retry-after"]) <= 60
        assert answers[3].json()["error"] == "temporarily_unavailable"
        hub.clock.at += 61
        assert (await hub.post("/token")).status_code == 400


class Failing:
    """An endpoint whose store is gone."""

    async def token(self, form: Any, authorizations: Any, address: str) -> Any:
        raise StoreFailed("The store /var/lib/hub.db is held by another process.")

    revoke = token


@pytest.mark.promise("T57")
@BOTH
async def test_a_store_that_fails_is_the_hubs_trouble_and_tells_nobody_where_it_is(path):
    app = Starlette(routes=TokenRoutes(Failing(), Limits()).routes())
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="https://hub") as client:
        answer = await client.post(path, data={"token": "x"})
    assert (answer.status_code, answer.json()["error"]) == (503, "temporarily_unavailable")
    assert "hub.db" not in answer.text


async def test_a_client_that_goes_away_in_the_middle_of_its_request_is_no_fault_of_the_hub(hub):
    routes = TokenRoutes(hub.endpoint, Limits()).routes()
    said = iter([{"type": "http.request", "body": b"token=", "more_body": True}, {"type": "http.disconnect"}])
    answered = []

    async def receive():
        return next(said)

    async def send(message):
        answered.append(message)

    headers = [(name.encode(), value.encode()) for name, value in FORM.items()]
    scope = {"type": "http", "method": "POST", "path": "/token", "query_string": b"", "headers": headers}
    await Starlette(routes=routes)(scope, receive, send)
    assert answered[0]["status"] == 400
