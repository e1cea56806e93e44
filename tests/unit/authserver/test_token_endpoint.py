"""From a code to tokens, from tokens to tokens, and back: one winner each, and thieves end what they stole."""

import asyncio
from collections import Counter
from contextlib import AsyncExitStack
from dataclasses import replace

import pytest

from mcp_hub.config.model import Lifetimes
from mcp_hub.identity.tokens import digest
from mcp_hub.store.grants import RegisteredClient
from rig.token_service import ANN, DOCUMENT, ISSUER, RESOURCE, SECRET, Clock, Service, service

DAY = 86400.0


def error(answer) -> tuple[int, str]:
    return answer.status_code, answer.json().get("error", "")


@pytest.fixture
async def hub():
    async with service() as one:
        yield one


@pytest.fixture
async def hubs(tmp_path):
    """Two processes on one file."""
    async with AsyncExitStack() as stack:
        clock = Clock()
        yield [await stack.enter_async_context(service(tmp_path / "hub.db", clock=clock)) for _ in range(2)]


@pytest.mark.promise("C24")
async def test_a_code_becomes_a_pair_that_gives_access(hub: Service):
    answer = await hub.redeem(await hub.code(scopes=frozenset({"hub:use", "hub:admin"})), resource=RESOURCE)
    assert answer.status_code == 200
    pair = answer.json()
    assert (pair["token_type"], pair["expires_in"], pair["scope"]) == ("Bearer", 1800, "hub:admin hub:use")
    found = await hub.store.access_token(digest(pair["access_token"]))
    assert found is not None
    token, family = found
    assert (token.scopes, family.user, family.resource) == ({"hub:use", "hub:admin"}, ANN.id, RESOURCE)
    assert (family.client, family.client_name, family.expires_at) == ("app", "An app", hub.clock.at + 180 * DAY)
    assert await hub.kinds() == [("token_issued", "ok")]


@pytest.mark.promise("T45", "T46", "T14")
@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"code": "mcphub_ac_guess"}, (400, "invalid_grant")),
        ({"code": ""}, (400, "invalid_request")),
        ({"client_id": "other"}, (400, "invalid_grant")),
        ({"client_id": "nobody"}, (401, "invalid_client")),
        ({"redirect_uri": ""}, (400, "invalid_grant")),
        ({"redirect_uri": "http://127.0.0.1:1/cb"}, (400, "invalid_grant")),
        ({"code_verifier": ""}, (400, "invalid_request")),
        ({"code_verifier": "w" * 43}, (400, "invalid_grant")),
        ({"resource": "https://evil.example/mcp"}, (400, "invalid_target")),
        ({"grant_type": ""}, (400, "invalid_request")),
        ({"grant_type": "password"}, (400, "unsupported_grant_type")),
        ({"grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer"}, (400, "unsupported_grant_type")),
        ({"grant_type": "refresh_token"}, (400, "invalid_request")),
    ],
)
async def test_a_code_with_anything_wrong_gives_nothing_and_stays_for_its_owner(hub: Service, changed, expected):
    code = await hub.code()
    assert error(await hub.redeem(code, **changed)) == expected
    assert await hub.store.families("default") == []
    assert (await hub.redeem(code)).status_code == 200


@pytest.mark.promise("T46", "T55")
async def test_a_code_is_good_for_its_minute(hub: Service):
    in_time, late = await hub.code(), await hub.code()
    hub.clock.at += 59.9
    assert (await hub.redeem(in_time)).status_code == 200
    hub.clock.at += 0.1
    assert error(await hub.redeem(late)) == (400, "invalid_grant")


@pytest.mark.promise("T46")
async def test_a_code_that_comes_again_ends_what_it_became(hub: Service):
    code = await hub.code()
    pair = (await hub.redeem(code)).json()
    newer = (await hub.refresh(pair["refresh_token"])).json()
    hub.clock.at += 3600
    assert error(await hub.redeem(code, code_verifier="")) == (400, "invalid_grant"), "whatever comes along with it"
    assert [await hub.is_good(each["access_token"]) for each in (pair, newer)] == [False, False]
    assert error(await hub.refresh(newer["refresh_token"])) == (400, "invalid_grant")
    assert error(await hub.redeem(code)) == (400, "invalid_grant")
    assert (await hub.kinds()).count(("replay", "used_again")) == 1, "once, however often it comes"


