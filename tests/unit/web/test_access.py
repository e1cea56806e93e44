"""The page "Clients and tokens" and its forms."""

import re

import httpx2
import pytest
from starlette.routing import Route

from mcp_hub.identity.scopes import ADMIN as ADMIN_SCOPE
from mcp_hub.identity.scopes import USE
from mcp_hub.identity.tokens import digest
from mcp_hub.principal import ADMIN
from mcp_hub.web.access import END_ALL, END_BROWSER, END_CLIENT, END_TOKEN, MAKE_TOKEN, PATH
from rig.household import DAY, NOW, People
from rig.site import site_of, visitors_of

pytestmark = pytest.mark.promise("E37")
URL = "http://127.0.0.1:8080"
IPHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 Version/18.0 Mobile Safari/604.1"


@pytest.fixture
async def people():
    people = People()
    yield people
    await people.aclose()


class Browser:
    """A browser in which somebody is signed in; it sends forms with the token that its page has."""

    def __init__(self, people: People):
        app = site_of(people, URL).app()
        self.people = people
        self.routes = [each for each in app.routes if isinstance(each, Route)]
        self.client = httpx2.AsyncClient(
            transport=httpx2.ASGITransport(app), base_url=URL, headers={"accept": "text/html"}
        )

    async def sign_in(self, user):
        cookie, self.found = await self.people.signed_in(user)
        self.client.cookies.set("mcp_hub", cookie)
        return self

    async def look(self, path=PATH):
        return await self.client.get(path)

    async def send(self, path, purpose=None, **form):
        token = visitors_of(self.people, URL).form_token(self.found, path if purpose is None else purpose)
        return await self.client.post(path, data={**form, "form_token": token})


async def test_everybody_sees_what_acts_for_them_and_nothing_else(people):
    ada, bo = await people.add("Ada"), await people.add("Bo", ADMIN)
    await people.grant(ada, "Claude Code")
    await people.grant(bo, "Evil twin", "dcr-1")
    await people.tokens.create(ada, "nightly backup", 30 * DAY)
    await people.tokens.create(bo, "secret plan", None)
    await people.sign_in(ada, IPHONE)
    browser = await Browser(people).sign_in(ada)
    page = await browser.look()
    assert page.status_code == 200
    for shown in (
        "Claude Code",
        "claude.ai",
        "use your tools",
        "10 Nov 2026, 23:03 UTC",
        "nightly backup",
        "22 Dec 2026",
    ):
        assert shown in page.text
    for shown in ("mcphub_pat_", "Safari on iPhone", "Firefox on Linux", "this browser"):
        assert shown in page.text
    for hidden in ("Evil twin", "secret plan", "administer"):
        assert hidden not in page.text


async def test_nobody_sees_anything_before_they_have_signed_in(people):
    browser = Browser(people)
    answer = await browser.look()
    assert (answer.status_code, answer.headers["location"]) == (303, "/login?next=/account/clients")
    for path in (END_CLIENT, MAKE_TOKEN, END_TOKEN, END_BROWSER, END_ALL):
        answer = await browser.client.post(path, data={})
        assert (answer.status_code, answer.headers["location"]) == (303, "/login")


async def test_a_client_that_is_ended_has_no_access_any_more(people):
    ada = await people.add("Ada")
    family = await people.grant(ada)
    before = await people.store.access_generation()
    browser = await Browser(people).sign_in(ada)
    answer = await browser.send(END_CLIENT, client=family.id)
    assert (answer.status_code, answer.headers["location"]) == (303, "/account/clients?said=client")
    assert "Done. That client has no access any more" in (await browser.look(answer.headers["location"])).text
    assert await people.store.access_token(digest(family.id)) is None
    assert await people.store.access_generation() > before
    assert "said=gone" in (await browser.send(END_CLIENT, client=family.id)).headers["location"]


@pytest.mark.promise("T33")
async def test_nobody_ends_what_is_anothers(people):
    ada, bo = await people.add("Ada"), await people.add("Bo", ADMIN)
    family, (token, _) = await people.grant(bo), await people.tokens.create(bo, "bo's", None)
    await people.sign_in(bo)
    before = await people.everything()
    browser = await Browser(people).sign_in(ada)
    page_of_bo = await (await Browser(people).sign_in(bo)).look()
    numbers = re.findall(r'name="browser" value="([0-9a-f]+)"', page_of_bo.text)
    assert len(numbers) == 2
    for path, form in (
        (END_CLIENT, {"client": family.id}),
        (END_TOKEN, {"token": token.id}),
        (END_BROWSER, {"browser": numbers[0]}),
        (END_CLIENT, {}),
    ):
        assert "said=gone" in (await browser.send(path, **form)).headers["location"]
    after = await people.everything()
    assert after[2:] == before[2:]
    assert set(before[1]) <= set(after[1])


