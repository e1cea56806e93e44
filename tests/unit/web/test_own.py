"""What the pages about somebody's own connections are put together from."""

import pytest

from mcp_hub.config.model import ApiKey, OwnHeader, Upstream
from mcp_hub.principal import LOCAL
from mcp_hub.secret import Secret
from mcp_hub.web.cards import Declared
from mcp_hub.web.own import NoConnections, declared

pytestmark = pytest.mark.promise("E37")


@pytest.mark.promise("T31")
def test_pages_are_told_where_an_upstream_is_and_nothing_secret():
    upstreams = [
        Upstream("docs", "https://me:s3cret@docs.example.com:8443/?s3cret", "Docs", auth=ApiKey(Secret("s3cret"))),
        Upstream("billing", "https://billing.example.com/mcp", auth=OwnHeader("Authorization", "brought", "x-token")),
        Upstream("clock", None, command=(Secret("clock"), Secret("s3cret"))),
        Upstream("later", None),
    ]
    urls = {each.name: each.url or "" for each in upstreams}
    found = declared(upstreams, {"later": "Server URL not set"}, urls)
    assert found == (
        Declared("docs", "Docs", "docs.example.com:8443"),
        Declared("billing", "billing", "billing.example.com", header="x-token"),
        Declared("clock", "clock", "a program on the hub's computer"),
        Declared("later", "later", "", absent="Server URL not set"),
    )
    assert "s3cret" not in str(found)


async def test_where_nobody_has_a_connection_there_is_nothing_to_begin_or_end():
    none = NoConnections({"docs": "shared"})
    assert none.sign_in("docs") == "shared"
    assert await none.shown(LOCAL) == []
    for begun in (
        none.one(LOCAL, "docs"),
        none.prospect(LOCAL, "docs"),
        none.disconnect(LOCAL, "docs"),
        none.begin(LOCAL, "docs", b""),
        none.finish("docs", [], LOCAL, b""),
        none.paste(LOCAL, "docs", Secret("k")),
    ):
        with pytest.raises(KeyError):
            await begun