@pytest.mark.promise("T46")
async def test_a_code_that_comes_again_from_another_client_ends_nothing(hub: Service):
    code = await hub.code()
    pair = (await hub.redeem(code)).json()
    assert error(await hub.redeem(code, client_id="other")) == (400, "invalid_grant")
    assert await hub.is_good(pair["access_token"])


@pytest.mark.promise("T46")
@pytest.mark.parametrize("times", [20, 200])
async def test_of_many_who_redeem_a_code_at_once_one_wins_and_loses_it_again(hubs, times):
    code = await hubs[0].code()
    answers = await asyncio.gather(*(hubs[n % 2].redeem(code) for n in range(times)))
    assert Counter(map(error, answers)) == {(200, ""): 1, (400, "invalid_grant"): times - 1}
    won = next(answer.json() for answer in answers if answer.status_code == 200)
    assert not await hubs[0].is_good(won["access_token"])
    assert error(await hubs[1].refresh(won["refresh_token"])) == (400, "invalid_grant")
    assert await hubs[0].store.families("default") == []


@pytest.mark.promise("C24")
async def test_a_refresh_token_becomes_the_next_pair(hub: Service):
    pair = await hub.signed_in()
    hub.clock.at += 20 * DAY
    answer = await hub.refresh(pair["refresh_token"], resource=RESOURCE)
    assert answer.status_code == 200
    newer = answer.json()
    assert {newer["access_token"], newer["refresh_token"]}.isdisjoint(pair.values())
    assert await hub.is_good(newer["access_token"])
    assert not await hub.is_good(pair["access_token"])
    assert (newer["scope"], newer["expires_in"]) == ("hub:use", 1800)
    assert (await hub.kinds())[0] == ("token_refreshed", "ok")


@pytest.mark.promise("T48")
async def test_a_refresh_token_that_comes_again_at_once_gives_the_same_pair(hub: Service):
    pair = await hub.signed_in()
    newer = (await hub.refresh(pair["refresh_token"])).json()
    hub.clock.at += 5
    again = (await hub.refresh(pair["refresh_token"])).json()
    assert again == {**newer, "expires_in": 1795}
    assert await hub.is_good(again["access_token"])
    assert (await hub.refresh(again["refresh_token"])).status_code == 200
    assert ("replay", "used_again") not in await hub.kinds()


@pytest.mark.promise("T48")
async def test_a_refresh_token_that_comes_again_late_ends_its_family(hub: Service):
    pair = await hub.signed_in()
    newer = (await hub.refresh(pair["refresh_token"])).json()
    hub.clock.at += 60
    before = await hub.store.access_generation()
    assert error(await hub.refresh(pair["refresh_token"])) == (400, "invalid_grant")
    assert not await hub.is_good(newer["access_token"])
    assert error(await hub.refresh(newer["refresh_token"])) == (400, "invalid_grant")
    assert await hub.store.access_generation() > before, "doors that believed it hear of it"
    assert (await hub.kinds())[0] == ("replay", "used_again")


@pytest.mark.promise("T48")
@pytest.mark.parametrize(("after", "status"), [(29.9, 200), (30.0, 400)])
async def test_the_grace_is_thirty_seconds(hub: Service, after, status):
    pair = await hub.signed_in()
    await hub.refresh(pair["refresh_token"])
    hub.clock.at += after
    assert (await hub.refresh(pair["refresh_token"])).status_code == status


