"""Every heading of docs/troubleshooting.md is the text of an error, and here each of them happens."""

import asyncio
import datetime as dt
import http.client
import json
import os
import re
import socket
import sqlite3
import ssl
import sys
import sysconfig
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from ipaddress import ip_network
from pathlib import Path
from urllib.parse import urlsplit

import httpx2
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

import processes
from docs import connecting_cases
from docs.pages import page
from mcp_hub.app import create_app
from mcp_hub.config.model import Config, Login
from mcp_hub.config.model import Store as StoreAt
from mcp_hub.credentials.credential import NOTHING
from mcp_hub.egress.client import HttpClient
from mcp_hub.egress.dial import Dialer
from mcp_hub.errors import UpstreamError, VaultLocked
from mcp_hub.identity.accounts import local_account
from mcp_hub.identity.tokens import Kind, digest, new_token
from mcp_hub.store.people import PersonalToken
from mcp_hub.store.sqlite import SqliteStore
from mcp_hub.upstream.channel import NO_LINES, Channel, Limits
from mcp_hub.vault.master import Given
from mcp_hub.vault.vault import Vault
from mcp_hub.vault.written import from_text, generated
from rig.fake_upstream import Answer, FakeUpstream, Request, result
from rig.old_server import OldServer
from rig.token_store import account

pytestmark = [pytest.mark.promise("E38", "F4")]

MCP_HUB = Path(sysconfig.get_path("scripts")) / "mcp-hub"
PAGE = page("docs/troubleshooting.md")
SECONDS = 30
VARIABLE_PARTS = (
    "NAME", "HOST", "PORT", "FILE", "LINE", "COLUMN", "KEY", "VARIABLE", "STATUS", "TYPE", "SECONDS", "BYTES", "REASON",
    "ADDRESS", "USER", "HEADER",
)  # fmt: skip


