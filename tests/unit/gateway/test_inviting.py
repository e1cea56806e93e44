"""A call that its user has to connect for: asked for in the form their client knows, and tried anew when they have."""

import asyncio
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from mcp_hub.errors import BadRequest, ConnectionNeeded
from mcp_hub.gateway.inviting import MOST_ROUNDS, MOST_TRIES, MOST_WAITS, Inviting, opens_addresses
from mcp_hub.gateway.keys import KEY_BYTES
from mcp_hub.gateway.sealed import Seal
from mcp_hub.wire.eras import Client, Era
from mcp_hub.wire.jsonrpc import Malformed, Reply
from rig.parts import ALICE, BOB, ask

pytestmark = pytest.mark.promise("B20")
OPENS = Raw(b'{"elicitation":{"form":{},"url":{}}}')
MODERN = Client(Era.MODERN, "2026-07-28", OPENS)
LEGACY = Client(Era.LEGACY, "2025-11-25", OPENS)
URL = "https://hub.example/connect/github"
SENTENCE = f"GitHub is not connected for ada@example.com. Open {URL}, then try again."
DONE = Reply(result=b'{"content":[],"resultType":"complete"}')
CALL = {"name": "github__search", "arguments": {"q": "x"}}


def need(public=SENTENCE, *, url=URL, state="not_connected") -> ConnectionNeeded:
    return ConnectionNeeded("github", public, url=url, state=state)


def call(client=MODERN, *, method="tools/call", caller=ALICE, **more):
    return ask(method, {**CALL, **more}, client=client, caller=caller)


def shown(reply: Reply):
    return json.loads(bytes(reply.result if reply.result is not None else reply.error))


def answered(asked: Reply, action: str | None = "accept", **other) -> dict:
    """What a client sends when it comes back."""
    back = {"requestState": shown(asked)["requestState"]}
    return back if action is None else {**back, "inputResponses": {"connect": {"action": action, **other}}}


def asked(inviting, missing=None, client=MODERN) -> Reply:
    """What the first request of a call comes to."""
    return inviting.first(call(client), missing or need(), Scene())


class Scene:
    """Upstreams that nothing happens with but what a test makes happen."""

    def __init__(self) -> None:
        self.watching = []
        self.looked = 0
        self.now_watched = asyncio.Event()

    def watch(self, upstream, changed):
        assert upstream == "github"
        self.watching.append(changed)
        self.now_watched.set()
        return lambda: self.watching.remove(changed)

    async def settled(self, upstream):
        assert upstream == "github"
        self.looked += 1

    def change(self):
        for changed in list(self.watching):
            changed()


class Tool:
    """A tool that can be called after so many attempts; `needs` are what the earlier ones come to, `on` what each
    one makes happen."""

    def __init__(self, *needs: ConnectionNeeded, on=None) -> None:
        self.needs = list(needs)
        self.asked = []
        self.on = on

    async def once(self, again):
        self.asked.append(again)
        if self.on is not None:
            self.on()
        if self.needs:
            raise self.needs.pop(0)
        return DONE


@pytest.fixture
def scene() -> Scene:
    return Scene()


@pytest.fixture
def inviting() -> Inviting:
    return Inviting(Seal(bytes(KEY_BYTES)), patience=0.01)


async def again(inviting, scene, tool, back, **more) -> Reply:
    invited = inviting.opened(call(**back, **more))
    assert invited is not None
    async with asyncio.timeout(5):
        return await inviting.again(invited, tool.once, scene)


# How it is asked


def test_a_modern_client_is_asked_to_open_the_page(inviting):
    told = shown(asked(inviting))
    assert told.pop("requestState")
    assert told == {
        "resultType": "input_required",
        "inputRequests": {
            "connect": {
                "method": "elicitation/create",
                "params": {"mode": "url", "url": URL, "message": SENTENCE},
            }
        },
    }


def test_a_client_of_2025_11_25_gets_the_error_that_names_the_page(inviting):
    error = shown(inviting.first(call(LEGACY), need(), Scene()))
    (asked,) = error["data"]["elicitations"]
    assert error["code"] == -32042
    assert error["message"] == SENTENCE
    assert len(asked.pop("elicitationId")) >= 20
    assert asked == {"mode": "url", "url": URL, "message": SENTENCE}
    assert (error["data"]["upstream"], error["data"]["state"]) == ("github", "not_connected")


def test_every_such_error_has_an_id_of_its_own(inviting):
    ids = {
        shown(inviting.first(call(LEGACY), need(), Scene()))["data"]["elicitations"][0]["elicitationId"]
        for _ in range(20)
    }
    assert len(ids) == 20


@pytest.mark.promise("T34")
def test_what_the_user_opens_is_the_page_and_nothing_more(inviting):
    for client in (MODERN, LEGACY):
        text = json.dumps(shown(inviting.first(call(client), need(), Scene())))
        assert f'"url": "{URL}"' in text
        assert text.count(URL) == 1 + text.count(f"Open {URL},")


