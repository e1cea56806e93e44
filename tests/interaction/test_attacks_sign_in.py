"""Attacks on the hub's sign-in, consent and token endpoints, from outside, against a hub that runs."""

import asyncio
import stat
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx2
import pytest

from rig import login_hub
from rig.browser import ADA, BOB, Arrival, Browser, Page, authorize, origin_of, sign_in
from rig.login_hub import LoginHub
from rig.oauth_client import REDIRECT, OAuthClient

CONFIG = """\
version: 1
login: local
clients:
  plain:
    redirect_uris: ["{redirect}", "https://app.example.com/callback"]
network:
  allow_private: [127.0.0.0/8]
"""


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LoginHub]:
    config = CONFIG.format(redirect=REDIRECT)
    with login_hub.serving(config, tmp_path_factory.mktemp("hub"), people=[ADA, BOB]) as started:
        yield started
    assert started.process.complaints() == []


@pytest.fixture
async def client(hub: LoginHub) -> AsyncIterator[OAuthClient]:
    async with OAuthClient(hub.issuer, "plain") as made:
        yield made


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    async with Browser() as made:
        yield made


@pytest.fixture
async def other() -> AsyncIterator[Browser]:
    async with Browser() as made:
        yield made


@pytest.fixture
async def stranger() -> AsyncIterator[Browser]:
    async with Browser() as made:
        yield made


async def _asked(browser: Browser, client: OAuthClient) -> Page:
    """The page on which somebody who is signed in is asked about this client."""
    screen = await browser.open(client.request(), until=client.redirect)
    assert isinstance(screen, Page), "nobody was asked"
    assert screen.form_with("Allow"), str(screen)
    return screen


@pytest.mark.promise("T36", "T38")
async def test_a_client_gets_no_code_without_a_click_however_often_it_was_allowed(
    client: OAuthClient, hub: LoginHub, browser: Browser
):
    await sign_in(browser, f"{hub.issuer}/login", ADA)
    for _ in range(2):
        await _asked(browser, client)
        assert (await client.arrival(ADA, browser)).answer["code"]


@pytest.mark.promise("T37", "T33")
async def test_a_consent_counts_only_in_the_browser_that_was_asked(
    client: OAuthClient, hub: LoginHub, browser: Browser, other: Browser, stranger: Browser
):
    await sign_in(browser, f"{hub.issuer}/login", ADA)
    await sign_in(other, f"{hub.issuer}/login", BOB)
    page = await _asked(browser, client)
    for thief in (other, stranger):
        stolen = await thief.press(page, "Allow", until=client.redirect)
        assert isinstance(stolen, Page), "somebody else's answer was taken"
        assert stolen.status in (400, 403) or stolen.url == f"{hub.issuer}/login"
    own = await _asked(other, client)
    mixed = await other.press(own, "Allow", {"question": _question(page)}, until=client.redirect)
    assert isinstance(mixed, Page), "somebody else's question was answered"
    assert mixed.status == 403
    assert isinstance(await browser.press(page, "Allow", until=client.redirect), Arrival)


def _question(page: Page) -> str:
    """What says which question a page put."""
    found = page.form_with("Allow")
    assert found is not None
    return found[0].fields["question"]


@pytest.mark.promise("T37")
async def test_an_answer_counts_once(client: OAuthClient, hub: LoginHub, browser: Browser):
    await sign_in(browser, f"{hub.issuer}/login", ADA)
    page = await _asked(browser, client)
    assert isinstance(await browser.press(page, "Allow", until=client.redirect), Arrival)
    again = await browser.press(page, "Allow", until=client.redirect)
    assert isinstance(again, Page)
    assert again.status in (400, 403)


@pytest.mark.promise("T36")
async def test_who_denies_sends_the_client_away_with_the_reason(client: OAuthClient, browser: Browser):
    told = (await authorize(browser, client.request(), ADA, "Deny")).answer
    assert (told["error"], told["state"], told["iss"]) == ("access_denied", client.state, client.issuer)
    assert "code" not in told


