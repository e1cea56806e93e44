"""An upstream that wants its user to open addresses reaches those clients that do, in their own era, and no others."""

import asyncio
import json

import pytest
from msgspec import Raw

from mcp_hub.gateway.url_required import for_client
from mcp_hub.wire.eras import Client, Era
from mcp_hub.wire.jsonrpc import Reply
from rig.fake_upstream import Answer, FakeUpstream, Request
from rig.parts import ask, modern_meta

pytestmark = pytest.mark.promise("A5", "T26")
URL = b'{"elicitation":{"url":{}}}'
FORM = b'{"elicitation":{"form":{}}}'
ADDRESS = {"mode": "url", "elicitationId": "e1", "url": "https://pay.test/now", "message": "Pay first."}
ERROR = {"code": -32042, "message": "Pay first.", "data": {"elicitations": [ADDRESS]}, "future": 1}
REPLY = Reply(error=Raw(json.dumps(ERROR).encode()))


def client(era=Era.MODERN, said=URL, revision=None) -> Client:
    return Client(era, revision or ("2026-07-28" if era is Era.MODERN else "2025-11-25"), Raw(said))


def shown(reply: Reply):
    return json.loads(bytes(reply.result if reply.result is not None else reply.error))


def seen(who: Client, reply=REPLY, method="tools/call", **params):
    return for_client(ask(method, {"name": "up__pay", **params}, client=who), reply)


def test_a_client_of_the_same_era_that_opens_addresses_gets_the_error_as_it_came():
    assert seen(client(Era.LEGACY)) is REPLY


def test_a_modern_client_that_opens_addresses_is_asked_to():
    question = {"mode": "url", "url": "https://pay.test/now", "message": "Pay first."}
    assert shown(seen(client())) == {
        "resultType": "input_required",
        "inputRequests": {"address-1": {"method": "elicitation/create", "params": question}},
    }


@pytest.mark.parametrize(
    "who",
    [
        client(said=FORM),
        client(said=b"{}"),
        client(Era.LEGACY, FORM),
        client(Era.LEGACY, b'{"elicitation":{}}'),
        client(Era.LEGACY, URL, "2025-06-18"),
    ],
)
def test_who_did_not_say_so_gets_the_words_and_nothing_to_open(who):
    assert shown(seen(who)) == {**ERROR, "code": -32603}


def test_a_request_that_may_not_ask_gets_the_words():
    assert shown(seen(client(), method="completion/complete"))["code"] == -32603


@pytest.mark.parametrize(
    "data",
    [
        None,
        7,
        {},
        {"elicitations": []},
        {"elicitations": [{"mode": "form", "url": "https://a", "message": "m", "requestedSchema": {}}]},
        {"elicitations": [{"url": "https://a", "message": "m"}]},
        {"elicitations": [{"mode": "url", "url": 7, "message": "m"}]},
        {"elicitations": [{"mode": "url", "url": "https://a"}]},
        {"elicitations": [ADDRESS] * 17},
    ],
)
def test_what_names_no_addresses_or_too_many_is_not_asked(data):
    error = {"code": -32042, "message": "?", "data": data}
    assert shown(seen(client(), Reply(error=Raw(json.dumps(error).encode()))))["code"] == -32603


@pytest.mark.parametrize(
    "answers", [{"address-1": {"action": "decline"}}, {"address-1": {"action": "cancel"}}, {"address-1": {}}, 7, [7]]
)
def test_who_does_not_agree_is_not_asked_again(answers):
    assert shown(seen(client(), inputResponses=answers)) == {**ERROR, "code": -32603}


def test_who_agreed_and_was_not_quick_enough_may_be_asked_again():
    assert "inputRequests" in shown(seen(client(), inputResponses={"address-1": {"action": "accept"}}))


@pytest.mark.parametrize(
    "reply",
    [
        Reply(result=b'{"content":[]}'),
        Reply(error=Raw(b'{"code":-32602,"message":"-32042"}')),
        Reply(error=Raw(b'{"code":"-32042","message":"m"}')),
        Reply(error=Raw(b'"-32042"')),
    ],
)
def test_every_other_reply_stays_what_it_is(reply):
    assert seen(client(), reply) is reply


@pytest.mark.parametrize("who", [client(), client(Era.LEGACY)], ids=["modern", "legacy"])
async def test_a_call_runs_once_when_the_user_has_done_what_its_upstream_wanted(over, who):
    fake, paid = FakeUpstream(eras="legacy", name="up", tools=["pay"]), asyncio.Event()
    runs = []

    async def pay(request: Request) -> Answer | None:
        if not paid.is_set():
            body = {"jsonrpc": "2.0", "id": request.message["id"], "error": ERROR}
            return Answer(json.dumps(body).encode())
        runs.append(request)
        return None

    fake.handlers["tools/call"] = pay
    meta = modern_meta() | {"io.modelcontextprotocol/clientCapabilities": who.capabilities}
    more = {"client": who, "meta": meta if who.era is Era.MODERN else {}}
    more["session"] = None if who.era is Era.MODERN else "s"

    async def called(hub, **params):
        return shown(await hub.road.answer(ask("tools/call", {"name": "up__pay", **params}, **more)))

    async with over(fake) as hub, asyncio.timeout(5):
        first = await called(hub)
        assert "https://pay.test/now" in json.dumps(first)
        paid.set()
        back = {} if who.era is Era.LEGACY else {"inputResponses": {"address-1": {"action": "accept"}}}
        assert "content" in await called(hub, **back)
    assert len(runs) == 1
    assert fake.asked("initialize")[-1].message["params"]["capabilities"]["elicitation"] == {"url": {}}
