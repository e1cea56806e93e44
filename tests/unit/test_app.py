"""The whole hub in this process: a Config in, an ASGI app out, and everything between put together."""

import asyncio
import json
import sys
from contextlib import asynccontextmanager
from dataclasses import replace

import httpx2
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

from mcp_hub import create_app as public_create_app
from mcp_hub.app import create_app
from mcp_hub.config import model
from mcp_hub.errors import StoreFailed
from mcp_hub.secret import Secret
from mcp_hub.store.sqlite import SqliteStore
from mcp_hub.vault.written import generated
from rig.fake_upstream import MODERN, Answer, FakeUpstream, Request, sse, tool
from rig.parts import LOOPBACK
from rig.task_upstream import TASKS, TaskUpstream
from unit.inbound.asgi import begin

pytestmark = pytest.mark.promise("A1", "A2", "D33")
META = {
    "io.modelcontextprotocol/protocolVersion": MODERN,
    "io.modelcontextprotocol/clientCapabilities": {},
    "io.modelcontextprotocol/clientInfo": {"name": "test client", "version": "1"},
}


@pytest.fixture
def config(tmp_path):
    """Makes a configuration of these upstreams, with a store of its own."""

    def make(*fakes: FakeUpstream, upstreams=(), **more) -> model.Config:
        declared = {fake.name: model.Upstream(fake.name, fake.url, **more) for fake in fakes}
        return model.Config(
            store=model.Store(f"sqlite:///{tmp_path}/hub.db"),
            network=model.Network(tuple(LOOPBACK)),
            defaults=model.Defaults(list_timeout=2.0),
            upstreams=declared | {each.name: each for each in upstreams},
        )

    return make


def browser(app, *, base: str = "http://127.0.0.1:8080") -> httpx2.AsyncClient:
    return httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url=base, timeout=5)


async def post(client, method, params=None, *, path="/mcp", meta=META, **headers):
    body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": {**(params or {}), "_meta": meta}}
    named = {"mcp-name": params["name"]} if params and "name" in params else {}
    given = {
        "content-type": "application/json",
        "accept": "application/json, text/event-stream",
        "mcp-protocol-version": MODERN,
        "mcp-method": method,
        **named,
        **headers,
    }
    return await client.post(path, json=body, headers=given)


async def asked(client, method, params=None, **more):
    answer = await post(client, method, params, **more)
    assert answer.status_code == 200, answer.text
    return answer.json()["result"]


@asynccontextmanager
async def serving(config):
    async with asyncio.timeout(5), create_app(config) as hub, browser(hub) as client:
        yield client


def test_the_package_hands_on_the_one_function_that_embedding_needs():
    assert public_create_app is create_app


async def test_upstreams_of_both_eras_are_listed_and_called_through_one_address(config):
    new, old = FakeUpstream(name="new"), FakeUpstream(name="old", eras="legacy")
    async with new, old, serving(config(new, old)) as client:
        found = await asked(client, "tools/list")
        assert [each["name"] for each in found["tools"]] == ["new__echo", "old__echo"]
        for name in ("new", "old"):
            said = await asked(client, "tools/call", {"name": f"{name}__echo", "arguments": {"n": 1}})
            assert json.loads(said["content"][0]["text"]) == {"tool": "echo", "arguments": {"n": 1}}


@pytest.mark.promise("A8")
async def test_it_starts_and_answers_with_every_upstream_down(config):
    async with FakeUpstream(name="down") as fake:
        await fake.stop()
        async with serving(config(fake)) as client:
            found = await asked(client, "tools/list")
            assert found["tools"] == []
            assert found["_meta"]["io.mcp-hub/upstreams"]["down"]["state"] == "unreachable"
            assert (await client.get("/readyz")).status_code == 200