@pytest.mark.promise("T48")
async def test_two_hundred_who_refresh_at_once_all_get_the_one_pair_that_there_is(hubs):
    pair = await hubs[0].signed_in()
    answers = await asyncio.gather(*(hubs[n % 2].refresh(pair["refresh_token"]) for n in range(200)))
    assert {answer.status_code for answer in answers} == {200}
    given = {(answer.json()["access_token"], answer.json()["refresh_token"]) for answer in answers}
    assert len(given) == 1
    assert await hubs[1].is_good(given.pop()[0])
    refreshed = [await one.kinds() for one in hubs]
    assert sum(kinds.count(("token_refreshed", "ok")) for kinds in refreshed[1:]) == 1, "rotated once"


@pytest.mark.promise("T48", "T32")
async def test_the_pair_that_is_given_again_is_nowhere_in_the_file(tmp_path):
    path = tmp_path / "hub.db"
    async with service(path) as hub:
        pair = await hub.signed_in()
        newer = (await hub.refresh(pair["refresh_token"])).json()
        texts = [each[name].encode() for each in (pair, newer) for name in ("access_token", "refresh_token")]
        texts += [text.partition(b"t_")[2] for text in texts]
        kept = b"".join(file.read_bytes() for file in tmp_path.iterdir())
        assert [text for text in texts if text in kept] == []
        assert digest(newer["access_token"]) in kept


@pytest.mark.promise("T48")
@pytest.mark.parametrize("end", ["revoked", "signed out", "disabled", "removed"])
async def test_within_the_grace_too_nothing_is_given_once_access_was_taken_away(hub: Service, end):
    pair = await hub.signed_in()
    await hub.refresh(pair["refresh_token"])
    match end:
        case "revoked":
            await hub.store.revoke_family("default", (await hub.store.families("default"))[0].id)
        case "signed out":
            await hub.store.sign_out(ANN.id)
        case "disabled":
            await hub.store.update_user(replace(ANN, disabled=True))
        case _:
            await hub.store.remove_user(ANN.id)
    assert error(await hub.refresh(pair["refresh_token"])) == (400, "invalid_grant")


@pytest.mark.promise("T59")
async def test_who_was_disabled_gets_no_more_tokens_of_any_kind(hub: Service):
    pair, code = await hub.signed_in(), await hub.code()
    await hub.store.update_user(replace(ANN, disabled=True))
    assert error(await hub.refresh(pair["refresh_token"])) == (400, "invalid_grant")
    assert error(await hub.redeem(code)) == (400, "invalid_grant")
    await hub.store.update_user(ANN)
    assert (await hub.refresh(pair["refresh_token"])).status_code == 200
    assert (await hub.redeem(code)).status_code == 200


@pytest.mark.promise("T58")
async def test_a_refresh_with_more_scope_is_refused_and_takes_nothing(hub: Service):
    pair = await hub.signed_in()
    for scope in ("hub:use hub:admin", "hub:admin", "other"):
        assert error(await hub.refresh(pair["refresh_token"], scope=scope)) == (400, "invalid_scope")
    assert (await hub.refresh(pair["refresh_token"], scope="hub:use offline_access")).json()["scope"] == "hub:use"


@pytest.mark.promise("T58")
async def test_a_refresh_with_less_scope_is_for_one_access_token(hub: Service):
    pair = await hub.signed_in(scopes=frozenset({"hub:use", "hub:admin"}))
    less = (await hub.refresh(pair["refresh_token"], scope="hub:use")).json()
    assert less["scope"] == "hub:use"
    found = await hub.store.access_token(digest(less["access_token"]))
    assert found is not None
    assert found[0].scopes == {"hub:use"}
    assert (await hub.refresh(pair["refresh_token"])).json()["scope"] == "hub:use", "the same pair says what it has"
    assert (await hub.refresh(less["refresh_token"])).json()["scope"] == "hub:admin hub:use"


@pytest.mark.promise("T14", "T48")
@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"client_id": "other"}, (400, "invalid_grant")),
        ({"client_id": "kept", "client_secret": SECRET}, (400, "invalid_grant")),
        ({"resource": f"{ISSUER}/other"}, (400, "invalid_target")),
        ({"refresh_token": ""}, (400, "invalid_request")),
        ({"refresh_token": "mcphub_rt_guess"}, (400, "invalid_grant")),
    ],
)
async def test_a_refresh_with_anything_wrong_takes_nothing(hub: Service, changed, expected):
    pair = await hub.signed_in()
    assert error(await hub.refresh(pair["refresh_token"], **changed)) == expected
    assert (await hub.refresh(pair["refresh_token"])).status_code == 200