ELSEWHERE = [
    "https://evil.example/callback",
    "//evil.example/callback",
    "http://127.0.0.1:9@evil.example/callback",
    "http://127.0.0.1:9/callback/",
    "http://127.0.0.1:9/callback?more=1",
    "http://127.0.0.1:9/Callback",
    "http://localhost:9/callback",
    "http://127.0.0.2:9/callback",
    "https://app.example.com:8443/callback",
    "https://APP.example.com/callback",
    "https://app.example.com/callback#part",
    "https://app.example.com/callback%0d%0aX-Evil:1",
    "javascript:alert(1)//",
    "data:text/html,hello",
    "",
]


@pytest.mark.promise("T41", "T40")
@pytest.mark.parametrize("redirect", ELSEWHERE)
async def test_nobody_is_sent_to_a_place_that_is_not_registered(redirect: str, client: OAuthClient, hub: LoginHub):
    async with Browser() as browser:
        await sign_in(browser, f"{hub.issuer}/login", ADA)
        answered = await browser.http.get(client.request(redirect_uri=redirect))
    assert answered.status_code == 400
    assert "location" not in answered.headers
    assert "evil" not in answered.text
    assert "alert(1)" not in answered.text


@pytest.mark.promise("T41")
@pytest.mark.parametrize(
    "next_page",
    ["//evil.example", "/\\evil.example", "https://evil.example/", "/%0d%0aX-Evil:1", "javascript:alert(1)"],
)
async def test_a_sign_in_ends_at_the_hub_wherever_it_was_told_to_go_on(next_page: str, hub: LoginHub, browser: Browser):
    page = await browser.open(str(httpx2.URL(f"{hub.issuer}/login", params={"next": next_page})))
    assert isinstance(page, Page)
    label = next(form.buttons[0].label for form in page.document.forms if form.named("password"))
    after = await browser.press(page, label, {"email": ADA.email, "password": ADA.password})
    assert isinstance(after, Page)
    assert origin_of(after.url) == hub.issuer
    assert "X-Evil" not in after.headers


WRONG = {
    "no response type": ({"response_type": None}, {"invalid_request", "unsupported_response_type"}),
    "another response type": ({"response_type": "token"}, {"unsupported_response_type"}),
    "no challenge": ({"code_challenge": None}, {"invalid_request"}),
    "no method": ({"code_challenge_method": None}, {"invalid_request"}),
    "a plain challenge": ({"code_challenge_method": "plain"}, {"invalid_request"}),
    "a short challenge": ({"code_challenge": "short"}, {"invalid_request"}),
    "another resource": ({"resource": "https://elsewhere.example/mcp"}, {"invalid_target"}),
    "an unknown scope": ({"scope": "everything"}, {"invalid_scope"}),
}


@pytest.mark.promise("T45", "T14", "T58")
@pytest.mark.parametrize(("changed", "codes"), WRONG.values(), ids=WRONG)
async def test_a_wrong_request_goes_back_to_the_client_with_the_error_of_the_standard(
    changed: dict[str, str | None], codes: set[str], client: OAuthClient, browser: Browser
):
    arrival = await authorize(browser, client.request(**changed), ADA)
    told = arrival.answer
    assert told["error"] in codes
    assert (told["state"], told["iss"]) == (client.state, client.issuer)
    assert "code" not in told


@pytest.mark.promise("T45", "T46")
async def test_a_code_is_worth_nothing_without_all_that_it_was_bound_to(client: OAuthClient, browser: Browser):
    wrong: list[dict[str, str | None]] = [
        {"code_verifier": "x" * 64},
        {"code_verifier": None},
        {"redirect_uri": "https://app.example.com/callback"},
        {"resource": "https://elsewhere.example/mcp"},
    ]
    for changed in wrong:
        refused = await client.redeem(await client.code(ADA, browser), **changed)
        assert refused.status_code == 400, changed
        assert refused.json()["error"] in ("invalid_grant", "invalid_request", "invalid_target"), changed


