import asyncio
import logging
from dataclasses import dataclass

import pytest

from mcp_hub import errors
from mcp_hub.inbound.door import ByHeaders
from mcp_hub.inbound.errors import TABLE, contained, settled
from mcp_hub.inbound.outcome import Failure
from mcp_hub.wire.eras import Era
from unit.inbound.hub import Hub

pytestmark = pytest.mark.promise("A4")


@pytest.fixture
def hub() -> Hub:
    return Hub()


def descendants(kind: type) -> set[type]:
    """Those of the file of errors: which others have been imported depends on what else is tested."""
    children = {each for child in kind.__subclasses__() for each in descendants(child)}
    return {kind, *(each for each in children if each.__module__ == errors.__name__)}


NEEDED = errors.ConnectionNeeded(
    "github",
    "GitHub is not connected for ada@example.com. Open https://hub.example/connect/github, then try again.",
    url="https://hub.example/connect/github",
    state="not_connected",
)


def example(kind: type[errors.HubError]) -> errors.HubError:
    if issubclass(kind, errors.UpstreamError):
        return kind("github", "Try again.")
    if kind is errors.ConnectionNeeded:
        return NEEDED
    if kind is errors.UnknownName:
        return errors.UnknownName("resource", "file:///x", "No such resource.")
    if kind is errors.MissingCapability:
        return errors.MissingCapability("io.modelcontextprotocol/tasks", "Declare it.")
    if kind is errors.ConfigError:
        return errors.ConfigError("hub.yaml", [])
    return kind("Try again.")


@dataclass
class About:
    method: str | None
    era: Era


@pytest.mark.parametrize("kind", sorted(descendants(errors.HubError), key=str))
@pytest.mark.parametrize("era", Era)
async def test_every_kind_of_failure_has_a_row(kind, era):
    async def fails():
        raise example(kind)

    outcome = await settled(fails(), About("tools/list", era))
    assert isinstance(outcome, Failure)
    assert outcome.message == example(kind).public
    assert any(each in TABLE for each in kind.__mro__)


@pytest.mark.parametrize(
    ("failure", "modern", "legacy", "code"),
    [
        (errors.Unauthenticated("Sign in."), 401, 401, -32600),
        (errors.BadCredentials("Send one token."), 400, 400, -32600),
        (errors.Forbidden("Not for you."), 403, 403, -32600),
        (errors.BadRequest("x"), 400, 200, -32602),
        (errors.HeaderMismatch("x"), 400, 200, -32020),
        (errors.UnknownMethod("x"), 404, 200, -32601),
        (errors.MissingCapability("io.modelcontextprotocol/tasks", "x"), 400, 200, -32021),
        (errors.UnknownName("tool", "t", "x"), 400, 200, -32602),
        (errors.UnknownName("prompt", "p", "x"), 400, 200, -32602),
        (errors.Unreachable("github", "x"), 200, 200, -32603),
        (errors.StoreFailed("x"), 200, 200, -32603),
    ],
)
async def test_a_failure_has_the_status_and_code_of_its_row(hub, failure, modern, legacy, code):
    session = await hub.open()
    hub.road.failure = failure
    for response, status in (
        (await hub.modern("tools/list"), modern),
        (await hub.legacy(session, "tools/list"), legacy),
    ):
        assert (response.status, response.json["error"]["code"]) == (status, code)
        assert response.json["error"]["message"] == failure.public
        assert response.json["id"] == 1


async def test_a_missing_capability_is_named(hub):
    hub.road.failure = errors.MissingCapability("io.modelcontextprotocol/tasks", "Declare it.")
    response = await hub.modern("tasks/get", {"taskId": "t"}, mcp_name="t")
    required = {"extensions": {"io.modelcontextprotocol/tasks": {}}}
    assert response.json["error"]["data"] == {"requiredCapabilities": required}


async def test_a_missing_resource_has_the_code_of_its_era(hub):
    session = await hub.open()
    hub.road.failure = errors.UnknownName("resource", "file:///x", "No such resource.")
    modern = await hub.modern("resources/read", {"uri": "file:///x"})
    legacy = await hub.legacy(session, "resources/read", {"uri": "file:///x"})
    assert [each.json["error"]["code"] for each in (modern, legacy)] == [-32602, -32002]
    assert all(each.json["error"]["data"] == {"uri": "file:///x"} for each in (modern, legacy))