@pytest.mark.promise("T48")
async def test_tokens_of_one_kind_are_not_taken_for_another(hub: Service):
    pair = await hub.signed_in()
    assert error(await hub.refresh(pair["access_token"])) == (400, "invalid_grant")
    assert error(await hub.redeem(pair["refresh_token"])) == (400, "invalid_grant")
    assert not await hub.is_good(pair["refresh_token"])


@pytest.mark.promise("T55")
async def test_a_refresh_token_ends_when_it_lies_idle_and_a_family_at_its_own_end():
    lives = Lifetimes(access_token=100.0, refresh_token_idle=1000.0, refresh_token=2500.0)
    async with service(lifetimes=lives) as hub:
        idle, pair = await hub.signed_in(), await hub.signed_in()
        for _ in range(2):
            hub.clock.at += 999.0
            pair = (await hub.refresh(pair["refresh_token"])).json()
        assert error(await hub.refresh(idle["refresh_token"])) == (400, "invalid_grant")
        hub.clock.at += 450.0
        pair = (await hub.refresh(pair["refresh_token"])).json()
        assert pair["expires_in"] == 52, "no longer than the family"
        hub.clock.at += 52.0
        assert error(await hub.refresh(pair["refresh_token"])) == (400, "invalid_grant")


@pytest.mark.promise("C24")
async def test_a_client_gets_refresh_tokens_only_if_it_registered_for_them(hub: Service):
    metadata = b'{"name":"","redirect_uris":[],"grant_types":["authorization_code"]}'
    row = RegisteredClient("c-1", "default", None, metadata, 0.0, None, hub.clock.at + 100.0)
    await hub.store.add_client(row, most=5)
    pair = (await hub.redeem(await hub.code("c-1"), client_id="c-1")).json()
    assert "refresh_token" not in pair
    assert error(await hub.refresh("any", client_id="c-1")) == (400, "unauthorized_client")
    [family] = await hub.store.families("default")
    assert family.expires_at == hub.clock.at + 1800.0
    kept = await hub.store.client("c-1")
    assert kept is not None
    assert kept.expires_at == hub.clock.at + 90 * DAY, "who is used is kept"


@pytest.mark.promise("T3")
async def test_only_who_holds_something_of_a_client_makes_the_hub_fetch_its_document(hub: Service):
    hub.web.publish()
    for form in (
        {"grant_type": "authorization_code", "code": "guess"},
        {"grant_type": "refresh_token", "refresh_token": "guess"},
        {"grant_type": "client_credentials"},
    ):
        assert error(await hub.post("/token", client_id=DOCUMENT, **form)) == (400, "invalid_grant")
    assert error(await hub.redeem(await hub.code(), client_id=DOCUMENT)) == (400, "invalid_grant")
    assert (await hub.post("/revoke", client_id=DOCUMENT, token="guess")).status_code == 200
    assert hub.web.asked == []
    pair = (await hub.redeem(await hub.code(DOCUMENT), client_id=DOCUMENT)).json()
    assert hub.web.asked == [DOCUMENT]
    hub.clock.at += DAY
    assert (await hub.refresh(pair["refresh_token"], client_id=DOCUMENT)).status_code == 200
    assert hub.web.asked == [DOCUMENT] * 2


@pytest.mark.promise("T3")
async def test_a_document_that_cannot_be_had_costs_a_client_nothing_but_time(hub: Service):
    hub.web.publish()
    pair = (await hub.redeem(await hub.code(DOCUMENT), client_id=DOCUMENT)).json()
    hub.clock.at += DAY
    hub.web.put(DOCUMENT, b"down", status=500)
    answer = await hub.refresh(pair["refresh_token"], client_id=DOCUMENT)
    assert error(answer) == (503, "temporarily_unavailable")
    assert "claude" not in answer.text
    hub.web.put(DOCUMENT, b"[]")
    assert error(await hub.refresh(pair["refresh_token"], client_id=DOCUMENT)) == (401, "invalid_client")
    hub.web.publish()
    assert (await hub.refresh(pair["refresh_token"], client_id=DOCUMENT)).status_code == 200


