"""Who looks at a page, in a hub where people sign in and in one with a single user."""

import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse

from mcp_hub.identity.tokens import digest
from mcp_hub.principal import LOCAL
from mcp_hub.web.lookers import Doorway, Members, NoSessions, Owner
from mcp_hub.web.visitors import CrossSite, Visitors
from unit.web.people import ADA, Browsers
from unit.web.screens import URL

pytestmark = pytest.mark.promise("E37")
KEY = b"k" * 32


def request(cookie="", method="GET", body=b"", path="/", **more):
    headers = [(b"host", b"127.0.0.1:8080"), (b"cookie", cookie.encode())]
    headers += [(name.replace("_", "-").encode(), value.encode()) for name, value in more.items()]
    if body:
        headers.append((b"content-type", b"application/x-www-form-urlencoded"))

    async def receive():
        return {"type": "http.request", "body": body}

    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "query_string": b"",
        "headers": headers,
        "path_params": {"upstream": "github"},
        "server": ("127.0.0.1", 8080),
        "scheme": "http",
    }
    return Request(scope, receive)


@pytest.fixture
def browsers():
    return Browsers()


@pytest.fixture
def members(browsers):
    visitors = Visitors(browsers, base_url=URL, key=KEY)
    return Doorway(Members(visitors), visitors)


@pytest.fixture
def owner():
    visitors = Visitors(NoSessions(), base_url=URL, key=KEY)
    return Doorway(Owner(visitors), visitors)


async def test_somebody_signed_in_is_who_calls_with_their_tokens(members, browsers):
    cookie = browsers.sign_in()
    looker = await members.looker(request(f"mcp_hub={cookie.open()}"))
    assert looker.caller.key == (ADA.tenant, ADA.issuer, ADA.subject)
    assert looker.browser == digest(cookie)
    assert await members.looker(request()) is None


async def test_whoever_reaches_a_private_hub_is_its_user_in_a_browser_of_their_own(owner):
    one, other = await owner.looker(request()), await owner.looker(request())
    assert (one.caller, other.caller) == (LOCAL, LOCAL)
    assert one.browser != other.browser
    again = await owner.looker(request(f"mcp_hub_new={one.holder.cookie.open()}"))
    assert again.browser == one.browser
    signed_in = await owner.looker(request(f"mcp_hub={one.holder.cookie.open()}"))
    assert signed_in.browser != one.browser


async def act(looker, request, form):
    return PlainTextResponse(str(looker.caller.key))


@pytest.mark.promise("T33")
async def test_a_form_does_one_thing_with_one_upstream_in_one_browser(owner):
    mine, other = await owner.looker(request()), await owner.looker(request())
    cookie = f"mcp_hub_new={mine.holder.cookie.open()}"
    endpoint = owner.posted("disconnect", act)
    good = owner.token(mine, "disconnect", "github")
    assert (await endpoint(request(cookie, "POST", f"form_token={good}".encode()))).status_code == 200
    for token in (
        owner.token(mine, "disconnect", "linear"),
        owner.token(mine, "connect", "github"),
        owner.token(other, "disconnect", "github"),
        "",
    ):
        with pytest.raises(CrossSite):
            await endpoint(request(cookie, "POST", f"form_token={token}".encode()))
    with pytest.raises(CrossSite):
        await endpoint(request("", "POST", f"form_token={good}".encode()))


async def test_whoever_has_to_sign_in_is_sent_there_before_anything_is_read(members):
    async def show(looker, request):
        raise AssertionError("nobody is signed in")

    answer = await members.looked_at(show)(request(path="/connect/github"))
    assert answer.headers["location"] == "/login?next=/connect/github"
    answer = await members.posted("connect", show)(request(method="POST"))
    assert answer.headers["location"] == "/login"


@pytest.mark.promise("T33", "T22")
@pytest.mark.parametrize("site", ["cross-site", "same-site"])
@pytest.mark.parametrize("destination", ["image", "empty", "iframe", "script"])
async def test_a_page_of_another_site_has_the_hub_ask_nobody_behind_its_users_back(owner, site, destination):
    async def show(looker, request):
        raise AssertionError("nobody looks")

    with pytest.raises(CrossSite):
        await owner.looked_at(show)(request(sec_fetch_site=site, sec_fetch_dest=destination))


@pytest.mark.parametrize(
    "told",
    [
        {},
        {"sec_fetch_site": "cross-site", "sec_fetch_dest": "document"},
        {"sec_fetch_site": "none", "sec_fetch_dest": "document"},
        {"sec_fetch_site": "same-origin", "sec_fetch_dest": "empty"},
    ],
)
async def test_a_link_of_another_site_leads_to_a_page_all_the_same(owner, told):
    async def show(looker, request):
        return PlainTextResponse("shown")

    assert (await owner.looked_at(show)(request(**told))).status_code == 200
