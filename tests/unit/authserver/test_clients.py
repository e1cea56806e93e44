"""Which client an id means, and what is known of it."""

from dataclasses import replace

import pytest

from mcp_hub.authserver.clients import (
    IDLE_FOR,
    UNUSED_FOR,
    Client,
    ClientKind,
    Clients,
    Details,
    NoDocument,
    registered_client,
    stored_details,
)
from mcp_hub.authserver.documents import PublishedDocuments
from mcp_hub.config.model import Client as ConfiguredClient
from mcp_hub.identity.limits import Limits
from mcp_hub.identity.tokens import digest
from mcp_hub.secret import Secret
from mcp_hub.store.grants import RegisteredClient
from mcp_hub.store.sqlite import SqliteStore
from rig.authorizing import DOCUMENT, Clock, Table

pytestmark = pytest.mark.promise("C24")
DETAILS = Details("A client \u00e4", ("http://127.0.0.1/cb", "https://a.example/cb"), jwks={"keys": [{"kty": "EC"}]})


@pytest.fixture
async def world():
    store, table, clock = SqliteStore.open(":memory:"), Table(), Clock()
    documents = PublishedDocuments(table, Limits(now=clock), None, clock)
    declared = {
        "public": ConfiguredClient("public", ("https://a.example/cb",)),
        "secret": ConfiguredClient("secret", ("https://a.example/cb",), "Titled", Secret("s")),
        "signing": ConfiguredClient("signing", ("https://a.example/cb",), jwks_url="https://a.example/keys"),
        DOCUMENT: ConfiguredClient(DOCUMENT, ("https://a.example/cb",), "By its address"),
    }
    yield Clients(declared, store, documents, clock), store, table, clock
    await store.aclose()


async def test_a_configured_client_is_found_with_how_it_proves_itself(world):
    clients, _, table, _ = world
    found = [await clients.find(name, may_fetch=True) for name in ("public", "secret", "signing", DOCUMENT)]
    assert [each.auth_method for each in found] == ["none", "client_secret_basic", "private_key_jwt", "none"]
    assert [each.name for each in found] == ["public", "Titled", "signing", "By its address"]
    assert found[1].secret == digest("s")
    assert all(each.kind is ClientKind.CONFIGURED and each.may_refresh for each in found)
    assert not clients.is_document(DOCUMENT)
    assert table.asked == []


async def test_a_registered_client_is_found_until_it_expires_and_use_puts_that_off(world):
    clients, store, _, clock = world
    row = RegisteredClient("c", "default", b"s" * 32, stored_details(DETAILS), clock(), None, clock() + UNUSED_FOR)
    await store.add_client(row, most=10)
    found = await clients.find("c", may_fetch=False)
    assert found == Client("c", ClientKind.REGISTERED, DETAILS, secret=b"s" * 32)
    await clients.used(found)
    clock.at += IDLE_FOR - 1
    assert await clients.find("c", may_fetch=False) == found
    clock.at += 1
    assert await clients.find("c", may_fetch=True) is None
    assert await clients.find("nobody", may_fetch=True) is None


@pytest.mark.promise("T3")
async def test_a_document_is_fetched_only_if_the_caller_says_so(world):
    clients, _, table, clock = world
    url = table.publish("https://claude.example/other.json")
    assert clients.is_document(url)
    assert await clients.find(url, may_fetch=False) is None
    assert table.asked == []
    found = await clients.find(url, may_fetch=True)
    assert await clients.find(url, may_fetch=False) == found
    await clients.used(found)
    clock.at += 301
    del table.documents[url]
    assert await clients.find(url, may_fetch=False) is None
    with pytest.raises(NoDocument):
        await clients.find(url, may_fetch=True)


def test_what_is_stored_of_a_client_is_what_comes_back():
    row = RegisteredClient("c", "default", None, stored_details(DETAILS), 0.0, None, 1.0)
    assert registered_client(row).details == DETAILS


@pytest.mark.parametrize(
    ("change", "same"),
    [
        ({"name": "Other"}, True),
        ({"grant_types": ("authorization_code",)}, True),
        ({"redirect_uris": ("http://127.0.0.1/cb",)}, False),
        ({"redirect_uris": ("https://a.example/cb", "http://127.0.0.1/cb")}, False),
        ({"auth_method": "private_key_jwt"}, False),
        ({"jwks": None}, False),
        ({"jwks": None, "jwks_url": "https://a.example/keys"}, False),
    ],
)
def test_the_fingerprint_is_of_where_people_are_sent_and_how_the_client_proves_itself(change, same):
    before = Client("c", ClientKind.DOCUMENT, DETAILS)
    after = Client("c", ClientKind.DOCUMENT, replace(DETAILS, **change))
    assert (before.fingerprint == after.fingerprint) is same


def test_a_client_without_a_name_is_called_by_its_id():
    assert Client("c", ClientKind.REGISTERED, replace(DETAILS, name="")).name == "c"
