"""The little of MCP that a load needs: how a request looks in each era, and a patient client to check answers."""

import http.client
import json
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal
from urllib.parse import urlsplit

from harness.process import Failed, Process

Era = Literal["modern", "legacy"]
MODERN_REVISION = "2026-07-28"
LEGACY_REVISION = "2025-11-25"

_CLIENT = {"name": "bench", "version": "1"}
_META = {
    "io.modelcontextprotocol/protocolVersion": MODERN_REVISION,
    "io.modelcontextprotocol/clientInfo": _CLIENT,
    "io.modelcontextprotocol/clientCapabilities": {},
}


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An address that speaks MCP, the era to speak there, and the legacy session if one is open."""

    url: str
    era: Era = "modern"
    session: str = ""
    who: str = ""
    """The name to ask under where the hub tells callers by `x-bench-name` (see watched_hub.py)."""
    token: str = ""
    """The access token to send, where one is asked for."""


@dataclass(frozen=True, slots=True)
class Question:
    """One JSON-RPC request, whatever its id."""

    method: str
    params: Mapping[str, Any]
    meta: Mapping[str, Any] = field(default_factory=dict)
    """Members of `_meta` beside those that the modern era wants on every request."""

    def headers(self, to: Endpoint) -> dict[str, str]:
        """The HTTP headers that belong to it at this endpoint."""
        common = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}
        common |= {"x-bench-name": to.who} if to.who else {}
        common |= {"Authorization": f"Bearer {to.token}"} if to.token else {}
        if to.era == "legacy":
            opened = {"Mcp-Session-Id": to.session} if to.session else {}
            revision = {} if self.method == "initialize" else {"MCP-Protocol-Version": LEGACY_REVISION}
            return common | revision | opened
        name = {"Mcp-Name": str(self.params["name"])} if "name" in self.params else {}
        return common | {"MCP-Protocol-Version": MODERN_REVISION, "Mcp-Method": self.method} | name

    def body(self, to: Endpoint, request_id: object) -> str:
        """The JSON text; `request_id` is put in as it is, so that it may be a placeholder."""
        meta = self.meta if to.era == "legacy" else {**_META, **self.meta}
        params = {**self.params, "_meta": meta} if meta else self.params
        text = json.dumps({"method": self.method, "params": params}, separators=(",", ":"))
        return f'{{"jsonrpc":"2.0","id":{request_id},' + text[1:]


def call(tool: str) -> Question:
    """A `tools/call` of a tool of the benchmark's upstream, by the name it is exposed under."""
    return Question("tools/call", {"name": tool, "arguments": {"text": "hello"}})


LIST = Question("tools/list", {})
LISTEN = Question("subscriptions/listen", {"notifications": {"toolsListChanged": True}})


def watched_call(tool: str) -> Question:
    """The same with a progress token of its own for each request."""
    return Question("tools/call", call(tool).params, {"progressToken": "@ID@"})


def ask(to: Endpoint, question: Question, seconds: float = 30) -> dict[str, Any]:
    """The result of one request on a connection of its own. Raises: Failed if there is no result."""
    try:
        status, _, text = _post(to, question.headers(to), question.body(to, 1), seconds)
    except (OSError, http.client.HTTPException) as problem:
        raise Failed(f"no answer from {to.url}: {problem}") from problem
    answer = _last_message(text)
    if "result" not in answer:
        raise Failed(f"{question.method} at {to.url} was answered with HTTP {status}: {text[:300]}")
    return answer["result"]


def open_session(url: str, who: str = "") -> Endpoint:
    """A legacy session, opened and ready for requests. Raises: Failed"""
    to = Endpoint(url, "legacy", who=who)
    about = {"protocolVersion": LEGACY_REVISION, "capabilities": {}, "clientInfo": _CLIENT}
    question = Question("initialize", about)
    _, headers, text = _post(to, question.headers(to), question.body(to, 1), 30)
    if "result" not in _last_message(text):
        raise Failed(f"initialize at {url} was answered with: {text[:300]}")
    opened = replace(to, session=headers.get("Mcp-Session-Id", ""))
    _post(opened, LIST.headers(opened), '{"jsonrpc":"2.0","method":"notifications/initialized"}', 30)
    return opened


def open_stream(to: Endpoint) -> socket.socket:
    """A `subscriptions/listen` that has been acknowledged; open as long as the socket is. Raises: Failed"""
    at = urlsplit(to.url)
    body = LISTEN.body(to, 1).encode()
    lines = [f"{name}: {value}" for name, value in LISTEN.headers(to).items()]
    head = "\r\n".join([f"POST {at.path} HTTP/1.1", f"Host: {at.netloc}", *lines, f"Content-Length: {len(body)}"])
    stream = socket.create_connection((at.hostname, at.port), timeout=30)
    stream.sendall(head.encode() + b"\r\n\r\n" + body)
    answer = b""
    while b"subscriptions/acknowledged" not in answer:
        part = stream.recv(4096)
        answer += part
        if not part:
            raise Failed(f"a listen at {to.url} was answered with: {answer[:300].decode(errors='replace')}")
    return stream


def text_of(result: Mapping[str, Any]) -> str:
    """The text of a tool's result, empty if there is none."""
    return "".join(part.get("text", "") for part in result.get("content", []))


def wait_for_call(to: Endpoint, tool: str, process: Process | None, seconds: float = 30) -> None:
    """Returns once the tool answers as it should. Raises: Failed if it does not in time, with the last answer."""
    until = time.monotonic() + seconds
    while True:
        if process:
            process.check_alive()
        try:
            if text_of(ask(to, call(tool), 10)) == "hello":
                return
            problem = Failed(f"{tool} at {to.url} answers something else")
        except Failed as failed:
            problem = failed
        if time.monotonic() > until:
            raise problem
        time.sleep(0.02)


def require_refusal(to: Endpoint, tool: str) -> None:
    """Returns if a call is refused for want of a token. Raises: Failed if it is answered in any other way."""
    question = call(tool)
    status, _, text = _post(to, question.headers(to), question.body(to, 1), 30)
    if status != 401:
        raise Failed(f"a call without a token at {to.url} was answered with HTTP {status}: {text[:300]}")


def get_json(url: str) -> dict[str, Any]:
    """The JSON object at an address. Raises: Failed"""
    at = urlsplit(url)
    connection = http.client.HTTPConnection(at.hostname or "", at.port, timeout=30)
    try:
        connection.request("GET", at.path)
        return json.loads(connection.getresponse().read())
    except (OSError, http.client.HTTPException) as problem:
        raise Failed(f"no answer from {url}: {problem}") from problem
    finally:
        connection.close()


def _post(to: Endpoint, headers: Mapping[str, str], body: str, seconds: float) -> tuple[int, Mapping[str, str], str]:
    at = urlsplit(to.url)
    connection = http.client.HTTPConnection(at.hostname or "", at.port, timeout=seconds)
    try:
        connection.request("POST", at.path, body, dict(headers))
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read().decode(errors="replace")
    finally:
        connection.close()


def _last_message(text: str) -> dict[str, Any]:
    """The JSON-RPC message in a body, or the last one of an event stream; empty if there is none."""
    events = [line[5:] for line in text.splitlines() if line.startswith("data:") and len(line) > 6]
    try:
        found = json.loads(events[-1] if events else text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
