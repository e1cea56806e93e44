"""What is decoded of a message, and what is remembered of a client between two."""

import pytest

from mcp_hub.inbound.incoming import LONGEST_KEPT, look_into
from mcp_hub.inbound.modern import climb
from mcp_hub.wire.eras import LATEST_MODERN, META_CLIENT_CAPABILITIES, META_CLIENT_INFO, META_VERSION
from mcp_hub.wire.jsonrpc import Fields, encode, parse

pytestmark = pytest.mark.promise("A1")


def incoming(name: str, **more: object):
    meta = {META_VERSION: LATEST_MODERN, META_CLIENT_CAPABILITIES: {}, META_CLIENT_INFO: {"name": name}, **more}
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {"_meta": meta}}
    return look_into(parse(encode(body)))


def plain(meta: Fields | None) -> dict[str, bytes]:
    return {key: bytes(raw) for key, raw in (meta or {}).items()}


@pytest.mark.promise("S1")
def test_what_a_client_says_again_is_not_decoded_again():
    one, again = incoming("ada"), incoming("ada")
    assert one.meta is again.meta
    assert climb(None, "tools/list", one) is climb(None, "tools/list", again)


@pytest.mark.promise("T18")
def test_a_client_that_says_anything_else_is_another_client():
    seen = [incoming("ada"), incoming("adb"), incoming("ada", progressToken=1), incoming("ada", progressToken=2)]
    assert len({str(plain(each.meta)) for each in seen}) == 4
    infos = [climb(None, "tools/list", each).info for each in seen]
    assert [bytes(info or b"") for info in infos] == [
        b'{"name":"%b"}' % name for name in (b"ada", b"adb", b"ada", b"ada")
    ]


@pytest.mark.promise("T23")
def test_what_is_long_is_decoded_and_forgotten():
    one, again = incoming("a" * LONGEST_KEPT), incoming("a" * LONGEST_KEPT)
    assert one.meta == again.meta
    assert one.meta is not again.meta


@pytest.mark.parametrize("meta", [b"[]", b"null", b"1"])
def test_a_meta_that_is_no_object_counts_as_none(meta):
    body = b'{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"_meta":%b}}' % meta
    assert look_into(parse(body)).meta is None
