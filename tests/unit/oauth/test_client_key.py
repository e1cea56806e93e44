"""The hub's own key."""

import pytest
from joserfc import jwt
from joserfc.jwk import KeySet

from mcp_hub.errors import StoreFailed
from mcp_hub.oauth.client_key import _ORDER, KEY_NAME, SEED_BYTES, ClientKey, kept_client_key

pytestmark = pytest.mark.promise("B17")


class Kept:
    """Settings in memory."""

    def __init__(self, **values):
        self.values = values

    async def kept(self, key, otherwise):
        return self.values.setdefault(key, otherwise)


async def test_every_replica_signs_with_the_same_key_and_shows_its_public_half():
    settings = Kept()
    one, other = await kept_client_key(settings), await kept_client_key(settings)
    assert one.jwks() == other.jwks()
    (shown,) = one.jwks()["keys"]
    assert set(shown) == {"kty", "crv", "x", "y", "kid", "use", "alg"}
    token = jwt.decode(other.sign({"iss": "hub"}), KeySet.import_key_set(one.jwks()), algorithms=["ES256"])
    assert (token.claims, token.header["kid"]) == ({"iss": "hub"}, shown["kid"])
    assert settings.values[KEY_NAME] not in repr(one).encode()


@pytest.mark.parametrize("stored", [b"", b"x", b"{}" * 30])
async def test_what_is_no_key_is_not_used_and_not_shown(stored):
    with pytest.raises(StoreFailed) as failed:
        await kept_client_key(Kept(**{KEY_NAME: stored}))
    assert stored == b"" or stored.decode() * 2 not in failed.value.public


@pytest.mark.parametrize("seed", [bytes(SEED_BYTES), b"\xff" * SEED_BYTES, (_ORDER - 1).to_bytes(SEED_BYTES)])
def test_every_seed_makes_a_key(seed):
    key = ClientKey(seed)
    token = jwt.decode(key.sign({"a": 1}), KeySet.import_key_set(key.jwks()), algorithms=["ES256"])
    assert token.claims == {"a": 1}
