"""Who looks at a page, and which forms are ours."""

from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request
from starlette.responses import Response

from mcp_hub.identity.browsers import SignedIn
from mcp_hub.identity.tokens import digest
from mcp_hub.secret import Secret
from mcp_hub.web.forms import BadForm
from mcp_hub.web.visitors import FIELD, CrossSite, Visitors, safe_next
from unit.web.people import ADA, Browsers

pytestmark = pytest.mark.promise("T33")


def visitors(browsers=None, base_url="https://hub.example.com", key=b"k" * 32) -> Visitors:
    return Visitors(browsers or Browsers(), base_url=base_url, key=key)


def request(
    method="GET", path="/account", *, query="", cookies=None, body=b"", host="hub.example.com", **headers
) -> Request:
    async def receive():
        return {"type": "http.request", "body": body, "more_body": False}

    lines = {"host": host, "content-type": "application/x-www-form-urlencoded", **headers}
    if cookies:
        lines["cookie"] = "; ".join(f"{name}={value}" for name, value in cookies.items())
    raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in lines.items()]
    scope = {"type": "http", "method": method, "path": path, "query_string": query.encode(), "headers": raw}
    return Request({**scope, "scheme": "http", "server": ("127.0.0.1", 8080)}, receive)


def post(token: str, cookies: dict[str, str], **headers) -> Request:
    headers = {"origin": "https://hub.example.com", "sec_fetch_site": "same-origin", **headers}
    sent = {name: value for name, value in headers.items() if value}
    return request("POST", cookies=cookies, body=urlencode({FIELD: token, "what": "it"}).encode(), **sent)


async def test_a_browser_is_known_by_its_cookie_alone():
    browsers = Browsers()
    cookie = browsers.sign_in().open()
    all_ = visitors(browsers)
    found = await all_.visitor(request(cookies={"__Host-mcp_hub": cookie}))
    assert found.user == ADA
    for cookies in ({}, {"mcp_hub": cookie}, {"__Host-mcp_hub": cookie[:-1]}, {"__Host-mcp_hub": "x" * 5000}):
        assert await all_.visitor(request(cookies=cookies)) is None


@pytest.mark.parametrize(
    ("base_url", "name"), [("https://hub.example.com", "__Host-mcp_hub"), ("http://127.0.0.1:8080", "mcp_hub")]
)
def test_cookies_are_for_this_host_and_no_script(base_url, name):
    response = Response()
    all_ = visitors(base_url=base_url)
    all_.set_cookie(response, Secret("v" * 43))
    given_, cleared = response.headers.getlist("set-cookie")
    assert given_.startswith(f"{name}={'v' * 43}; HttpOnly; Path=/; SameSite=lax")
    assert given_.endswith("; Secure") is base_url.startswith("https")
    assert "Domain" not in given_
    assert cleared.startswith(f'{name}_new=""; ')
    assert "Max-Age=0" in cleared


async def test_a_form_of_ours_is_read():
    browsers = Browsers()
    cookie = browsers.sign_in().open()
    all_ = visitors(browsers)
    cookies = {"__Host-mcp_hub": cookie}
    token = all_.form_token(await all_.visitor(request(cookies=cookies)), "revoke")
    form = await all_.form(post(token, cookies), "revoke")
    assert form["what"] == "it"


async def test_two_renderings_of_a_form_are_both_good():
    browsers = Browsers()
    cookies = {"__Host-mcp_hub": browsers.sign_in().open()}
    all_ = visitors(browsers)
    ada = await all_.visitor(request(cookies=cookies))
    first, second = all_.form_token(ada, "p"), all_.form_token(ada, "p")
    assert first != second
    for token in (second, first, first):
        await all_.form(post(token, cookies), "p")


async def test_a_token_is_good_for_one_purpose_one_browser_and_one_hub():
    browsers = Browsers()
    mine, other = browsers.sign_in().open(), browsers.sign_in().open()
    all_ = visitors(browsers)
    ada = await all_.visitor(request(cookies={"__Host-mcp_hub": mine}))
    token = all_.form_token(ada, "revoke")
    cookies = {"__Host-mcp_hub": mine}
    with pytest.raises(CrossSite):
        await all_.form(post(token, cookies), "sign out")
    with pytest.raises(CrossSite):
        await all_.form(post(token, {"__Host-mcp_hub": other}), "revoke")
    with pytest.raises(CrossSite):
        await all_.form(post(token, {}), "revoke")
    with pytest.raises(CrossSite):
        await visitors(browsers, key=b"other" * 8).form(post(token, cookies), "revoke")