@pytest.mark.promise("A8", "A7")
async def test_after_a_restart_the_last_list_is_there_although_its_upstream_is_down(config):
    async with FakeUpstream(name="up", eras="legacy") as fake:
        configured = config(fake)
        async with serving(configured) as client:
            assert len((await asked(client, "tools/list"))["tools"]) == 1
        await fake.stop()
        async with serving(configured) as client:
            found = await asked(client, "tools/list")
            assert [each["name"] for each in found["tools"]] == ["up__echo"]
            assert found["_meta"]["io.mcp-hub/upstreams"]["up"]["stale"] is True


@pytest.mark.promise("B11", "B12", "B13", "B16", "T12", "T13", "D29", "T31")
async def test_each_upstream_gets_the_credential_of_its_configuration_and_nothing_of_the_caller(config, caplog):
    async with (
        FakeUpstream(name="plain") as plain,
        FakeUpstream(name="keyed") as keyed,
        FakeUpstream(name="both") as both,
    ):
        upstreams = [
            model.Upstream("plain", plain.url, auth=model.NoAuth()),
            model.Upstream("keyed", keyed.url, auth=model.ApiKey(Secret("api-key-1"))),
            model.Upstream("both", both.url, headers={"X-Key": Secret("header-key-2")}),
        ]
        async with serving(config(upstreams=upstreams)) as client:
            for name in ("plain", "keyed", "both"):
                hidden = {"authorization": "Bearer hub-token", "cookie": "hub=1", "x-key": "hub-key"}
                await asked(client, "tools/call", {"name": f"{name}__echo"}, **hidden)
            status = (await client.get("/api/v1/status")).text
        told = {fake.name: fake.asked("tools/call")[0].headers for fake in (plain, keyed, both)}
    assert told["keyed"]["authorization"] == "Bearer api-key-1"
    assert told["both"]["x-key"] == "header-key-2"
    always = {"host", "accept-encoding", "content-type", "accept", "content-length"}
    always |= {"mcp-protocol-version", "mcp-method", "mcp-name"}
    assert set(told["plain"]) == always
    assert set(told["keyed"]) == always | {"authorization"}
    assert set(told["both"]) == always | {"x-key"}
    for fake in (plain, keyed, both):
        assert not [each for each in fake.seen if b"hub-" in each.body or "hub" in repr(each.headers)]
    assert "api-key-1" not in status + caplog.text
    assert "header-key-2" not in status + caplog.text


@pytest.mark.promise("D27")
async def test_what_is_disabled_or_has_no_url_is_not_contacted_and_is_shown(config):
    async with FakeUpstream(name="off") as off, FakeUpstream(name="on") as on:
        upstreams = [model.Upstream("off", off.url, enabled=False), model.Upstream("later")]
        async with serving(config(on, upstreams=upstreams)) as client:
            assert len((await asked(client, "tools/list"))["tools"]) == 1
            told = (await client.get("/api/v1/status")).json()["upstreams"]
        assert not off.seen
    assert [(each["name"], each["state"], each["reason"]) for each in told] == [
        ("on", "ready", ""),
        ("off", "disabled", "Disabled in the configuration"),
        ("later", "disabled", "Server URL not set"),
    ]


@pytest.mark.promise("A3", "A5")
@pytest.mark.parametrize(
    ("protocol", "asked_first"), [("auto", "server/discover"), ("legacy", "initialize"), (MODERN, "server/discover")]
)
async def test_the_era_can_be_pinned(config, protocol, asked_first):
    fake = FakeUpstream(name="up", eras="modern legacy")
    async with fake, serving(config(fake, protocol=protocol)) as client:
        await asked(client, "tools/list")
    assert fake.seen[0].method == asked_first


async def test_filters_names_and_prefixes_are_those_of_the_configuration(config):
    async with FakeUpstream(name="up", tools=["read", "write", "burn"]) as fake:
        tools = model.Filter(allow=("read", "write"), deny=("write",))
        upstream = model.Upstream("up", fake.url, prefix="files", tools=tools, rename={"read": "look"})
        async with serving(config(upstreams=[upstream])) as client:
            found = await asked(client, "tools/list")
            assert [each["name"] for each in found["tools"]] == ["files__look"]
            said = await asked(client, "tools/call", {"name": "files__look"})
            assert json.loads(said["content"][0]["text"])["tool"] == "read"