@dataclass
class Place:
    """A directory with a configuration, in which commands run; `hub` is the address of a hub without upstreams."""

    directory: Path
    hub: str

    def writes(self, text: str) -> None:
        (self.directory / "hub.yaml").write_text(text, encoding="utf-8")

    async def runs(self, *arguments: str, **env: str) -> str:
        """What `mcp-hub` printed, on both streams."""
        process = await asyncio.create_subprocess_exec(
            MCP_HUB,
            *arguments,
            cwd=self.directory,
            env={**os.environ, "NO_COLOR": "1", "MCP_HUB_DATA": str(self.directory / "data"), **env},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        try:
            async with asyncio.timeout(SECONDS):
                printed, _ = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        assert process.returncode in (0, 1, 2, 3, 4, 5), printed
        assert b"Traceback" not in printed
        return printed.decode()

    async def told(self, config: str, *arguments: str) -> str:
        self.writes(config)
        return await self.runs(*arguments)

    async def checks(self, url: str, more: str = "") -> str:
        """What `mcp-hub upstream check` says of a server on this computer."""
        return await self.told(upstream(url, more), "upstream", "check", "docs")

    async def calls(self, url: str, more: str = "") -> str:
        """What a call of its tool `echo` through a hub gives."""
        with processes.hub(upstream(url, more), self.directory) as hub:
            return await self.runs("call", "docs__echo", "--url", hub.url)

    async def sends(self, verb: str, headers: dict[str, str], body: bytes = b"{}") -> str:
        """The hub's answer to one HTTP request at its endpoint."""
        return await asyncio.to_thread(send, self.hub, verb, headers, body)


Case = Callable[[Place], Awaitable[str]]
CASES: dict[str, Case] = {**connecting_cases.CASES}
ACCEPT = {"Accept": "application/json, text/event-stream"}
JSON = {**ACCEPT, "Content-Type": "application/json"}


def shows(heading: str) -> Callable[[Case], Case]:
    def keep(case: Case) -> Case:
        CASES[heading] = case
        return case

    return keep


def upstream(url: str, more: str = "") -> str:
    return f"network: {{allow_private: [127.0.0.0/8]}}\nupstreams:\n  docs:\n    url: {url}\n{more}"


def send(url: str, verb: str, headers: dict[str, str], body: bytes) -> str:
    where = urlsplit(url)
    connection = http.client.HTTPConnection(where.hostname or "", where.port, timeout=SECONDS)
    try:
        connection.request(verb, where.path, body, headers)
        return connection.getresponse().read().decode()
    finally:
        connection.close()


def pattern(heading: str) -> re.Pattern[str]:
    text = re.escape(heading)
    for word in VARIABLE_PARTS:
        text = re.sub(rf"\b{word}\b", ".+?", text)
    return re.compile(text)


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with processes.hub("server: {max_request: 1KiB}", tmp_path_factory.mktemp("hub")) as started:
        yield started.url
    assert started.complaints() == []


@pytest.mark.parametrize("heading", PAGE.headings(3))
async def test_a_heading_is_what_the_reader_sees(heading, tmp_path, hub):
    said = await CASES[heading](Place(tmp_path, hub))
    assert pattern(heading).search(said), said


def test_every_error_that_is_shown_here_has_its_heading():
    assert sorted(set(CASES) - set(PAGE.headings(3))) == []


def test_a_pattern_takes_no_other_error():
    assert not pattern("NAME failed (HTTP STATUS).").search("docs did not answer")


# The hub does not start


@shows("FILE:LINE:COLUMN: KEY: unknown key")
async def unknown_key(place: Place) -> str:
    return await place.told("server:\n  prot: 8080\n", "validate")


@shows("FILE: there is no such file")
async def no_file(place: Place) -> str:
    return await place.runs("validate")


@shows("environment variable VARIABLE is not set")
async def no_variable(place: Place) -> str:
    return await place.told(
        'upstreams: {docs: {url: https://a.example, headers: {X-Key: "${NOT_SET_HERE}"}}}', "validate"
    )


@shows("KEY: not supported yet")
async def planned(place: Place) -> str:
    return await place.told("upstreams: {docs: {edge: x}}", "validate")


@shows("this is not valid YAML; check the indentation, the quotes and the brackets around here")
async def no_yaml(place: Place) -> str:
    return await place.told("upstreams: [\n", "validate")


@shows("this address is not public")
async def private(place: Place) -> str:
    return await place.told("upstreams: {docs: {url: https://10.0.0.5/mcp}}", "validate")


@shows("plain http is for private networks, and none is allowed")
async def plain_name(place: Place) -> str:
    return await place.told("upstreams: {docs: {url: http://docs.example.com/mcp}}", "validate")


@shows("a public address needs https")
async def plain_address(place: Place) -> str:
    return await place.told("upstreams: {docs: {url: http://93.184.216.34/mcp}}", "validate")


@shows("other computers could use this hub without signing in")
async def open_to_all(place: Place) -> str:
    said = await place.told("server: {host: 0.0.0.0}", "serve")
    by_option = await place.told("", "serve", "--host", "0.0.0.0")
    return said if "could use this hub" in by_option else by_option


@shows("other computers could reach this hub, and it has no https address")
async def open_without_https(place: Place) -> str:
    said = await place.told("{server: {host: 0.0.0.0}, login: local}", "validate")
    by_option = await place.told("login: local", "serve", "--host", "0.0.0.0")
    return said if "no https address" in by_option else by_option


@shows("must not have a path while people sign in")
async def path_with_login(place: Place) -> str:
    return await place.told("{server: {public_url: https://a.example/hub}, login: local}", "validate")


@shows("is needed for type TYPE")
async def no_issuer(place: Place) -> str:
    return await place.told("login: {type: oidc, client_id: x}", "validate")


@shows("set exactly one of 'value', 'from', 'per_user', 'claim'")
async def two_sources(place: Place) -> str:
    return await place.told(
        "upstreams: {docs: {auth: {type: header, name: X-Key, from: x-mine, claim: email}}}", "validate"
    )


@shows("turns off the OAuth that 'auth' asks for")
async def headers_and_oauth(place: Place) -> str:
    return await place.told("upstreams: {docs: {auth: oauth, headers: {X-Key: x}}}", "validate")


@shows("nobody could connect: with login jwt the hub has no page on which somebody is signed in")
async def no_page(place: Place) -> str:
    login = "login: {type: jwt, issuer: https://id.example.com}"
    return await place.told(f"{login}\nupstreams: {{docs: {{auth: oauth}}}}", "validate")


@shows("does not belong to type TYPE")
async def key_of_another_type(place: Place) -> str:
    return await place.told("login: {type: local, issuer: https://id.example.com}", "validate")


@shows("cannot listen on HOST port PORT: Address already in use")
async def port_taken(place: Place) -> str:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return await place.runs("serve", "--port", str(taken.getsockname()[1]))


@shows("The store FILE is damaged.")
async def damaged(place: Place) -> str:
    (place.directory / "own.db").write_bytes(b"no database at all" * 100)
    return await with_store(place)


@shows("The store FILE was written by a newer mcp_hub.")
async def newer(place: Place) -> str:
    await SqliteStore.open(place.directory / "own.db").aclose()
    change(place, "UPDATE _sqlite_migrations SET name = '9999-from-the-future' WHERE id = 1")
    return await with_store(place)


@shows("The store FILE is a SQLite file of another program.")
async def foreign(place: Place) -> str:
    change(place, "CREATE TABLE recipes (name TEXT)")
    return await with_store(place)


@shows("(key KEY) does not open this store")
async def wrong_master_key(place: Place) -> str:
    await begun(place)
    text = 'store: {url: "sqlite:///own.db", key: "file:new.key"}'
    (place.directory / "new.key").touch(0o600)
    (place.directory / "new.key").write_text(generated())
    return await place.told(text, "serve", "--port", "0")


@shows("The store was given another master key since this process started.")
async def changed_master_key(place: Place) -> str:
    async with aclosing(SqliteStore.open(place.directory / "own.db")) as store:
        first, second = (from_text(generated(), "the test") for _ in range(2))
        running = await Vault.unlock(store, Given(first))
        await (await Vault.unlock(store, Given(first))).change_master(second)
        await (await Vault.unlock(store, Given(second))).begin_rotation(0.0)
        with pytest.raises(VaultLocked) as locked:
            await running.refresh()
    return locked.value.public


@shows("This store takes the master key KEY, and there is none.")
async def lost_master_key(place: Place) -> str:
    await begun(place)
    return await with_store(place)


@shows("A hub that others can reach does not make a master key for itself.")
async def no_master_key(place: Place) -> str:
    return await place.told("server: {public_url: 'https://hub.example.com'}", "serve", "--port", "0")


@shows("FILE holds no master key.")
async def password_as_master_key(place: Place) -> str:
    (place.directory / "key").touch(0o600)
    (place.directory / "key").write_text("correct horse battery staple")
    return await place.told("store: {key: 'file:key'}", "serve", "--port", "0")


@shows("FILE is open to other users of this computer")
async def open_master_key(place: Place) -> str:
    (place.directory / "key").write_text(generated())
    (place.directory / "key").chmod(0o644)
    return await place.told("store: {key: 'file:key'}", "serve", "--port", "0")


async def begun(place: Place) -> None:
    """The store `own.db`, which takes a master key that is nowhere."""
    store = SqliteStore.open(place.directory / "own.db")
    await Vault.unlock(store, Given(from_text(generated(), "")))
    await store.aclose()


@shows("The store FILE cannot be opened")
async def no_place_for_the_store(place: Place) -> str:
    return await place.told('store: {url: "sqlite:///hub.yaml/own.db"}', "serve", "--port", "0")


async def with_store(place: Place) -> str:
    return await place.told('store: {url: "sqlite:///own.db"}', "serve", "--port", "0")


def change(place: Place, sql: str) -> None:
    db = sqlite3.connect(place.directory / "own.db")
    try:
        with db:
            db.execute(sql)
    finally:
        db.close()


# An upstream is missing


def always(answer: Answer) -> Callable[[Request], Awaitable[Answer]]:
    async def handler(request: Request) -> Answer:
        return answer

    return handler


async def never(request: Request) -> Answer:
    return await asyncio.get_running_loop().create_future()


async def answering(place: Place, status: int, kind: str = "text/plain") -> str:
    async with FakeUpstream() as server:
        server.before = always(Answer(b"<html>", status, kind))
        return await place.checks(server.url)


@shows("NAME could not be reached: No connection to HOST port PORT.")
async def nobody_listens(place: Place) -> str:
    with processes.hub(upstream("http://127.0.0.1:1/mcp"), place.directory) as started:
        return await place.runs("tools", "--url", started.url)


@shows("HOST does not resolve to an address.")
async def no_name(place: Place) -> str:
    # A label of more than 63 characters is no name anywhere, so no resolver has to be asked.
    return await place.told(upstream(f"https://{'a' * 64}.example/mcp"), "upstream", "check", "docs")


@shows("HOST resolves to an address that is not public, and the hub does not connect to those by itself.")
async def name_leads_inside(place: Place) -> str:
    return await dialed("https://docs.example.com/mcp", "10.0.0.5")


@shows("HOST is a public address, and plain http is only used inside networks that the operator allows.")
async def plain_to_the_internet(place: Place) -> str:
    return await dialed("http://docs.example.com/mcp", "93.184.216.34")


async def dialed(url: str, address: str) -> str:
    """What a server whose name has this address is reported with. Nothing is connected."""

    async def resolve(host: str, port: int) -> list[str]:
        return [address]

    http = HttpClient(Dialer(allow_private=[ip_network("127.0.0.0/8")], resolve=resolve))
    try:
        await Channel("docs", url, http, Limits(1000, 1000, 5, 5)).post(b"{}", NO_LINES, NOTHING)
    except UpstreamError as refused:
        return refused.public
    finally:
        await http.aclose()
    return "it was sent"


@shows("The certificate of HOST cannot be trusted: REASON")
async def untrusted(place: Place) -> str:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(self_signed(place.directory / "server.pem"))
    server = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0, ssl=context)
    async with server:
        return await place.checks(f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/mcp")


def self_signed(path: Path) -> Path:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = dt.datetime.now(dt.UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    until = builder.not_valid_before(now - dt.timedelta(hours=1)).not_valid_after(now + dt.timedelta(hours=1))
    certificate = until.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    plain = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path.write_bytes(certificate + key.private_bytes(*plain))
    return path


@shows("HOST port PORT did not complete a TLS handshake.")
async def no_tls(place: Place) -> str:
    async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
        await reader.read()
        writer.close()

    server = await asyncio.start_server(plain, "127.0.0.1", 0)
    async with server:
        return await place.checks(f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/mcp")


@shows("NAME answered with TYPE instead of an MCP message.")
async def a_web_page(place: Place) -> str:
    return await answering(place, 200, "text/html")


@shows("NAME speaks neither Streamable HTTP nor HTTP+SSE at this URL")
async def wrong_path(place: Place) -> str:
    return await answering(place, 404)


@shows("NAME does not speak Streamable HTTP at this URL.")
async def pinned_to_another_transport(place: Place) -> str:
    async with OldServer() as server:
        return await place.checks(server.url, "    transport: streamable-http\n")


@shows("NAME named an address for messages that is not its own")
async def another_origin(place: Place) -> str:
    async with OldServer() as server:
        server.address = "http://inner.example/messages?{}"
        return await place.checks(server.url)


def command(*words: str) -> str:
    return f"upstreams:\n  docs:\n    command: {json.dumps(words)}\n"


@shows("NAME cannot be started: there is no command")
async def no_command(place: Place) -> str:
    return await place.told(command("no-such-program-here"), "upstream", "check", "docs")


@shows("The process of NAME has ended")
async def a_process_that_ends(place: Place) -> str:
    said = await place.told(command(sys.executable, "-c", "exit('no key')"), "upstream", "check", "docs")
    assert "It said: no key" in said
    return said


@shows("NAME has ended its stream.")
async def a_stream_that_breaks(place: Place) -> str:
    async def cut(request: Request) -> Answer:
        server.cut(int(request.path.partition("=")[2]))
        return Answer(status=202)

    async with OldServer() as server:
        server.handlers["tools/call"] = cut
        return await place.calls(server.url)


@shows("NAME answered HTTP STATUS to a request. Redirects are not followed.")
async def redirect(place: Place) -> str:
    return await answering(place, 308)


@shows("NAME rejected the credential (HTTP STATUS).")
async def wrong_key(place: Place) -> str:
    return await answering(place, 401)


@shows("NAME did not list what it offers within SECONDS s.")
async def slow_list(place: Place) -> str:
    async with FakeUpstream() as server:
        server.handlers["tools/list"] = never
        return await place.checks(server.url, "defaults: {list_timeout: 2s}")


@shows("NAME did not introduce itself")
async def slow_start(place: Place) -> str:
    async with FakeUpstream() as server:
        server.before = never
        return await place.checks(server.url, "defaults: {list_timeout: 200ms}")


@shows("NAME failed (HTTP STATUS). Its operator has to act.")
async def broken_server(place: Place) -> str:
    return await answering(place, 500)


@shows("NAME is too busy (HTTP STATUS). Try again later.")
async def busy_server(place: Place) -> str:
    return await answering(place, 429)


@shows("NAME sent more than the hub accepts: The answer is larger than BYTES bytes")
async def too_large(place: Place) -> str:
    async with FakeUpstream() as server:
        server.instructions = "x" * 10_000
        return await place.checks(server.url, "    max_result: 1KiB")


@shows('The tool "NAME" is left out: REASON.')
async def broken_tool(place: Place) -> str:
    async with FakeUpstream() as server:
        server.tools.append({"name": "bent", "inputSchema": "none"})
        return await place.checks(server.url)


# A call fails


@shows("No tool is called 'NAME' here.")
async def no_tool(place: Place) -> str:
    return await place.runs("call", "nobody__nothing", "--url", place.hub)


@shows("NAME did not answer in time. The call may have had effects.")
async def slow_call(place: Place) -> str:
    async with FakeUpstream() as server:
        server.handlers["tools/call"] = never
        return await place.calls(server.url, "    timeout: 2s")


@shows("NAME asks this client something that it does not answer.")
async def question(place: Place) -> str:
    async def asks(request: Request) -> Answer:
        return result(request, {"resultType": "input_required", "inputRequests": {"a": {"method": "roots/list"}}})

    async with FakeUpstream() as server:
        server.handlers["tools/call"] = asks
        with processes.hub(upstream(server.url), place.directory) as started:
            return await asyncio.to_thread(legacy_call, started.url)


def legacy_call(url: str) -> str:
    where = urlsplit(url)
    connection = http.client.HTTPConnection(where.hostname or "", where.port, timeout=SECONDS)
    client = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "reader", "version": "1"}}
    try:
        connection.request("POST", where.path, body("initialize", client), JSON)
        opened = connection.getresponse()
        opened.read()
        session = {"Mcp-Session-Id": opened.getheader("Mcp-Session-Id", "")}
        connection.request("POST", where.path, body("tools/call", {"name": "docs__echo"}), {**JSON, **session})
        return connection.getresponse().read().decode()
    finally:
        connection.close()


def body(method: str, params: object) -> bytes:
    return json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()


@shows("The request is larger than the BYTES bytes this hub reads; send less at once")
async def large_request(place: Place) -> str:
    return await place.sends("POST", JSON, b" " * 2000)


# A client or a browser is refused


@shows("GET belongs to a session, which initialize opens; without one there is POST only")
async def browser(place: Place) -> str:
    return await place.sends("GET", {"Accept": "text/html"}, b"")


@shows("This hub does not answer to the name in the Host header; ask its operator to allow it")
async def foreign_host(place: Place) -> str:
    return await place.sends("POST", {**JSON, "Host": "hub.evil.example"})


@shows("Requests from this web page's origin are not allowed here")
async def foreign_page(place: Place) -> str:
    return await place.sends("POST", {**JSON, "Origin": "https://evil.example"})


@shows("Accept must name application/json and text/event-stream")
async def no_accept(place: Place) -> str:
    return await place.sends("POST", {"Accept": "text/html", "Content-Type": "application/json"})


@shows("Content-Type must be application/json")
async def no_content_type(place: Place) -> str:
    return await place.sends("POST", ACCEPT)


@shows("Mcp-Session-Id is missing; send initialize first, then its session id with every request")
async def no_session(place: Place) -> str:
    return await place.sends("POST", JSON, body("tools/list", {}))


@shows("No such session; begin a new one with initialize")
async def old_session(place: Place) -> str:
    return await place.sends("POST", {**JSON, "Mcp-Session-Id": "from-yesterday"}, body("tools/list", {}))


async def resumed(place: Place, last: str) -> str:
    opening = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "c", "version": "1"}}
    lines = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}
    async with httpx2.AsyncClient() as client:
        opened = await client.post(place.hub, content=body("initialize", opening), headers=lines)
        named = {**lines, "Mcp-Session-Id": opened.headers["mcp-session-id"], "Last-Event-ID": last}
        return (await client.get(place.hub, headers=named)).text


