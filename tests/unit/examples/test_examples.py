"""The example servers, used by the SDK's client as they are."""

import base64
import json
import os
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx2
import pytest
from mcp.client import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError
from mcp_types import PromptReference, ResourceTemplateReference

pytestmark = pytest.mark.promise("F3")

ROOT = Path(__file__).parents[3]
RUN_ALL = ROOT / "examples" / "run_all.py"
MODERN = "2026-07-28"


@pytest.fixture(scope="module")
def urls() -> Iterator[dict[str, str]]:
    command = [sys.executable, RUN_ALL, "--ports", "0", "0", "0", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield dict(process.stdout.readline().split() for _ in range(4))
        assert process.poll() is None, "the examples ended before they were told to"
        process.terminate()
        assert process.wait(30) == 0


@asynccontextmanager
async def connected(url: str, mode: str = "auto", headers: dict[str, str] | None = None) -> AsyncIterator[Client]:
    async with (
        httpx2.AsyncClient(headers=headers, timeout=30, trust_env=False) as http,
        Client(streamable_http_client(url, http_client=http), mode=mode) as client,
    ):
        yield client


def text(result) -> str:
    assert not result.is_error
    return result.content[0].text


@pytest.mark.parametrize("mode", ["legacy", MODERN])
async def test_notes_are_listed_searched_added_and_read(urls, mode):
    async with connected(urls["notes"], mode) as client:
        assert [tool.name for tool in (await client.list_tools()).tools] == ["list_notes", "search", "add"]
        found = await client.call_tool("search", {"text": "CHANGELOG"})
        assert found.structured_content == {"result": ["release"]}
        name = f"note_{mode[:4]}"
        assert text(await client.call_tool("add", {"name": name, "text": "Hello."})) == f"Added {name}."
        assert text(await client.call_tool("add", {"name": name, "text": "Hello!"})) == f"Replaced {name}."
        [content] = (await client.read_resource(f"note://{name}")).contents
        assert content.text == "Hello!"
        assert f"note://{name}" in [str(resource.uri) for resource in (await client.list_resources()).resources]
        assert (await client.call_tool("add", {"name": "no name", "text": ""})).is_error
        with pytest.raises(MCPError):
            await client.read_resource("note://never_written")


async def test_notes_have_a_prompt_a_template_and_completion_for_both(urls):
    async with connected(urls["notes"]) as client:
        [template] = (await client.list_resource_templates()).resource_templates
        assert template.uri_template == "note://{name}"
        [prompt] = (await client.list_prompts()).prompts
        assert [argument.name for argument in prompt.arguments] == ["name", "tone"]
        asked = await client.get_prompt("summarise", {"name": "groceries"})
        assert "rye bread" in asked.messages[0].content.text
        tones = await client.complete(PromptReference(name="summarise"), {"name": "tone", "value": "f"})
        assert tones.completion.values == ["formal"]
        names = await client.complete(ResourceTemplateReference(uri="note://{name}"), {"name": "name", "value": "re"})
        assert names.completion.values == ["reading", "release"]


@pytest.mark.parametrize("mode", ["legacy", MODERN])
async def test_the_library_asks_for_its_key_and_reports_progress(urls, mode):
    async with connected(urls["library"], mode, {"X-API-Key": "example-key"}) as client:
        assert [tool.name for tool in (await client.list_tools()).tools] == ["search", "read_book", "count_words"]
        steps = []

        async def progress(done, total, message):
            steps.append((done, total, message))

        counted = await client.call_tool("count_words", {}, progress_callback=progress)
        assert counted.structured_content == {
            "The Patient Gardener": 40_000,
            "Tides and Timetables": 120_000,
            "A Short History of Doors": 8_000,
        }
        assert [(done, total) for done, total, _ in steps] == [(1, 3), (2, 3), (3, 3)]
        whole = text(await client.call_tool("read_book", {"title": "Tides and Timetables"}))
        assert len(whole) > 500_000
        assert (await client.call_tool("read_book", {"title": "Unwritten"})).is_error


@pytest.mark.parametrize("headers", [{}, {"X-API-Key": "wrong"}, {"X-API-Key": "schlüssel"}])
def test_the_library_refuses_who_has_no_key(urls, headers):
    request = urllib.request.Request(urls["library"], data=b"{}", headers=headers)
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request, timeout=10)
    assert refused.value.code == 401
    refused.value.close()


@pytest.mark.promise("A5")
async def test_the_clock_refuses_the_modern_era_and_serves_the_old_one(urls):
    async with connected(urls["clock"], MODERN) as client:
        with pytest.raises(MCPError, match="Unsupported protocol version"):
            await client.list_tools()
    async with connected(urls["clock"], "auto") as client:
        assert client.protocol_version == "2025-11-25"
        assert [tool.name for tool in (await client.list_tools()).tools] == ["now", "wind"]


async def test_each_session_of_the_clock_has_a_time_of_its_own(urls):
    async with connected(urls["clock"], "legacy") as one, connected(urls["clock"], "legacy") as other:
        assert text(await one.call_tool("wind", {"minutes": 90})) == "10:30"
        assert text(await one.call_tool("wind", {})) == "10:31"
        assert text(await one.call_tool("now", {})) == "10:31"
        assert text(await other.call_tool("now", {})) == "09:00"
        assert (await one.call_tool("wind", {"minutes": -1})).is_error


@pytest.mark.parametrize("mode", ["legacy", MODERN])
async def test_the_shop_answers_with_every_kind_of_content(urls, mode):
    async with connected(urls["shop"], mode) as client:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        assert list(tools) == ["find_products", "order", "refund_order", "manual", "picture"]
        assert tools["order"].output_schema["properties"]["total"]["type"] == "number"
        receipt = await client.call_tool("order", {"sku": "mug-1", "quantity": 2})
        assert receipt.structured_content == {"order": 1002, "sku": "mug-1", "quantity": 2, "total": 17.0}
        words, link, embedded = (await client.call_tool("manual", {"sku": "lamp-1"})).content
        assert words.text.startswith("Desk lamp")
        assert str(link.uri) == "shop://products/lamp-1"
        assert str(embedded.resource.uri) == "shop://manuals/lamp-1"
        [page] = (await client.read_resource(str(link.uri))).contents
        assert page.text == "Desk lamp, 39.00"
        [picture] = (await client.call_tool("picture", {"sku": "chair-1"})).content
        assert picture.mime_type == "image/png"
        assert base64.b64decode(picture.data).startswith(b"\x89PNG\r\n\x1a\n")
        assert (await client.call_tool("order", {"sku": "boat-1"})).is_error


def test_a_port_that_is_taken_is_named():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        command = [sys.executable, RUN_ALL, "--ports", "0", port, "0", "0"]
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert done.stderr == f"library: port {port} of 127.0.0.1 is taken; stop what uses it or choose another port\n"


def test_the_examples_stop_when_their_parent_is_gone():
    # A parent that is killed, so that it cannot tell its child; the child's end closes the pipe.
    parent = (
        "import json, os, subprocess, sys\n"
        "child = subprocess.Popen(json.loads(sys.argv[1]))\n"
        "sys.stdin.read(1)\n"
        "os.kill(os.getpid(), 9)\n"
    )
    command = [sys.executable, os.fspath(RUN_ALL), "--ports", "0", "0", "0", "0"]
    with subprocess.Popen(
        [sys.executable, "-c", parent, json.dumps(command)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for _ in range(4):
            assert process.stdout.readline().split()[1].startswith("http://127.0.0.1:")
        process.stdin.write("x")
        process.stdin.flush()
        assert process.stdout.read() == ""
