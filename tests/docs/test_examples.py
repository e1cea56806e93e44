"""The examples on the pages: YAML is a configuration, Python runs."""

import asyncio
from types import ModuleType

import pytest
from starlette.testclient import TestClient

from docs.pages import pages
from mcp_hub.config.load import load
from rig.fake_upstream import FakeUpstream

pytestmark = pytest.mark.promise("F4")
YAML = [(each.name, block) for each in pages() for block in each.fences("yaml")]
PYTHON = [(each.name, block) for each in pages() for block in each.fences("python")]


class Everything(dict[str, str]):
    """An environment in which every variable is set."""

    def __contains__(self, key: object) -> bool:
        return True

    def __missing__(self, key: str) -> str:
        return f"value-of-{key}"

    def get(self, key: str, default: object = None) -> str:
        return self[key]


@pytest.mark.promise("A2", "B11", "B12", "B13")
@pytest.mark.parametrize(("name", "block"), YAML)
def test_every_yaml_block_is_a_configuration(name, block):
    assert load(block, source=name, environ=Everything()).origins


def test_the_readme_has_an_example_of_each_kind_of_credential():
    kinds = [load(block, environ=Everything()).upstreams for name, block in YAML if name == "README.md"]
    found = {type(each.auth).__name__ if each.auth else bool(each.headers) for one in kinds for each in one.values()}
    assert found == {False, True, "ApiKey", "OwnHeader", "OAuth"}


@pytest.mark.parametrize(("name", "block"), PYTHON)
async def test_every_python_block_serves_a_hub(name, block, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    async with FakeUpstream(tools=["echo"]) as upstream:
        code = block.replace("http://127.0.0.1:8101/mcp", upstream.url)
        assert upstream.url in code
        module = ModuleType("example")
        exec(compile(code, name, "exec"), vars(module))
        async with asyncio.timeout(20):
            await asyncio.to_thread(_use, module)


def _use(module: ModuleType) -> None:
    mount = "/hub" if hasattr(module, "hello") else ""
    with TestClient(module.app, base_url="http://127.0.0.1:8080") as client:
        assert client.get(f"{mount}/healthz").text == "ok\n"
        if mount:
            assert client.get("/hello").text == "hello"
        meta = {
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientCapabilities": {},
        }
        listed = client.post(
            f"{mount}/mcp",
            json={"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {"_meta": meta}},
            headers={
                "accept": "application/json, text/event-stream",
                "mcp-protocol-version": "2026-07-28",
                "mcp-method": "tools/list",
            },
        )
        assert [tool["name"] for tool in listed.json()["result"]["tools"]] == ["notes__echo"]