@pytest.mark.promise("T59")
async def test_revoking_a_refresh_token_ends_its_family(hub: Service):
    pair = await hub.signed_in()
    newer = (await hub.refresh(pair["refresh_token"])).json()
    before = await hub.store.access_generation()
    answer = await hub.post("/revoke", client_id="app", token=newer["refresh_token"], token_type_hint="refresh_token")
    assert answer.status_code == 200
    assert [await hub.is_good(each["access_token"]) for each in (pair, newer)] == [False, False]
    assert error(await hub.refresh(newer["refresh_token"])) == (400, "invalid_grant")
    assert await hub.store.access_generation() > before
    assert (await hub.kinds())[0] == ("token_revoked", "ok")


@pytest.mark.promise("T59")
@pytest.mark.parametrize("hint", ["access_token", "refresh_token", "nonsense", ""])
async def test_revoking_an_access_token_ends_it_alone_whatever_the_hint(hub: Service, hint):
    pair = await hub.signed_in()
    answer = await hub.post("/revoke", client_id="app", token=pair["access_token"], token_type_hint=hint)
    assert answer.status_code == 200
    assert not await hub.is_good(pair["access_token"])
    assert (await hub.refresh(pair["refresh_token"])).status_code == 200


@pytest.mark.promise("T59")
async def test_only_the_client_of_a_token_revokes_it(hub: Service):
    pair = await hub.signed_in()
    for name in ("access_token", "refresh_token"):
        other = {"client_id": "kept", "client_secret": SECRET}
        assert error(await hub.post("/revoke", **other, token=pair[name])) == (400, "invalid_grant")
        assert error(await hub.post("/revoke", client_id="kept", token=pair[name])) == (401, "invalid_client")
    assert await hub.is_good(pair["access_token"])


@pytest.mark.promise("C24")
async def test_revoking_what_nobody_knows_is_no_error_and_what_is_not_revoked_here_is_one(hub: Service):
    assert (await hub.post("/revoke", client_id="app", token="unknown")).status_code == 200
    assert (await hub.post("/revoke", client_id="app", token="mcphub_at_unknown")).status_code == 200
    assert error(await hub.post("/revoke", client_id="app", token="mcphub_pat_x")) == (400, "unsupported_token_type")
    assert error(await hub.post("/revoke", client_id="app")) == (400, "invalid_request")
    assert error(await hub.post("/revoke", token="unknown")) == (401, "invalid_client")
    assert error(await hub.post("/revoke", client_id="nobody", token="unknown")) == (401, "invalid_client")


@pytest.mark.promise("B21")
async def test_a_machine_gets_an_access_token_of_its_own(hub: Service):
    form = {"grant_type": "client_credentials", "client_id": "machine", "client_secret": "m4chine"}
    pair = (await hub.post("/token", **form, resource=RESOURCE)).json()
    assert (pair["scope"], pair["expires_in"], "refresh_token" in pair) == ("hub:use", 1800, False)
    found = await hub.store.access_token(digest(pair["access_token"]))
    assert found is not None
    assert (found[1].user, found[1].client, found[1].resource) == ("", "machine", RESOURCE)
    hub.clock.at += 1000
    newer = (await hub.post("/token", **form)).json()
    assert [await hub.is_good(each["access_token"]) for each in (pair, newer)] == [True, True]
    hub.clock.at += 1000
    assert [await hub.is_good(each["access_token"]) for each in (pair, newer)] == [False, True]
    assert len(await hub.store.families("default")) == 1
    assert (
        await hub.post("/revoke", token=newer["access_token"], client_id="machine", client_secret="m4chine")
    ).json() == {}
    assert not await hub.is_good(newer["access_token"])


