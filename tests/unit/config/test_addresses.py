"""How URLs, hosts and ranges are read."""

from contextlib import suppress
from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic_core import PydanticCustomError

from mcp_hub.config.addresses import Address, Bind, Host, KeySource, Range, StoreUrl, split_url

pytestmark = pytest.mark.promise("E39")

ALL = [Address(), Address(query=False), Bind(), Host(), KeySource(), Range(), StoreUrl()]


def refusal(reader, raw):
    with pytest.raises(PydanticCustomError) as caught:
        reader._read(raw)
    context = caught.value.context or {}
    return context["sentence"], context["hint"]


@pytest.mark.parametrize(
    "raw",
    [
        "https://docs.example.com/mcp",
        "http://10.20.0.1:3000/mcp?x=1",
        "HTTPS://Docs.Example.com",
        "https://[2001:db8::1]:443/mcp",
        "https://example.com/a%20b/~c;d=e,f",
    ],
)
def test_a_url_is_kept_as_it_is_written(raw):
    assert Address().read(raw) == raw


def test_an_empty_url_is_one_nobody_has_set():
    assert Address().read("") is None


@pytest.mark.promise("D28")
@pytest.mark.parametrize(
    ("raw", "sentence"),
    [
        ("ftp://example.com/", "must be a URL"),
        ("javascript:alert(1)", "must be a URL"),
        ("file:///etc/passwd", "must be a URL"),
        ("example.com/mcp", "must be a URL"),
        ("https://", "must be a URL"),
        ("https:///mcp", "must be a URL"),
        ("https://exa mple.com/", "must be a URL"),
        ("https://example.com\\@evil.example/", "must be a URL"),
        ("https://example.com/\r\nX: y", "must be a URL"),
        ("https://127。0。0。1/", "must be a URL"),
        ("https://example.com:99999/", "must be a URL"),
        ("https://canary@example.com/", "holds a user name or password"),
        ("https://me:canary@example.com/", "holds a user name or password"),
        ("https://example.com/#canary", "ends in a fragment"),
    ],
)
def test_another_kind_of_url_is_refused_without_being_repeated(raw, sentence):
    said, hint = refusal(Address(), raw)
    assert said.startswith(sentence)
    assert "canary" not in said + hint


def test_a_public_url_has_no_query():
    assert refusal(Address(query=False), "https://a.example/?x")[0] == "must not hold a query (?…)"


@pytest.mark.promise("D28", "T6")
@pytest.mark.parametrize("host", ["2130706433", "0x7f000001", "0177.0.0.1", "127.1", "0x7f.1", "127.0.0.1"])
def test_another_spelling_of_an_address_is_seen_for_what_it_is(host):
    url = split_url(f"http://{host}/mcp")
    assert url is not None
    assert url.host == "127.0.0.1"


@pytest.mark.parametrize(
    ("raw", "value"),
    [("10.20.0.0/16", "10.20.0.0/16"), ("10.1.2.3", "10.1.2.3/32"), ("fd00::/8", "fd00::/8"), ("::1", "::1/128")],
)
def test_a_range_is_read(raw, value):
    assert Range().read(raw) == ip_network(value)


@pytest.mark.parametrize(
    ("raw", "hint"),
    [("10.20.0.1/16", "did you mean 10.20.0.0/16?"), ("fd00::1/8", "did you mean fd00::/8?")],
)
def test_an_address_with_a_length_is_asked_about(raw, hint):
    assert refusal(Range(), raw) == ("an address inside a range is not the range", hint)


@pytest.mark.parametrize("raw", ["10.0.0.0/33", "localhost", "10.0.0.0/", "", "10.0.0.0/255.0.255.0", "0x7f000001"])
def test_what_is_no_range_is_refused(raw):
    assert refusal(Range(), raw)[0].startswith("must be a range")


@pytest.mark.parametrize("raw", ["hub.example.com", "hub.example.com:8443", "10.1.2.3", "[::1]:80"])
def test_a_host_is_read(raw):
    assert Host().read(raw) == raw


@pytest.mark.parametrize("raw", ["https://hub.example.com", "a/b", "a b", "", "a:b", "*"])
def test_what_is_no_host_is_refused(raw):
    assert refusal(Host(), raw)[0].startswith("must be a host name or address")


@pytest.mark.parametrize(("raw", "value"), [("127.0.0.1", "127.0.0.1"), ("localhost", "localhost"), ("::1", "::1")])
def test_an_address_to_listen_on_is_read(raw, value):
    assert Bind().read(raw) == value


@pytest.mark.parametrize("raw", ["", "*", "example.com", "127.1", "[::1]"])
def test_what_cannot_be_listened_on_is_refused(raw):
    assert refusal(Bind(), raw)[0] == "must be an IP address or localhost"


def test_the_store_is_a_file():
    assert StoreUrl().read("sqlite:///hub.db") == "sqlite:///hub.db"
    assert refusal(StoreUrl(), "postgresql://u:canary@h/d")[0] == "PostgreSQL is not supported yet"
    for raw in ("hub.db", "sqlite://hub.db", "sqlite:///", "sqlite:///a\0b"):
        assert refusal(StoreUrl(), raw)[0] == "must be sqlite:///PATH"


@pytest.mark.parametrize("raw", ["auto", "env", "keyring", "file:/run/key", "file:key"])
def test_where_the_master_key_comes_from_is_read(raw):
    assert KeySource().read(raw) == raw


@pytest.mark.promise("D29")
@pytest.mark.parametrize("raw", ["", "file:", "Auto", "/run/key", "file:a\0b", "c2VjcmV0LWNhbmFyeQ=="])
def test_a_master_key_in_the_configuration_is_refused_and_not_repeated(raw):
    message, hint = refusal(KeySource(), raw)
    assert message == "must be auto, env, keyring or file:PATH"
    assert "mcp-hub key generate" in hint
    assert len(raw) < 10 or raw not in message + hint


@given(st.text())
def test_any_text_is_read_or_refused(text):
    for reader in ALL:
        with suppress(PydanticCustomError):
            reader._read(text)


@given(st.from_regex(r"https?://[!-~]{1,40}", fullmatch=True))
def test_what_looks_like_a_url_is_read_or_refused(raw):
    with suppress(PydanticCustomError):
        assert Address()._read(raw) == raw


def test_every_reader_describes_itself_for_an_editor():
    assert all(reader.schema() and reader.words for reader in ALL)


@pytest.mark.promise("D28")
@pytest.mark.parametrize(
    "url",
    ["http://a..b/mcp", "https://a:0/", "https://a%41/", "https://a*b/", "https://a b/", "http://%31%32%37.0.0.1/"],
)
def test_a_url_that_no_connection_could_use_is_a_problem_before_it_is_used(url):
    with pytest.raises(PydanticCustomError):
        Address().read(url)
