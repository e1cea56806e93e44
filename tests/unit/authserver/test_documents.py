"""Clients with a document of their own: which URLs are ones, what is fetched, believed and remembered."""

import asyncio
import json
from contextlib import nullcontext
from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_hub.authserver.clients import ClientKind, NoDocument
from mcp_hub.authserver.documents import LONGEST, MOST_KEPT, SHORTEST, PublishedDocuments, host_of, lifetime
from mcp_hub.egress.fetch import Document
from mcp_hub.identity.limits import DEFAULTS, Limit, Limits
from rig.authorizing import DOCUMENT, Clock, Table

pytestmark = pytest.mark.promise("C24")
KEY = {
    "kty": "EC",
    "crv": "P-256",
    "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
    "y": "x_FEzRu9m36HLN_tue659LNpXW6p",
}


def documents(table: Table, clock: Clock | None = None, hosts=None, rules=None) -> PublishedDocuments:
    clock = clock or Clock()
    generous = {Limit.DOCUMENT_HOST: "100000 per minute", Limit.DOCUMENTS: "100000 per minute"}
    return PublishedDocuments(table, Limits({**DEFAULTS, **(rules or generous)}, now=clock), hosts, clock)


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://claude.ai/oauth/claude-code-client-metadata", "claude.ai"),
        ("https://app.example:8443/c.json?v=2", "app.example:8443"),
        ("https://app.example/a.b/..c/%2f", "app.example"),
    ],
)
def test_an_https_url_with_a_path_may_be_that_of_a_document(url, host):
    assert host_of(url) == host


@pytest.mark.promise("T3", "T6")
@pytest.mark.parametrize(
    "url",
    [
        "http://app.example/c.json",
        "HTTPS://app.example/c.json",
        "https://app.example",
        "https://app.example/",
        "https://app.example/?x=/c.json",
        "https://app.example/c.json#x",
        "https://ada@app.example/c.json",
        "https://ada:pw@app.example/c.json",
        "https://app.example/a/../c.json",
        "https://app.example/./c.json",
        "https://app.example/a/%2e%2E/c.json",
        "https://app.example/a/.%2e/c.json",
        "https://app.example/a%2f..%2fc.json",
        "https://app.example\\@evil.example/c.json",
        "https://app.example/c\\d.json",
        "https://app.example/c d.json",
        "https://app.example/c\n.json",
        "https://app.example/c\x00.json",
        "https://app.example/\u00e4.json",
        "https://\uff41pp.example/c.json",
        "https://app.example%2f.evil.example/c.json",
        "https://[::1/c.json",
        "https://app.example:99999/c.json",
        "https://app.example:0/c.json",
        "https:///c.json",
        "https:app.example/c.json",
        "//app.example/c.json",
        "trusted",
        "",
        "https://app.example/" + "a" * 2048,
    ],
)
async def test_anything_else_is_not_even_asked_for(url):
    table = Table()
    table.publish(url)
    published = documents(table)
    assert not published.may_be(url)
    with pytest.raises(NoDocument):
        await published.client(url)
    assert table.asked == []


@given(st.text())
def test_any_text_gets_an_answer(text):
    assert host_of(text) is None or text.startswith("https://")


async def test_a_document_makes_a_client_and_is_fetched_once_while_it_is_fresh():
    table, clock = Table(), Clock()
    table.publish(headers={"cache-control": "public, max-age=1000"})
    published = documents(table, clock)
    assert published.known(DOCUMENT) is None
    client = await published.client(DOCUMENT)
    assert (client.id, client.kind, client.name, client.host) == (
        DOCUMENT,
        ClientKind.DOCUMENT,
        "Claude",
        "claude.example",
    )
    assert (client.auth_method, client.may_refresh) == ("none", True)
    assert published.known(DOCUMENT) == client
    clock.at += 999
    assert await published.client(DOCUMENT) == client
    clock.at += 1
    await published.client(DOCUMENT)
    assert len(table.asked) == 2


