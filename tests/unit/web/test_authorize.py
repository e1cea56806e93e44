"""The authorization endpoint, from the request to the way back; attacked from all sides."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcp_hub.egress.dial import Dialer
from mcp_hub.egress.fetch import GuardedFetch
from mcp_hub.identity.limits import Limit
from mcp_hub.identity.tokens import digest
from mcp_hub.store.grants import AccessToken, Code, Family, Issued
from rig.authorizing import (
    ADA,
    CHALLENGE,
    DOCUMENT,
    ISSUER,
    REDIRECT,
    RESOURCE,
    ROOT,
    Front,
    front,
    raw_get,
    request,
    url,
)
from rig.browser import Arrival, Browser, Page

pytestmark = pytest.mark.promise("C24")


@pytest.fixture
async def hub() -> AsyncIterator[Front]:
    async with front() as running:
        yield running


def gone_to(screen: Page | Arrival) -> str:
    """Where the browser ended up; empty if it is still at the hub."""
    return "" if screen.url.startswith(f"{ISSUER}/") else screen.url


def told(address: str) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(address).query, keep_blank_values=True))


async def question(hub: Front, browser: Browser, address: str | None = None) -> Page:
    page = await browser.open(address or url())
    assert isinstance(page, Page)
    assert page.form_with("Allow") is not None, page
    return page


async def codes(hub: Front) -> int:
    """How many codes there are."""
    return await hub.store._file.read(lambda db: int(db.execute("SELECT count(*) FROM codes").fetchone()[0]))


async def test_an_allowed_request_gives_a_code_that_is_bound_to_all_it_was_asked_for(hub: Front):
    browser = hub.browser(ADA)
    page = await question(hub, browser, url(state="a&b=c ü", resource=RESOURCE, scope="hub:use offline_access"))
    done = await browser.press(page, "Allow")
    assert isinstance(done, Page)
    answer = told(gone_to(done))
    assert gone_to(done).startswith(f"{REDIRECT}?")
    assert (answer["state"], answer["iss"]) == ("a&b=c ü", ISSUER)
    kept = await hub.store.code(digest(answer["code"]))
    assert kept is not None
    session = next(iter(hub.browsers.cookies.values())).session
    assert kept == Code(
        digest=digest(answer["code"]), tenant="default", client="trusted", client_name="Trusted app", user="ada",
        redirect_uri=REDIRECT, challenge=CHALLENGE, resource=RESOURCE, scopes=frozenset({"hub:use"}),
        browser=session.digest, created_at=hub.clock.at, expires_at=hub.clock.at + 60,
    )  # fmt: skip
    assert await hub.kinds() == [("consent", "ok")]


async def test_who_says_no_is_sent_back_without_a_code(hub: Front):
    browser = hub.browser(ADA)
    done = await browser.press(await question(hub, browser), "Deny")
    assert told(gone_to(done))["error"] == "access_denied"
    assert (told(gone_to(done))["state"], told(gone_to(done))["iss"]) == ("xyz", ISSUER)
    assert await codes(hub) == 0
    assert await hub.kinds() == [("consent", "denied")]


async def test_without_scope_resource_state_and_redirect_the_defaults_hold(hub: Front):
    browser = hub.browser(ADA)
    page = await question(hub, browser, url("single", redirect_uri=None, state=None))
    done = await browser.press(page, "Allow")
    answer = parse_qs(urlsplit(gone_to(done)).query)
    assert answer["iss"] == [ISSUER]
    assert answer["keep"] == ["1"]
    assert "state" not in answer
    kept = await hub.store.code(digest(answer["code"][0]))
    assert kept is not None
    assert (kept.redirect_uri, kept.resource, kept.scopes) == ("", RESOURCE, frozenset({"hub:use"}))


async def test_whoever_is_not_signed_in_signs_in_first_and_comes_back_to_the_whole_request(hub: Front):
    browser = hub.browser()
    asked = url(state="a b&c/ü", resource=RESOURCE)
    page = await browser.open(asked, until=f"{ISSUER}/login")
    assert isinstance(page, Arrival)
    assert page.answer["next"] == asked.removeprefix(ISSUER)


@pytest.mark.promise("T36", "T38")
@pytest.mark.parametrize("site", ["cross-site", "same-site", "same-origin", "none", None])
async def test_there_is_no_code_without_a_click_however_often_it_was_allowed_before(hub: Front, site: str | None):
    browser = hub.browser(ADA)
    await browser.press(await question(hub, browser), "Allow")
    headers = {} if site is None else {"Sec-Fetch-Site": site}
    again = await browser.http.get(url(prompt="consent"), headers=headers)
    assert again.status_code == 200
    assert "Allow Trusted app to use this hub?" in again.text
    assert "refresh" not in again.headers
    assert await codes(hub) == 1


@pytest.mark.promise("T36")
async def test_a_client_that_registered_itself_gets_nothing_from_a_browser_that_is_only_sent_there(hub: Front):
    stranger = (await hub.register()).json()["client_id"]
    page = await question(hub, hub.browser(ADA), url(stranger, redirect_uri="https://evil.example/cb"))
    assert "Nobody has verified this name" in page.document.text
    assert "evil.example" in page.document.text
    assert await codes(hub) == 0


@pytest.mark.promise("T37")
async def test_a_question_is_answered_only_in_the_browser_and_by_the_user_it_was_put_to(hub: Front):
    mine, elsewhere, other = hub.browser(ADA), hub.browser(ADA), hub.browser(ROOT)
    page = await question(hub, mine)
    form, _ = page.form_with("Allow")
    for thief in (elsewhere, other):
        own = await question(hub, thief)
        own_form, _ = own.form_with("Allow")
        # With a form token of its own, so that only the binding of the question stands in the way.
        stolen = {**own_form.fields, "question": form.fields["question"], "answer": "allow"}
        refused = await thief.http.post(f"{ISSUER}/authorize", data=stolen, headers={"Origin": ISSUER})
        assert refused.status_code == 403
        assert "refresh" not in refused.headers
        assert "location" not in refused.headers
    assert await codes(hub) == 0
    assert gone_to(await mine.press(page, "Allow"))


@pytest.mark.promise("T33", "T37")
async def test_a_question_is_answered_once_in_time_and_by_a_form_of_ours(hub: Front):
    browser = hub.browser(ADA)
    page = await question(hub, browser)
    form, _ = page.form_with("Allow")
    sent = {**form.fields, "answer": "allow"}
    for headers in ({"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}, {"Origin": "null"}):
        crossed = await browser.http.post(f"{ISSUER}/authorize", data=sent, headers=headers)
        assert crossed.status_code == 403
    forged = await browser.http.post(f"{ISSUER}/authorize", data={**sent, "form_token": "x" * 60})
    assert forged.status_code == 403
    assert await codes(hub) == 0
    second = await question(hub, browser)  # another render takes nothing away from the first
    assert gone_to(await browser.press(page, "Allow"))
    assert (await browser.press(page, "Allow")).status == 403
    hub.clock.at += 601
    assert (await browser.press(second, "Allow")).status == 403
    assert await codes(hub) == 1


async def test_a_get_that_looks_like_an_answer_gives_nothing(hub: Front):
    browser = hub.browser(ADA)
    form, _ = (await question(hub, browser)).form_with("Allow")
    answered = await browser.http.get(f"{url()}&question={form.fields['question']}&answer=allow")
    assert "to use this hub?" in answered.text
    assert await codes(hub) == 0


async def test_only_an_admin_can_give_the_rights_of_one_also_if_they_lose_them_meanwhile(hub: Front):
    asked = url(scope="hub:use hub:admin")
    refused = await hub.browser(ADA).open(asked)
    assert told(gone_to(refused))["error"] == "invalid_scope"
    browser = hub.browser(ROOT)
    page = await question(hub, browser, asked)
    assert "as the admin you are" in page.document.text
    for signed_in in hub.browsers.cookies.values():
        signed_in.user = replace(signed_in.user, roles=frozenset())
    assert (await browser.press(page, "Allow")).status == 403
    assert await codes(hub) == 0


async def test_a_client_that_asks_for_more_shows_what_is_new(hub: Front):
    browser = hub.browser(ROOT)
    first = await browser.press(await question(hub, browser, url(scope="hub:use")), "Allow")
    family = Family("f", "default", "root", "trusted", "Trusted app", RESOURCE, frozenset({"hub:use"}), 1, 1, 1e12)
    tokens = Issued(AccessToken(b"a", "f", family.scopes, 1e12), None)
    await hub.store.redeem(digest(told(gone_to(first))["code"]), family, tokens, hub.clock.at)
    page = await question(hub, browser, url(scope="hub:use hub:admin"))
    assert "It has access already" in page.document.text
    assert "as the admin you are new" in page.document.text
    assert "in your name new" not in page.document.text


@pytest.mark.promise("T51")
@pytest.mark.parametrize(
    ("uris", "warned"),
    [
        (["http://127.0.0.1/cb", "http://localhost/cb"], True),
        (["cursor://anysphere.cursor-mcp/oauth/callback"], True),
        (["http://localhost/cb", "https://app.example/cb"], False),
    ],
)
async def test_a_client_that_any_local_program_can_pose_as_comes_with_a_warning(hub: Front, uris, warned):
    registered = (await hub.register(redirect_uris=uris, client_name="Local")).json()["client_id"]
    page = await question(hub, hub.browser(ADA), url(registered, redirect_uri=uris[0]))
    assert ("Any program there can pretend to be it" in page.document.text) is warned
    hub.table.publish(redirect_uris=uris)
    page = await question(hub, hub.browser(ADA), url(DOCUMENT, redirect_uri=uris[0]))
    assert ("Any program there can pretend to be it" in page.document.text) is warned
    assert "claude.example" in page.document.text


async def test_an_app_with_a_scheme_of_its_own_is_opened_by_a_click_only(hub: Front):
    browser = hub.browser(ADA)
    page = await question(hub, browser, url("phone", redirect_uri="com.example.app:/cb"))
    done = await browser.press(page, "Allow")
    assert "refresh" not in done.headers
    assert done.document.links["Continue to Phone app"].startswith("com.example.app:/cb?code=mcphub_ac_")


@pytest.mark.promise("T52")
async def test_a_document_that_changes_after_the_question_is_asked_about_again(hub: Front):
    browser = hub.browser(ADA)
    hub.table.publish(redirect_uris=["https://claude.example/cb"])
    asked = url(DOCUMENT, redirect_uri="https://claude.example/cb")
    page = await question(hub, browser, asked)
    hub.table.publish(redirect_uris=["https://claude.example/cb", "https://evil.example/cb"])
    hub.clock.at += 301
    again = await browser.press(page, "Allow")
    assert "The app changed" in again.document.text
    assert await codes(hub) == 0
    assert gone_to(await browser.press(again, "Allow")).startswith("https://claude.example/cb?code=")


@pytest.mark.promise("T52")
@pytest.mark.parametrize("answer", ["Allow", "Deny"])
async def test_nobody_is_sent_to_an_address_that_the_document_no_longer_names(hub: Front, answer: str):
    browser = hub.browser(ADA)
    hub.table.publish()
    page = await question(hub, browser, url(DOCUMENT, redirect_uri="https://claude.example/cb"))
    hub.table.publish(redirect_uris=["https://other.example/cb"])
    hub.clock.at += 301
    gone = await browser.press(page, answer)
    assert gone.status == 400
    assert not gone_to(gone)
    assert await codes(hub) == 0


@pytest.mark.promise("T3")
async def test_a_document_is_fetched_for_nobody_who_is_not_signed_in(hub: Front):
    hub.table.publish()
    page = await hub.browser().open(url(DOCUMENT, redirect_uri="https://evil.example/cb"), until=f"{ISSUER}/login")
    assert isinstance(page, Arrival)
    assert hub.table.asked == []
    page = await hub.browser(ADA).open(url(DOCUMENT, redirect_uri="https://evil.example/cb"))
    assert (page.status, hub.table.asked) == (400, [DOCUMENT])


@pytest.mark.promise("T3", "T6")
@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "2130706433", "[::1]"])
async def test_the_address_of_a_client_leads_nowhere_inside_the_network(host: str):
    hits: list[None] = []
    canary = await asyncio.start_server(lambda _reader, writer: hits.append(writer.close()), "127.0.0.1", 0)
    port = canary.sockets[0].getsockname()[1]
    fetch = GuardedFetch(Dialer())
    try:
        async with asyncio.timeout(5), front(fetch=fetch) as hub:
            page = await hub.browser(ADA).open(url(f"https://{host}:{port}/c.json"))
        assert (page.status, hits) == (400, [])
    finally:
        await fetch.aclose()
        canary.close()
        await canary.wait_closed()


@pytest.mark.promise("T3", "T10")
async def test_a_document_that_cannot_be_had_tells_nothing_of_the_network(hub: Front):
    page = await hub.browser(ADA).open(url("https://localhost:9/c.json"))
    assert page.status == 400
    assert "cannot be had" in page.document.text
    assert "10.0.0.7" not in page.document.text
    assert "public" not in page.document.text


@pytest.mark.promise("T41")
@pytest.mark.parametrize(
    "redirect",
    [
        "//evil.example",
        "/\\evil.example",
        "https://app.example@evil.example/cb",
        "http://localhost@evil.example/cb",
        "javascript:alert(1)",
        "https://app.example/cb%0d%0aLocation:x",
        "https://*.example/cb",
        "https://app.example/cb/more",
        "https://APP.example/cb",
        "http://127.0.0.1:80/other",
        "<script>alert(1)</script>",
    ],
)
@pytest.mark.parametrize("signed_in", [True, False])
async def test_nobody_is_sent_to_a_place_that_is_not_registered(hub: Front, redirect: str, signed_in: bool):
    response = await hub.browser(ADA if signed_in else None).http.get(url(redirect_uri=redirect))
    assert response.status_code == 400
    assert "location" not in response.headers
    assert "refresh" not in response.headers
    assert "evil" not in response.text
    assert "alert" not in response.text


async def test_a_loopback_redirect_of_any_port_is_one_of_the_client(hub: Front):
    browser = hub.browser(ADA)
    done = await browser.press(await question(hub, browser, url(redirect_uri="http://127.0.0.1:50123/cb")), "Allow")
    assert gone_to(done).startswith("http://127.0.0.1:50123/cb?code=")
    kept = await hub.store.code(digest(told(gone_to(done))["code"]))
    assert kept is not None
    assert kept.redirect_uri == "http://127.0.0.1:50123/cb"


WRONG = [
    ({"response_type": None}, "invalid_request"),
    ({"response_type": ""}, "invalid_request"),
    ({"response_type": "token"}, "unsupported_response_type"),
    ({"response_type": "code id_token"}, "unsupported_response_type"),
    ({"response_mode": "fragment"}, "invalid_request"),
    ({"response_mode": "form_post"}, "invalid_request"),
    ({"code_challenge": None}, "invalid_request"),
    ({"code_challenge": "short"}, "invalid_request"),
    ({"code_challenge": "x" * 129}, "invalid_request"),
    ({"code_challenge": "ü" * 43}, "invalid_request"),
    ({"code_challenge_method": None}, "invalid_request"),
    ({"code_challenge_method": "plain"}, "invalid_request"),
    ({"code_challenge_method": "s256"}, "invalid_request"),
    ({"resource": "https://evil.example/mcp"}, "invalid_target"),
    ({"resource": f"{RESOURCE}/"}, "invalid_target"),
    ({"resource": f"{RESOURCE}#x"}, "invalid_target"),
    ({"resource": "<script>"}, "invalid_target"),
    ({"scope": "hub:use everything"}, "invalid_scope"),
    ({"scope": "hub:use\nhub:admin"}, "invalid_scope"),
    ({"request": "eyJ"}, "invalid_request"),
    ({"request_uri": "https://evil.example/r"}, "invalid_request"),
    ({"prompt": "none"}, "interaction_required"),
    ({"prompt": "login none"}, "interaction_required"),
]


@pytest.mark.promise("T45")
@pytest.mark.parametrize(("wrong", "code"), WRONG)
async def test_what_is_wrong_is_told_to_the_client_with_state_and_issuer(hub: Front, wrong, code: str):
    response = await hub.browser().http.get(url(**wrong))
    assert response.status_code == 302
    assert response.headers["location"].startswith(f"{REDIRECT}?")
    answer = parse_qs(urlsplit(response.headers["location"]).query)
    assert (answer["error"], answer["state"], answer["iss"]) == ([code], ["xyz"], [ISSUER])
    assert "evil" not in response.headers["location"]
    assert "3Cscript" not in response.headers["location"]


@pytest.mark.parametrize(("wrong", "code"), WRONG)
async def test_to_a_place_that_the_operator_did_not_name_only_the_user_goes(hub: Front, wrong, code: str):
    stranger = (await hub.register()).json()["client_id"]
    for user in (ADA, None):
        page = await hub.browser(user).open(url(stranger, redirect_uri="https://evil.example/cb", **wrong))
        assert isinstance(page, Page)
        assert page.status == 400
        assert not gone_to(page)
        assert told(page.document.links["Continue to evil.example"])["error"] == code


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("state", "invalid_request"),
        ("scope", "invalid_request"),
        ("code_challenge", "invalid_request"),
        ("response_type", "invalid_request"),
        ("anything", "invalid_request"),
        ("resource", "invalid_target"),
    ],
)
async def test_what_is_sent_twice_is_refused(hub: Front, name: str, code: str):
    response = await hub.browser().http.get(f"{url()}&{name}=1&{name}=2")
    answer = parse_qs(urlsplit(response.headers["location"]).query)
    assert answer["error"] == [code]
    assert answer.get("state") == (None if name == "state" else ["xyz"])


async def test_a_state_that_is_too_long_is_not_sent_back(hub: Front):
    fits = await hub.browser().http.get(url(state="x" * 2048, scope="no"))
    assert told(fits.headers["location"])["state"] == "x" * 2048
    response = await hub.browser().http.get(url(state="x" * 2049))
    assert told(response.headers["location"])["error"] == "invalid_request"
    assert "state" not in told(response.headers["location"])


@pytest.mark.promise("T40")
@pytest.mark.parametrize(
    "address",
    [
        url("nobody<script>alert(1)</script>"),
        url(""),
        f"{url()}&client_id=trusted",
        f"{url()}&redirect_uri={REDIRECT}",
        url("trusted", redirect_uri=None),
        url("https://claude.example/"),
        url("https://claude.example/a/../b"),
        url("http://claude.example/c.json"),
        f"{url()}&x=%ff",
        f"{url()}&{'x' * 8000}",
        request([("client_id", "trusted"), *((f"p{number}", "x") for number in range(101))]),
        request([]),
    ],
)
async def test_before_it_is_clear_who_asks_there_is_a_page_in_our_own_words(hub: Front, address: str):
    response = await hub.browser(ADA).http.get(address)
    assert response.status_code == 400
    assert "location" not in response.headers
    assert "refresh" not in response.headers
    assert "alert(1)" not in response.text
    assert "default-src 'none'" in response.headers["content-security-policy"]
    assert hub.table.asked == []


@pytest.mark.promise("T39", "T40")
async def test_what_a_client_calls_itself_is_text_and_nothing_else(hub: Front):
    name = "<img src=x onerror=alert(1)>\u202e\x1b[31m"
    stranger = (await hub.register(client_name=name)).json()["client_id"]
    browser = hub.browser(ADA)
    response = await browser.http.get(url(stranger, redirect_uri="https://evil.example/cb"))
    assert "&lt;img src=x onerror=alert(1)&gt;" in response.text
    assert "<img src=x" not in response.text
    assert "\u202e" not in response.text
    assert "\x1b" not in response.text
    for header, value in (("x-frame-options", "DENY"), ("cache-control", "no-store")):
        assert response.headers[header] == value
    assert "frame-ancestors 'none'" in response.headers["content-security-policy"]
    assert "access-control-allow-origin" not in response.headers


async def test_a_client_that_was_not_used_is_forgotten_and_one_that_was_is_kept(hub: Front):
    used, unused = [(await hub.register()).json()["client_id"] for _ in range(2)]
    browser = hub.browser(ADA)
    page = await question(hub, browser, url(used, redirect_uri="https://evil.example/cb"))
    await browser.press(page, "Allow")
    hub.clock.at += 86_400
    assert (await browser.open(url(unused, redirect_uri="https://evil.example/cb"))).status == 400
    await question(hub, browser, url(used, redirect_uri="https://evil.example/cb"))
    hub.clock.at += 90 * 86_400
    assert (await browser.open(url(used, redirect_uri="https://evil.example/cb"))).status == 400


NAMES = ("client_id", "redirect_uri", "state", "scope", "resource", "code_challenge", "response_type", "prompt", "x")
VALUES = st.one_of(
    st.sampled_from(
        ["trusted", "single", DOCUMENT, REDIRECT, CHALLENGE, "S256", "code", "hub:use", "", "none", RESOURCE]
    ),
    st.text(max_size=20),
    st.builds("<marker{}".format, st.text(max_size=5)),
)
USUAL = st.fixed_dictionaries({}, optional=dict.fromkeys(NAMES, VALUES))


@pytest.mark.promise("T25", "T40", "T41")
@settings(max_examples=60, deadline=None)
@given(USUAL, st.lists(st.tuples(st.sampled_from(NAMES), VALUES), max_size=2), st.binary(max_size=8), st.booleans())
async def test_no_request_whatever_leads_elsewhere_fails_or_is_repeated(changed, more, raw, signed_in):
    asked = dict(parse_qsl(urlsplit(url()).query)) | changed
    async with front() as hub:
        query = urlencode([*asked.items(), *more]).encode() + raw
        response = await raw_get(hub, query, ADA if signed_in else None)
    assert response.status_code in (200, 302, 303, 400)
    place = response.headers.get("location") or response.headers.get("refresh", "").removeprefix("0;url=")
    places = (f"{REDIRECT}?", "https://single.example/cb?", "http://127.0.0.1/cb?", "/login?next=/authorize%3F")
    assert place == "" or place.startswith(places)
    assert "code=" not in place.partition("?")[2].replace("response_type=code", "").partition("next=")[0]
    assert "<marker" not in response.text


async def test_who_asks_too_often_waits():
    async with front(limits={Limit.AUTHORIZE: "2 per minute"}) as hub:
        browser = hub.browser(ADA)
        for _ in range(2):
            await question(hub, browser)
        refused = await browser.open(url())
        assert refused.status == 429
        assert refused.headers["retry-after"] == "60"
