"""A grant as a request asks for it: what it costs, when it is renewed, and what its user is told."""

import asyncio
import gc
import logging
from contextlib import suppress

import pytest

from mcp_hub.errors import ConnectionNeeded, RefusedCredential, StoreFailed, Unreachable
from mcp_hub.oauth.connection import Ending
from mcp_hub.oauth.lasting import MOST_REPLACED
from mcp_hub.principal import Principal
from mcp_hub.secret import Secret
from mcp_hub.store.connections import GrantState, Source, Whose
from rig.granted import ADA, PLACE, RESOURCE, Clock, connected, keeping, refusal, registered, token_in
from rig.misbehaving_as import OMIT, UNTOLD, Answer, MisbehavingAS, Slow, broken, redirecting, refusing

pytestmark = pytest.mark.promise("B15")


@pytest.fixture
async def server():
    async with MisbehavingAS() as running:
        yield running


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
async def hub(clock):
    async with keeping(now=clock) as keeper:
        yield keeper


# Whose


async def test_who_has_not_connected_gets_the_page_where_they_do(hub):
    access = hub.access()
    assert access.ready() is None
    with pytest.raises(ConnectionNeeded) as needed:
        await access.credential()
    assert (needed.value.state, needed.value.url) == ("not_connected", PLACE.page)
    assert needed.value.public == f"GitHub is not connected for ada@example.com. Open {PLACE.page}, then try again."


@pytest.mark.promise("B22", "T58")
async def test_nobody_else_has_a_user_s_grant_also_no_client_that_acts_for_itself(server, hub):
    given = await connected(hub, server)
    assert token_in(await hub.access().credential()) == given["access_token"]
    machine = Principal(ADA.issuer, "client:ada", client="ada")
    others = (
        Principal("idp", "bob"),
        machine,
        Principal("client", "ada", client=ADA.subject),
        Principal("other", "ada"),
        Principal("idp", "ada", tenant="other"),
    )
    for other in others:
        with pytest.raises(ConnectionNeeded):
            await hub.access(other).credential()
    assert server.counted() == {}


async def test_what_goes_there_for_everybody_goes_with_the_token(server, hub):
    given = await connected(hub, server)
    access = hub.grants.access(ADA, PLACE, {"X-Team": Secret("blue")})
    assert (await access.credential()).open() == (
        f"X-Team: blue\r\nAuthorization: Bearer {given['access_token']}\r\n".encode()
    )
    assert access.ready() is await access.credential()


async def test_one_principal_has_one_access_as_long_as_it_is_held(hub):
    first = hub.access()
    assert hub.access() is first
    del first
    gc.collect()
    assert len(hub.grants._kept) == 0


# When


async def test_a_token_that_lasts_is_a_look_up(server, hub, clock):
    given = await connected(hub, server)
    access = hub.access()
    first = await access.credential()
    assert token_in(first) == given["access_token"]
    clock.at += 3200
    assert access.ready() is first
    await hub.grants.flush()
    grant = await hub.grant()
    assert grant.used_at == clock.at
    assert server.seen == []


async def test_a_token_is_not_sent_after_its_end_nor_marked_before_it(server, hub, clock):
    given = await connected(hub, server, renews=False)
    access = hub.access()
    await access.credential()
    clock.at += 3594
    assert token_in(access.ready()) == given["access_token"]
    await hub.grants.settled()
    assert (await hub.grant()).state is GrantState.READY
    clock.at += 1
    assert access.ready() is None


async def test_a_token_that_is_due_is_sent_on_while_another_is_got(server, hub, clock):
    given = await connected(hub, server)
    access, slow = hub.access(), Slow()
    first = await access.credential()
    clock.at += 3300
    server.answers["/token"] = slow
    assert access.ready() is first
    assert access.ready() is first
    assert token_in(await access.credential()) == given["access_token"]
    slow.go.set()
    await hub.grants.settled()
    second = access.ready()
    assert token_in(second) == (await hub.tokens())[0] != given["access_token"]
    assert server.count("/token") == 1


async def test_of_many_who_wait_for_a_token_one_asks_and_whoever_goes_away_stops_nothing(server, hub, clock):
    await connected(hub, server)
    access, slow = hub.access(), Slow()
    clock.at += 4000
    server.answers["/token"] = slow
    waiting = [asyncio.ensure_future(access.credential()) for _ in range(20)]
    await asyncio.wait_for(slow.came.wait(), 5)
    for each in waiting[:19]:
        each.cancel()
    slow.go.set()
    credential = await asyncio.wait_for(waiting[19], 5)
    assert token_in(credential) == (await hub.tokens())[0]
    assert (server.count("/token"), server.reuses) == (1, 0)