async def test_however_many_wait_for_a_document_it_is_fetched_once():
    class Slow(Table):
        async def get(self, url: str, **options) -> Document:
            await asyncio.sleep(0)
            return await super().get(url, **options)

    table = Slow()
    table.publish()
    published = documents(table)
    async with asyncio.timeout(5):
        clients = await asyncio.gather(*(published.client(DOCUMENT) for _ in range(50)))
    assert len(table.asked) == 1
    assert len({client.fingerprint for client in clients}) == 1


@pytest.mark.parametrize(
    "wrong",
    [
        {"client_id": None},
        {"client_id": f"{DOCUMENT}/"},
        {"client_id": DOCUMENT.upper()},
        {"client_id": 7},
        {"client_name": None},
        {"client_name": "\u202e\u200b"},
        {"client_name": ["Claude"]},
        {"redirect_uris": None},
        {"redirect_uris": []},
        {"redirect_uris": "https://claude.example/cb"},
        {"redirect_uris": [7]},
        {"redirect_uris": ["javascript:alert(1)", "http://claude.example/cb"]},
        {"client_secret": "x"},
        {"client_secret_expires_at": 0},
        {"token_endpoint_auth_method": "client_secret_basic"},
        {"token_endpoint_auth_method": "client_secret_jwt"},
        {"token_endpoint_auth_method": ["none"]},
        {"token_endpoint_auth_method": "private_key_jwt"},
        {"token_endpoint_auth_method": "private_key_jwt", "jwks_uri": "http://claude.example/keys"},
        {"token_endpoint_auth_method": "private_key_jwt", "jwks": {"keys": []}},
        {"token_endpoint_auth_method": "private_key_jwt", "jwks": {"keys": [{**KEY, "d": "secret"}]}},
        {"token_endpoint_auth_method": "private_key_jwt", "jwks": {"keys": [{"kty": "oct", "k": "x"}]}},
        {
            "token_endpoint_auth_method": "private_key_jwt",
            "jwks": {"keys": [KEY]},
            "jwks_uri": "https://claude.example/k",
        },
        {"grant_types": ["client_credentials"]},
        {"response_types": ["token"]},
        {"application_type": "toaster"},
        {"logo_uri": "javascript:alert(1)"},
    ],
)
async def test_a_document_that_is_not_as_it_has_to_be_is_refused_and_not_remembered(wrong):
    table = Table()
    table.publish(**wrong)
    published = documents(table)
    for attempt in (1, 2):
        with pytest.raises(NoDocument) as refused:
            await published.client(DOCUMENT)
        assert not refused.value.is_temporary
        assert "alert" not in refused.value.public
        assert len(table.asked) == attempt
    table.publish()
    assert (await published.client(DOCUMENT)).name == "Claude"


@pytest.mark.parametrize(
    ("body", "status", "headers"),
    [
        (b"not json", 200, {}),
        (b"[]", 200, {}),
        (b"\xff", 200, {}),
        (b"[" * 5000, 200, {}),
        (b"{}", 200, {}),
        (json.dumps({"client_id": DOCUMENT}).encode(), 200, {"content-type": "text/html"}),
        (b"{}", 404, {}),
        (b"", 302, {"location": "https://10.0.0.1/"}),
        (b"{}", 201, {}),
        (b" " * 5121, 200, {}),
    ],
)
async def test_an_answer_that_is_no_document_is_refused(body, status, headers):
    table = Table()
    table.publish_raw(body, status=status, headers=headers)
    with pytest.raises(NoDocument):
        await documents(table).client(DOCUMENT)


