"""Authorization requests, judged without anybody being asked."""

from contextlib import suppress
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_hub.authserver import requests
from mcp_hub.authserver.clients import Client, ClientKind, Details
from mcp_hub.authserver.errors import OAuthError
from mcp_hub.authserver.requests import Unanswerable

pytestmark = pytest.mark.promise("C24", "T41", "T45")
REDIRECT = "https://app.example/cb?iss=https://evil.example"
CLIENT = Client("c", ClientKind.REGISTERED, Details("C", (REDIRECT, "http://localhost/cb")))
RESOURCES = ("https://hub.example/mcp", "https://hub.example/other")
GOOD = {
    "client_id": "c",
    "redirect_uri": REDIRECT,
    "response_type": "code",
    "code_challenge": "x" * 43,
    "code_challenge_method": "S256",
}


def query(**changed: str) -> requests.Query:
    return requests.read_query(urlencode({**GOOD, **changed}).encode())


def back(asked: requests.Query) -> requests.Back:
    return requests.way_back(asked, CLIENT, "https://hub.example")


@pytest.mark.parametrize(
    ("scope", "given"),
    [
        ("", {"hub:use"}),
        ("offline_access", {"hub:use"}),
        ("hub:use", {"hub:use"}),
        ("hub:admin", {"hub:admin"}),
        ("hub:use hub:admin offline_access", {"hub:use", "hub:admin"}),
        ("  hub:use   hub:use ", {"hub:use"}),
    ],
)
def test_the_scopes_are_those_asked_for_or_the_usual_one(scope, given):
    assert requests.judged(query(scope=scope), CLIENT, back(query()), RESOURCES).scopes == given


def test_any_resource_of_the_hub_may_be_meant_and_the_first_is_if_none_is_named():
    for resource, meant in (("", RESOURCES[0]), (RESOURCES[0], RESOURCES[0]), (RESOURCES[1], RESOURCES[1])):
        assert requests.judged(query(resource=resource), CLIENT, back(query()), RESOURCES).resource == meant


@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(raw):
    with suppress(Unanswerable):
        assert all(requests.read_query(raw).values.values())


names = st.sampled_from([*GOOD, "state", "scope", "resource", "prompt", "response_mode", "request", "other"])
values = st.one_of(st.sampled_from([*GOOD.values(), "hub:use", "S256", "none", ""]), st.text(max_size=12))


@given(st.dictionaries(names, values, max_size=5), st.lists(st.tuples(names, values), max_size=2))
def test_every_request_is_refused_or_is_wholly_in_order(changed, more):
    raw = urlencode([*({**GOOD, **changed}).items(), *more]).encode()
    asked = requests.read_query(raw)
    try:
        way = requests.way_back(asked, CLIENT, "https://hub.example")
    except Unanswerable:
        return
    try:
        found = requests.judged(asked, CLIENT, way, RESOURCES)
    except OAuthError as error:
        url = way.error(error.code, error.description)
    else:
        assert len(found.challenge) >= 43
        assert found.resource in RESOURCES
        assert found.scopes <= {"hub:use", "hub:admin"}
        url = way.answer(("code", "secret"))
    answer = parse_qs(urlsplit(url).query, keep_blank_values=True)
    assert urlsplit(url).netloc in ("app.example", urlsplit(way.redirect_uri).netloc)
    assert answer["iss"] == ["https://hub.example"]
    assert len(answer.get("state", [""])) == 1
    assert ("code" in answer) is not ("error" in answer)
