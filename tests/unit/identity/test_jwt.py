import pytest

from mcp_hub.config.model import Issuer
from mcp_hub.egress.fetch import FetchFailed
from mcp_hub.errors import Forbidden, Unauthenticated
from mcp_hub.identity.door import LONGEST, TokenDoor
from mcp_hub.identity.jose import APART
from mcp_hub.identity.jose import LONGEST as KEYS_LAST
from mcp_hub.identity.judge import Undecided
from mcp_hub.identity.jwt import ExternalTokens
from mcp_hub.identity.protected import Protected
from mcp_hub.identity.signatures import TokenRefused
from mcp_hub.oauth.metadata import metadata_urls
from rig.signing import Shelf, confused, jwks, key_pair, sign, unsigned
from rig.token_store import HUB, TokenStore, bearer, sent

pytestmark = pytest.mark.promise("C23", "C24")

IDP, KEYS = "https://idp.example", "https://idp.example/keys"
(METADATA, _) = metadata_urls(IDP)
KEY, NEW, RSA = key_pair("k"), key_pair("new"), key_pair("r", "RSA", 2048)
ID_TOKEN = {"scope": None, "client_id": None}


class World:
    """A hub that takes the tokens of one issuer, at a time that the test sets."""

    def __init__(self, **issuer):
        self.time = 1_000_000.0
        self.shelf = Shelf()
        self.shelf.put(METADATA, {"issuer": IDP, "jwks_uri": KEYS})
        self.shelf.put(KEYS, jwks(KEY, RSA))
        self.tokens = ExternalTokens(Issuer(IDP, **issuer), self.shelf, self.now)
        place = Protected(HUB, (IDP,), tuple(issuer.get("scopes", ())))
        self.door = TokenDoor(TokenStore(), [place], issues=False, outside=self.tokens, now=self.now)

    def now(self):
        return self.time

    def claims(self, **more):
        said = {
            "iss": IDP, "aud": HUB, "sub": "alice", "exp": self.time + 300, "iat": self.time,
            "client_id": "claude", "scope": "openid read", **more,
        }  # fmt: skip
        return {name: each for name, each in said.items() if each is not None}

    def token(self, key=KEY, alg="ES256", kind="at+jwt", **more):
        return sign(self.claims(**more), key, alg, typ=kind)

    async def caller(self, token):
        return await self.door.identify(bearer(token), b"", HUB)


@pytest.mark.promise("B14")
@pytest.mark.parametrize(
    ("said", "is_verified"), [(True, True), ("true", True), (False, False), ("false", False), (1, False), (None, False)]
)
async def test_an_address_is_somebodys_own_if_the_issuer_says_so(said, is_verified):
    world = World()
    claims = {} if said is None else {"email_verified": said}
    assert (await world.caller(world.token(email="a@example.com", **claims))).email_verified is is_verified


async def test_a_token_of_the_issuer_makes_its_owner_known():
    world = World(groups_claim="groups", admin_groups=("ops",))
    token = world.token(groups=["dev", "ops"], email="a@example.com", name="Alice")
    caller = await world.caller(token)
    assert caller.key == ("default", IDP, "alice")
    assert (caller.label, caller.email, caller.client) == ("a@example.com", "a@example.com", "claude")
    assert (caller.groups, caller.roles) == ({"dev", "ops"}, {"admin"})
    assert caller.scopes == {"openid", "read", "hub:use", "hub:admin"}
    assert world.door.known(sent(token)) is caller


async def test_only_the_configured_groups_make_an_admin_whatever_else_a_token_says():
    world = World(admin_groups=("ops",))
    said = {"groups": ["dev"], "roles": ["admin"], "scope": "hub:use hub:admin", "is_admin": True}
    caller = await world.caller(world.token(**said))
    assert not caller.is_admin