@shows("The answer is lost: the hub was started again, or kept it as long as it could.")
async def lost_answer(place: Place) -> str:
    return await resumed(place, "c.abcdefgh.1.Nw")


@shows("Last-Event-ID is not of this hub; open a stream without it")
async def foreign_event(place: Place) -> str:
    return await resumed(place, "17")


async def protected(
    place: Place, token: str | None, address: str = "/mcp", *, scopes: Iterable[str] = (), without_store: bool = False
) -> str:
    """What a hub with a login answers to one request. `token` may be `personal`: one with these scopes."""
    file = place.directory / "people.db"
    config = Config(store=StoreAt(f"sqlite:///{file}"), login=Login("local"))
    async with create_app(config) as hub:
        people = SqliteStore.open(file)
        if token == "personal":
            token = new_token(Kind.PERSONAL).open()
            owner, key = account("ann"), digest(token)
            await people.add_user(owner)
            await people.add_personal_token(
                PersonalToken("t", key, owner.tenant, owner.id, "t", token[:15], frozenset(scopes), 0.0, None, None)
            )
        await people.aclose()
        if without_store:
            await hub._running.entrance.door._store.aclose()
        lines = {} if token is None else {"Authorization": f"Bearer {token}"}
        browser = httpx2.AsyncClient(transport=httpx2.ASGITransport(hub), base_url="http://127.0.0.1:8080")
        async with browser as client:
            return (await client.post(address, content=body("ping", {}), headers={**JSON, **lines})).text


