"""Signing in and out in a browser: with a password, at a provider, and everything somebody else may try with it."""

import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import httpx2
import pytest
from starlette.applications import Starlette

from mcp_hub.identity.arrival import Arrival, LoginFailed
from mcp_hub.identity.events import OPERATOR
from mcp_hub.identity.refusals import NotSignedIn
from mcp_hub.web.frame import Frame
from mcp_hub.web.login import LoginPages, Provider
from mcp_hub.web.lookers import Doorway, Members
from mcp_hub.web.setup import SetupPage
from mcp_hub.web.site import Site
from mcp_hub.web.visitors import Visitors
from rig.browser import Browser, Page
from rig.connections import FakeConnections
from rig.people import PASSWORD, PROVIDER, People, arrival, people
from rig.site import own_pages

pytestmark = pytest.mark.promise("C24")
ADA = "ada@example.com"
URL = "http://127.0.0.1:8080"
AT_IDP = "https://id.example.com/authorize"


@dataclass
class Party:
    """A provider at which one may sign in, be refused, or find it gone."""

    fails: Exception | None = None
    comes_back_as: Arrival = field(default_factory=arrival)
    begun: list[tuple[bytes, str]] = field(default_factory=list)
    finished: list[Sequence[tuple[str, str]]] = field(default_factory=list)

    async def begin(self, browser: bytes, next_path: str) -> str:
        if self.fails is not None:
            raise self.fails
        self.begun.append((browser, next_path))
        return f"{AT_IDP}?state=s{len(self.begun)}"

    async def finish(self, query: Sequence[tuple[str, str]], browser: bytes) -> Arrival:
        if self.fails is not None:
            raise self.fails
        state = dict(query).get("state", "")
        for number, (bound_to, next_path) in enumerate(self.begun, start=1):
            if state == f"s{number}" and bound_to == browser:
                self.begun[number - 1] = (b"", "")
                self.finished.append(query)
                return Arrival(**{**_fields(self.comes_back_as), "next_path": next_path})
        raise LoginFailed("This sign-in was not begun in this browser, or too long ago.", "unknown_state")


def _fields(came: Arrival) -> dict[str, object]:
    return {name: getattr(came, name) for name in Arrival.__slots__}


@dataclass
class Hub:
    people: People
    app: Starlette
    party: Party

    @asynccontextmanager
    async def browser(self, address: str = "192.0.2.1") -> AsyncIterator[Browser]:
        """A browser of its own at this network address."""
        browser = Browser()
        await browser.http.aclose()
        transport = httpx2.ASGITransport(self.app, client=(address, 40000))
        browser.http = httpx2.AsyncClient(transport=transport, base_url=URL)
        async with browser:
            yield browser


@asynccontextmanager
async def hub(*, oidc: bool = False, base_url: str = URL) -> AsyncIterator[Hub]:
    async with people(provider=PROVIDER if oidc else None) as all_:
        frame, party = Frame("9.9"), Party()
        visitors = Visitors(all_.browsers, base_url=base_url, key=b"k" * 32)
        login = LoginPages(
            frame,
            visitors,
            accounts=all_.accounts,
            browsers=all_.browsers,
            limits=all_.limits,
            events=all_.events,
            provider=Provider("id.example.com", party) if oidc else None,
        )
        setup = SetupPage(frame, visitors, setup=all_.setup, browsers=all_.browsers)
        own = own_pages(FakeConnections().own(all_.store), frame, Doorway(Members(visitors), visitors), URL)
        yield Hub(all_, Site([*own, login, setup], frame).app(), party)


async def opened(browser: Browser, path: str) -> Page:
    page = await browser.open(f"{URL}{path}")
    assert isinstance(page, Page)
    return page


async def signs_in(browser: Browser, password: str = PASSWORD, path: str = "/login", email: str = ADA) -> Page:
    page = await opened(browser, path)
    after = await browser.press(page, "Sign in", {"email": email, "password": password})
    assert isinstance(after, Page)
    return after


def is_signed_in(page: Page) -> bool:
    return "Signed in as" in page.document.text


# With a password


async def test_a_password_signs_in_and_leads_to_where_one_was_going():
    async with hub() as made, made.browser() as browser:
        await made.people.user()
        page = await opened(browser, "/")
        assert page.document.title == "Sign in - mcp_hub"
        assert is_signed_in(await signs_in(browser))
        assert is_signed_in(await opened(browser, "/login"))


