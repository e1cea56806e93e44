"""Accounts: who gets in, what they may do, and that whoever loses it loses all of it."""

import asyncio
from dataclasses import replace

import pytest

from mcp_hub.config.model import DeclaredUser
from mcp_hub.identity.arrival import Arrival
from mcp_hub.identity.events import OPERATOR
from mcp_hub.identity.limits import Limit
from mcp_hub.identity.passwords import Cost, Passwords
from mcp_hub.identity.principals import principal_of
from mcp_hub.identity.refusals import NotDone, NotSignedIn
from mcp_hub.principal import ADMIN
from mcp_hub.store.grants import AccessToken, Code, Family, Issued
from rig.people import CHEAP, HERE, PASSWORD, PROVIDER, arrival, people

pytestmark = pytest.mark.promise("C24")
ADA = "ada@example.com"


async def test_the_right_password_signs_in_whatever_the_case_of_the_address():
    async with people() as hub:
        ada = await hub.user()
        found = await hub.accounts.sign_in(" Ada@Example.COM ", PASSWORD, HERE)
        assert (found.id, found.seen_at) == (ada.id, hub.clock.at)
        assert (await hub.store.user(ada.id)).seen_at == hub.clock.at
        assert await hub.noted() == [("user_added", "ok"), ("sign_in", "ok")]


@pytest.mark.parametrize("who", [ADA, "eve@example.com", "", "no address", "a\x00@b.c"])
async def test_a_wrong_password_and_an_unknown_address_are_told_the_same(who):
    async with people() as hub:
        await hub.user()
        with pytest.raises(NotSignedIn) as refused:
            await hub.accounts.sign_in(who, "wrong wrong", HERE)
        assert refused.value.public == "The address or the password is wrong."
        assert (await hub.noted())[-1] == ("sign_in", "wrong_password")


async def test_an_account_without_a_password_cannot_sign_in():
    async with people() as hub:
        await hub.accounts.add_local(ADA, None, actor=OPERATOR)
        for password in ("", "None", PASSWORD):
            with pytest.raises(NotSignedIn):
                await hub.accounts.sign_in(ADA, password, HERE)


async def test_a_disabled_account_is_told_so_with_the_right_password_only():
    async with people() as hub:
        ada = await hub.user()
        await hub.accounts.disable(ada, actor=OPERATOR)
        with pytest.raises(NotSignedIn, match="wrong"):
            await hub.accounts.sign_in(ADA, "wrong wrong", HERE)
        with pytest.raises(NotSignedIn, match="disabled"):
            await hub.accounts.sign_in(ADA, PASSWORD, HERE)


async def test_a_hash_of_an_older_cost_is_replaced_when_its_owner_signs_in():
    async with people() as hub:
        older = Passwords(Cost(passes=2, memory=8, lanes=1))
        ada = await hub.user()
        await hub.store.update_user(replace(ada, password=await older.hash(PASSWORD)))
        older.close()
        await hub.accounts.sign_in(ADA, PASSWORD, HERE)
        stored = (await hub.store.user(ada.id)).password
        assert f"t={CHEAP.passes}," in stored
        await hub.accounts.sign_in(ADA, PASSWORD, HERE)


# Guessing


@pytest.mark.promise("T53")
async def test_a_thousand_wrong_passwords_are_stopped_and_the_owner_gets_in_from_elsewhere_and_later_from_there():
    async with people() as hub:
        await hub.user()
        outcomes = await asyncio.gather(*(guess(hub, f"guess {number}", HERE) for number in range(1000)))
        assert outcomes.count("wrong_password") == 10
        assert set(outcomes) == {"wrong_password", Limit.LOGIN_ACCOUNT, Limit.LOGIN_ADDRESS}
        assert await guess(hub, PASSWORD, HERE) != "in"
        assert await guess(hub, PASSWORD, "192.0.2.9") == "in"
        hub.clock.at += 301
        assert await guess(hub, PASSWORD, HERE) == "in"


