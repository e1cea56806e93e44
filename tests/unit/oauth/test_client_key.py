"""The hub's own key."""

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet

from mcp_hub.errors import StoreFailed
from mcp_hub.oauth.client_key import KEY_NAME, kept_client_key

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


@pytest.mark.parametrize("stored", [b"x", b"{}", b"[]", b"null"])
async def test_what_is_no_key_is_not_used_and_not_shown(stored):
    with pytest.raises(StoreFailed):
        await kept_client_key(Kept(**{KEY_NAME: stored}))


async def test_a_public_key_alone_is_no_key():
    public = ECKey.generate_key("P-256").as_dict(private=False)
    with pytest.raises(StoreFailed):
        await kept_client_key(Kept(**{KEY_NAME: str(public).replace("'", '"').encode()}))