async def test_a_document_may_list_addresses_that_are_no_use_here_and_keys_of_either_kind():
    table = Table()
    table.publish(
        redirect_uris=["http://127.0.0.1/cb", "foo:bar", "http://claude.example/cb", "https://claude.example/cb"],
        token_endpoint_auth_method="private_key_jwt",
        jwks={"keys": [KEY]},
        headers={"content-type": "application/cimd+json; charset=utf-8"},
    )
    client = await documents(table).client(DOCUMENT)
    assert client.redirect_uris == ("http://127.0.0.1/cb", "https://claude.example/cb")
    assert (client.auth_method, client.details.jwks) == ("private_key_jwt", {"keys": [KEY]})


@pytest.mark.promise("T52")
async def test_the_fingerprint_changes_with_where_people_are_sent_and_with_the_keys():
    table, clock = Table(), Clock()
    published = documents(table, clock)
    prints = []
    for said in (
        {},
        {"client_name": "Renamed"},
        {"redirect_uris": ["https://claude.example/cb", "https://evil.example/cb"]},
        {"token_endpoint_auth_method": "private_key_jwt", "jwks": {"keys": [KEY]}},
        {"token_endpoint_auth_method": "private_key_jwt", "jwks_uri": "https://claude.example/keys"},
    ):
        table.publish(**said)
        prints.append((await published.client(DOCUMENT)).fingerprint)
        clock.at += 301
    assert prints[0] == prints[1]
    assert len(set(prints)) == 4


async def test_only_documents_of_the_named_hosts_are_taken():
    table = Table()
    published = documents(table, hosts=["Claude.example", "app.example:8443"])
    assert published.may_be(DOCUMENT)
    assert published.may_be("https://claude.example:444/c.json")
    assert published.may_be("https://app.example:8443/c.json")
    for other in ("https://app.example/c.json", "https://evil.example/c.json", "https://claude.example.evil.example/c"):
        assert not published.may_be(other)
        with pytest.raises(NoDocument):
            await published.client(other)
    assert not documents(table, hosts=[]).may_be(DOCUMENT)
    assert table.asked == []


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, SHORTEST),
        ({"cache-control": "max-age=1000"}, 1000),
        ({"cache-control": "public,max-age=1000", "age": "400"}, 600),
        ({"cache-control": 'max-age="1000"'}, 1000),
        ({"cache-control": "s-maxage=5, max-age=1000", "age": "x"}, 1000),
        ({"cache-control": "max-age=5"}, SHORTEST),
        ({"cache-control": "max-age=999999999"}, LONGEST),
        ({"cache-control": "max-age=99999999999999"}, LONGEST),
        ({"cache-control": "no-store, max-age=1000"}, SHORTEST),
        ({"cache-control": "No-Cache"}, SHORTEST),
        ({"expires": formatdate(1_001_000, usegmt=True)}, 1000),
        ({"expires": "0"}, SHORTEST),
        ({"expires": "Fri, 31 Dec 9999 23:59:59 GMT"}, LONGEST),
        ({"cache-control": "max-age=1000", "expires": "0"}, 1000),
    ],
)
def test_a_document_is_kept_as_long_as_its_server_says_within_bounds(headers, seconds):
    assert lifetime(headers, 1_000_000.0) == seconds


async def test_what_is_kept_and_how_often_is_fetched_are_bounded():
    table, clock = Table(), Clock()
    published = documents(table, clock)
    for number in range(MOST_KEPT + 10):
        await published.client(table.publish(f"{DOCUMENT}?{number}"))
    assert len(published._kept) == MOST_KEPT
    assert published.known(f"{DOCUMENT}?9") is None
    few = {Limit.DOCUMENT_HOST: "2 per minute", Limit.DOCUMENTS: "3 per minute"}
    published = documents(table, clock, rules=few)
    for host, fits in (("a", True), ("a", True), ("a", False), ("b", True), ("c", False)):
        url = table.publish(f"https://{host}.example/{len(table.asked)}")
        with nullcontext() if fits else pytest.raises(NoDocument, match="60 seconds"):
            assert (await published.client(url)).host == f"{host}.example"
    clock.at += 60
    assert (await published.client(table.publish("https://a.example/again"))).host == "a.example"