async def test_guesses_from_everywhere_are_stopped_too_but_not_where_the_owner_signed_in_before():
    async with people() as hub:
        await hub.user()
        assert await guess(hub, PASSWORD, HERE) == "in"
        outcomes = [await guess(hub, "wrong wrong", f"198.51.{number // 250}.{number % 250}") for number in range(150)]
        assert outcomes.count("wrong_password") == 99
        assert outcomes[-1] == Limit.LOGIN_ANYWHERE
        assert await guess(hub, PASSWORD, HERE) == "in"


async def test_what_somebody_mistypes_is_forgiven_when_they_get_it_right():
    async with people() as hub:
        await hub.user()
        for _ in range(3):
            for _ in range(9):
                assert await guess(hub, "wrong wrong", HERE) == "wrong_password"
            assert await guess(hub, PASSWORD, HERE) == "in"


async def guess(hub, password, address) -> str:
    try:
        await hub.accounts.sign_in(ADA, password, address)
    except NotSignedIn as refused:
        return refused.reason
    return "in"


# Arriving from a provider


async def test_who_arrives_is_known_by_issuer_and_subject_and_kept_up_to_date():
    async with people(provider=PROVIDER) as hub:
        first = await hub.accounts.arrived(arrival("s1", "ada@example.com", "ops"), HERE)
        again = await hub.accounts.arrived(arrival("s1", "ada@new.example.com", "dev"), HERE)
        other = await hub.accounts.arrived(arrival("s2", "ada@example.com"), HERE)
        assert (again.id, again.email, again.groups) == (first.id, "ada@new.example.com", frozenset({"dev"}))
        assert other.id != first.id
        assert (first.issuer, first.subject, first.roles) == (PROVIDER.issuer, "s1", frozenset({"user"}))


@pytest.mark.promise("B14")
async def test_whether_an_address_is_somebodys_own_is_what_the_provider_says_each_time():
    async with people(provider=PROVIDER) as hub:
        verified = [
            principal_of(await hub.accounts.arrived(arrival(verified=said))).email_verified
            for said in (False, True, False)
        ]
        assert verified == [False, True, False]
        nameless = await hub.accounts.arrived(arrival("s2", "", verified=True))
        assert not principal_of(nameless).email_verified
        local = await hub.accounts.add_local("bob@example.com", PASSWORD, actor=OPERATOR)
        assert principal_of(local).email_verified, "an admin has given it"


async def test_an_arrival_that_changes_nothing_takes_no_access_away():
    async with people(provider=PROVIDER) as hub:
        await hub.accounts.arrived(arrival(), HERE)
        before = await hub.store.access_generation()
        await hub.accounts.arrived(arrival(), HERE)
        assert await hub.store.access_generation() == before


async def test_many_first_arrivals_of_one_person_make_one_account():
    async with people(provider=PROVIDER) as hub:
        found = await asyncio.gather(*(hub.accounts.arrived(arrival(), HERE) for _ in range(20)))
        assert len({each.id for each in found}) == 1
        assert len(await hub.accounts.users()) == 1


async def test_groups_of_the_provider_make_admins_and_unmake_them():
    async with people(provider=replace(PROVIDER, admin_groups=("ops",))) as hub:
        assert (await hub.accounts.arrived(arrival("s1", ADA, "ops"))).roles == {ADMIN}
        assert (await hub.accounts.arrived(arrival("s1", ADA, "dev"))).roles == {"user"}


async def test_the_file_counts_more_than_groups_and_only_for_a_verified_address():
    declared = {
        "Ada@example.com": DeclaredUser("Ada@example.com", frozenset({ADMIN})),
        "bob@x.y": DeclaredUser("bob@x.y"),
    }
    async with people(provider=replace(PROVIDER, admin_groups=("ops",)), declared=declared) as hub:
        assert (await hub.accounts.arrived(arrival("eve", ADA, verified=False))).roles == {"user"}
        assert (await hub.accounts.arrived(arrival("s1", ADA))).roles == {ADMIN}
        assert (await hub.accounts.arrived(arrival("s2", "bob@x.y", "ops"))).roles == {"user"}