@pytest.mark.promise("T46")
async def test_of_two_hundred_redemptions_of_one_code_one_wins_and_then_nobody_has_anything(
    client: OAuthClient, browser: Browser
):
    code = await client.code(ADA, browser)
    answers = await asyncio.gather(*(client.redeem(code) for _ in range(200)))
    won = [answer.json() for answer in answers if answer.status_code == 200]
    assert len(won) == 1
    assert {answer.json()["error"] for answer in answers if answer.status_code != 200} == {"invalid_grant"}
    assert (await client.call(won[0]["access_token"])).status_code == 401, "a replayed code ends what it became"


@pytest.mark.promise("T48")
async def test_of_two_hundred_refreshes_with_one_token_all_get_the_same_successor(
    client: OAuthClient, browser: Browser
):
    first = await client.tokens(ADA, browser)
    answers = await asyncio.gather(*(client.refresh(first["refresh_token"]) for _ in range(200)))
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.json()["refresh_token"] for answer in answers}) == 1
    (access,) = {answer.json()["access_token"] for answer in answers}
    assert (await client.call(access)).status_code == 200


@pytest.mark.promise("T58")
async def test_a_refresh_never_widens_what_was_allowed(client: OAuthClient, browser: Browser):
    first = await client.tokens(ADA, browser)
    refused = await client.refresh(first["refresh_token"], scope=f"{first['scope']} hub:admin")
    assert (refused.status_code, refused.json()["error"]) == (400, "invalid_scope")
    assert (await client.refresh(first["refresh_token"])).status_code == 200


@pytest.mark.promise("T46", "T48")
async def test_what_was_given_to_one_client_is_worth_nothing_to_another(
    client: OAuthClient, hub: LoginHub, browser: Browser
):
    told = {
        "redirect_uris": [REDIRECT],
        "token_endpoint_auth_method": "none",
        "grant_types": ["authorization_code", "refresh_token"],
    }
    registered = (await client.http.post(f"{hub.issuer}/register", json=told)).json()["client_id"]
    code, first = await client.code(ADA, browser), await client.tokens(ADA, browser)
    for refused in (
        await client.redeem(code, client_id=registered),
        await client.refresh(first["refresh_token"], client_id=registered),
    ):
        assert (refused.status_code, refused.json()["error"]) == (400, "invalid_grant")
    assert (await client.call(first["access_token"])).status_code == 200


PAGES = [
    "/",
    "/login",
    "/setup",
    "/account/clients",
    "/authorize",
    "/authorize?client_id=plain&redirect_uri=x",
    "/nowhere",
]


@pytest.mark.promise("T39", "T40")
@pytest.mark.parametrize("path", PAGES)
async def test_every_page_can_be_framed_by_nobody_and_runs_no_script(path: str, hub: LoginHub, browser: Browser):
    answered = await browser.http.get(f"{hub.issuer}{path}", follow_redirects=True)
    if not answered.headers.get("content-type", "").startswith("text/html"):
        return
    policy = answered.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "script-src" not in policy
    assert answered.headers["x-content-type-options"] == "nosniff"
    assert "no-store" in answered.headers["cache-control"]
    assert "<script" not in answered.text


@pytest.mark.promise("T40")
async def test_what_a_stranger_writes_into_an_address_stands_on_no_page(hub: LoginHub, browser: Browser):
    marked = "<img src=x onerror=alert(1)>marked"
    for path in ("/authorize", "/login", "/login/callback", "/setup", "/account/clients", "/nowhere"):
        names = ("client_id", "redirect_uri", "error", "error_description", "state", "code", "next", "iss", marked)
        answered = await browser.http.get(
            f"{hub.issuer}{path}", params=dict.fromkeys(names, marked), follow_redirects=True
        )
        assert answered.status_code < 500, path
        assert "<img src=x" not in answered.text, path


FORMS = ["/login", "/logout", "/authorize", "/setup", "/account/clients/end", "/account/tokens", "/account/end-all"]