@shows("Sign in first: this hub serves nobody it does not know.")
async def no_token(place: Place) -> str:
    return await protected(place, None)


@shows("This token is not valid here")
async def unknown_token(place: Place) -> str:
    return await protected(place, "mcphub_at_unknown")


@shows("This token does not allow to use the hub.")
async def token_without_scope(place: Place) -> str:
    return await protected(place, "personal")


@shows("A token in the address is not taken; send it in the Authorization header.")
async def token_in_the_address(place: Place) -> str:
    return await protected(place, None, "/mcp?access_token=x")


@shows("The hub cannot check now who is calling.")
async def no_store(place: Place) -> str:
    return await protected(place, "mcphub_at_x", without_store=True)


# A command fails


@shows("No hub answers at ADDRESS.")
async def no_hub(place: Place) -> str:
    return await place.runs("status", "--url", "http://127.0.0.1:1")


@shows("The hub at ADDRESS wants to know who asks.")
async def no_token_for_a_command(place: Place) -> str:
    async with strict() as url:
        return await place.runs("status", "--url", url)


@shows("The hub at ADDRESS does not take the token in MCP_HUB_TOKEN.")
async def bad_token(place: Place) -> str:
    async with strict() as url:
        return await place.runs("status", "--url", url, MCP_HUB_TOKEN="mcphub_pat_x")