async def test_a_role_given_by_command_stays_where_nothing_else_says_it():
    async with people(provider=PROVIDER) as hub:
        ada = await hub.accounts.arrived(arrival())
        await hub.accounts.set_roles(ada, frozenset({ADMIN}), actor=OPERATOR)
        assert (await hub.accounts.arrived(arrival())).roles == {ADMIN}


@pytest.mark.parametrize(
    ("provider", "who", "reason"),
    [
        (replace(PROVIDER, allowed_groups=("dev",)), arrival("s", ADA, "ops"), "no_allowed_group"),
        (replace(PROVIDER, allowed_domains=("example.com",)), arrival("s", "a@evil.com"), "no_allowed_domain"),
        (
            replace(PROVIDER, allowed_domains=("example.com",)),
            arrival("s", "a@b@example.com.evil"),
            "no_allowed_domain",
        ),
        (replace(PROVIDER, allowed_domains=("example.com",)), arrival("s", ADA, verified=False), "no_allowed_domain"),
        (replace(PROVIDER, allowed_domains=("example.com",)), arrival("s", ""), "no_allowed_domain"),
        (PROVIDER, Arrival("https://evil.example", "s", ADA, email_verified=True), "another_issuer"),
        (None, arrival(), "another_issuer"),
    ],
)
async def test_who_may_not_come_gets_no_account(provider, who, reason):
    async with people(provider=provider) as hub:
        with pytest.raises(NotSignedIn) as refused:
            await hub.accounts.arrived(who, HERE)
        assert refused.value.reason == reason
        assert await hub.accounts.users() == []
        assert await hub.noted() == [("sign_in", reason)]


async def test_who_may_come_does():
    limited = replace(PROVIDER, allowed_groups=("dev",), allowed_domains=("example.com",))
    async with people(provider=limited) as hub:
        assert (await hub.accounts.arrived(arrival("s", "Ada@EXAMPLE.com", "dev"))).email == "Ada@EXAMPLE.com"


async def test_a_disabled_account_stays_disabled_whatever_the_provider_says():
    async with people(provider=replace(PROVIDER, admin_groups=("ops",))) as hub:
        ada = await hub.accounts.arrived(arrival())
        await hub.accounts.disable(ada, actor=OPERATOR)
        with pytest.raises(NotSignedIn, match="disabled"):
            await hub.accounts.arrived(arrival("s1", ADA, "ops"))
        assert (await hub.store.user(ada.id)).disabled


@pytest.mark.promise("T59")
async def test_a_local_account_is_given_to_a_verified_address_only_where_the_operator_says_so():
    async with people(provider=PROVIDER) as hub:
        local = await hub.user(admin=True)
        assert (await hub.accounts.arrived(arrival("s1"))).id != local.id
    async with people(provider=replace(PROVIDER, link_by_email=True)) as hub:
        local = await hub.user(admin=True)
        assert (await hub.accounts.arrived(arrival("s1", "ADA@example.com"))).id == local.id
        assert (await hub.accounts.arrived(arrival("eve", verified=False))).id != local.id


async def test_with_a_provider_passwords_are_for_admins_only():
    async with people(provider=PROVIDER) as hub:
        await hub.user("bob@example.com")
        await hub.user(admin=True)
        assert (await hub.accounts.sign_in(ADA, PASSWORD, HERE)).email == ADA
        with pytest.raises(NotSignedIn, match="provider"):
            await hub.accounts.sign_in("bob@example.com", PASSWORD, HERE)


async def test_names_of_the_provider_become_one_short_line():
    async with people(provider=PROVIDER) as hub:
        odd = replace(arrival(), name="A\nB\u202e" + "x" * 1000, email="a\x1b[31m@b.c")
        user = await hub.accounts.arrived(odd)
        assert user.name.startswith("A\ufffdB\ufffd")
        assert len(user.name) == 254
        assert user.email == "a\ufffd[31m@b.c"


# Taking it away