@pytest.mark.promise("B21", "T58")
@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"client_secret": "wrong"}, (401, "invalid_client")),
        ({"client_secret": ""}, (401, "invalid_client")),
        ({"scope": "hub:admin"}, (400, "invalid_scope")),
        ({"resource": "https://evil.example"}, (400, "invalid_target")),
        ({"client_id": "kept", "client_secret": SECRET}, (400, "unauthorized_client")),
        ({"client_id": "app", "client_secret": ""}, (400, "unauthorized_client")),
    ],
)
async def test_a_client_that_users_sign_in_to_is_no_machine_and_a_machine_is_no_admin(hub: Service, changed, expected):
    form = {"grant_type": "client_credentials", "client_id": "machine", "client_secret": "m4chine"}
    assert error(await hub.post("/token", **{**form, **changed})) == expected
    assert await hub.store.families("default") == []


@pytest.mark.promise("T31")
async def test_no_event_holds_a_token_a_code_or_a_secret(hub: Service):
    code = await hub.code()
    pair = (await hub.redeem(code)).json()
    await hub.redeem(code)
    await hub.post("/token", grant_type="client_credentials", client_id="machine", client_secret="gu3ss")
    await hub.events.aclose()
    told = str(await hub.store.events("default", limit=100))
    assert [text for text in (code, "gu3ss", pair["access_token"], pair["refresh_token"]) if text in told] == []
    assert ANN.subject in told


class Meddled:
    """A store where something happens between the look and the step: `meddle` runs before the step of that name."""

    def __init__(self, store, step: str, meddle) -> None:
        self._store, self._step, self._meddle = store, step, meddle

    def __getattr__(self, name: str):
        real = getattr(self._store, name)
        if name != self._step:
            return real

        async def first(*args, **kwargs):
            await self._meddle()
            return await real(*args, **kwargs)

        return first


@pytest.mark.promise("T59", "T46", "T48")
@pytest.mark.parametrize("step", ["redeem", "rotate"])
async def test_who_is_disabled_between_the_look_and_the_step_gets_nothing(hub: Service, step):
    pair, code = await hub.signed_in(), await hub.code()
    gone = Meddled(hub.store, step, lambda: hub.store.update_user(replace(ANN, disabled=True)))
    hub.endpoint._tokens._store = gone
    answer = await hub.redeem(code) if step == "redeem" else await hub.refresh(pair["refresh_token"])
    assert error(answer) == (400, "invalid_grant")
    assert len(await hub.store.families("default")) == 1


@pytest.mark.promise("T48")
async def test_a_family_that_ends_between_the_look_and_the_step_gives_nothing():
    async with service(lifetimes=Lifetimes(refresh_token=500.0)) as hub:
        pair = await hub.signed_in()

        async def later() -> None:
            hub.clock.at += 500.0

        hub.endpoint._tokens._store = Meddled(hub.store, "user", later)
        assert error(await hub.refresh(pair["refresh_token"])) == (400, "invalid_grant")


@pytest.mark.promise("T48")
async def test_of_two_who_replay_at_once_one_is_noted(hub: Service):
    pair = await hub.signed_in()
    await hub.refresh(pair["refresh_token"])
    hub.clock.at += 60
    [family] = await hub.store.families("default")
    other = Meddled(hub.store, "revoke_family", lambda: hub.store.revoke_family("default", family.id))
    hub.endpoint._tokens._store = other
    assert error(await hub.refresh(pair["refresh_token"])) == (400, "invalid_grant")
    assert ("replay", "used_again") not in await hub.kinds()


@pytest.mark.promise("T48", "T59")
async def test_within_the_grace_an_access_token_that_was_given_back_is_not_given_again(hub: Service):
    pair = await hub.signed_in()
    newer = (await hub.refresh(pair["refresh_token"])).json()
    await hub.post("/revoke", client_id="app", token=newer["access_token"])
    assert error(await hub.refresh(pair["refresh_token"])) == (400, "invalid_grant")
    assert (await hub.refresh(newer["refresh_token"])).status_code == 200