@pytest.mark.promise("T33")
@pytest.mark.parametrize("path", FORMS)
async def test_a_form_of_another_site_changes_nothing(path: str, hub: LoginHub, browser: Browser):
    await sign_in(browser, f"{hub.issuer}/login", ADA)
    for headers in (
        {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"},
        {"Origin": "null", "Sec-Fetch-Site": "cross-site"},
        {},
    ):
        answered = await browser.http.post(f"{hub.issuer}{path}", data={"email": ADA.email}, headers=headers)
        assert answered.status_code in (400, 403), (path, headers)
    assert (await browser.http.get(f"{hub.issuer}/account/clients")).status_code == 200


@pytest.mark.promise("T33")
async def test_a_form_with_all_that_belongs_to_it_counts_only_from_a_page_of_the_hub(
    client: OAuthClient, hub: LoginHub, browser: Browser
):
    await sign_in(browser, f"{hub.issuer}/login", ADA)
    page = await _asked(browser, client)
    form, button = page.form_with("Allow") or pytest.fail("nobody was asked")
    told = {**form.fields, button.name: button.value}
    for headers in (
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ):
        refused = await browser.http.post(form.action, data=told, headers=headers)
        assert refused.status_code == 403, headers
    assert isinstance(await browser.press(page, "Allow", until=client.redirect), Arrival)


@pytest.mark.promise("T22")
@pytest.mark.parametrize("path", ["/", "/login", "/authorize", "/token", "/register", "/setup", "/account/clients"])
async def test_a_name_that_is_not_the_hubs_is_not_answered(path: str, hub: LoginHub, browser: Browser):
    for method in ("GET", "POST"):
        answered = await browser.http.request(method, f"{hub.issuer}{path}", headers={"Host": "evil.example"})
        assert answered.status_code == 421, method


@pytest.mark.promise("T62", "T57")
async def test_nobody_is_anybody_without_a_token_even_on_this_computer(hub: LoginHub, client: OAuthClient):
    for path in ("/mcp", "/sse", "/api/v1/status"):
        for headers in ({}, {"Authorization": "Bearer guess"}, {"Authorization": "Basic YTpi"}):
            answered = await client.http.get(f"{hub.issuer}{path}", headers=headers)
            assert answered.status_code == 401, (path, headers)


@pytest.mark.promise("T62", "T32")
def test_nobody_else_on_this_computer_reads_the_hubs_files(hub: LoginHub):
    data = Path(hub.env["MCP_HUB_DATA"])
    assert stat.S_IMODE(data.stat().st_mode) & 0o077 == 0
    for path in data.rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path


def _files(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


@pytest.mark.promise("T31", "T32")
async def test_no_secret_of_a_sign_in_is_in_the_log_or_in_the_files(
    hub: LoginHub, client: OAuthClient, browser: Browser
):
    arrival = await client.arrival(ADA, browser)
    code = arrival.answer["code"]
    first = (await client.redeem(code)).json()
    second = (await client.refresh(first["refresh_token"])).json()
    await client.call(second["access_token"])
    cookies = [cookie.value or "" for cookie in browser.http.cookies.jar]
    planted = [ADA.password, code, client.verifier, *cookies]
    planted += [tokens[kind] for tokens in (first, second) for kind in ("access_token", "refresh_token")]
    kept = _files(Path(hub.env["MCP_HUB_DATA"]))
    for secret in planted:
        assert secret.encode() not in kept
        assert secret not in hub.process.log


@pytest.mark.promise("T35")
async def test_a_wrong_password_says_the_same_of_everybody(hub: LoginHub, browser: Browser):
    told: list[str] = []
    for email in (BOB.email, "nobody@example.com"):
        page = await browser.open(f"{hub.issuer}/login")
        assert isinstance(page, Page)
        label = next(form.buttons[0].label for form in page.document.forms if form.named("password"))
        wrong = await browser.press(page, label, {"email": email, "password": "not the password"})
        assert isinstance(wrong, Page)
        told.append(wrong.document.text.replace(email, ""))
    assert told[0] == told[1]