async def signed_in_everywhere(hub, user):
    """A browser, a client with a token, a code under way, and a personal token of this user."""
    at = hub.clock.at
    cookie = await hub.browsers.begin(user, "Firefox")
    for number in (b"1", b"2"):
        code = Code(number * 32, user.tenant, "c", "C", user.id, "https://c/", "x", "r", frozenset(), b"", at, at + 60)
        await hub.store.add_code(code)
    family = Family("f" + user.id, user.tenant, user.id, "c", "C", "r", frozenset(), at, at, at + 1000)
    await hub.store.redeem(
        b"1" * 32, family, Issued(AccessToken(b"a" * 32, family.id, frozenset(), at + 100), None), at
    )
    token, _ = await hub.personal.create(user, "script", None)
    return cookie.open(), family.id, token


async def left(hub, user, cookie, family, token):
    return (
        await hub.browsers.find(cookie) is not None,
        await hub.store.family(family) is not None,
        await hub.store.access_token(b"a" * 32) is not None,
        await hub.store.personal_token(token.digest) is not None,
    )


@pytest.mark.promise("T59")
@pytest.mark.parametrize("end", ["disable", "remove"])
async def test_whoever_is_disabled_or_removed_has_lost_everything_at_once(end):
    async with people() as hub:
        ada = await hub.user()
        everything = await signed_in_everywhere(hub, ada)
        assert await left(hub, ada, *everything) == (True, True, True, True)
        before = await hub.store.access_generation()
        await getattr(hub.accounts, end)(ada, actor=OPERATOR)
        assert await left(hub, ada, *everything) == (False, False, False, False)
        assert await hub.store.access_generation() > before


@pytest.mark.promise("T59")
async def test_who_is_enabled_again_has_to_sign_in_anew():
    async with people() as hub:
        ada = await hub.user()
        everything = await signed_in_everywhere(hub, ada)
        gone = await hub.accounts.disable(ada, actor=OPERATOR)
        await hub.accounts.enable(gone, actor=OPERATOR)
        assert await left(hub, ada, *everything) == (False, False, False, False)
        assert await guess(hub, PASSWORD, HERE) == "in"


async def test_signing_out_ends_browsers_and_clients_and_leaves_personal_tokens():
    async with people() as hub:
        ada = await hub.user()
        everything = await signed_in_everywhere(hub, ada)
        await hub.accounts.sign_out(ada, actor=OPERATOR)
        assert await left(hub, ada, *everything) == (False, False, False, True)


async def test_a_new_password_ends_what_the_old_one_began():
    async with people() as hub:
        ada = await hub.user()
        everything = await signed_in_everywhere(hub, ada)
        await hub.accounts.set_password(ada, "another good one", actor=OPERATOR)
        assert await left(hub, ada, *everything) == (False, False, False, True)
        assert await guess(hub, PASSWORD, HERE) == "wrong_password"
        assert await guess(hub, "another good one", HERE) == "in"


@pytest.mark.parametrize("act", ["disable", "remove", "set_roles"])
async def test_the_last_admin_stays_one(act):
    async with people() as hub:
        ada = await hub.user(admin=True)
        await hub.user("bob@example.com")
        gone = await hub.user("eve@example.com", admin=True)
        await hub.accounts.disable(gone, actor=OPERATOR)
        more = (frozenset({"user"}),) if act == "set_roles" else ()
        with pytest.raises(NotDone, match="last admin"):
            await getattr(hub.accounts, act)(ada, *more, actor=OPERATOR)
        assert await hub.store.user(ada.id) == ada
        second = await hub.user("cy@example.com", admin=True)
        await getattr(hub.accounts, act)(ada, *more, actor=OPERATOR)
        assert second.roles == {ADMIN}


async def test_two_admins_who_disable_each_other_at_once_leave_one():
    async with people() as hub:
        ada, bob = await hub.user(admin=True), await hub.user("bob@example.com", admin=True)
        done = await asyncio.gather(
            *(hub.accounts.disable(user, actor=OPERATOR) for user in (ada, bob)), return_exceptions=True
        )
        assert sorted(isinstance(each, NotDone) for each in done) == [False, True]


async def test_what_somebody_else_did_meanwhile_is_not_undone():
    async with people() as hub:
        ada = await hub.user()
        await hub.accounts.disable(ada, actor=OPERATOR)
        with pytest.raises(NotDone, match="Somebody else changed"):
            await hub.accounts.set_roles(ada, frozenset({ADMIN}), actor=OPERATOR)
        assert (await hub.store.user(ada.id)).disabled