PLAIN = {
    "no elicitation": Client(Era.MODERN, "2026-07-28", Raw(b"{}")),
    "forms only": Client(Era.MODERN, "2026-07-28", Raw(b'{"elicitation":{}}')),
    "forms, said so": Client(Era.MODERN, "2026-07-28", Raw(b'{"elicitation":{"form":{}}}')),
    "nonsense": Client(Era.MODERN, "2026-07-28", Raw(b'{"elicitation":["url"]}')),
    "an older revision": Client(Era.LEGACY, "2025-06-18", OPENS),
    "legacy, forms only": Client(Era.LEGACY, "2025-11-25", Raw(b'{"elicitation":{}}')),
}


@pytest.mark.parametrize("client", PLAIN.values(), ids=PLAIN)
def test_a_client_that_opens_no_addresses_gets_the_sentence_and_never_a_form(inviting, client):
    assert not opens_addresses(client)
    with pytest.raises(ConnectionNeeded, match="Open https"):
        inviting.first(call(client), need(), Scene())


@pytest.mark.parametrize("method", ["completion/complete", "tasks/get", "acme/run"])
def test_a_modern_request_that_may_not_ask_gets_the_sentence(inviting, method):
    with pytest.raises(ConnectionNeeded):
        inviting.first(call(method=method), need(), Scene())


@pytest.mark.parametrize("client", [MODERN, LEGACY])
def test_where_no_page_would_help_none_is_opened(inviting, client):
    with pytest.raises(ConnectionNeeded):
        inviting.first(call(client), need(url=None), Scene())


@pytest.mark.promise("A5")
def test_a_call_that_brings_answers_to_its_upstream_is_not_to_be_tried_anew(inviting):
    brought = call(requestState="of an upstream", inputResponses={"who": {"action": "accept"}})
    assert inviting.opened(brought) is None
    with pytest.raises(ConnectionNeeded):
        inviting.first(brought, need(), Scene())


# How it goes on


async def test_what_the_client_brings_back_is_not_part_of_the_call(inviting, scene):
    tool = Tool()
    back = answered(asked(inviting), content={"password": "never asked"})
    assert await again(inviting, scene, tool, back) is DONE
    (tried,) = tool.asked
    assert {key: json.loads(bytes(each)) for key, each in tried.params.items()} == CALL
    assert not scene.watching


async def test_a_user_who_is_still_at_it_is_waited_for(scene):
    inviting = Inviting(Seal(bytes(KEY_BYTES)))
    tried = asyncio.Event()
    tool = Tool(need(), need(), on=lambda: tried.set() if scene.looked else None)
    back = answered(asked(inviting))
    coming = asyncio.ensure_future(again(inviting, scene, tool, back))
    await tried.wait()
    assert not coming.done()
    scene.change()
    assert await coming is DONE
    assert scene.looked == 2


async def test_a_connection_made_before_the_client_came_back_is_not_waited_for_again(scene):
    inviting = Inviting(Seal(bytes(KEY_BYTES)))
    tool = Tool(need())  # what was known of the upstream is a moment old
    assert await again(inviting, scene, tool, answered(asked(inviting))) is DONE
    assert scene.looked == 1


async def test_a_change_while_the_call_is_tried_is_not_missed(scene):
    inviting = Inviting(Seal(bytes(KEY_BYTES)))
    missing = need(state="reconnect_needed")
    tool = Tool(missing, on=scene.change)
    assert await again(inviting, scene, tool, answered(asked(inviting, missing))) is DONE


async def test_who_accepts_and_does_not_connect_gets_the_sentence_after_a_while(inviting, scene):
    tool = Tool(*[need()] * 99)
    reply = asked(inviting)
    back = answered(reply)
    for _ in range(MOST_WAITS - 1):
        reply = await again(inviting, scene, tool, back)
        assert set(shown(reply)) == {"resultType", "requestState"}, "to come back at once, without asking anybody"
        back = answered(reply, None)
    with pytest.raises(ConnectionNeeded, match="Open https"):
        await again(inviting, scene, tool, back)
    assert len(tool.asked) == 2 * MOST_WAITS
    assert not scene.watching


async def test_who_connects_between_two_waits_is_not_kept(inviting, scene):
    reply = await again(inviting, scene, Tool(*[need()] * 9), answered(asked(inviting)))
    assert await again(inviting, scene, Tool(), answered(reply, None)) is DONE


async def test_who_has_waited_and_then_does_not_want_to_is_not_waited_for(inviting, scene):
    reply = await again(inviting, scene, Tool(*[need()] * 9), answered(asked(inviting)))
    reply = await again(inviting, scene, Tool(need("another")), answered(reply, None))
    tool = Tool(need("another"))
    with pytest.raises(ConnectionNeeded, match="another"):
        await again(inviting, scene, tool, answered(reply, "decline"))
    assert len(tool.asked) == 1