@pytest.mark.promise("D32", "T65")
async def test_calls_are_in_the_store_when_the_hub_has_stopped(config):
    async with FakeUpstream(name="up") as fake:
        configured = config(fake)
        async with serving(configured) as client:
            await asked(client, "tools/call", {"name": "up__echo", "arguments": {"password": "planted"}})
        store = SqliteStore.open(configured.store.url.removeprefix("sqlite:///"))
        (record,) = await store.calls("default", limit=5)
        await store.aclose()
    assert (record.upstream, record.name, record.outcome, record.client) == ("up", "echo", "ok", "test client")
    assert (record.issuer, record.subject) == ("local", "me")
    assert "planted" not in repr(record)


async def test_cursors_outlive_a_restart(config):
    async with FakeUpstream(name="up", tools=["a", "b"]) as fake:
        configured = config(fake)
        configured = model.Config(
            store=configured.store,
            network=configured.network,
            defaults=model.Defaults(page_size=1),
            upstreams=configured.upstreams,
        )
        async with serving(configured) as client:
            cursor = (await asked(client, "tools/list"))["nextCursor"]
        async with serving(configured) as client:
            found = await asked(client, "tools/list", {"cursor": cursor})
    assert [each["name"] for each in found["tools"]] == ["up__b"]


async def test_stopping_ends_every_session_and_leaves_no_task(config):
    async with FakeUpstream(name="old", eras="legacy") as fake:
        fake.capabilities["tools"] = {"listChanged": True}
        before = asyncio.all_tasks()
        async with serving(config(fake)) as client:
            await asked(client, "tools/call", {"name": "old__echo"})
            await fake.until_listening()
            assert len(fake.sessions) == 2
        assert not fake.sessions
        assert not {each for each in asyncio.all_tasks() - before if "FakeUpstream" not in repr(each)}


@pytest.mark.promise("T24")
async def test_stopping_in_the_middle_of_first_contacts_is_quick(config):
    async def never(request: Request) -> Answer:
        await request.until_hung_up()
        return Answer(raw=b"", hangs_up=True)

    async with FakeUpstream(name="up") as fake:
        fake.before = never
        async with asyncio.timeout(1), create_app(config(fake)):
            await fake.until("server/discover")


# As an ASGI app


async def lifespan(hub, *, stop: asyncio.Event):
    """Run the lifespan protocol; the events the app sends."""
    sent: asyncio.Queue = asyncio.Queue()
    started = False

    async def receive():
        nonlocal started
        if not started:
            started = True
            return {"type": "lifespan.startup"}
        await stop.wait()
        return {"type": "lifespan.shutdown"}

    return asyncio.ensure_future(hub({"type": "lifespan"}, receive, sent.put)), sent


async def test_a_server_that_runs_lifespans_starts_and_stops_it(config):
    stop = asyncio.Event()
    async with FakeUpstream(name="up") as fake, asyncio.timeout(5):
        hub = create_app(config(fake))
        with pytest.raises(RuntimeError, match="lifespan has not started"):
            async with browser(hub) as client:
                await client.get("/healthz")
        running, sent = await lifespan(hub, stop=stop)
        assert await sent.get() == {"type": "lifespan.startup.complete"}
        async with browser(hub) as client:
            assert len((await asked(client, "tools/list"))["tools"]) == 1
        stop.set()
        assert await sent.get() == {"type": "lifespan.shutdown.complete"}
        await running


async def test_a_store_that_cannot_be_opened_is_told_to_the_server_and_starts_nothing(config, tmp_path):
    (tmp_path / "hub.db").write_bytes(b"this is no database " * 100)
    async with FakeUpstream(name="up") as fake, asyncio.timeout(5):
        hub = create_app(config(fake))
        running, sent = await lifespan(hub, stop=asyncio.Event())
        told = await sent.get()
        await running
        with pytest.raises(StoreFailed):
            await hub.__aenter__()
    assert told["type"] == "lifespan.startup.failed"
    assert "hub.db" in told["message"]
    assert not fake.seen


