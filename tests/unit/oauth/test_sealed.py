"""What is sealed of connections opens in its own place only, and is sealed anew with everything else."""

import asyncio
from dataclasses import replace

import pytest
from tests.store_connections_suite import GRANT, KEY, OTHER, REGISTRATION

from mcp_hub.assembly import sealed_in
from mcp_hub.credentials.sealed_keys import open_key, seal_key
from mcp_hub.errors import Unsealable
from mcp_hub.oauth.sealed import (
    SealedConnections,
    open_access_token,
    open_client,
    open_management,
    open_refresh_token,
    renewed,
    with_secrets,
    with_tokens,
)
from mcp_hub.oauth.server import Tokens
from mcp_hub.secret import Secret
from mcp_hub.store.keys import KeyState
from mcp_hub.store.sqlite import SqliteStore
from mcp_hub.vault.master import Given
from mcp_hub.vault.resealing import counts, rotate
from mcp_hub.vault.vault import Vault
from mcp_hub.vault.written import from_text, generated

pytestmark = pytest.mark.promise("T32")

ACCESS, REFRESH, SECRET, PREVIOUS = (
    Secret("access-token"),
    Secret("refresh-token"),
    Secret("secret"),
    Secret("previous"),
)
TOKENS = Tokens(ACCESS, REFRESH, 4600.0, frozenset({"repo"}), "ann@github")
NEXT = Tokens(Secret("access-2"), Secret("refresh-2"), 9000.0, frozenset({"repo"}))


@pytest.fixture
async def store():
    store = SqliteStore.open(":memory:")
    yield store
    await store.aclose()


@pytest.fixture
async def vault(store):
    return await Vault.unlock(store, Given(from_text(generated(), "the test")))


@pytest.fixture
def registration(vault):
    return with_secrets(
        vault, REGISTRATION, secret=SECRET, previous_secret=PREVIOUS, management=Secret('{"token":"managing"}')
    )


@pytest.fixture
def grant(vault):
    return with_tokens(vault, GRANT, TOKENS)


@pytest.fixture
def key(vault):
    return seal_key(vault, KEY, Secret("pasted-key"))


@pytest.fixture
async def kept(store, registration, grant, key):
    """A store with one of each."""
    await store.add_registration(registration, instead_of=None)
    await store.put_grant(grant)
    await store.put_key(key)
    return store


async def test_secrets_of_a_registration_come_back_and_are_not_in_it(vault, registration):
    client = await open_client(vault, registration)
    assert (client.secret, client.previous_secret) == (SECRET, PREVIOUS)
    assert await open_management(vault, registration) == Secret('{"token":"managing"}')
    assert b"secret" not in (registration.secret or b"")
    public = with_secrets(vault, REGISTRATION, secret=None)
    assert (public.secret, public.previous_secret, public.management) == (None, None, None)
    assert (await open_client(vault, public)).secret is None


async def test_tokens_of_a_grant_come_back_with_what_was_said_of_them(vault, grant):
    assert await open_access_token(vault, grant) == ACCESS
    assert await open_refresh_token(vault, grant) == REFRESH
    assert (grant.expires_at, grant.scopes, grant.account) == (4600.0, frozenset({"repo"}), "ann@github")
    nameless = with_tokens(vault, GRANT, replace(TOKENS, refresh_token=None, account=""))
    assert nameless.account == GRANT.account
    assert await open_refresh_token(vault, nameless) is None


async def test_what_a_refresh_brought_opens_in_the_next_version_and_what_was_before_does_not(kept, vault, grant):
    assert await kept.renew_grant(grant.id, 1, renewed(vault, grant, NEXT, 5000.0))
    now = await kept.grant(grant.whose)
    assert await open_access_token(vault, now) == NEXT.access_token
    assert await open_refresh_token(vault, now) == NEXT.refresh_token
    put_back = replace(now, access_token=grant.access_token, refresh_token=grant.refresh_token)
    with pytest.raises(Unsealable):
        await open_access_token(vault, put_back)
    with pytest.raises(Unsealable):
        await open_refresh_token(vault, put_back)


@pytest.mark.parametrize(
    "moved",
    [
        {"id": "another row"},
        {"whose": GRANT.whose._replace(subject="u-bob")},
        {"whose": GRANT.whose._replace(issuer="https://idp")},
        {"whose": GRANT.whose._replace(tenant="other")},
        {"whose": GRANT.whose._replace(upstream="docs")},
        {"version": 2},
        {"registration": "r-2"},
        {"authorization_server": "https://evil.example"},
        {"token_endpoint": "https://evil.example/token"},
        {"revocation_endpoint": "https://evil.example/revoke"},
        {"revocation_endpoint": None},
    ],
    ids=str,
)
async def test_tokens_open_nowhere_but_where_they_were_sealed(vault, grant, moved):
    elsewhere = replace(grant, **moved)
    with pytest.raises(Unsealable):
        await open_access_token(vault, elsewhere)
    with pytest.raises(Unsealable):
        await open_refresh_token(vault, elsewhere)