async def test_a_wrong_password_lets_nobody_in_and_repeats_nothing():
    async with hub() as made, made.browser() as browser:
        await made.people.user()
        page = await signs_in(browser, "canary canary")
        assert (page.status, is_signed_in(page)) == (403, False)
        assert "The address or the password is wrong." in page.document.text
        assert "canary" not in page.document.text
        assert page.document.forms[0].fields["email"] == ""
        assert not is_signed_in(await opened(browser, "/"))


@pytest.mark.promise("T53")
async def test_a_thousand_wrong_passwords_are_answered_with_when_to_try_again():
    async with hub() as made, made.browser() as browser, made.browser("192.0.2.9") as elsewhere:
        await made.people.user()
        page, statuses = await opened(browser, "/login"), []
        sent = {**page.document.forms[0].fields, "email": ADA, "password": "wrong wrong"}
        for _ in range(1000):
            answer = await browser.http.post(f"{URL}/login", data=sent)
            statuses.append(answer.status_code)
        assert statuses.count(403) == 10
        assert set(statuses[10:]) == {429}
        assert 0 < int(answer.headers["retry-after"]) <= 300
        assert "too many attempts" in answer.text
        assert not is_signed_in(await signs_in(browser))
        assert is_signed_in(await signs_in(elsewhere))
        made.people.clock.at += 301
        assert is_signed_in(await signs_in(browser))


async def test_a_sign_in_gives_the_browser_a_new_cookie_and_ends_the_old_one():
    async with hub() as made, made.browser() as browser, made.browser() as thief:
        await made.people.user()
        await signs_in(browser)
        old = browser.http.cookies["mcp_hub"]
        thief.http.cookies.set("mcp_hub", old, domain="127.0.0.1", path="/")
        page = await opened(thief, "/")
        assert is_signed_in(page)
        await signs_out(browser)
        await signs_in(browser)
        assert browser.http.cookies["mcp_hub"] != old
        assert not is_signed_in(await opened(thief, "/"))


@pytest.mark.promise("T35")
async def test_a_cookie_that_somebody_planted_is_not_what_one_is_signed_in_with():
    async with hub() as made, made.browser() as victim:
        await made.people.user()
        planted = "mcphub_bs_" + "A" * 43
        victim.http.cookies.set("mcp_hub", planted, domain="127.0.0.1", path="/")
        await signs_in(victim)
        assert victim.http.cookies["mcp_hub"] != planted
        assert await made.people.browsers.find(planted) is None