@pytest.mark.promise("C23")
async def test_a_token_needs_all_scopes_that_the_operator_asks_for():
    world = World(scopes=("read", "tools"))
    for lacking in ("read", "", "hub:use", "hub:use hub:admin", "readtools"):
        with pytest.raises(Forbidden) as refused:
            await world.caller(world.token(scope=lacking))
        assert 'error="insufficient_scope"' in refused.value.challenge
        assert 'scope="read tools"' in refused.value.challenge
    assert (await world.caller(world.token(scope="tools x read"))).subject == "alice"
    assert (await world.caller(world.token(scope=None, scp=["read", "tools"]))).subject == "alice"


@pytest.mark.promise("T14")
@pytest.mark.parametrize(
    "audience", [f"{HUB}/", "https://hub.example", [HUB, "https://other.example"], "client", ["client"], None]
)
async def test_a_token_that_is_not_for_this_endpoint_alone_is_refused(audience):
    world = World()
    with pytest.raises(Unauthenticated):
        await world.caller(world.token(aud=audience))


@pytest.mark.promise("T14")
async def test_the_operator_may_say_what_the_audience_is_called():
    world = World(audience="api://hub")
    assert (await world.caller(world.token(aud="api://hub"))).subject == "alice"
    with pytest.raises(Unauthenticated):
        await world.caller(world.token())


@pytest.mark.promise("T14")
@pytest.mark.parametrize(
    ("kind", "claims"),
    [
        ("JWT", {"nonce": "n", "at_hash": "h", **ID_TOKEN}),
        ("JWT", {"nonce": "n", **ID_TOKEN}),
        (None, ID_TOKEN),
        ("JWT", {**ID_TOKEN, "azp": "client"}),
        ("JWT", {"nonce": "n"}),
        ("JWT", {"token_use": "id"}),
        ("JWT", {"typ": "ID"}),
        ("JWT", {"typ": "Refresh"}),
        ("logout+jwt", {}),
        ("secevent+jwt", {}),
        ("dpop+jwt", {}),
        ("id_token+jwt", {}),
    ],
)
async def test_a_token_of_the_issuer_that_is_no_access_token_is_refused_even_if_it_is_for_us(kind, claims):
    world = World()
    with pytest.raises(Unauthenticated):
        await world.caller(world.token(kind=kind, **claims))


@pytest.mark.parametrize(
    ("kind", "claims"),
    [
        ("at+jwt", {**ID_TOKEN, "nonce": "n"}),
        ("application/at+jwt", {}),
        ("JWT", {"scope": None, "scp": "read", "client_id": None, "azp": "c"}),
        ("JWT", {**ID_TOKEN, "appid": "c"}),
        (None, {"token_use": "access"}),
        ("JWT", {"typ": "Bearer", "nonce": "n"}),
    ],
)
async def test_access_tokens_of_issuers_of_several_makes_are_taken(kind, claims):
    world = World()
    assert (await world.caller(world.token(kind=kind, **claims))).subject == "alice"


@pytest.mark.parametrize("claims", [{"cnf": {"jkt": "x"}}, {"sub": "a" * 256}, {"sub": None}, {"sub": 5}, {"iss": "x"}])
async def test_a_token_that_cannot_be_tied_to_its_owner_is_refused(claims):
    world = World()
    with pytest.raises(Unauthenticated):
        await world.caller(world.token(**claims))


@pytest.mark.promise("T56")
async def test_forged_tokens_are_refused():
    world = World()
    claims = world.claims()
    for token in (
        unsigned(claims),
        confused(claims, RSA),
        world.token(NEW),
        sign(claims, NEW, kid="k"),
        world.token() + "A",
        "not.a.token",
    ):
        with pytest.raises(Unauthenticated) as refused:
            await world.caller(token)
        assert 'error="invalid_token"' in refused.value.challenge