@pytest.mark.parametrize(
    "moved", [{"id": "r-2"}, {"tenant": "other"}, {"upstream": "docs"}, {"issuer": "https://evil.example"}], ids=str
)
async def test_secrets_open_nowhere_but_where_they_were_sealed(vault, registration, moved):
    elsewhere = replace(registration, **moved)
    with pytest.raises(Unsealable):
        await open_client(vault, elsewhere)
    with pytest.raises(Unsealable):
        await open_management(vault, elsewhere)


@pytest.mark.parametrize(
    "moved",
    [{"id": "k-2"}, {"whose": KEY.whose._replace(subject="u-bob")}, {"whose": KEY.whose._replace(upstream="docs")}],
    ids=str,
)
async def test_a_pasted_key_opens_nowhere_but_where_it_was_sealed(vault, key, moved):
    assert await open_key(vault, key) == Secret("pasted-key")
    with pytest.raises(Unsealable):
        await open_key(vault, replace(key, **moved))


async def test_columns_cannot_be_exchanged(vault, registration, grant, key):
    with pytest.raises(Unsealable):
        await open_access_token(vault, replace(grant, access_token=grant.refresh_token))
    with pytest.raises(Unsealable):
        await open_refresh_token(vault, replace(grant, refresh_token=grant.access_token))
    with pytest.raises(Unsealable):
        await open_client(vault, replace(registration, secret=registration.previous_secret))
    with pytest.raises(Unsealable):
        await open_client(vault, replace(registration, previous_secret=registration.secret))
    with pytest.raises(Unsealable):
        await open_management(vault, replace(registration, management=registration.secret))
    with pytest.raises(Unsealable):
        await open_key(vault, replace(key, key=grant.access_token))


async def test_a_rotation_of_keys_seals_connections_anew_and_everything_opens(kept, vault, grant, key):
    public = with_secrets(vault, replace(OTHER, issuer="https://other.example"), secret=None)
    await kept.add_registration(public, instead_of=None)
    for n in range(120):
        whose = grant.whose._replace(subject=f"u{n}")
        tokens = TOKENS if n % 2 else replace(TOKENS, refresh_token=None)
        await kept.put_grant(with_tokens(vault, replace(GRANT, id=f"g{n:03}", whose=whose), tokens))
    old = vault.kid
    done = await rotate(vault, kept, sealed_in(kept, vault), 2000.0)
    assert (done.unopened, done.is_complete) == (0, True)
    assert await counts([SealedConnections(kept)]) == {vault.kid: 3 + 2 + 1 + 120 + 60}
    assert vault.kid != old
    assert sorted(each.state for each in await kept.keys()) == [KeyState.CURRENT, KeyState.RETIRED]
    for each in await kept.grants("default"):
        assert await open_access_token(vault, each) == ACCESS
        assert await open_refresh_token(vault, each) in (REFRESH, None)
    client = await open_client(vault, await kept.registration(REGISTRATION.id))
    assert (client.secret, client.previous_secret) == (SECRET, PREVIOUS)
    assert await open_key(vault, await kept.key(key.whose)) == Secret("pasted-key")


async def test_who_renews_while_keys_are_rotated_wins(kept, vault, grant):
    class Renewing(SealedConnections):
        """Somebody renews the grant between the look at its tokens and their sealing anew."""

        async def replace_sealed(self, row, sealed):
            await kept.renew_grant(grant.id, 1, renewed(vault, grant, NEXT, 5000.0))
            return await super().replace_sealed(row, sealed)

    assert (await rotate(vault, kept, [Renewing(kept), *sealed_in(kept, vault)], 2000.0)).is_complete
    now = await kept.grant(grant.whose)
    assert (now.version, await open_refresh_token(vault, now)) == (2, NEXT.refresh_token)


async def test_rows_come_in_pages_of_any_size_in_the_order_of_their_keys(kept):
    source = SealedConnections(kept)
    everything = await source.sealed_rows("", 100)
    assert [each.key for each in everything] == [
        "access_token/g-ann", "key/k-ann", "management/r-1", "previous_secret/r-1", "refresh_token/g-ann", "secret/r-1",
    ]  # fmt: skip
    for size in (1, 2, 4):
        found, after = [], ""
        while page := await source.sealed_rows(after, size):
            assert len(page) <= size
            found += page
            after = page[-1].key
        assert found == everything


async def test_of_what_is_planted_nothing_is_in_the_files(tmp_path):
    file = tmp_path / "hub.db"
    store = SqliteStore.open(file)
    vault = await Vault.unlock(store, Given(from_text(generated(), "the test")))
    await store.add_registration(with_secrets(vault, REGISTRATION, secret=Secret("planted-1")), instead_of=None)
    grant = with_tokens(vault, GRANT, Tokens(Secret("planted-2"), Secret("planted-3"), None, frozenset()))
    await store.put_grant(grant)
    await store.put_key(seal_key(vault, KEY, Secret("planted-4")))
    files = [file, file.with_name("hub.db-wal")]
    held = b"".join(await asyncio.gather(*(asyncio.to_thread(each.read_bytes) for each in files)))
    assert grant.access_token in held, "these are the right files"
    assert b"planted" not in held
    await store.aclose()
