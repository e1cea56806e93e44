import json

import pytest

from mcp_hub.identity.signatures import ASYMMETRIC, MOST_KEYS, Expected, TokenRefused, read_keys, verify_inline
from rig.signing import b64, confused, jwks, key_pair, sign, unsigned

pytestmark = pytest.mark.promise("T56")

NOW = 1_000_000.0
ISSUER = "https://idp.example"
HUB = "https://hub.example/mcp"
EXPECTED = Expected(ISSUER, frozenset({HUB}))
CLAIMS = {"iss": ISSUER, "aud": HUB, "sub": "alice", "exp": NOW + 300, "iat": NOW}
KEY, OTHER, RSA = key_pair("k"), key_pair("other"), key_pair("r", "RSA", 2048)


def check(token, keys=None, expected=EXPECTED, now=NOW):
    return verify_inline(token, jwks(KEY, RSA) if keys is None else keys, expected, now)


@pytest.mark.parametrize(
    ("key", "alg"),
    [
        (KEY, "ES256"),
        (RSA, "RS256"),
        (RSA, "PS512"),
        (key_pair("e", "EC", "P-521"), "ES512"),
        (key_pair("o", "OKP", "Ed25519"), "EdDSA"),
        (key_pair("o", "OKP", "Ed25519"), "Ed25519"),
    ],
)
def test_a_token_that_an_expected_key_signed_is_taken(key, alg):
    assert check(sign(CLAIMS, key, alg), jwks(KEY, key)) == CLAIMS
    assert check(sign(CLAIMS, key, alg, kid=None), jwks(KEY, key)) == CLAIMS


def test_what_a_header_adds_is_ignored_even_if_it_is_long():
    assert check(sign(CLAIMS, KEY, nonce="n", x5c=["A" * 3000], jku="https://evil.example/keys")) == CLAIMS


def test_a_set_with_keys_that_nobody_here_understands_serves_the_others():
    keys = {"keys": [{"kty": "AKP", "alg": "ML-DSA-44"}, "no", {"kty": "RSA"}, {**jwks(KEY)["keys"][0], "kid": None}]}
    assert check(sign(CLAIMS, KEY), keys) == CLAIMS


def embedded(**more):
    return sign(CLAIMS, OTHER, jwk=OTHER.as_dict(private=False), **more)


FORGED = {
    "nobody signed it": unsigned(CLAIMS),
    "nobody signed it, in capitals": unsigned(CLAIMS, "None"),
    "nobody signed it, and it has a signature": unsigned(CLAIMS) + "AAAA",
    "hmac with the public key": confused(CLAIMS, RSA),
    "hmac with the public key, under no name": confused(CLAIMS, RSA, kid=None),
    "another key under the name of ours": sign(CLAIMS, OTHER, kid="k"),
    "another key under its own name": sign(CLAIMS, OTHER),
    "another key under no name": sign(CLAIMS, OTHER, kid=None),
    "a key that it brings along": embedded(),
    "a key that it brings along under the name of ours": embedded(kid="k"),
    "a key at an address of its own": sign(CLAIMS, OTHER, jku="https://evil.example/jwks", x5u="https://evil.example"),
    "a name that is a path": sign(CLAIMS, OTHER, kid="../../../../dev/null"),
    "a name that is a statement": sign(CLAIMS, OTHER, kid="k' OR '1'='1"),
    "an algorithm for another key": sign(CLAIMS, KEY).replace(b64({"alg": "ES256", "kid": "k"}), b64({"alg": "RS256"})),
    "an extension that must be understood": sign(CLAIMS, KEY, crit=["exp"], exp=1),
    "an unencoded payload": sign(CLAIMS, KEY, b64=True),
    "another payload": ".".join([sign(CLAIMS, KEY).split(".")[0], b64({**CLAIMS, "sub": "bob"}), "AAAA"]),
    "no signature": sign(CLAIMS, KEY).rsplit(".", 1)[0] + ".",
    "a cut signature": sign(CLAIMS, KEY)[:-4],
    "four parts": sign(CLAIMS, KEY) + ".AAAA",
    "an encrypted token": "e30.e30.e30.e30.e30",
    "a header that is a list": f"{b64(b'[]')}.{b64(CLAIMS)}.AAAA",
    "a header that nests deeply": f"{b64(b'[' * 6000)}.{b64(CLAIMS)}.AAAA",
    "a name that is an object": f"{b64({'alg': 'ES256', 'kid': {}})}.{b64(CLAIMS)}.AAAA",
    "an algorithm that is a list": f"{b64({'alg': ['ES256']})}.{b64(CLAIMS)}.AAAA",
    "half a surrogate pair": f"{b64(CLAIMS)}.{b64(CLAIMS)}.\ud800",
    "too long": sign({**CLAIMS, "more": "a" * 20_000}, KEY),
    "nothing": "",
    "dots": "..",
}


@pytest.mark.parametrize("token", FORGED.values(), ids=FORGED)
def test_a_forged_token_is_refused(token):
    with pytest.raises(TokenRefused) as refused:
        check(token)
    assert "alice" not in str(refused.value)


def test_a_payload_that_is_no_object_is_refused_though_it_is_signed():
    for text in (b"[]", b"[" * 3000, b"1", b'{"exp": NaN}', b"\xff"):
        with pytest.raises(TokenRefused):
            check(sign(text, KEY))