@pytest.mark.promise("T55")
@pytest.mark.parametrize(
    ("claims", "is_taken"),
    [
        ({"exp": -50}, True), ({"exp": -120}, False), ({"nbf": 50}, True), ({"nbf": 120}, False),
        ({"iat": 50}, True), ({"iat": 120}, False), ({"exp": 10**400}, True),
    ],
)  # fmt: skip
async def test_clocks_may_differ_by_a_minute(claims, is_taken):
    world = World()
    token = world.token(
        **{name: world.time + each for name, each in claims.items()} if max(claims.values()) < 1e9 else claims
    )
    if is_taken:
        assert (await world.caller(token)).subject == "alice"
    else:
        with pytest.raises(Unauthenticated):
            await world.caller(token)


@pytest.mark.promise("T55")
async def test_a_token_ends_while_it_is_known_a_minute_after_it_says():
    world = World()
    token = world.token(exp=world.time + 10)
    await world.caller(token)
    for _ in range(3):
        world.time += 20
        assert (await world.caller(token)).subject == "alice"
    world.time += 10
    assert world.door.known(sent(token)) is None
    with pytest.raises(Unauthenticated):
        await world.caller(token)


@pytest.mark.promise("T56")
async def test_keys_that_are_rotated_while_the_hub_runs_are_found():
    world = World()
    await world.caller(world.token())
    world.shelf.put(KEYS, jwks(NEW))
    world.time += APART
    assert (await world.caller(world.token(NEW))).subject == "alice"
    with pytest.raises(Unauthenticated):
        await world.caller(world.token(KEY, jti="another"))


@pytest.mark.promise("T57")
@pytest.mark.parametrize("gone", [METADATA, KEYS])
async def test_an_issuer_that_is_down_lets_nobody_new_in_and_says_so(gone):
    world = World()
    world.shelf.put(gone, FetchFailed("idp.example did not answer within 10 s"))
    with pytest.raises(Undecided) as refused:
        await world.caller(world.token())
    assert "https://idp.example does not answer as it should" in refused.value.public
    assert "idp.example did not answer within 10 s" in refused.value.public


@pytest.mark.promise("T57")
async def test_known_callers_go_on_while_the_issuer_is_down_until_their_token_ends():
    world = World()
    end = world.time + 3 * KEYS_LAST
    token, other = world.token(exp=end), world.token(exp=end, sub="bob")
    await world.caller(token)
    for url in (METADATA, KEYS):
        world.shelf.put(url, FetchFailed("down"))
    while world.time < end - LONGEST:
        world.time += 10 * LONGEST
        assert (await world.caller(token)).subject == "alice"
    with pytest.raises(Undecided):
        await world.caller(other)
    world.time = end + 60
    with pytest.raises(Undecided):
        await world.caller(token)


@pytest.mark.promise("T2")
async def test_the_keys_are_not_fetched_from_where_they_could_be_changed_on_the_way():
    world = World()
    world.shelf.put(METADATA, {"issuer": IDP, "jwks_uri": "http://idp.example/keys"})
    world.shelf.put("http://idp.example/keys", jwks(KEY))
    with pytest.raises(Undecided):
        await world.caller(world.token())
    assert world.shelf.asked == [METADATA]


async def test_metadata_without_keys_let_nobody_in():
    world = World()
    world.shelf.put(METADATA, {"issuer": IDP})
    with pytest.raises(Undecided, match="do not say where its keys are"):
        await world.caller(world.token())


async def test_the_operator_may_say_where_the_keys_are():
    world = World(jwks_url=KEYS)
    assert (await world.caller(world.token())).subject == "alice"
    assert world.shelf.asked == [KEYS]


async def test_what_is_no_token_at_all_asks_nobody():
    world = World()
    for odd in ("x", "a.b", "e30.e30.e30", "mcphub"):
        with pytest.raises(TokenRefused):
            await world.tokens.judge(odd, HUB)
    assert [url for url in world.shelf.asked if url == METADATA] == []


async def test_nothing_is_left_under_way():
    world = World()
    await world.caller(world.token())
    await world.tokens.aclose()
