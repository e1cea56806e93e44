"""The page "Users" and its forms."""

import pytest

from mcp_hub.identity.tokens import digest
from mcp_hub.principal import ADMIN
from mcp_hub.web.users import PATH
from rig.household import People
from unit.web.test_access import Browser

pytestmark = pytest.mark.promise("E37", "C24")
ACTS = ("disable", "enable", "sign-out", "end-client", "end-token")


@pytest.fixture
async def people():
    people = People()
    yield people
    await people.aclose()


async def do(browser, act, user, **form):
    return await browser.send(f"{PATH}/{act}", act, user=user.id, **form)


async def test_an_admin_sees_who_there_is_and_what_acts_for_them(people):
    ada, bo = await people.add("Ada"), await people.add("Bo", ADMIN)
    await people.grant(ada)
    await people.tokens.create(ada, "backup", None)
    browser = await Browser(people).sign_in(bo)
    everybody = (await browser.look(PATH)).text
    for shown in ("Ada", "ada@example.com", "Bo", "admin", "you", "21 Nov 2026, 23:03 UTC", f'href="{PATH}/{ada.id}"'):
        assert shown in everybody
    one = (await browser.look(f"{PATH}/{ada.id}")).text
    for shown in ("Claude Code", "backup", "Disable Ada", "Sign out Ada everywhere"):
        assert shown in one
    assert "Disable Bo" not in (await browser.look(f"{PATH}/{bo.id}")).text
    assert (await browser.look(f"{PATH}/nobody")).status_code == 404


@pytest.mark.promise("T33")
async def test_nobody_but_an_admin_sees_or_does_anything_there(people):
    ada, bo = await people.add("Ada"), await people.add("Bo", ADMIN)
    browser = await Browser(people).sign_in(ada)
    before = await people.everything()
    for path in (PATH, f"{PATH}/{ada.id}", f"{PATH}/{bo.id}"):
        answer = await browser.look(path)
        assert answer.status_code == 403
        assert "bo@example.com" not in answer.text
    for act in ACTS:
        assert (await do(browser, act, bo)).status_code == 403
        assert (await browser.client.post(f"{PATH}/{act}", data={"user": bo.id})).status_code == 403
    assert await people.everything() == before
    assert (await Browser(people).look(PATH)).headers["location"] == "/login?next=/admin/users"


@pytest.mark.promise("T33")
@pytest.mark.parametrize("act", ACTS)
async def test_a_form_without_its_own_token_changes_nothing(people, act):
    ada, bo = await people.add("Ada"), await people.add("Bo", ADMIN)
    browser = await Browser(people).sign_in(bo)
    before = await people.everything()
    assert (await browser.send(f"{PATH}/{act}", "another", user=ada.id)).status_code == 403
    assert (await browser.client.get(f"{PATH}/{act}", params={"user": ada.id})).status_code == 404
    assert await people.everything() == before


@pytest.mark.promise("T59")
async def test_somebody_disabled_is_let_in_nowhere_until_they_are_enabled(people):
    ada, bo = await people.add("Ada"), await people.add("Bo", ADMIN)
    family, (token, _) = await people.grant(ada), await people.tokens.create(ada, "backup", None)
    cookie = await people.sign_in(ada)
    browser = await Browser(people).sign_in(bo)
    answer = await do(browser, "disable", ada)
    assert answer.headers["location"] == f"{PATH}/{ada.id}?said=disable"
    page = (await browser.look(answer.headers["location"])).text
    assert "Done. This account is let in nowhere any more" in page
    assert "Enable Ada" in page
    assert await people.browsers.find(cookie) is None
    assert await people.store.access_token(digest(family.id)) is None
    assert await people.store.personal_token(token.digest) is None
    assert (await do(browser, "enable", ada)).headers["location"].endswith("said=enable")
    assert not (await people.store.user(ada.id)).disabled


async def test_the_last_admin_is_not_disabled(people):
    bo = await people.add("Bo", ADMIN)
    browser = await Browser(people).sign_in(bo)
    answer = await do(browser, "disable", bo)
    assert answer.status_code == 400
    assert "This is the last admin" in answer.text
    assert not (await people.store.user(bo.id)).disabled


async def test_an_admin_ends_one_client_one_token_or_everything(people):
    ada, bo = await people.add("Ada"), await people.add("Bo", ADMIN)
    family, (token, _) = await people.grant(ada), await people.tokens.create(ada, "backup", None)
    browser = await Browser(people).sign_in(bo)
    for act, form in (("end-client", {"client": family.id}), ("end-token", {"token": token.id})):
        assert (await do(browser, act, ada, **form)).headers["location"].endswith(f"said={act}")
        assert (await do(browser, act, ada, **form)).headers["location"].endswith("said=gone")
    cookie = await people.sign_in(ada)
    await people.grant(ada)
    assert (await do(browser, "sign-out", ada)).status_code == 303
    assert await people.browsers.find(cookie) is None
    assert await people.store.families("default", ada.id) == []


async def test_what_an_admin_does_is_recorded_with_their_name(people):
    ada, bo = await people.add("Ada"), await people.add("Bo", ADMIN)
    family = await people.grant(ada)
    browser = await Browser(people).sign_in(bo)
    await do(browser, "end-client", ada, client=family.id)
    await do(browser, "disable", ada)
    await people.events.aclose()
    events = await people.store.events("default", limit=10)
    assert {(each.kind, each.subject) for each in events} == {("token_revoked", bo.id), ("user_disabled", bo.id)}


@pytest.mark.promise("T39", "T40")
async def test_every_answer_of_the_site_that_is_a_page_is_kept_from_frames_caches_and_scripts(people):
    bo = await people.add("Bo", ADMIN)
    browser, stranger = await Browser(people).sign_in(bo), Browser(people)
    pages = 0
    for route in browser.routes:
        path = route.path.replace("{user}", bo.id)
        for client in (browser.client, stranger.client):
            for method in ("GET", "POST"):
                answer = await client.request(method, path, data={} if method == "POST" else None)
                assert answer.status_code < 500
                if not answer.headers.get("content-type", "").startswith("text/html"):
                    continue
                pages += 1
                assert answer.headers["x-frame-options"] == "DENY"
                assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
                assert "script" not in answer.headers["content-security-policy"]
                assert answer.headers["cache-control"] == "no-store"
                assert answer.headers["x-content-type-options"] == "nosniff"
    assert pages > 20
