"""How the values are read that say with which credential an upstream is called."""

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st
from pydantic_core import PydanticCustomError

from mcp_hub.config.auth_fields import (
    BroughtName,
    Chosen,
    DocumentUrl,
    OwnHeaderName,
    Parameter,
    PrivateKey,
    Resource,
    Scheme,
    SignInPage,
)
from mcp_hub.inbound.bringing import takeable
from mcp_hub.secret import Secret

pytestmark = pytest.mark.promise("E39")

DENIED = [
    *("authorization", "cookie", "set-cookie", "host", "origin", "referer", "forwarded", "via", "x-real-ip", "accept"),
    *("connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade", "expect", "last-event-id"),
]
FAMILIES = r"(x-forwarded|proxy|mcp|sec|content|accept)-[a-z]{0,9}"
READERS = [
    BroughtName(),
    Chosen(),
    DocumentUrl(),
    OwnHeaderName(),
    Parameter(),
    PrivateKey(),
    Resource(),
    Scheme(),
    SignInPage(),
]
_PKCS8 = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8)
_KEY = ec.generate_private_key(ec.SECP256R1())
PEM = _KEY.private_bytes(*_PKCS8, serialization.NoEncryption()).decode()
LOCKED = _KEY.private_bytes(*_PKCS8, serialization.BestAvailableEncryption(b"canary")).decode()
PUBLIC = (
    _KEY.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode()
)


def refusal(reader, raw):
    with pytest.raises(PydanticCustomError) as caught:
        reader._read(raw)
    said = caught.value.context or {}
    assert "canary" not in f"{caught.value!r}{said}"
    return said["sentence"]


@pytest.mark.promise("B14", "T12", "T13")
@pytest.mark.parametrize("reader", [BroughtName(), OwnHeaderName()])
@pytest.mark.parametrize(
    "name",
    [
        *("Cookie", "Host", "Content-Length", "Content-Type", "Connection", "Keep-Alive", "TE", "Trailer", "Upgrade"),
        *("Transfer-Encoding", "Proxy-Authorization", "Mcp-Session-Id", "MCP-Param-x", "Forwarded", "X-Forwarded-For"),
        *("Origin", "Referer", "Sec-Fetch-Site", "Via", "X-Real-IP", "Accept", "Expect", "Last-Event-ID"),
        *("", "X Key", "X-Key:", "X\r\nEvil", "X\0"),
    ],
)
def test_a_header_of_the_connection_is_neither_taken_from_a_caller_nor_filled_by_one(reader, name):
    assert refusal(reader, name)


@pytest.mark.promise("B14", "T13")
@pytest.mark.parametrize("name", ["Authorization", "authorization", "AUTHORIZATION"])
def test_what_the_caller_signs_in_with_is_never_passed_on(name):
    assert "never leaves it" in refusal(BroughtName(), name)
    assert OwnHeaderName().read(name) == name


@pytest.mark.promise("B14", "T12", "T13")
@given(
    st.one_of(
        st.sampled_from(DENIED), st.from_regex(r"(x-forwarded|proxy|mcp|sec|content|accept)-[a-z]{0,9}", fullmatch=True)
    )
)
def test_what_is_never_taken_from_a_request_is_refused_where_it_is_configured(name):
    assert takeable([name]) == frozenset()
    assert refusal(BroughtName(), name.title())


@pytest.mark.promise("B14")
@given(st.from_regex(r"[a-z][a-z0-9-]{0,20}", fullmatch=True))
def test_what_may_be_configured_is_taken_from_requests(name):
    try:
        configured = BroughtName()._read(name)
    except PydanticCustomError:
        return
    assert takeable([configured]) == {configured}


@pytest.mark.promise("B14")
def test_a_brought_header_is_known_in_lower_case():
    assert BroughtName().read("X-Billing-Token") == "x-billing-token"


def test_a_scheme_is_one_word():
    assert Scheme().read("Bearer") == "Bearer"
    for raw in ("", "Bearer ", "a b", "a\r\nb", "ä"):
        assert refusal(Scheme(), raw).startswith("must be one word")