async def test_when_all_have_gone_away_the_new_pair_is_stored_all_the_same(server, hub, clock):
    given = await connected(hub, server)
    slow = Slow()
    clock.at += 4000
    server.answers["/token"] = slow
    waiting = asyncio.ensure_future(hub.access().credential())
    await asyncio.wait_for(slow.came.wait(), 5)
    waiting.cancel()
    slow.go.set()
    await hub.grants.aclose()  # as a hub does that ends in this moment
    stored = await hub.tokens()
    assert stored[1] != given["refresh_token"]
    assert server.is_live(stored[0])


# What the other side does wrong


@pytest.mark.parametrize("answer", [Answer(500, {}), Answer(429, {}), broken(), redirecting("http://x.test/"), "gone"])
async def test_what_may_pass_costs_nothing_while_the_token_lasts(server, hub, clock, answer):
    given = await connected(hub, server)
    access = hub.access()
    await access.credential()
    if answer == "gone":
        await server.__aexit__()
    else:
        server.answers["/token"] = answer
    clock.at += 3300
    assert token_in(access.ready()) == given["access_token"]
    await hub.grants.settled()
    asked = server.count("/token")
    assert token_in(access.ready()) == given["access_token"]
    await hub.grants.settled()
    assert server.count("/token") == asked  # there is a pause first
    assert "127.0.0.1" in access.trouble
    clock.at += 400
    with pytest.raises(Unreachable) as away:
        await access.credential()
    assert "Try again" in away.value.public
    assert UNTOLD not in away.value.public
    grant = await hub.grant()
    assert (grant.state, grant.version) == (GrantState.READY, 1)
    assert (await hub.tokens()) == (given["access_token"], given["refresh_token"])


async def test_it_comes_back_by_itself_after_a_while(server, hub, clock):
    await connected(hub, server)
    access = hub.access()
    clock.at += 4000
    server.answers["/token"] = Answer(503, {}, {"Retry-After": "60"})
    with pytest.raises(Unreachable):
        await access.credential()
    server.answers.clear()
    clock.at += 59
    with pytest.raises(Unreachable):
        await access.credential()
    clock.at += 2
    await access.credential()
    assert server.count("/token") == 2
    assert access.trouble == ""


async def test_a_grant_that_was_taken_back_says_so_and_is_not_asked_for_again(server, hub, clock):
    await connected(hub, server)
    access = hub.access()
    server.end("ada")
    clock.at += 4000
    for _ in range(3):
        with pytest.raises(ConnectionNeeded) as needed:
            await access.credential()
        assert (needed.value.state, needed.value.url) == ("reconnect_needed", PLACE.page)
        assert "has ended the access" in needed.value.public
    assert server.count("/token") == 1
    assert (await hub.grant()).state is GrantState.RECONNECT_NEEDED


async def test_a_token_that_ended_and_cannot_be_renewed_says_so(server, hub, clock):
    await connected(hub, server, renews=False)
    access = hub.access()
    await access.credential()
    clock.at += 3500
    assert access.ready() is not None
    clock.at += 101
    with pytest.raises(ConnectionNeeded, match="no way to renew"):
        await access.credential()
    assert (await hub.grant()).state is GrantState.RECONNECT_NEEDED
    assert server.seen == []


@pytest.mark.promise("B18", "T60")
async def test_a_secret_that_was_replaced_too_early_is_still_tried(server, hub, clock):
    await registered(hub, server, secret=Secret("new one"), previous_secret=Secret("s e/cret"))
    await connected(hub, server)
    access = hub.access()
    clock.at += 4000
    await access.credential()
    assert (server.count("/token"), (await hub.store.registration("r1")).previous_secret is None) == (2, False)
    server.clients["hub"].secret = "new one"
    clock.at += 4000
    await access.credential()
    assert server.count("/token") == 3
    assert (await hub.store.registration("r1")).previous_secret is None


@pytest.mark.promise("B18", "T60")
async def test_a_client_that_is_not_taken_any_more_is_the_admin_s_and_costs_nobody_a_connection(server, hub, clock):
    given = await connected(hub, server)
    access = hub.access()
    server.clients["hub"].secret = "another"
    clock.at += 4000
    with pytest.raises(Unreachable) as told:
        await access.credential()
    assert "administrator" in told.value.public
    assert (await hub.grant()).state is GrantState.READY
    server.clients["hub"].secret = "s e/cret"
    clock.at += 200
    assert token_in(await access.credential()) != given["access_token"]