@shows("The token in MCP_HUB_TOKEN is not sent over plain http.")
async def token_in_the_clear(place: Place) -> str:
    return await place.runs("status", "--url", "http://192.0.2.1:8080", MCP_HUB_TOKEN="mcphub_pat_x")


@shows("This takes an admin's token with the scope hub:admin")
async def no_admins_token(place: Place) -> str:
    return await protected(place, "personal", "/api/v1/upstreams/x/refresh", scopes=["hub:use"])


@shows("There is no terminal to ask for a password.")
async def no_terminal(place: Place) -> str:
    return await place.told("login: local", "user", "add", "ada@example.com")


@shows("This is the last admin, and nothing was changed")
async def last_admin(place: Place) -> str:
    (place.directory / "data").mkdir()
    store = SqliteStore.open(place.directory / "data" / "hub.db")
    await store.add_user(local_account("ada@example.com", None, frozenset({"admin"}), 0.0))
    await store.aclose()
    return await place.told("login: local", "user", "disable", "ada@example.com")


@asynccontextmanager
async def strict() -> AsyncIterator[str]:
    """The address of a hub that wants to know who asks."""
    async with FakeUpstream() as hub:
        hub.before = refuse
        yield hub.url.removesuffix("/mcp")


async def refuse(request: Request) -> Answer:
    return Answer(b"{}", 401)


@shows("What answers at ADDRESS is not a hub.")
async def another_program(place: Place) -> str:
    async with FakeUpstream() as server:
        server.before = always(Answer(b"<html>hello</html>", 200, "text/html"))
        return await place.runs("status", "--url", server.url)


@shows("ChatGPT connects from the internet and cannot reach a hub on this computer.")
async def chatgpt(place: Place) -> str:
    return await place.runs("client", "chatgpt")