@pytest.mark.promise("T32")
async def test_a_vault_that_stays_shut_is_told_to_the_server_and_starts_nothing(config, monkeypatch):
    async with FakeUpstream(name="up") as fake, asyncio.timeout(5):
        async with serving(config(fake)):
            pass
        before = len(fake.seen)
        monkeypatch.setenv("MCP_HUB_MASTER_KEY", generated())
        hub = create_app(config(fake))
        running, sent = await lifespan(hub, stop=asyncio.Event())
        told = await sent.get()
        await running
    assert told["type"] == "lifespan.startup.failed"
    assert "does not open this store" in told["message"]
    assert hub.key_source == ""
    assert len(fake.seen) == before


@pytest.mark.promise("D34", "E38")
@pytest.mark.parametrize("name", ["cursor-key", "request-state-key"])
async def test_a_key_that_is_none_ends_the_start_with_a_sentence_that_names_it(name, config, tmp_path):
    store = SqliteStore.open(tmp_path / "hub.db")
    await store.keep_setting_if_absent(name, b"too short")
    await store.aclose()
    with pytest.raises(StoreFailed, match=rf"^The store holds '{name}' with 9 bytes"):
        await create_app(config()).__aenter__()


@pytest.mark.promise("A5")
async def test_at_the_end_an_upstream_hears_of_its_parked_calls_before_its_sessions_end(config):
    async with FakeUpstream(name="old", eras="legacy") as fake:

        async def asking(request):
            async def chunks():
                question = {"jsonrpc": "2.0", "id": 1, "method": "elicitation/create", "params": {"message": "?"}}
                yield sse(question)
                await request.until_hung_up()

            return Answer(content_type="text/event-stream", chunks=chunks())

        fake.handlers["tools/call"] = asking
        capable = META | {"io.modelcontextprotocol/clientCapabilities": {"elicitation": {}}}
        async with serving(config(fake)) as client:
            question = await asked(client, "tools/call", {"name": "old__echo"}, meta=capable)
            assert question["resultType"] == "input_required"
        (call,) = fake.asked("tools/call")
        (told,) = fake.asked("notifications/cancelled")
        assert told.message["params"]["requestId"] == call.message["id"]
        session = told.headers["mcp-session-id"]
        ended = [each for each in fake.seen if (each.verb, each.headers.get("mcp-session-id")) == ("DELETE", session)]
        assert fake.seen.index(told) < fake.seen.index(ended[0])
        assert fake.sessions == {}


async def test_other_kinds_of_connection_are_left_alone(config):
    async with create_app(config()) as hub:
        assert await hub({"type": "websocket", "path": "/mcp"}, None, None) is None


async def test_it_works_below_another_apps_path(config):
    async with FakeUpstream(name="up") as fake, asyncio.timeout(5), create_app(config(fake)) as hub:
        outer = Starlette(routes=[Mount("/tools", hub)])
        async with browser(outer) as client:
            assert len((await asked(client, "tools/list", path="/tools/mcp"))["tools"]) == 1
            assert (await client.get("/tools/healthz")).text == "ok\n"
            assert (await client.get("/tools/api/v1/status")).json()["upstreams"][0]["name"] == "up"


@pytest.mark.promise("A4")
async def test_a_stream_of_the_older_transport_names_an_address_below_the_mount(config):
    async with create_app(config()) as hub:
        asked = begin(
            Starlette(routes=[Mount("/tools", hub)]), "GET", [("host", "localhost")], [b""], path="/tools/sse"
        )
        await asked.until(b"event: endpoint\ndata: /tools/messages?session_id=")
        hub.drain()
        await asked.response()