@pytest.mark.promise("T33", "T35")
@pytest.mark.parametrize(
    ("headers", "token"),
    [
        ({"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}, True),
        ({"Origin": "null"}, True),
        ({}, False),
        ({"Origin": URL, "Sec-Fetch-Site": "same-origin"}, False),
    ],
)
async def test_a_form_of_another_site_signs_nobody_in_to_the_account_of_somebody_else(headers, token):
    async with hub() as made, made.browser() as attacker, made.browser() as victim:
        await made.people.user("eve@example.com")
        # The attacker has a form of their own, with a token that is good in their browser.
        theirs = (await opened(attacker, "/login")).document.forms[0].fields
        ours = (await opened(victim, "/login")).document.forms[0].fields
        stolen = ours["form_token"] if token else theirs["form_token"]
        sent = {"form_token": stolen, "next": "/", "email": "eve@example.com", "password": PASSWORD}
        answer = await victim.http.post(f"{URL}/login", data=sent, headers=headers)
        assert answer.status_code == 403
        assert "mcp_hub" not in victim.http.cookies
        assert not is_signed_in(await opened(victim, "/"))


@pytest.mark.promise("T33")
async def test_a_form_of_another_site_signs_nobody_out():
    async with hub() as made, made.browser() as victim:
        await made.people.user()
        await signs_in(victim)
        for sent in ({"x": "y"}, {"form_token": "x" * 65}):
            answer = await victim.http.post(f"{URL}/logout", data=sent)
            assert answer.status_code == 403
        assert (await victim.http.get(f"{URL}/logout")).status_code == 405
        assert is_signed_in(await opened(victim, "/"))


async def signs_out(browser: Browser) -> Page:
    after = await browser.press(await opened(browser, "/"), "Sign out")
    assert isinstance(after, Page)
    return after


async def test_signing_out_ends_the_session_here_and_now():
    async with hub() as made, made.browser() as browser, made.browser() as copy:
        await made.people.user()
        await signs_in(browser)
        copy.http.cookies.set("mcp_hub", browser.http.cookies["mcp_hub"], domain="127.0.0.1", path="/")
        page = await signs_out(browser)
        assert "You are signed out of this browser." in page.document.text
        assert not is_signed_in(await opened(browser, "/"))
        assert not is_signed_in(await opened(copy, "/"))
        assert (await made.people.noted())[-1] == ("sign_out", "ok")


@pytest.mark.promise("T59")
async def test_whoever_is_disabled_is_out_at_their_next_click():
    async with hub() as made, made.browser() as browser:
        ada = await made.people.user()
        assert is_signed_in(await signs_in(browser))
        await made.people.accounts.disable(ada, actor=OPERATOR)
        assert not is_signed_in(await opened(browser, "/"))
        page = await signs_in(browser)
        assert "disabled" in page.document.text


# Where to go on


@pytest.mark.promise("T41")
@pytest.mark.parametrize(
    "wanted",
    [
        "//evil.example",
        "/\\evil.example",
        "\\\\evil.example",
        "https://evil.example",
        "https:evil.example",
        "http://127.0.0.1:8080@evil.example/",
        "javascript:alert(1)",
        "/%0d%0aLocation:%20https://evil.example\r\nX: y",
        "/\t/evil.example",
        " /evil",
        "",
        "evil.example",
        "///evil.example",
        "/" + "a" * 9000,
    ],
)
@pytest.mark.parametrize("way", ["query", "form", "provider"])
async def test_after_signing_in_one_stays_on_this_hub(wanted, way):
    async with hub(oidc=way == "provider") as made, made.browser() as browser:
        await made.people.user(admin=True)
        if way == "provider":
            began = await browser.http.get(f"{URL}/login/provider", params={"next": wanted})
            assert began.headers["location"].startswith(AT_IDP)
            made.party.begun[0] = (made.party.begun[0][0], wanted)
            answer = await browser.http.get(f"{URL}/login/callback?state=s1&code=c")
        else:
            page = await browser.http.get(f"{URL}/login", params={"next": wanted} if way == "query" else {})
            token = re.search(r'name="form_token" value="([^"]+)"', page.text)[1]
            carried = re.search(r'name="next" value="([^"]*)"', page.text)[1] if way == "query" else wanted
            sent = {"form_token": token, "next": carried, "email": ADA, "password": PASSWORD}
            answer = await browser.http.post(f"{URL}/login", data=sent)
        assert answer.status_code == 303
        assert answer.headers["location"] == "/"
        assert "evil" not in str(answer.headers)


@pytest.mark.promise("T41")
async def test_a_path_of_this_hub_is_gone_to_with_its_query():
    wanted = "/authorize?client_id=https%3A%2F%2Fc.example%2Fc.json&state=a%26b"
    async with hub() as made, made.browser() as browser:
        await made.people.user()
        page = await opened(browser, f"/login?next={wanted.replace('&', '%26').replace('?', '%3F')}")
        answer = await browser.http.post(
            f"{URL}/login", data={**page.document.forms[0].fields, "email": ADA, "password": PASSWORD}
        )
        assert answer.headers["location"] == page.document.forms[0].fields["next"]
        assert answer.headers["location"].startswith("/authorize?client_id=")


# At a provider


async def test_a_provider_signs_in_whom_it_vouches_for():
    async with hub(oidc=True) as made, made.browser() as browser:
        page = await opened(browser, "/login?next=/account/clients")
        assert "Sign in with id.example.com" in page.document.links
        answer = await browser.http.get(page.document.links["Sign in with id.example.com"])
        assert (answer.status_code, answer.headers["location"]) == (303, f"{AT_IDP}?state=s1")
        back = await browser.http.get(f"{URL}/login/callback?state=s1&code=c&iss=x&state2=")
        assert (back.status_code, back.headers["location"]) == (303, "/account/clients")
        assert is_signed_in(await opened(browser, "/"))
        assert made.party.finished == [[("state", "s1"), ("code", "c"), ("iss", "x"), ("state2", "")]]


@pytest.mark.promise("T35")
async def test_a_login_that_somebody_else_began_signs_nobody_in():
    async with hub(oidc=True) as made, made.browser() as attacker, made.browser() as victim:
        await attacker.http.get(f"{URL}/login/provider")
        for _ in range(2):  # without any cookie, and with one of a login of the victim's own
            answer = await victim.http.get(f"{URL}/login/callback?state=s1&code=c")
            assert answer.status_code == 403
            assert "mcp_hub" not in victim.http.cookies
            assert "not begun in this browser" in answer.text
            await victim.http.get(f"{URL}/login/provider")
        assert await made.people.accounts.users() == []
        assert not is_signed_in(await opened(victim, "/"))


@pytest.mark.promise("T35")
async def test_a_login_is_finished_once():
    async with hub(oidc=True) as made, made.browser() as browser:
        await browser.http.get(f"{URL}/login/provider")
        kept = dict(browser.http.cookies)
        assert (await browser.http.get(f"{URL}/login/callback?state=s1&code=c")).status_code == 303
        browser.http.cookies.clear()
        browser.http.cookies.update(kept)
        assert (await browser.http.get(f"{URL}/login/callback?state=s1&code=c")).status_code == 403


@pytest.mark.promise("T40")
@pytest.mark.parametrize("when", ["begin", "finish"])
async def test_a_provider_that_fails_lets_nobody_in_and_a_page_says_so_with_a_reference(when):
    async with hub(oidc=True) as made, made.browser() as browser:
        await made.people.user(admin=True)
        if when == "finish":
            await browser.http.get(f"{URL}/login/provider")
        made.party.fails = LoginFailed("id.example.com did not answer within 10 s.", "unreachable")
        path = "/login/provider" if when == "begin" else "/login/callback?state=s1&error=%3Cscript%3Ecanary"
        answer = await browser.http.get(f"{URL}{path}")
        assert answer.status_code == 403
        assert "id.example.com did not answer within 10 s." in answer.text
        assert re.search(r"<code>unreachable [0-9a-f]{8}</code>", answer.text)
        assert "canary" not in answer.text
        assert "mcp_hub" not in browser.http.cookies
        page = await opened(browser, "/login")
        other = await browser.follow(page, "Sign in with a password")
        assert isinstance(other, Page)
        after = await browser.press(other, "Sign in with a password", {"email": ADA, "password": PASSWORD})
        assert isinstance(after, Page)
        assert is_signed_in(after)


async def test_who_may_not_use_the_hub_is_told_so_by_the_page():
    async with hub(oidc=True) as made, made.browser() as browser:
        ada = await made.people.accounts.arrived(arrival())
        await made.people.accounts.disable(ada, actor=OPERATOR)
        await browser.http.get(f"{URL}/login/provider")
        answer = await browser.http.get(f"{URL}/login/callback?state=s1&code=c")
        assert answer.status_code == 403
        assert "This account has been disabled." in answer.text
        assert not is_signed_in(await opened(browser, "/"))


async def test_logins_at_a_provider_cannot_be_begun_without_end():
    async with hub(oidc=True) as made, made.browser() as browser:
        statuses = [(await browser.http.get(f"{URL}/login/provider")).status_code for _ in range(70)]
        assert statuses == [303] * 60 + [429] * 10
        assert len(made.party.begun) == 60


@pytest.mark.parametrize("query", ["", "state=%ff", "a=1&" * 200, "state=s1&state=s2"])
async def test_any_query_gets_an_answer_and_no_fault(query):
    async with hub(oidc=True) as made, made.browser() as browser:
        await browser.http.get(f"{URL}/login/provider")
        answer = await browser.http.get(f"{URL}/login/callback?{query}")
        assert answer.status_code == 403


async def test_without_a_provider_there_is_nothing_to_come_back_from():
    async with hub() as made, made.browser() as browser:
        for path in ("/login/provider", "/login/callback"):
            assert (await browser.http.get(f"{URL}{path}")).status_code == 404


def test_what_the_provider_says_and_what_the_hub_says_are_one_kind_of_failure():
    assert issubclass(LoginFailed, NotSignedIn)


@pytest.mark.promise("T39")
@pytest.mark.parametrize("path", ["/login", "/login/callback", "/setup?code=ABCD-EFGH", "/login?said=out"])
async def test_pages_of_signing_in_are_in_no_frame_and_in_no_cache(path):
    async with hub(oidc=True) as made, made.browser() as browser:
        answer = await browser.http.get(f"{URL}{path}")
        assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
        assert answer.headers["cache-control"] == "no-store"


async def test_over_https_the_cookie_is_for_this_host_alone():
    async with hub(base_url="https://hub.example.com") as made, made.browser() as browser:
        await made.people.user()
        page = await opened(browser, "/login")
        sent = {**page.document.forms[0].fields, "email": ADA, "password": PASSWORD}
        new = browser.http.cookies
        answer = await browser.http.post(
            f"{URL}/login", data=sent, headers={"cookie": f"__Host-mcp_hub_new={_value(page)}"}
        )
        assert new is not None
        [cookie] = [each for each in answer.headers.get_list("set-cookie") if each.startswith("__Host-mcp_hub=")]
        assert {"HttpOnly", "Secure", "SameSite=lax", "Path=/"} <= {part.strip() for part in cookie.split(";")}


def _value(page: Page) -> str:
    return re.search(r"__Host-mcp_hub_new=([^;]+)", page.headers["set-cookie"])[1]


# The first admin


async def test_the_link_that_the_hub_printed_makes_the_first_admin_and_signs_them_in():
    async with hub() as made, made.browser() as browser:
        page = await opened(browser, f"/setup?code={await made.people.setup.offer()}")
        after = await browser.press(page, "Make", {"email": ADA, "password": PASSWORD, "again": PASSWORD})
        assert isinstance(after, Page)
        assert is_signed_in(after)
        [ada] = await made.people.accounts.users()
        assert (ada.email, ada.roles) == (ADA, {"admin"})


@pytest.mark.parametrize("code", ["", "ABCD-EFGH", "<script>", "A" * 5000])
async def test_without_a_good_code_there_is_no_form(code):
    async with hub() as made, made.browser() as browser:
        await made.people.setup.offer()
        answer = await browser.http.get(f"{URL}/setup", params={"code": code})
        assert answer.status_code == 403
        assert "<form" not in answer.text
        assert "<script>" not in answer.text


async def test_a_mistake_is_marked_and_can_be_corrected():
    async with hub() as made, made.browser() as browser:
        page = await opened(browser, f"/setup?code={await made.people.setup.offer()}")
        for wrong, says in (
            ({"email": "ada", "password": PASSWORD, "again": PASSWORD}, "needs an email address"),
            ({"email": ADA, "password": "short", "again": "short"}, "at least 8 characters"),
            ({"email": ADA, "password": PASSWORD, "again": PASSWORD + "x"}, "not the same"),
        ):
            page = await browser.press(page, "Make", wrong)
            assert isinstance(page, Page)
            assert says in page.document.text
            assert page.status == 422
        after = await browser.press(page, "Make", {"email": ADA, "password": PASSWORD, "again": PASSWORD})
        assert isinstance(after, Page)
        assert is_signed_in(after)


async def test_the_link_works_once():
    async with hub() as made, made.browser() as browser, made.browser() as second:
        link = f"/setup?code={await made.people.setup.offer()}"
        page, other = await opened(browser, link), await opened(second, link)
        await browser.press(page, "Make", {"email": ADA, "password": PASSWORD, "again": PASSWORD})
        late = await second.press(other, "Make", {"email": "eve@b.c", "password": PASSWORD, "again": PASSWORD})
        assert isinstance(late, Page)
        assert late.status == 403
        assert [user.email for user in await made.people.accounts.users()] == [ADA]


@pytest.mark.promise("T33")
async def test_another_site_cannot_send_the_form_of_the_set_up():
    async with hub() as made, made.browser() as browser:
        code = await made.people.setup.offer()
        await opened(browser, f"/setup?code={code}")
        sent = {"code": code, "email": "eve@b.c", "password": PASSWORD, "again": PASSWORD, "form_token": "x" * 65}
        answer = await browser.http.post(f"{URL}/setup", data=sent)
        assert answer.status_code == 403
        assert await made.people.accounts.users() == []