@pytest.mark.promise("B18", "T60")
async def test_a_grant_is_renewed_with_its_own_registration_when_the_hub_has_another_by_now(server, hub, clock):
    await connected(hub, server)
    server.admit("newer", "another secret")
    await hub.store.retire_registration("r1", clock())
    clock.at += 4000
    await hub.access().credential()
    assert "hub" in server.seen[-1].headers["authorization"] or server.count("/token") == 1
    assert server.is_live((await hub.tokens())[0])


async def test_a_server_that_has_forgotten_a_client_that_registered_itself_gets_it_anew(server, hub, clock):
    await registered(hub, server, source=Source.REGISTERED)
    await connected(hub, server)
    server.forget("hub")
    clock.at += 4000
    with pytest.raises(ConnectionNeeded, match="does not know this hub"):
        await hub.access().credential()
    assert (await hub.store.registration("r1")).retired_at is not None
    assert (await hub.grant()).state is GrantState.READY


async def test_what_only_an_admin_can_set_right_is_said_to_be_theirs(server, hub, clock):
    await registered(hub, server, auth_method="private_key_jwt")  # and there is no key
    await connected(hub, server)
    access = hub.access()
    clock.at += 4000
    with pytest.raises(Unreachable, match=r"no key to sign with.* administrator"):
        await access.credential()
    assert server.seen == []

    async def gone(registration):
        return None

    hub.registrations.client = gone
    clock.at += 200
    with pytest.raises(Unreachable, match=r"registration at 127.0.0.1 is gone.* administrator"):
        await access.credential()
    assert await hub.revoking.disconnect(Whose(*ADA.key, PLACE.upstream)) is Ending.NO_ANSWER


async def test_an_upstream_that_its_server_does_not_know_is_the_admin_s(server, hub, clock):
    await connected(hub, server)
    server.takes_resource = False
    clock.at += 4000
    with pytest.raises(Unreachable, match="as a resource"):
        await hub.access().credential()
    assert (await hub.grant()).state is GrantState.READY


async def test_a_refusal_without_a_reason_may_pass(server, hub, clock):
    await connected(hub, server)
    server.answers["/token"] = broken(403)  # as a firewall says it
    clock.at += 4000
    with pytest.raises(Unreachable, match="status 403"):
        await hub.access().credential()


async def test_a_store_that_fails_beside_a_renewal_does_not_undo_it(server, clock):
    class Failing:
        def __init__(self, store):
            self.store = store

        def __getattr__(self, name):
            return getattr(self.store, name)

        async def put_secret(self, *told, **more):
            raise StoreFailed("full")

        release_grant = put_secret

    async with keeping(now=clock, store_as=Failing) as hub:
        await registered(hub, server, previous_secret=Secret("before"))
        await connected(hub, server)
        access = hub.access()
        clock.at += 4000
        assert server.is_live(token_in(await access.credential()))
        server.answers["/token"] = Answer(500, {})
        clock.at += 4000
        with pytest.raises(Unreachable):
            await access.credential()


async def test_scopes_that_are_not_taken_back_are_left_out_once(server, hub, clock):
    await connected(hub, server, scopes="read write")

    async def picky(headers, form):
        return refusing("invalid_scope") if "scope" in form else None

    server.answers["/token"] = picky
    clock.at += 4000
    await hub.access().credential()
    assert server.count("/token") == 2
    assert [each.form.get("resource") for each in server.seen] == [RESOURCE, RESOURCE]


async def test_without_a_new_refresh_token_the_old_one_stays(server, hub, clock):
    server.rotates, server.says_scope = False, False
    given = await connected(hub, server, scopes="read write")
    access = hub.access()
    for _ in range(2):
        clock.at += 4000
        await access.credential()
    assert (await hub.tokens())[1] == given["refresh_token"]
    assert (await hub.grant()).scopes == {"read", "write"}
    assert server.count("/token") == 2


async def test_where_nobody_says_how_long_it_lasts_it_is_used_until_it_is_refused(server, hub, clock):
    server.expires_in = OMIT
    await connected(hub, server)
    access = hub.access()
    clock.at += 4000
    await access.credential()
    clock.at += 1e9
    assert access.ready() is not None
    assert server.count("/token") == 1


async def test_what_no_sentence_fits_has_its_user_connect_anew_when_the_token_has_ended(server, hub, clock):
    await connected(hub, server)
    server.answers["/token"] = refusing("unsupported_grant_type")
    clock.at += 4000
    with pytest.raises(ConnectionNeeded, match="unsupported_grant_type"):
        await hub.access().credential()
    assert (await hub.grant()).state is GrantState.READY


# Refused by the upstream