def test_what_is_not_chosen_is_left_out():
    assert Chosen().read("true") is True
    assert refusal(Chosen(), "false") == "must be true, or left out"


@pytest.mark.promise("B17")
@pytest.mark.parametrize(
    "name",
    [
        *("client_id", "redirect_uri", "state", "code_challenge", "code_challenge_method", "scope", "resource"),
        *("response_type", "response_mode", "Client_ID", "request", "request_uri", "client_secret", "iss"),
    ],
)
def test_a_parameter_of_the_protocol_is_the_hubs_to_send(name):
    assert "belongs to the protocol" in refusal(Parameter(), name)


@pytest.mark.promise("B17")
def test_so_it_is_in_the_address_on_which_users_sign_in():
    good = "https://id.example.com/authorize?tenant=t1&prompt=login"
    assert SignInPage().read(good) == good
    for query in ("state=canary", "a=b&Redirect_URI=canary", "scope", "%73tate=canary"):
        assert "belongs to the protocol" in refusal(SignInPage(), f"https://id.example.com/authorize?{query}")
    assert refusal(SignInPage(), "id.example.com") == "must be a URL such as https://id.example.com/authorize"


def test_a_further_parameter_is_taken():
    assert [Parameter().read(each) for each in ("prompt", "access_type", "audience")]
    assert refusal(Parameter(), "a&b").startswith("must be 1 to 64")


def test_a_resource_is_an_absolute_uri_or_nothing_at_all():
    assert Resource().read("false") == ""
    assert Resource().read("https://docs.example.com/mcp?x=1") == "https://docs.example.com/mcp?x=1"
    assert Resource().read("api://0af1/mcp") == "api://0af1/mcp"
    for raw in ("", "docs", "/mcp", "https://a.example/#x", "https://a.example/ b", "true"):
        assert refusal(Resource(), raw).startswith("must be an absolute URI")


def test_a_document_is_published_at_an_https_address_with_a_path():
    assert DocumentUrl().read("https://hub.example.com/client.json") == "https://hub.example.com/client.json"
    for raw in (
        "http://hub.example.com/client.json",
        "https://hub.example.com/",
        "https://hub.example.com",
        "https://hub.example.com/a/../b",
        "https://hub.example.com/%2e%2E/b",
        "https://u:canary@hub.example.com/b",
        "https://hub.example.com/b#c",
        "https://hub.example.com/b?c",
        "b",
    ):
        assert refusal(DocumentUrl(), raw)


@pytest.mark.promise("B21")
def test_a_private_key_is_a_secret_from_the_start():
    read = PrivateKey().read(PEM)
    assert read == Secret(PEM)
    assert "PRIVATE" not in repr(read)


@pytest.mark.promise("B21")
def test_a_private_key_may_stand_in_a_file(tmp_path):
    path = tmp_path / "key.pem"
    path.write_text(PEM)
    assert PrivateKey().read(f"file:{path}") == Secret(PEM)


@pytest.mark.parametrize(
    ("raw", "sentence"),
    [
        ("canary", "must be a private key in PEM, or file:PATH"),
        (PUBLIC, "this is no private key"),
        (LOCKED, "this key is locked with a passphrase, which nobody is there to enter"),
        ("file:", "names no file"),
        ("file:a\nb", "names no file"),
        ("file:/nowhere/canary.pem", "there is no such file"),
    ],
)
def test_what_is_no_key_is_refused_without_being_repeated(raw, sentence):
    assert refusal(PrivateKey(), raw) == sentence


def test_a_file_that_holds_no_key_is_refused(tmp_path):
    path = tmp_path / "key.pem"
    path.write_bytes(b"\xff\xfecanary")
    assert refusal(PrivateKey(), f"file:{path}") == "the file that is named here holds no key in PEM"
    assert refusal(PrivateKey(), f"file:{tmp_path}") == "the file that is named here could not be read"


@pytest.mark.parametrize("reader", READERS, ids=lambda reader: type(reader).__name__)
def test_every_reader_says_what_it_takes(reader):
    assert reader.words
    assert reader.schema()
    assert refusal(reader, None).startswith("has no value")