# Keeping accounts


@pytest.mark.parametrize(
    ("email", "password", "field"),
    [("ada", PASSWORD, "email"), ("", PASSWORD, "email"), ("a@b\n.c", PASSWORD, "email"), (ADA, "short", "password")],
)
async def test_an_account_needs_an_address_and_a_good_password(email, password, field):
    async with people() as hub:
        with pytest.raises(NotDone) as refused:
            await hub.accounts.add_local(email, password, actor=OPERATOR)
        assert refused.value.field == field
        assert await hub.accounts.users() == []


async def test_an_address_has_one_account():
    async with people() as hub:
        await hub.user()
        with pytest.raises(NotDone, match="already"):
            await hub.user("ADA@example.com")


async def test_the_file_says_who_is_an_admin_and_the_command_line_does_not_change_it():
    declared = {ADA: DeclaredUser(ADA, frozenset({ADMIN}))}
    async with people(declared=declared) as hub:
        ada = await hub.user()
        assert ada.roles == {ADMIN}
        await hub.user("bob@example.com", admin=True)
        with pytest.raises(NotDone, match="configuration"):
            await hub.accounts.set_roles(ada, frozenset({"user"}), actor=OPERATOR)


async def test_a_changed_file_counts_from_the_start_of_the_hub():
    async with people(declared={ADA: DeclaredUser(ADA)}) as hub:
        await hub.store.add_user(
            replace(await hub.user("bob@example.com"), id="1", subject="1", email=ADA, roles=frozenset({ADMIN}))
        )
        await hub.accounts.settle()
        assert (await hub.accounts.find(ADA)).roles == {"user"}
        assert (await hub.accounts.find("bob@example.com")).roles == {"user"}


async def test_a_changed_file_takes_from_people_of_a_provider_at_once_and_gives_when_they_sign_in(tmp_path):
    path = str(tmp_path / "hub.db")
    before = {each: DeclaredUser(each, frozenset({ADMIN})) for each in (ADA, "bob@x.y")}
    async with people(provider=replace(PROVIDER, admin_groups=("ops",)), declared=before, path=path) as hub:
        for number, (email, groups) in enumerate([(ADA, ()), ("bob@x.y", ()), ("cy@x.y", ("ops",)), ("di@x.y", ())]):
            await hub.accounts.arrived(arrival(f"s{number}", email, *groups))
    after = {
        each: DeclaredUser(each, roles) for each, roles in ((ADA, frozenset[str]()), ("di@x.y", frozenset({ADMIN})))
    }
    async with people(provider=replace(PROVIDER, admin_groups=("root",)), declared=after, path=path) as hub:
        assert {user.email: ADMIN in user.roles for user in await hub.accounts.users()} == {
            ADA: True, "bob@x.y": True, "cy@x.y": True, "di@x.y": False,
        }  # fmt: skip
        await hub.accounts.settle()
        assert not any(ADMIN in user.roles for user in await hub.accounts.users())
        assert (await hub.accounts.arrived(arrival("s3", "di@x.y"))).roles == {ADMIN}


async def test_an_account_is_found_by_its_address_or_its_id():
    async with people(provider=PROVIDER) as hub:
        ada = await hub.user()
        assert (await hub.accounts.find("Ada@Example.com")).id == (await hub.accounts.find(ada.id)).id == ada.id
        await hub.accounts.arrived(arrival())
        with pytest.raises(NotDone, match="Several accounts"):
            await hub.accounts.find(ADA)
        with pytest.raises(NotDone, match="no account"):
            await hub.accounts.find("eve@example.com")


async def test_nothing_of_a_password_is_in_the_events():
    async with people() as hub:
        await hub.user()
        await guess(hub, "canary canary", HERE)
        await guess(hub, PASSWORD, HERE)
        with pytest.raises(NotSignedIn):
            await hub.accounts.sign_in("canary in the wrong field", "", HERE)
        await hub.events.aclose()
        assert "canary" not in repr(await hub.store.events("default", limit=100))
        assert PASSWORD not in repr(await hub.store.events("default", limit=100))