@pytest.mark.promise("B19")
async def test_a_refused_token_is_renewed_once_for_all_whom_it_was_refused(server, hub):
    given = await connected(hub, server)
    access = hub.access()
    used = await access.credential()
    others = await asyncio.gather(*(access.refused(used, refusal()) for _ in range(5)))
    assert {token_in(each) for each in others} == {(await hub.tokens())[0]}
    assert (await hub.tokens())[0] != given["access_token"]
    assert server.count("/token") == 1
    late = await access.refused(used, refusal())  # who hears of it later
    assert token_in(late) == token_in(others[0])
    assert server.count("/token") == 1


@pytest.mark.promise("B19")
async def test_a_token_that_another_process_has_replaced_is_not_renewed_again(server, clock, tmp_path):
    async with keeping(tmp_path / "hub.db", now=clock) as one, keeping(tmp_path / "hub.db", now=clock) as two:
        await connected(one, server)
        first, second = one.access(), two.access()
        used = await first.credential()
        old = await second.credential()
        new = await first.refused(used, refusal())
        assert token_in(await second.refused(old, refusal())) == token_in(new)
        assert (server.count("/token"), server.reuses) == (1, 0)


@pytest.mark.promise("B19")
async def test_who_is_refused_with_the_new_token_as_well_gets_a_link_and_an_upstream_that_lies_costs_little(
    server, hub, clock
):
    await connected(hub, server)
    access = hub.access()
    again = await access.refused(await access.credential(), refusal())
    with pytest.raises(ConnectionNeeded) as needed:
        await access.refused(again, refusal())
    assert needed.value.state == "reconnect_needed"
    assert server.count("/token") == 1
    for _ in range(2 * MOST_REPLACED):
        with suppress(ConnectionNeeded):
            await access.refused(access.ready() or await access.credential(), refusal())
    assert server.count("/token") == MOST_REPLACED
    assert (await hub.grant()).state is GrantState.READY
    clock.at += 61
    await access.refused(access.ready(), refusal())
    assert server.count("/token") == MOST_REPLACED + 1


async def test_a_refused_token_that_cannot_be_renewed_is_a_matter_for_its_user(server, hub):
    await connected(hub, server, renews=False)
    access = hub.access()
    used = await access.credential()
    with pytest.raises(ConnectionNeeded, match="cannot be renewed"):
        await access.refused(used, refusal())
    assert (await hub.grant()).state is GrantState.READY  # it may pass
    await connected(hub, server, renews=False)  # or they connect anew
    assert token_in(await access.refused(used, refusal())) != token_in(used)


async def test_a_refusal_for_another_reason_stays_what_it_is(server, hub):
    await connected(hub, server)
    access = hub.access()
    used = await access.credential()
    for told in (refusal(403), refusal(403, "Basic"), refusal(403, 'Bearer error="insufficient_scope"')):
        with pytest.raises(RefusedCredential) as same:
            await access.refused(used, told)
        assert same.value is told
    assert server.seen == []


# Step-up


def lacking(scope: str) -> RefusedCredential:
    return refusal(403, f'Bearer error="insufficient_scope", scope="{scope}", error_description="{UNTOLD}"')


@pytest.mark.promise("T58")
async def test_what_the_upstream_asks_for_is_noted_and_its_user_asked_and_nothing_else_happens(server, hub):
    await connected(hub, server, scopes="read", wanted=frozenset({"before"}))
    access = hub.access()
    used = await access.credential()
    for _ in range(5):
        with pytest.raises(ConnectionNeeded) as needed:
            await access.refused(used, lacking("read write admin"))
    assert needed.value.public == (
        "GitHub asks for more than ada@example.com allowed (missing: admin, write)."
        f" Open {PLACE.page} to allow it, then try again."
    )
    assert needed.value.state == "reconnect_needed"
    assert (await hub.grant()).wanted == {"before", "read", "write", "admin"}
    assert server.seen == []  # more is never asked for behind its user's back
    assert access.ready() is used  # and the rest works on


async def test_who_is_asked_for_more_after_a_renewal_is_told_so_in_the_same_call(server, hub):
    await connected(hub, server)
    access = hub.access()
    again = await access.refused(await access.credential(), refusal())
    with pytest.raises(ConnectionNeeded, match="missing: write"):
        await access.refused(again, lacking("write"))


async def test_who_has_allowed_more_in_another_process_goes_on(server, clock, tmp_path):
    async with keeping(tmp_path / "hub.db", now=clock) as one, keeping(tmp_path / "hub.db", now=clock) as two:
        await connected(one, server)
        access = one.access()
        used = await access.credential()
        given = await connected(two, server, scopes="read write")
        assert token_in(await access.refused(used, lacking("write"))) == given["access_token"]