@pytest.mark.promise("T33")
@pytest.mark.parametrize("path", [END_CLIENT, MAKE_TOKEN, END_TOKEN, END_BROWSER, END_ALL])
async def test_a_form_without_its_own_token_changes_nothing(people, path):
    ada = await people.add("Ada")
    family, (token, _) = await people.grant(ada), await people.tokens.create(ada, "mine", None)
    browser = await Browser(people).sign_in(ada)
    before = await people.everything()
    form = {"client": family.id, "token": token.id, "name": "new", "lifetime": "30"}
    for purpose in ("another purpose", "sign out"):
        assert (await browser.send(path, purpose, **form)).status_code == 403
    assert (await browser.client.post(path, data=form)).status_code == 403
    assert (await browser.client.get(path, params=form)).status_code == 405
    assert await people.everything() == before


async def test_a_token_is_made_shown_once_and_ended(people):
    ada = await people.add("Ada")
    browser = await Browser(people).sign_in(ada)
    made = await browser.send(MAKE_TOKEN, name=" nightly <b>backup ", lifetime="7", administers="no")
    assert made.status_code == 200
    assert made.headers["cache-control"] == "no-store"
    (secret,) = set(re.findall(r"mcphub_pat_[\w-]{43}", made.text))
    token = await people.store.personal_token(digest(secret))
    assert (token.name, token.expires_at, token.scopes) == ("nightly <b>backup", NOW + 7 * DAY, {USE})
    assert secret not in (await browser.look()).text
    ended = await browser.send(END_TOKEN, token=token.id)
    assert ended.headers["location"] == "/account/clients?said=token"
    assert await people.store.personal_token(digest(secret)) is None


@pytest.mark.parametrize(("role", "scopes"), [(ADMIN, {USE, ADMIN_SCOPE}), ("user", None)])
async def test_only_an_admin_makes_a_token_that_administers(people, role, scopes):
    user = await people.add("Ada", role)
    browser = await Browser(people).sign_in(user)
    assert ("administers" in (await browser.look()).text) is (role == ADMIN)
    made = await browser.send(MAKE_TOKEN, name="all", lifetime="never", administers="yes")
    tokens = await people.tokens.list(user)
    assert [(each.scopes, each.expires_at) for each in tokens] == ([] if scopes is None else [(scopes, None)])
    assert made.status_code == (400 if scopes is None else 200)


@pytest.mark.parametrize(
    "form",
    [
        {"name": "", "lifetime": "30"},
        {"name": "n" * 101, "lifetime": "30"},
        {"name": "a\nb", "lifetime": "30"},
        {"name": "n", "lifetime": "31"},
        {"name": "n", "lifetime": ""},
        {"name": "n"},
        {},
    ],
)
async def test_a_token_that_cannot_be_made_is_explained_on_the_page(people, form):
    ada = await people.add("Ada")
    browser = await Browser(people).sign_in(ada)
    answer = await browser.send(MAKE_TOKEN, **form)
    assert answer.status_code == 400
    assert 'role="alert"' in answer.text
    assert await people.tokens.list(ada) == []


async def test_one_browser_is_signed_out_or_everything_at_once(people):
    ada = await people.add("Ada")
    phone = await people.sign_in(ada, IPHONE)
    await people.grant(ada)
    await people.tokens.create(ada, "stays", None)
    browser = await Browser(people).sign_in(ada)
    numbers = re.findall(r'name="browser" value="([0-9a-f]+)"', (await browser.look()).text)
    other = next(each for each in numbers if each != numbers[0])
    ends = {await ending(browser, other), await ending(browser, numbers[0])}
    assert ends == {"/account/clients?said=browser", "/login"}
    assert await people.browsers.find(phone) is None
    browser = await Browser(people).sign_in(ada)
    answer = await browser.send(END_ALL)
    assert answer.headers["location"] == "/login"
    assert 'mcp_hub=""' in answer.headers["set-cookie"]
    assert await people.browsers.find(browser.client.cookies.get("mcp_hub") or "") is None
    assert await people.store.families("default") == []
    assert len(await people.tokens.list(ada)) == 1


async def ending(browser, number) -> str:
    return (await browser.send(END_BROWSER, browser=number)).headers["location"]


async def test_what_the_address_says_is_never_shown(people):
    browser = await Browser(people).sign_in(await people.add("Ada"))
    page = await browser.look(f"{PATH}?said=<script>alert(1)</script>")
    assert page.status_code == 200
    assert "alert" not in page.text.replace('role="alert"', "")
