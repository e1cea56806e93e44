"""Exposed names fit every client, never collide across upstreams, and URIs can always be undone."""

import re

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from mcp_hub.catalog.names import digest_name, exposed_name, exposed_uri, split_uri

pytestmark = pytest.mark.promise("A6")

SETTINGS = settings(deadline=None)
upstreams = st.from_regex(r"[a-z][a-z0-9-]{0,31}", fullmatch=True)
namespaces = st.one_of(st.none(), upstreams)
originals = st.one_of(st.text(min_size=1, max_size=80), st.text("ab_-", min_size=1, max_size=8))
limits = st.integers(20, 128)
uris = st.one_of(
    st.text(max_size=40),
    st.sampled_from(
        ["file:///a/b", "urn:isbn:0451450523", "docs://{id}{?q}", "ui://app/main", "ui://", "git+ssh://h/p"]
    ),
    st.text("ui:/+a", max_size=12),
)


@pytest.mark.promise("A6")
@SETTINGS
@given(upstreams, namespaces, originals, limits)
def test_every_exposed_name_fits_the_alphabet_and_the_limit(upstream, namespace, original, limit):
    for spell in (exposed_name, digest_name):
        assert re.fullmatch(f"[A-Za-z0-9_-]{{1,{limit}}}", spell(upstream, namespace, original, limit))


@pytest.mark.promise("A6")
@SETTINGS
@given(upstreams, upstreams, originals, originals, limits)
@example("a", "a", "x.y", "x_y", 60)
@example("a", "b", "x" * 70, "x" * 70, 60)
@example("a", "a-b", "x", "x", 60)
def test_two_tools_never_get_one_name(one, other, first, second, limit):
    assume((one, first) != (other, second))
    assert exposed_name(one, one, first, limit) != exposed_name(other, other, second, limit)


@SETTINGS
@given(upstreams, st.from_regex(r"[A-Za-z0-9_-]{1,20}", fullmatch=True))
def test_a_name_that_fits_is_only_prefixed_and_without_a_namespace_not_even_that(upstream, original):
    assert exposed_name(upstream, upstream, original, 60) == f"{upstream}__{original}"
    assert exposed_name(upstream, None, original, 60) == original


@pytest.mark.promise("A6")
def test_a_name_that_does_not_fit_is_the_same_on_every_machine():
    assert exposed_name("github", "github", "issues.list", 60) == "github__issues_list_a8abd7fe"
    assert exposed_name("github", None, "issues.list", 60) == "issues_list_a8abd7fe"
    assert exposed_name("github", "gh", "x" * 100, 30) == "gh__xxxxxxxxxxxxxxxxx_3accac3b"


def test_a_renamed_tool_keeps_the_digest_of_its_original_name():
    renamed = exposed_name("a", "a", "old.name", 60, "new.name")
    assert renamed.startswith("a__new_name_")
    assert renamed[-8:] == exposed_name("a", "a", "old.name", 60)[-8:]
    assert exposed_name("a", "a", "old", 60, "new") == "a__new"


@SETTINGS
@given(namespaces, uris)
@example("a", "ui://x/y")
@example("a", "a+a+x")
def test_an_exposed_uri_is_always_undone(namespace, uri):
    assert exposed_uri(None, uri) == uri
    if namespace is not None:
        assert split_uri(exposed_uri(namespace, uri)) == (namespace, uri)


@pytest.mark.promise("A6")
@SETTINGS
@given(upstreams, upstreams, uris, uris)
def test_two_resources_never_get_one_uri(one, other, first, second):
    assume((one, first) != (other, second))
    assert exposed_uri(one, first) != exposed_uri(other, second)


@pytest.mark.parametrize(
    ("uri", "exposed"),
    [
        ("file:///a b", "docs+file:///a b"),
        ("urn:isbn:1", "docs+urn:isbn:1"),
        ("repo://{owner}/{path}{?ref}", "docs+repo://{owner}/{path}{?ref}"),
        ("ui://widget/main.html", "ui://docs/widget/main.html"),
        ("no uri at all", "docs+no uri at all"),
    ],
)
def test_any_scheme_and_even_no_scheme_can_carry_a_namespace(uri, exposed):
    assert exposed_uri("docs", uri) == exposed
    assert exposed_uri(None, uri) == uri


@pytest.mark.parametrize("uri", ["file:///a", "Docs+x", "+x", "ui://docs", "ui:///x", "a b+x", ""])
def test_a_uri_that_carries_no_namespace_belongs_to_none(uri):
    assert split_uri(uri) is None
