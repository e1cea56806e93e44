"""A server on standard streams that needs nothing but Python, and misbehaves when told to.

Its words on the command line are its era (`legacy`, `modern`) and its ways: `mute` (says nothing to what it does not
know), `brittle` (ends at what it does not know), `greets` (no message first), `stubborn` (ignores the end of its input
and SIGTERM), `deaf` (tells of no changes), `family` (starts a process that outlives it).
"""

import json
import os
import signal
import subprocess
import sys
import time
from typing import Any

ERA, WAYS = sys.argv[1], set(sys.argv[2:])
TOOLS = [
    "echo",
    "environment",
    "where",
    "crash",
    "wait",
    "flood",
    "babble",
    "progress",
    "ask",
    "change",
    "update",
    "log",
    "task",
]
pending: dict[str, Any] = {}
heard: list[str] = []
listening: dict[Any, dict[str, Any]] = {}
SUBSCRIPTION = "io.modelcontextprotocol/subscriptionId"


def write(message: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
    sys.stdout.flush()


def said(number: Any, text: str) -> None:
    done = {"resultType": "complete"} if ERA == "modern" else {}
    write({"id": number, "result": {"content": [{"type": "text", "text": text}], **done}})


def call(number: Any, params: dict[str, Any]) -> None:
    name, given = params["name"], params.get("arguments", {})
    token = params.get("_meta", {}).get("progressToken")
    match name:
        case "environment":
            said(number, json.dumps(dict(os.environ)))
        case "where":
            said(number, json.dumps({"pid": os.getpid(), "cwd": os.getcwd(), "heard": heard}))
        case "crash":
            sys.stderr.write("the last words\n")
            sys.stderr.flush()
            os._exit(3)
        case "wait":
            return
        case "flood":
            sys.stdout.write("x" * given["bytes"])
            sys.stdout.flush()
            said(number, "flooded")
        case "babble":
            sys.stdout.write("no message\n[]\n{\n\n\xff\n")
            said(number, "babbled")
        case _:
            tell(number, name, given, token)


def tell(number: Any, name: str, given: dict[str, Any], token: Any) -> None:
    match name:
        case "progress":
            for step in range(3):
                write({"method": "notifications/progress", "params": {"progressToken": token, "progress": step}})
            write({"method": "notifications/progress", "params": {"progressToken": 999, "progress": 9}})
            said(number, "progressed")
        case "log":
            write({"method": "notifications/message", "params": {"level": "info", "data": "logged"}})
            said(number, "done")
        case "ask":
            pending["question"] = number
            write({"id": "q", "method": "elicitation/create", "params": {"message": "who?", "requestedSchema": {}}})
        case "task":
            state = {"taskId": "t", "status": "working"}
            made = {"resultType": "task", "ttlMs": 2_000_000, **state}
            write({"id": number, "result": made if ERA == "modern" else {"task": {"ttl": 2_000_000, **state}}})
        case "change":
            TOOLS.append("new")
            announce("notifications/tools/list_changed", "toolsListChanged")
            said(number, "changed")
        case "update":
            announce("notifications/resources/updated", "resourceSubscriptions", uri="x:1")
            said(number, "updated")
        case _:
            said(number, json.dumps(given))


def announce(method: str, kind: str, **params: Any) -> None:
    if ERA == "legacy":
        write({"method": method, "params": params})
    for number, wanted in listening.items():
        if kind in wanted:
            write({"method": method, "params": {**params, "_meta": {SUBSCRIPTION: number}}})


def subscribed(method: str, number: Any, params: dict[str, Any]) -> bool:
    """Whether this was about being told of changes."""
    match method, ERA:
        case "subscriptions/listen", "modern" if "deaf" not in WAYS:
            listening[number] = wanted = params["notifications"]
            told = {"notifications": wanted, "_meta": {SUBSCRIPTION: number}}
            write({"method": "notifications/subscriptions/acknowledged", "params": told})
        case "notifications/cancelled", _:
            listening.pop(params["requestId"], None)
        case "resources/subscribe" | "resources/unsubscribe", "legacy":
            write({"id": number, "result": {}})
        case _:
            return False
    return True


def unknown(number: Any) -> None:
    if "brittle" in WAYS:
        os._exit(1)
    if "mute" not in WAYS:
        write({"id": number, "error": {"code": -32601, "message": "unknown"}})


def answer(message: dict[str, Any]) -> None:
    method, number, params = message.get("method"), message.get("id"), message.get("params") or {}
    heard.append(method or "response")
    match method, ERA:
        case None, _:
            said(pending["question"], json.dumps(message.get("result", message.get("error"))))
        case "initialize", "legacy":
            able = {"tools": {"listChanged": True}, "resources": {"subscribe": True}, "logging": {}}
            info = {"name": "small", "version": "1"}
            write({"id": number, "result": {"protocolVersion": "2025-11-25", "capabilities": able, "serverInfo": info}})
        case "server/discover", "modern":
            able = {"tools": {"listChanged": True}, "resources": {"subscribe": True}}
            found = {"resultType": "complete", "supportedVersions": ["2026-07-28"], "capabilities": able}
            write({"id": number, "result": {**found, "ttlMs": 60000, "cacheScope": "private"}})
        case "tools/list", _:
            tools = [{"name": name, "inputSchema": {"type": "object"}} for name in TOOLS]
            done = {"resultType": "complete", "ttlMs": 60000, "cacheScope": "private"} if ERA == "modern" else {}
            write({"id": number, "result": {"tools": tools, **done}})
        case "tools/call", _:
            call(number, params)
        case _ if not subscribed(method, number, params) and number is not None:
            unknown(number)


if "family" in WAYS:
    subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
if "greets" in WAYS:
    print("Welcome to a server that greets", flush=True)
if "stubborn" in WAYS:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
for line in sys.stdin:
    answer(json.loads(line))
while "stubborn" in WAYS:
    time.sleep(1)
