import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_hub.wire.origin import Origin

pytestmark = pytest.mark.promise("D28")


@pytest.mark.parametrize(
    ("url", "text", "authority"),
    [
        ("https://Example.COM/mcp?x=1", "https://example.com", b"example.com"),
        ("https://example.com:443", "https://example.com", b"example.com"),
        ("http://example.com:80/", "http://example.com", b"example.com"),
        ("http://example.com:8080/", "http://example.com:8080", b"example.com:8080"),
        ("https://my_host-1.local:8443/a", "https://my_host-1.local:8443", b"my_host-1.local:8443"),
        ("http://[::1]:9/", "http://[::1]:9", b"[::1]:9"),
        ("https://[2001:DB8:0:0::1]/", "https://[2001:db8::1]", b"[2001:db8::1]"),
        ("https://bücher.example/", "https://xn--bcher-kva.example", b"xn--bcher-kva.example"),
        ("https://127。0。0。1/", "https://127.0.0.1", b"127.0.0.1"),
        ("http://localhost.:1/", "http://localhost.:1", b"localhost.:1"),
        ("https://example.com:/x", "https://example.com", b"example.com"),
    ],
)
def test_an_origin_is_read_from_a_url(url, text, authority):
    origin = Origin.from_url(url)
    assert str(origin) == text
    assert origin.authority == authority


@pytest.mark.promise("T4", "T6")
@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("", "http:// or https://"),
        ("example.com", "http:// or https://"),
        ("//example.com", "http:// or https://"),
        ("ftp://example.com", "http:// or https://"),
        ("file:///etc/passwd", "http:// or https://"),
        ("gopher://example.com", "http:// or https://"),
        ("javascript:alert(1)", "http:// or https://"),
        ("https://", "no host"),
        ("https:///path", "no host"),
        ("https://:443/", "no host"),
        ("https://user:hunter2@example.com/", "user name or password"),
        ("https://example.com@evil.example/", "user name or password"),
        ("https://@evil.example/", "user name or password"),
        ("https://example.com/#part", "fragment"),
        ("https://example.com/#", "fragment"),
        ("https://good.example\\@evil.example/", "backslash"),
        ("https://exa mple.com/", "space"),
        ("https://example.com/\r\nHost: evil", "control character"),
        ("https://exa\tmple.com", "control character"),
        ("https://exa\x00mple.com", "control character"),
        ("https://example.com:99999/", "cannot be read"),
        ("https://example.com:0/", "between 1 and 65535"),
        ("https://example.com:http/", "cannot be read"),
        ("https://example.com:-1/", "cannot be read"),
        ("https://[::1/", "cannot be read"),
        ("https://[fe80::1%25eth0]/", "IPv6"),
        ("https://a:b:c/", "cannot be read"),
        ("https://exa%6dple.com/", "no host name has"),
        ("https://a..b/", "no host name has"),
        ("https://.a/", "no host name has"),
        ("https://" + "a." * 130 + "b/", "no host name has"),
        ("https://a\uff0fb.example/", "host"),
        ("https://ⓖ\u200d.example/", "internationalised"),
    ],
)
def test_a_url_that_cannot_be_used_is_refused_with_the_reason(url, reason):
    with pytest.raises(ValueError, match=reason) as caught:
        Origin.from_url(url)
    assert "hunter2" not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.promise("T11")
@pytest.mark.parametrize("host", ["a\r\nX-Evil: 1", "a b", "a/b", "", "EXAMPLE.com", "::1\r\n", "fe80::1%1", "a@b"])
def test_no_origin_can_be_made_that_would_break_out_of_a_host_header(host):
    with pytest.raises(ValueError, match="host"):
        Origin("https", host, 443)


@given(st.text(max_size=30))
def test_any_text_gives_an_origin_or_a_plain_sentence(text):
    try:
        origin = Origin.from_url(f"https://{text}")
    except ValueError as error:
        sentence = str(error)
    else:
        sentence = "fine"
        assert origin.authority.isascii()
        assert not set(origin.authority) & set(b"\r\n\0 /@#?")
    assert sentence.startswith(("the ", "a ", "fine"))


def test_only_http_and_https_have_origins():
    with pytest.raises(ValueError, match="http:// or https://"):
        Origin("ftp", "example.com", 21)


def test_a_certificate_carries_the_name_without_the_final_dot():
    assert Origin("https", "example.com.", 443).server_name == "example.com"


def test_equal_origins_share_a_pool():
    assert {Origin.from_url("https://a.example"), Origin.from_url("https://A.example:443/x")} == {
        Origin("https", "a.example", 443)
    }