@pytest.mark.promise("T56")
def test_a_symmetric_key_in_a_set_is_not_taken():
    keys = {"keys": [{"kty": "oct", "k": b64(b"secret" * 8), "kid": "k"}, *jwks(RSA)["keys"]]}
    assert [key.kid for key in read_keys(keys).all] == ["r"]
    with pytest.raises(TokenRefused):
        check(sign(CLAIMS, KEY), keys)


def test_a_key_for_encryption_signs_nothing():
    assert read_keys({"keys": [{**each, "use": "enc"} for each in jwks(KEY, RSA)["keys"]]}).all == ()


def test_rsa_keys_that_are_too_short_or_too_long_are_not_taken():
    short, long = {"kty": "RSA", "n": b64(b"\xc1" * 128), "e": "AQAB"}, {"kty": "RSA", "n": b64(b"\xc1" * 2048)}
    odd = {"kty": "RSA", "n": b64(b"\xc1" * 256), "e": b64(b"\xff" * 200)}
    assert read_keys({"keys": [short, {**long, "e": "AQAB"}, odd]}).all == ()


def test_no_more_keys_are_read_than_a_signer_has():
    one = jwks(KEY)["keys"][0]
    assert len(read_keys({"keys": [one] * 1000}).all) == MOST_KEYS


@pytest.mark.parametrize("document", [None, [], {}, {"keys": {}}, "keys", 1])
def test_what_is_no_key_set_proves_nothing(document):
    with pytest.raises(TokenRefused):
        verify_inline(sign(CLAIMS, KEY), document, EXPECTED, NOW)


def test_an_algorithm_that_was_not_expected_is_refused():
    expected = Expected(ISSUER, frozenset({HUB}), algorithms=("RS256", "HS256", "none"))
    for token in (sign(CLAIMS, KEY), confused(CLAIMS, RSA), unsigned(CLAIMS)):
        with pytest.raises(TokenRefused):
            check(token, expected=expected)
    assert not {"HS256", "none"} & set(ASYMMETRIC)


@pytest.mark.promise("T14")
@pytest.mark.parametrize("missing", ["exp", "iss", "aud", "sub"])
@pytest.mark.parametrize("value", ["absent", None, ""])
def test_what_a_token_must_say_is_never_optional(missing, value):
    claims = {name: each for name, each in {**CLAIMS, missing: value}.items() if each != "absent"}
    with pytest.raises(TokenRefused):
        check(sign(claims, KEY))


@pytest.mark.promise("T14")
@pytest.mark.parametrize(
    "audience",
    [
        "https://hub.example/sse",
        "https://hub.example/mcp/",
        "https://HUB.example/mcp",
        "https://hub.example",
        [HUB, "https://other.example"],
        ["https://other.example"],
        [HUB, None],
        [HUB, {"a": 1}],
        {HUB: 1},
        [[HUB]],
        7,
        True,
    ],
)
def test_a_token_for_somebody_else_is_refused_even_if_it_is_also_for_us(audience):
    with pytest.raises(TokenRefused):
        check(sign({**CLAIMS, "aud": audience}, KEY))


def test_an_audience_of_one_may_be_a_list():
    assert check(sign({**CLAIMS, "aud": [HUB]}, KEY))["sub"] == "alice"


@pytest.mark.promise("T44")
@pytest.mark.parametrize(
    "issuer", ["https://idp.example/", "https://IDP.example", "https://idp.example:443", 5, [ISSUER]]
)
def test_the_issuer_is_the_identical_text(issuer):
    with pytest.raises(TokenRefused):
        check(sign({**CLAIMS, "iss": issuer}, KEY))


@pytest.mark.promise("T55")
@pytest.mark.parametrize(
    ("claims", "is_taken"),
    [
        ({"exp": NOW - 50}, True),
        ({"exp": NOW - 120}, False),
        ({"nbf": NOW + 50}, True),
        ({"nbf": NOW + 120}, False),
        ({"iat": NOW + 50}, True),
        ({"iat": NOW + 120}, False),
        ({"exp": 10**30}, True),
        ({"exp": -1}, False),
        ({"exp": str(int(NOW) + 300)}, False),
        ({"exp": True}, False),
        ({"exp": [NOW + 300]}, False),
        ({"iat": "yesterday"}, False),
        ({"nbf": {}}, False),
        ({"sub": 5}, False),
        ({"sub": ["alice"]}, False),
    ],
    ids=json.dumps,
)
def test_clocks_may_differ_by_a_minute_and_no_more(claims, is_taken):
    token = sign({**CLAIMS, **claims}, KEY)
    if is_taken:
        assert check(token)["sub"] == "alice"
    else:
        with pytest.raises(TokenRefused):
            check(token)


def test_an_expiry_that_is_no_number_is_refused():
    with pytest.raises(TokenRefused):
        check(sign({**CLAIMS, "exp": float("nan")}, KEY))


@pytest.mark.parametrize(
    ("kind", "types", "is_taken"),
    [
        ("at+jwt", {"", "at+jwt"}, True),
        ("application/AT+jwt", {"", "at+jwt"}, True),
        (None, {"", "at+jwt"}, True),
        (None, {"at+jwt"}, False),
        ("JWT", {"at+jwt"}, False),
        ("logout+jwt", {"", "jwt", "at+jwt"}, False),
        ("logout+jwt", set(), True),
    ],
)
def test_the_type_of_a_token_is_looked_at_where_it_matters(kind, types, is_taken):
    expected = Expected(ISSUER, frozenset({HUB}), types=frozenset(types))
    token = sign(CLAIMS, KEY, typ=kind)
    if is_taken:
        assert check(token, expected=expected)
    else:
        with pytest.raises(TokenRefused):
            check(token, expected=expected)
