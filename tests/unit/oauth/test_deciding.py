"""What is remembered of upstreams that nothing is said about."""

import pytest

from mcp_hub.errors import Unsealable
from mcp_hub.oauth.deciding import Deciding

pytestmark = pytest.mark.promise("B16")


class Settings:
    """Settings in memory, which open what they sealed."""

    def __init__(self):
        self.values = {}

    async def kept(self, key, otherwise):
        sealed = self.values.setdefault(key, b"sealed:" + otherwise)
        if not sealed.startswith(b"sealed:"):
            raise Unsealable("changed")
        return sealed.removeprefix(b"sealed:")

    async def setting(self, key):
        return self.values.get(key)


async def test_what_was_found_is_known_to_the_next_start_as_long_as_the_url_is_the_same():
    settings = Settings()
    first = Deciding(settings, settings, {"gh": "https://a", "other": "https://b"})
    await first.recall()
    assert settings.values == {}
    await first.remember("gh")
    assert (first.signs_in("gh"), first.signs_in("other")) == (True, False)
    for url, known in (("https://a", True), ("https://changed", False)):
        again = Deciding(settings, settings, {"gh": url})
        await again.recall()
        assert again.signs_in("gh") is known


async def test_what_the_hub_did_not_write_decides_nothing():
    settings = Settings()
    await Deciding(settings, settings, {"gh": "https://a"}).remember("gh")
    settings.values = dict.fromkeys(settings.values, b"plain")
    with pytest.raises(Unsealable):
        await Deciding(settings, settings, {"gh": "https://a"}).recall()