async def test_a_client_that_comes_back_without_an_answer_is_asked_again(inviting, scene):
    reply = await again(inviting, scene, Tool(need()), answered(asked(inviting), None))
    assert shown(reply)["inputRequests"]["connect"]["params"]["url"] == URL


@pytest.mark.promise("B19")
async def test_an_upstream_that_refused_is_asked_again_only_when_the_user_has_acted(inviting, scene):
    missing = need("GitHub wants you to allow more.", state="reconnect_needed")
    tool = Tool(*[missing] * 9)
    assert "inputRequests" not in shown(await again(inviting, scene, tool, answered(asked(inviting, missing))))
    assert len(tool.asked) == 1


@pytest.mark.parametrize("action", ["decline", "cancel", "of the future"])
async def test_who_does_not_want_to_connect_is_not_waited_for(scene, action):
    inviting = Inviting(Seal(bytes(KEY_BYTES)))
    tool = Tool(*[need()] * 9)
    with pytest.raises(ConnectionNeeded, match="Open https"):
        await again(inviting, scene, tool, answered(asked(inviting), action))
    assert len(tool.asked) == 1


@pytest.mark.promise("B19")
async def test_a_call_asks_for_one_thing_after_the_other_and_stops(inviting, scene):
    reply = asked(inviting, need("first"))
    for number in range(2, MOST_ROUNDS + 1):
        reply = await again(inviting, scene, Tool(need(f"number {number}")), answered(reply))
        assert shown(reply)["inputRequests"]["connect"]["params"]["message"] == f"number {number}"
    with pytest.raises(ConnectionNeeded, match="one more"):
        await again(inviting, scene, Tool(need("one more")), answered(reply))


@pytest.mark.promise("B19")
async def test_changes_that_change_nothing_end_the_waiting(scene):
    inviting = Inviting(Seal(bytes(KEY_BYTES)))
    missing = need(state="reconnect_needed")
    tool = Tool(*[missing] * 99, on=scene.change)
    with pytest.raises(ConnectionNeeded):
        await again(inviting, scene, tool, answered(asked(inviting, missing)))
    assert len(tool.asked) == MOST_TRIES


async def test_whoever_hangs_up_is_not_waited_for(scene):
    inviting = Inviting(Seal(bytes(KEY_BYTES)))
    back = answered(asked(inviting))
    coming = asyncio.ensure_future(again(inviting, scene, Tool(*[need()] * 9), back))
    await scene.now_watched.wait()
    coming.cancel()
    await asyncio.wait([coming])
    assert not scene.watching


# Who it is for


@pytest.mark.promise("T21", "B22")
@pytest.mark.parametrize(
    "other",
    [
        {"caller": BOB},
        {"method": "prompts/get"},
        {"arguments": {"q": "y"}},
        {"name": "gitlab__search"},
    ],
    ids=str,
)
def test_a_state_is_of_one_caller_and_one_request(inviting, other):
    back = answered(asked(inviting))
    with pytest.raises(BadRequest):
        inviting.opened(call(**{**back, **other}))


def test_a_state_of_another_upstream_is_refused(inviting):
    back = answered(asked(inviting))
    back["requestState"] = back["requestState"].replace("connect.github", "connect.gitlab")
    with pytest.raises(BadRequest):
        inviting.opened(call(**back))


def test_a_state_is_good_for_an_hour():
    now = [1000.0]
    inviting = Inviting(Seal(bytes(KEY_BYTES), lambda: now[0]))
    back = answered(asked(inviting))
    now[0] += 3599
    assert inviting.opened(call(**back))
    now[0] += 2
    with pytest.raises(BadRequest):
        inviting.opened(call(**back))


@pytest.mark.promise("T21")
@given(place=st.integers(0, 63), other=st.sampled_from("Aa0-"))
def test_a_state_that_was_changed_is_refused(place, other):
    inviting = Inviting(Seal(bytes(KEY_BYTES)))
    back = answered(asked(inviting))
    mark, _, sealed = back["requestState"].partition(":")
    other = "B" if sealed[place] == other else other
    back["requestState"] = f"{mark}:{sealed[:place]}{other}{sealed[place + 1 :]}"
    with pytest.raises(BadRequest):
        inviting.opened(call(**back))


@pytest.mark.parametrize(
    "state", ["", "connect", "connect.x", "connect.:", "R", "x:connect.github", 7, None, ["connect."]]
)
def test_what_is_no_state_of_a_connection_is_left_to_whose_it_is_or_refused(inviting, state):
    try:
        assert inviting.opened(call(requestState=state)) is None
    except BadRequest:
        assert state.startswith("connect.")


@pytest.mark.parametrize(
    "answers", [7, {"connect": 7}, {"connect": {"action": 7}}, {"other": {"action": "accept"}}, {}]
)
async def test_an_answer_that_is_none_is_malformed_or_no_consent(inviting, scene, answers):
    back = {**answered(asked(inviting), None), "inputResponses": answers}
    try:
        invited = inviting.opened(call(**back))
    except Malformed:
        return
    assert invited is not None
    assert invited.answer != "accept"