async def test_an_upstream_that_is_never_satisfied_does_not_send_people_round_in_circles(server, hub, clock):
    for _ in range(3):
        await connected(hub, server, scopes="read")
        access = hub.access()
        with pytest.raises(ConnectionNeeded):
            await access.refused(await access.credential(), lacking("write"))
    await connected(hub, server, scopes="read")
    with pytest.raises(RefusedCredential):
        await access.refused(await access.credential(), lacking("write"))
    clock.at += 601
    with pytest.raises(ConnectionNeeded):
        await access.refused(await access.credential(), lacking("write"))


async def test_what_is_no_scope_is_not_shown_and_many_are_not_all_named(server, hub):
    await connected(hub, server)
    access = hub.access()
    used = await access.credential()
    with pytest.raises(ConnectionNeeded) as needed:
        await access.refused(used, lacking(" ".join(f"s{n:04d}" for n in range(500))))
    assert "s0007 and more" in needed.value.public
    assert len(needed.value.public) < 400
    with pytest.raises(RefusedCredential):
        await access.refused(used, lacking("<script>\xff"))


# Changes


async def test_a_change_is_told_and_what_was_known_counts_no_more(server, hub):
    await connected(hub, server)
    access = hub.access()
    told = []
    leave = access.watch(lambda: told.append(1))
    await access.credential()
    given = await connected(hub, server)
    assert told == [1]
    assert access.ready() is None
    assert token_in(await access.credential()) == given["access_token"]
    leave()
    await connected(hub, server)
    assert told == [1]


async def test_a_change_during_a_renewal_counts_and_not_what_came_of_the_renewal(server, hub, clock):
    await connected(hub, server)
    access, slow = hub.access(), Slow()
    clock.at += 4000
    server.answers["/token"] = slow
    waiting = asyncio.ensure_future(access.credential())
    await asyncio.wait_for(slow.came.wait(), 5)
    given = await connected(hub, server)  # they connect anew meanwhile
    slow.go.set()
    assert token_in(await asyncio.wait_for(waiting, 5)) == given["access_token"]
    assert token_in(access.ready()) == given["access_token"]


async def test_who_disconnects_in_the_moment_of_a_renewal_is_disconnected(server, clock):
    class Crossing:
        """A store where the connection is ended just after it was renewed."""

        def __init__(self, store):
            self.store = store

        def __getattr__(self, name):
            return getattr(self.store, name)

        async def renew_grant(self, *told):
            done = await self.store.renew_grant(*told)
            await self.store.drop_grant(Whose(*ADA.key, PLACE.upstream))
            return done

    async with keeping(now=clock, store_as=Crossing) as hub:
        await connected(hub, server)
        access = hub.access()
        clock.at += 4000
        with pytest.raises(ConnectionNeeded):
            await access.credential()
        assert access.ready() is None


async def test_what_was_used_waits_while_the_store_fails(server, clock):
    class Failing:
        def __init__(self, store):
            self.store, self.fails = store, False

        def __getattr__(self, name):
            return getattr(self.store, name)

        async def touch_grants(self, used):
            if self.fails:
                raise StoreFailed("full")
            await self.store.touch_grants(used)

    async with keeping(now=clock, store_as=Failing) as hub:
        await connected(hub, server)
        await hub.access().credential()
        hub.store.fails = True
        await hub.grants.flush()
        hub.store.fails = False
        await hub.grants.flush()
        assert (await hub.grant()).used_at == clock.at


@pytest.mark.promise("T31")
async def test_no_token_or_secret_stands_in_a_log_an_error_or_what_is_shown_of_an_object(server, hub, clock, caplog):
    caplog.set_level(logging.DEBUG)
    given = await connected(hub, server)
    access = hub.access()
    used = await access.credential()
    shown = [repr(used), repr(access), repr(hub.grants), repr(access._held)]
    errors = []
    for answer in (Answer(500, {}), broken(), refusing("invalid_request"), refusing("invalid_client", 401)):
        clock.at += 4000
        server.answers["/token"] = answer
        try:
            await access.credential()
        except (ConnectionNeeded, Unreachable) as error:
            errors.append(error)
            shown += [error.public, repr(error), repr(error.__cause__)]
    assert len(errors) == 4
    server.answers.clear()
    clock.at += 4000
    await access.credential()
    secrets = [given["access_token"], given["refresh_token"], *await hub.tokens(), "s e/cret", "s+e%2Fcret", UNTOLD]
    for secret in secrets:
        assert secret not in caplog.text
        assert not any(secret in each for each in shown)
