"""What a `WWW-Authenticate` says, whoever wrote it."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_hub.wire.challenges import MAX_CHALLENGES, MAX_CHARS, MAX_PARAMS, BearerChallenge, bearer, parse

pytestmark = pytest.mark.promise("B16", "T1")

PRM = "https://mcp.example/.well-known/oauth-protected-resource"


def read(*values: str) -> list[tuple[str, dict[str, str], str]]:
    return [(each.scheme, dict(each.params), each.token68) for each in parse(values)]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("Bearer", [("bearer", {}, "")]),
        ('Bearer realm="x"', [("bearer", {"realm": "x"}, "")]),
        ("bEaReR ReAlM = x , Error=invalid_token", [("bearer", {"realm": "x", "error": "invalid_token"}, "")]),
        ('Bearer realm="a \\"b\\" \\\\ c"', [("bearer", {"realm": 'a "b" \\ c'}, "")]),
        ('Bearer realm=""', [("bearer", {"realm": ""}, "")]),
        # RFC 9110 section 11.6.1, its own example
        (
            'Basic realm="simple", Newauth realm="apps", type=1, title="Login to \\"apps\\""',
            [
                ("basic", {"realm": "simple"}, ""),
                ("newauth", {"realm": "apps", "type": "1", "title": 'Login to "apps"'}, ""),
            ],
        ),
        ("Negotiate YWJj, Bearer", [("negotiate", {}, "YWJj"), ("bearer", {}, "")]),
        ("Negotiate YWJj==", [("negotiate", {}, "YWJj==")]),
        ("Bearer a=, b=2", [("bearer", {"b": "2"}, "a=")]),
        ("Negotiate , , Basic", [("negotiate", {}, ""), ("basic", {}, "")]),
        (",, Bearer a=1,, b=2,", [("bearer", {"a": "1", "b": "2"}, "")]),
        ("", []),
        (" , ,", []),
    ],
)
def test_challenges_are_read_as_the_rfc_writes_them(value, expected):
    assert read(value) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ('Bearer a="1" b="2" Basic realm="r"', [("bearer", {"a": "1", "b": "2"}, ""), ("basic", {"realm": "r"}, "")]),
        ('Bearer a="never ends, b=2', [("bearer", {}, "")]),
        ('Bearer a=1, "stray", b=2', [("bearer", {"a": "1", "b": "2"}, "")]),
        ("Bearer x, a=, b=2", [("bearer", {"b": "2"}, "x")]),
        ('Bearer a="x"y, b=2', [("bearer", {"b": "2"}, "")]),
        ("Bearer a=https://x/y?z, b=2", [("bearer", {"a": "https://x/y?z", "b": "2"}, "")]),
        ('Bearer a=x"y", b=2', [("bearer", {"b": "2"}, "")]),
        ("Bearer a=\u00e9, b=2", [("bearer", {"b": "2"}, "")]),
        ("a=1, Bearer b=2", [("bearer", {"b": "2"}, "")]),
        ('Bearer a="x\x00y", b=2', [("bearer", {}, "")]),
        ('Bearer a="x\ny"', [("bearer", {}, "")]),
        ("<html>, Bearer b=2", [("bearer", {"b": "2"}, "")]),
        ('Bearer a="b=c, resource_metadata=evil"', [("bearer", {"a": "b=c, resource_metadata=evil"}, "")]),
    ],
)
def test_junk_ends_at_the_next_comma_and_takes_nothing_else_with_it(value, expected):
    assert read(value) == expected


def test_a_parameter_given_twice_with_different_values_counts_as_not_given():
    assert read("Bearer a=1, a=1, b=1, B=2, b=1") == [("bearer", {"a": "1"}, "")]
    assert read('Bearer a=1, a="broken') == [("bearer", {}, "")]


def test_headers_that_came_apart_are_read_apart():
    assert read('Basic realm="never ends', f'Bearer resource_metadata="{PRM}"')[-1] == (
        "bearer",
        {"resource_metadata": PRM},
        "",
    )


def test_what_a_bearer_token_needs_is_found_among_other_schemes():
    values = [
        'Basic realm="error=invalid_token, scope=admin"',
        f'Bearer error="insufficient_scope", scope="files:read  files:write files:read", resource_metadata="{PRM}"',
        "DPoP scope=other",
    ]
    assert bearer(values) == BearerChallenge(PRM, "files:read files:write", "insufficient_scope")


def test_without_a_bearer_challenge_there_is_none():
    assert bearer(['Basic realm="x", resource_metadata="https://a"', "junk="]) is None
    assert bearer([]) is None


def test_several_bearer_challenges_say_what_they_agree_on():
    assert bearer(["Bearer scope=a, error=invalid_token", f'Bearer scope=b, resource_metadata="{PRM}"']) == (
        BearerChallenge(PRM, None, "invalid_token")
    )


@pytest.mark.parametrize(
    "value",
    ['scope=""', 'scope=" a"', 'scope="a\\"b"', 'scope="\u00e9"', 'resource_metadata="https://a b"', 'error="\t"'],
)
def test_a_value_that_is_not_of_its_form_says_nothing(value):
    assert bearer([f"Bearer {value}"]) == BearerChallenge()


def test_what_is_over_a_limit_is_left_out_whole():
    assert read('Bearer scope="' + "a" * MAX_CHARS + '"') == []
    assert read("Bearer a=1", "Bearer scope=" + "a" * MAX_CHARS) == [("bearer", {"a": "1"}, "")]
    assert len(parse(["Basic, " * 1000])) == MAX_CHALLENGES
    (many,) = parse(["Bearer " + ", ".join(f"p{each}=1" for each in range(1000))])
    assert len(many.params) == MAX_PARAMS


@pytest.mark.parametrize(
    "unit", ['"', '"\\', "a=", 'a="', ",", " ", "\t,", "a ", "a = ", '"a" ', "=", "a" * 7 + "@", "\\", "A=="]
)
def test_the_longest_header_is_read_in_no_time(unit):
    begun = time.thread_time()
    parse([(unit * MAX_CHARS)[:MAX_CHARS]])
    parse(["Bearer " + (unit * MAX_CHARS)[: MAX_CHARS - 7]])
    assert time.thread_time() - begun < 0.5


names = st.text(st.sampled_from("abcXYZ019-_.!~"), min_size=1, max_size=8)
visible = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=20)


def quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


@given(
    st.lists(
        st.tuples(names, st.dictionaries(names.map(str.lower), visible, max_size=4)),
        max_size=5,
    )
)
def test_whatever_is_written_correctly_is_read_back(challenges):
    value = ", ".join(
        scheme + (" " if params else "") + ", ".join(f"{name}={quoted(text)}" for name, text in params.items())
        for scheme, params in challenges
    )
    assert read(value) == [(scheme.lower(), params, "") for scheme, params in challenges]


@given(st.lists(st.text(max_size=40) | st.text(st.sampled_from('Bb a=",\\ \t=scope'), max_size=40), max_size=4))
def test_nothing_that_comes_can_make_it_fail(values):
    for each in parse(values):
        assert each.scheme == each.scheme.lower()
    bearer(values)
