"""Two people and four upstreams: each upstream sees the credential of the right person, and nothing else of anybody."""

import asyncio
import base64
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

import pytest

from interaction.tour import ERAS, FIRST, PASTED, ROUNDS, SECOND, SUBJECTS, UPSTREAMS, WIKI_KEY, Echo, Walk, walk
from rig.browser import ADA, BOB
from rig.fake_upstream import Request
from rig.planted import found

CREDENTIALS = {"authorization", "x-team-key", "x-api-key", "cookie", "proxy-authorization"}
USUAL = {"host", "accept", "accept-encoding", "content-type", "content-length", "user-agent"}
USUAL |= {"mcp-protocol-version", "mcp-session-id", "mcp-method", "mcp-name", "last-event-id"}
OWN = {"clock": set(), "wiki": {"x-team-key"}, "warehouse": {"x-api-key"}, "tickets": {"authorization"}}


@pytest.fixture(scope="module")
def walked(tmp_path_factory: pytest.TempPathFactory) -> Walk:
    return asyncio.run(walk(tmp_path_factory.mktemp("tour")))


def _credentials(echo: Echo) -> dict[str, list[str]]:
    return {name: values for name in CREDENTIALS if (values := echo.values(name))}


@pytest.mark.promise("B11", "B12", "B14", "B15", "B22", "T15", "T16", "F2")
def test_every_call_brings_the_credential_of_its_caller_and_no_other(walked: Walk):
    assert len(walked.echoes) == ROUNDS * len(UPSTREAMS) * len(ERAS) == 200
    for echo in walked.echoes:
        assert echo.arguments == {"person": echo.person.email, "number": echo.number}
        brought = _credentials(echo)
        match echo.upstream:
            case "clock":
                assert brought == {}
            case "wiki":
                assert brought == {"x-team-key": [WIKI_KEY]}
            case "warehouse":
                assert brought == {"x-api-key": [PASTED[echo.person]]}
            case _:
                ((name, (value,)),) = brought.items()
                assert name == "authorization"
                assert walked.guard.tokens[value.removeprefix("Bearer ")] == SUBJECTS[echo.person]


def _written(request: Request) -> str:
    return "\n".join([request.path, *map(": ".join, request.lines), request.body.decode()])


@pytest.mark.promise("B11", "B14", "T12", "T13")
@pytest.mark.parametrize("name", UPSTREAMS)
def test_no_upstream_ever_sees_what_is_not_for_it(walked: Walk, name: str):
    rightful = {"clock": set(), "wiki": {WIKI_KEY}, "warehouse": {*PASTED.values()}, "tickets": {*walked.guard.tokens}}
    others = walked.secrets - rightful[name]
    requests = walked.upstreams[name].seen
    assert len(requests) > ROUNDS * len(ERAS)
    for request in requests:
        assert {header for header, _ in request.lines} <= USUAL | OWN[name]
        assert found(_written(request), others) == []


@pytest.mark.promise("B22", "T17")
def test_each_of_them_has_a_session_of_their_own_at_an_upstream_with_sessions(walked: Walk):
    keys: dict[str, set[str]] = defaultdict(set)
    for request in walked.upstreams["warehouse"].seen:
        if session := request.headers.get("mcp-session-id"):
            keys[session].add(request.headers["x-api-key"])
    assert all(len(each) == 1 for each in keys.values())
    assert set().union(*keys.values()) == {*PASTED.values()}


@pytest.mark.promise("B20")
def test_a_call_without_a_connection_says_where_to_go(walked: Walk):
    assert len(walked.refusals) == len(ERAS) * 2
    for person, told in zip((each for each in ERAS for _ in range(2)), walked.refusals, strict=True):
        assert f"is not connected for {person.email}. Open http://127.0.0.1:" in told
        assert "then try again" in told


def _claims(token: str) -> dict[str, Any]:
    part = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))


def _owners(entries: Iterable[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """Whose each new token is, and the registration it was given to."""
    claims = [_claims(each["given"]["access_token"]) for each in entries if each["route"] == "token"]
    return [(each["sub"], each["client_id"]) for each in claims]


@pytest.mark.promise("B15", "B19")
def test_tokens_are_renewed_while_everybody_calls_and_each_refresh_token_is_used_once(walked: Walk):
    entries = [each for each in (*walked.before, *walked.after) if each["route"] == "token"]
    assert all("access_token" in each["given"] for each in entries), "none was asked for in vain"
    renewed = [each["sent"]["refresh_token"] for each in entries if each["sent"]["grant_type"] == "refresh_token"]
    assert len(renewed) == len(set(renewed))
    assert walked.guard.refused > 0, "some were found to be over, and no caller noticed"
    for person in ERAS:
        tokens = {echo.values("authorization")[0] for echo in walked.echoes if echo.values("authorization")}
        mine = [each for each in tokens if walked.guard.tokens[each.removeprefix("Bearer ")] == SUBJECTS[person]]
        assert len(mine) >= 3


@pytest.mark.promise("B18")
def test_another_client_id_logs_nobody_out_and_is_used_for_what_is_connected_from_then_on(walked: Walk):
    ada, bob = SUBJECTS[ADA], SUBJECTS[BOB]
    before, after = _owners(walked.before), _owners(walked.after)
    assert set(before) == {(ada, FIRST.id), (bob, FIRST.id)}
    assert set(after) >= {(ada, FIRST.id), (bob, SECOND.id)}
    assert (ada, SECOND.id) not in after
    asked = [each["client"] for each in walked.after if each["route"] == "authorization"]
    assert asked == [SECOND.id], "Bob was asked, once, as he connected anew; Ada was not"


@pytest.mark.promise("B14", "B15", "D29", "T31", "T32")
def test_no_secret_is_in_the_database_its_log_the_hubs_log_a_page_or_what_a_command_prints(walked: Walk):
    secrets = walked.secrets
    assert len(secrets) > 30
    told = {f"log {number}": text for number, text in enumerate(walked.logs)}
    told |= {f"printed {number}": text for number, text in enumerate(walked.printed)}
    told |= {f"page {number}": text for number, text in enumerate(walked.pages)}
    places = {**{name: text.encode() for name, text in told.items()}, **walked.files}
    assert [name for name, content in places.items() if found(content, secrets)] == []
    assert any(name.startswith("data/hub.db-wal") for name in places)
    assert b"tickets" in walked.files["data/hub.db"], "these are the right files"
    assert "tickets" in walked.logs[-1], "there was something to say of it"