@pytest.mark.promise("T22")
@pytest.mark.parametrize("path", ["/", "/api/v1/status", "/mcp", "/sse", "/messages", "/nothing"])
async def test_a_foreign_name_or_page_gets_nothing_from_any_path(config, path):
    async with create_app(config()) as hub:
        async with browser(hub, base="http://evil.example") as client:
            assert (await client.get(path)).status_code == 421
        async with browser(hub) as client:
            assert (await client.get(path, headers={"origin": "http://evil.example"})).status_code == 403
            own = await client.get("/api/v1/status", headers={"origin": "http://127.0.0.1:8080"})
            assert own.status_code == 200


@pytest.mark.promise("T22")
async def test_a_foreign_page_cannot_make_the_hub_fetch(config):
    async with FakeUpstream(name="up") as fake, asyncio.timeout(5), create_app(config(fake)) as hub:
        async with browser(hub) as client:
            await asked(client, "tools/list")
            answer = await client.post("/api/v1/upstreams/up/refresh", headers={"origin": "http://evil.example"})
            assert answer.status_code == 403
        assert len(fake.asked("tools/list")) == 1


async def test_probes_may_ask_by_any_address_and_learn_nothing_else(config):
    async with create_app(config()) as hub, browser(hub, base="http://10.1.2.3:8080") as client:
        assert (await client.get("/healthz")).text == "ok\n"
        assert (await client.get("/readyz")).text == "ready\n"


@pytest.mark.promise("T22")
async def test_the_names_of_the_configuration_are_the_hubs(config, monkeypatch):
    monkeypatch.setenv("MCP_HUB_MASTER_KEY", generated())
    plain = config()
    server = model.Server(public_url="https://hub.example/", allowed_hosts=("inside:8080",))
    named = model.Config(store=plain.store, server=server)
    async with create_app(named) as hub:
        for base in ("https://hub.example", "http://inside:8080", "http://localhost:1"):
            async with browser(hub, base=base) as client:
                assert (await client.get("/api/v1/status")).status_code == 200


@pytest.mark.promise("D28", "T4")
async def test_an_address_that_is_not_allowed_is_named_and_not_connected(config):
    async with FakeUpstream(name="up") as fake:
        fake.tools = [tool("x")]
        open_config = config(fake)
        closed = model.Config(store=open_config.store, upstreams=open_config.upstreams)
        async with serving(closed) as client:
            found = await asked(client, "tools/list")
    assert "network.allow_private" in found["_meta"]["io.mcp-hub/upstreams"]["up"]["message"]
    assert not fake.seen


@pytest.mark.promise("A5", "B22")
async def test_the_id_of_a_task_is_the_same_after_a_restart_and_at_no_other_hub(config, tmp_path):
    async def of_task(client, method, params, name):
        said = {**META, "io.modelcontextprotocol/clientCapabilities": {"extensions": {TASKS: {}}}}
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": {**params, "_meta": said}}
        lines = {"accept": "application/json, text/event-stream", "mcp-protocol-version": MODERN}
        named = {**lines, "mcp-method": method, "mcp-name": name}
        return (await client.post("/mcp", json=body, headers=named)).json()

    async with TaskUpstream() as fake:
        configured = config(fake)
        async with serving(configured) as client:
            made = await of_task(client, "tools/call", {"name": "up__echo"}, "up__echo")
        shown = made["result"]["taskId"]
        async with serving(configured) as client:
            state = await of_task(client, "tasks/get", {"taskId": shown}, shown)
        other = replace(configured, store=model.Store(f"sqlite:///{tmp_path}/other.db"))
        async with serving(other) as client:
            refused = await of_task(client, "tasks/get", {"taskId": shown}, shown)
    assert state["result"]["taskId"] == shown
    assert refused["error"]["code"] == -32602


async def test_a_hub_without_a_login_loads_nothing_of_what_signing_in_takes():
    look = (
        "import sys, mcp_hub.cli.server; print({'argon2', 'joserfc', 'limits', 'mcp_hub.web.own'} & set(sys.modules))"
    )
    asked = await asyncio.create_subprocess_exec(sys.executable, "-c", look, stdout=asyncio.subprocess.PIPE)
    said, _ = await asked.communicate()
    assert said.decode().strip() == "set()"