@pytest.mark.parametrize("token", ["", "x", "a" * 43, "ä" * 60, "a" * 65])
async def test_a_made_up_token_is_refused(token):
    browsers = Browsers()
    with pytest.raises(CrossSite):
        await visitors(browsers).form(post(token, {"__Host-mcp_hub": browsers.sign_in().open()}), "p")


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": "http://hub.example.com"},
        {"origin": "https://hub.example.com:8443"},
        {"origin": "https://hub.example.com.evil.example"},
        {"sec_fetch_site": "cross-site"},
        {"sec_fetch_site": "same-site"},
        {"sec_fetch_site": "none"},
        {"origin": "", "sec_fetch_site": "cross-site"},
    ],
)
async def test_a_form_from_another_site_is_refused_even_with_a_good_token(headers):
    browsers = Browsers()
    cookies = {"__Host-mcp_hub": browsers.sign_in().open()}
    all_ = visitors(browsers)
    token = all_.form_token(await all_.visitor(request(cookies=cookies)), "p")
    with pytest.raises(CrossSite):
        await all_.form(post(token, cookies, **headers), "p")


@pytest.mark.parametrize(
    ("base_url", "host", "origin"),
    [
        ("http://127.0.0.1:8080", "localhost:8080", "http://localhost:8080"),
        ("https://hub.example.com", "other.example.com", "https://other.example.com"),
        ("https://hub.example.com", "127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("https://hub.example.com", "hub.example.com", ""),
    ],
)
async def test_each_name_that_the_hub_answers_to_is_its_own(base_url, host, origin):
    all_ = visitors(base_url=base_url)
    all_.check_origin(request("POST", host=host, **({"origin": origin} if origin else {})))


async def test_a_browser_without_an_account_has_forms_of_its_own():
    all_ = visitors()
    new = all_.newcomer(request())
    response = all_.remember(Response(), new)
    cookie = new.cookie.open()
    assert response.headers["set-cookie"].startswith(
        f"__Host-mcp_hub_new={cookie}; HttpOnly; Path=/; SameSite=lax; Secure"
    )
    cookies = {"__Host-mcp_hub_new": cookie}
    known = all_.newcomer(request(cookies=cookies))
    assert (known.digest, known.cookie) == (digest(cookie), None)
    assert "set-cookie" not in all_.remember(Response(), known).headers
    await all_.form(post(all_.form_token(new, "login"), cookies), "login")
    stranger = all_.newcomer(request(cookies={"__Host-mcp_hub_new": "short"}))
    assert stranger.cookie is not None
    with pytest.raises(CrossSite):
        await all_.form(post(all_.form_token(stranger, "login"), cookies), "login")


async def test_a_form_that_says_something_twice_is_refused():
    body = urlencode([(FIELD, "a"), (FIELD, "b")]).encode()
    with pytest.raises(BadForm):
        await visitors().form(request("POST", body=body), "p")


def test_what_pages_show_of_somebody_is_their_address_and_role():
    browsers = Browsers()
    session = browsers.cookies[browsers.sign_in().open()].session
    shown = visitors().shown(SignedIn(ADA, session))
    assert (shown.name, shown.is_admin) == ("ada@example.com", False)


@pytest.mark.promise("T41")
def test_signing_in_first_leads_back_to_what_was_looked_at():
    all_ = visitors()
    answer = all_.sign_in_first(request(path="/authorize", query="client_id=x&state=a%26b"))
    assert answer.status_code == 303
    assert answer.headers["location"] == "/login?next=/authorize%3Fclient_id%3Dx%26state%3Da%2526b"
    assert all_.sign_in_first(request("POST", "/account/clients/revoke")).headers["location"] == "/login"
    assert all_.sign_in_first(request(path="//evil.example")).headers["location"] == "/login"
    assert all_.sign_in_first(request(path="/")).headers["location"] == "/login"


@pytest.mark.promise("T41")
@pytest.mark.parametrize(
    "text",
    [
        "", "//evil", "/\\evil", "\\evil", "https://hub@evil", "http://localhost@evil.com", "javascript:alert(1)",
        "evil", "/\t/evil", "/\n/evil", "/a\r\nSet-Cookie: x", " /x", "/x y", "/ä", "/" + "a" * 9000, "/x\\..", "/\x7f",
    ],
)  # fmt: skip
def test_what_could_lead_elsewhere_leads_to_the_first_page(text):
    assert safe_next(text) == "/"


@pytest.mark.promise("T41")
@given(st.text(max_size=30) | st.from_regex(r"/[ -~]{0,20}", fullmatch=True))
def test_where_to_go_on_is_always_a_path_of_this_hub(text):
    found = safe_next(text)
    assert found in ("/", text)
    assert found.startswith("/")
    assert not found.startswith("//")
    assert "\\" not in found
    assert all("!" <= each <= "~" for each in found)


def test_a_path_with_its_query_is_gone_on_to():
    assert safe_next("/authorize?client_id=https://x.example/c.json&scope=a%20b#x") != "/"
