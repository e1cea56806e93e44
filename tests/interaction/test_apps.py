"""MCP Apps through the hub: the tool, its page, and what the page asks of its server."""

import asyncio
import sys
from pathlib import Path

import pytest
from mcp import Client
from mcp.client.extension import advertise

import processes

pytestmark = pytest.mark.promise("A1", "A5", "F2")
APPS = "io.modelcontextprotocol/ui"
PAGE_TYPE = "text/html;profile=mcp-app"
PROGRAM = Path(__file__).parent / "servers" / "py_apps.py"
SECONDS = 20


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    """The address of a hub in front of two servers of apps, of which one speaks the legacy era only."""
    with processes.running([sys.executable, PROGRAM]) as started:
        config = f"""\
version: 1
network:
  allow_private: [127.0.0.0/8]
upstreams:
  clock:
    url: {started.url}
  old-clock:
    url: {started.url}
    protocol: legacy
    tools: {{deny: [set_time]}}
"""
        with processes.hub(config, tmp_path_factory.mktemp("apps")) as running:
            yield running.url
        assert running.complaints() == []


def host(url, era):
    """A client that shows apps."""
    return Client(url, mode=era, extensions=[advertise(APPS, {"mimeTypes": [PAGE_TYPE]})])


@pytest.mark.parametrize("era", ["auto", "legacy"])
@pytest.mark.parametrize("upstream", ["clock", "old-clock"])
async def test_a_host_finds_the_page_of_a_tool_where_the_tool_says(hub, era, upstream):
    async with asyncio.timeout(SECONDS), host(hub, era) as client:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        uri = tools[f"{upstream}__show_time"].meta["ui"]["resourceUri"]
        listed = [str(resource.uri) for resource in (await client.list_resources()).resources]
        page = (await client.read_resource(uri)).contents[0]
        templates = [each.uri_template for each in (await client.list_resource_templates()).resource_templates]
        face = (await client.read_resource(f"ui://{upstream}/clock/faces/moon")).contents[0]
    assert uri == f"ui://{upstream}/clock/app.html"
    assert uri in listed
    assert (str(page.uri), page.mime_type) == (uri, PAGE_TYPE)
    assert "Clock" in page.text
    assert f"ui://{upstream}/clock/faces/{{name}}" in templates
    assert (str(face.uri), face.text) == (f"ui://{upstream}/clock/faces/moon", "<!doctype html><title>moon</title>")


@pytest.mark.parametrize(("era", "upstream"), [("auto", "clock"), ("legacy", "old-clock"), ("legacy", "clock")])
async def test_a_server_knows_whether_its_client_shows_apps(hub, era, upstream):
    async with asyncio.timeout(SECONDS), host(hub, era) as client:
        shown = await client.call_tool(f"{upstream}__show_time")
    async with asyncio.timeout(SECONDS), Client(hub, mode=era) as client:
        told = await client.call_tool(f"{upstream}__show_time")
    assert shown.content[0].text == "noon, with a face"
    assert told.content[0].text == "noon, without a face"


async def test_the_hub_says_that_it_has_apps_as_its_upstreams_do(hub):
    async with asyncio.timeout(SECONDS), host(hub, "auto") as client:
        assert APPS in client.server_capabilities.extensions


@pytest.mark.parametrize("era", ["auto", "legacy"])
async def test_a_page_calls_its_servers_tool_by_the_name_it_knows(hub, era):
    async with asyncio.timeout(SECONDS), host(hub, era) as client:
        result = await client.call_tool("set_time", {"time": "one"})
    assert result.content[0].text == "set to one"