@pytest.mark.promise("A8")
async def test_a_failed_upstream_is_a_tool_result_that_the_model_can_read(hub):
    session = await hub.open()
    hub.road.failure = errors.TimedOut("github", "github did not answer in time; try again.")
    modern = await hub.modern("tools/call", {"name": "t"})
    legacy = await hub.legacy(session, "tools/call", {"name": "t"})
    content = [{"type": "text", "text": "github did not answer in time; try again."}]
    told = {"github": {"state": "unreachable", "message": "github did not answer in time; try again."}}
    failed = {"content": content, "isError": True, "_meta": {"io.mcp-hub/upstreams": told}}
    assert modern.json["result"] == failed | {"resultType": "complete"}
    assert legacy.json["result"] == failed


@pytest.mark.promise("A8")
@pytest.mark.parametrize(
    ("kind", "state"), [(errors.Unreachable, "unreachable"), (errors.RefusedCredential, "reconnect_needed")]
)
async def test_elsewhere_a_failed_upstream_is_an_error_that_names_it(hub, kind, state):
    hub.road.failure = kind("github", "Connect again.")
    response = await hub.modern("prompts/get", {"name": "p"})
    assert response.json["error"]["data"] == {"upstream": "github", "state": state}


@pytest.mark.promise("B20")
async def test_a_call_that_needs_a_connection_is_a_result_complete_in_itself(hub):
    session = await hub.open()
    hub.road.failure = NEEDED
    modern = await hub.modern("tools/call", {"name": "t"})
    legacy = await hub.legacy(session, "tools/call", {"name": "t"})
    told = {"github": {"state": "not_connected", "message": NEEDED.public, "link": NEEDED.url}}
    failed = {
        "content": [{"type": "text", "text": NEEDED.public}],
        "isError": True,
        "_meta": {"io.mcp-hub/upstreams": told},
    }
    assert modern.json["result"] == failed | {"resultType": "complete"}
    assert legacy.json["result"] == failed


@pytest.mark.promise("B20")
async def test_elsewhere_the_need_of_a_connection_is_an_error_with_the_link(hub):
    session = await hub.open()
    hub.road.failure = NEEDED
    for response in (
        await hub.modern("prompts/get", {"name": "p"}),
        await hub.legacy(session, "prompts/get", {"name": "p"}),
    ):
        assert response.status == 200
        assert response.json["error"] == {
            "code": -32603,
            "message": NEEDED.public,
            "data": {"upstream": "github", "state": "not_connected", "url": NEEDED.url},
        }


@pytest.mark.promise("B20")
async def test_where_no_page_would_help_there_is_no_link(hub):
    hub.road.failure = errors.ConnectionNeeded("notes", "Send X-Key.", url=None, state="not_connected")
    told = (await hub.modern("tools/call", {"name": "t"})).json["result"]["_meta"]["io.mcp-hub/upstreams"]
    assert told == {"notes": {"state": "not_connected", "message": "Send X-Key."}}
    data = (await hub.modern("prompts/get", {"name": "p"})).json["error"]["data"]
    assert data == {"upstream": "notes", "state": "not_connected"}


async def test_a_caller_nobody_knows_is_asked_to_sign_in():
    def nobody(headers):
        raise errors.Unauthenticated("Sign in first.")

    hub = Hub(door=ByHeaders(nobody))
    for method in ("POST", "GET", "DELETE"):
        response = await hub.send(method, b"never read")
        assert response.status == 401
        assert response.headers["www-authenticate"] == "Bearer"


@pytest.mark.promise("T25")
async def test_a_fault_of_ours_tells_the_caller_a_reference_and_the_log_the_rest(hub, caplog):
    session = await hub.open()
    hub.road.failure = RuntimeError("planted secret")
    for response in (await hub.modern("tools/call", {"name": "t"}), await hub.legacy(session, "tools/call")):
        assert (response.status, response.json["error"]["code"]) == (500, -32603)
        sentence = response.json["error"]["message"]
        assert "planted" not in sentence
        reference = sentence.split("reference ")[1][:8]
        assert caplog.text.count(reference) == 1
    assert caplog.text.count("planted secret") == 2
    hub.road.failure = None
    assert (await hub.legacy(session, "tools/list")).status == 200


async def test_a_fault_while_the_hub_describes_itself_is_one_too(hub):
    hub.road.failure = RuntimeError("planted")
    assert (await hub.modern("server/discover")).status == 500
    assert (await hub.initialize()).status == 500
    assert len(hub.sessions) == 0


async def test_a_shared_wait_that_somebody_else_cancelled_is_a_fault_and_no_hang_up(hub, caplog):
    shared = asyncio.get_running_loop().create_future()
    shared.cancel()

    async def waits(ask):
        return await shared

    hub.road.answer = waits
    assert (await hub.modern("tools/list")).status == 500


async def test_work_nobody_waits_for_fails_into_the_log(caplog):
    async def fails() -> None:
        raise RuntimeError("planted")

    with caplog.at_level(logging.ERROR):
        await contained(fails())
    assert "planted" in caplog.text
