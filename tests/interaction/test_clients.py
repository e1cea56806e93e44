"""Clients of other makers get through the hub what they get from the upstream itself, apart from names and URIs."""

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import plans
import py_sdk_2x

import node_tools
import python1_tools

pytestmark = pytest.mark.promise("F2")

Outcome = dict[str, Any]
Visit = Callable[[str, Outcome], Awaitable[Outcome]]

CLIENTS = Path(__file__).parent / "clients"
SECONDS = 60
MODERN, LEGACY = "2026-07-28", "2025-11-25"


async def _run(command: Sequence[str | Path], env: dict[str, str] | None = None) -> Outcome:
    """What the program printed, which is JSON. Fails with what it said otherwise."""
    process = await asyncio.create_subprocess_exec(
        *command, env=env, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    try:
        async with asyncio.timeout(SECONDS):
            printed, said = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, said.decode()
    return json.loads(printed)


def _typescript(program: str, era: str) -> Visit:
    async def visit(url: str, plan: Outcome) -> Outcome:
        command = [node_tools.install(), CLIENTS / program, url, era, json.dumps(plan)]
        return await _run(command, node_tools.environment())

    return visit


def _python1() -> Visit:
    async def visit(url: str, plan: Outcome) -> Outcome:
        return await _run([python1_tools.install(), CLIENTS / "py_sdk_1x.py", url, "legacy", json.dumps(plan)])

    return visit


def _python2(era: str) -> Visit:
    async def visit(url: str, plan: Outcome) -> Outcome:
        async with asyncio.timeout(SECONDS):
            return await py_sdk_2x.visit(url, era, plan)

    return visit


VISITS = {
    "ts-client-2x-auto": _typescript("ts_client_2x.mjs", "auto"),
    "ts-client-2x-legacy": _typescript("ts_client_2x.mjs", "legacy"),
    "ts-sdk-1x": _typescript("ts_sdk_1x.mjs", "legacy"),
    "py-sdk-2x-auto": _python2("auto"),
    "py-sdk-2x-legacy": _python2("legacy"),
    "py-sdk-1x": _python1(),
}
SPEAKS_MODERN = {"ts-client-2x-auto", "py-sdk-2x-auto"}


@pytest.fixture(params=sorted(VISITS))
def client(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(params=sorted(plans.PLANS))
def upstream(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def direct(upstream: str, request: pytest.FixtureRequest) -> str:
    """The address of the upstream itself."""
    return request.getfixturevalue(upstream)


async def test_a_client_of_another_maker_works_with_the_upstream_itself(client: str, upstream: str, direct: str):
    plan = plans.PLANS[upstream]
    outcome = await VISITS[client](direct, plan)
    assert outcome["revision"] == (MODERN if client in SPEAKS_MODERN and upstream == "reference" else LEGACY)
    assert all(outcome[kind] for kind in plans.LISTS)
    asked = {"called": "calls", "read": "reads", "got": "prompts", "completed": "completions"}
    assert {key: len(outcome[key]) for key in asked} == {key: len(plan[part]) for key, part in asked.items()}


@pytest.mark.promise("A1", "A4", "A5")
async def test_a_client_gets_through_the_hub_what_it_gets_directly(
    client: str, upstream: str, direct: str, both_through_hub: str
):
    plan = plans.PLANS[upstream]
    visit = VISITS[client]
    at_hub = await visit(both_through_hub, plans.through_hub(plan, upstream))
    assert at_hub["revision"] == (MODERN if client in SPEAKS_MODERN else LEGACY)
    directly = await visit(direct, plan)
    if at_hub["revision"] != directly["revision"]:
        at_hub, directly = plans.without_other_era(at_hub), plans.without_other_era(directly)
    assert plans.without_way(plans.as_if_direct(at_hub, upstream)) == plans.without_way(directly)


INSPECTED = (
    ("--method", "tools/list"),
    ("--method", "tools/call", "--tool-name", "{name}test_x_mcp_header", "--tool-arg", "region=eu"),
    ("--method", "resources/read", "--uri", "{uri}test://static-text"),
    ("--method", "prompts/get", "--prompt-name", "{name}test_simple_prompt"),
)


async def _inspect(url: str, era: str, arguments: Sequence[str], home: Path) -> Outcome:
    options = ["--transport", "http", "--protocol-era", era, "--format", "json", "--quiet"]
    command = [node_tools.install(), node_tools.INSPECTOR, "--cli", url, *options, *arguments]
    answer = await _run(command, {**node_tools.environment(), "HOME": str(home), "USERPROFILE": str(home)})
    return answer["result"]


@pytest.mark.promise("A1", "A4", "A5")
@pytest.mark.parametrize("era", ["auto", "legacy"])
@pytest.mark.parametrize("arguments", INSPECTED, ids=[arguments[1] for arguments in INSPECTED])
async def test_the_inspector_gets_through_the_hub_what_it_gets_directly(
    era: str, arguments: tuple[str, ...], reference: str, both_through_hub: str, tmp_path: Path
):
    own = [argument.format(name="", uri="") for argument in arguments]
    hubs = [argument.format(name="reference__", uri="reference+") for argument in arguments]
    directly = await _inspect(reference, era, own, tmp_path)
    through = await _inspect(both_through_hub, era, hubs, tmp_path)
    assert _told(through) == _told(directly)


def _told(result: Outcome) -> Any:
    """What the result says, in the upstream's own names and addresses; of a list, what came from the upstream."""
    lists = {kind: result.get(kind, []) for kind in plans.LISTS}
    named = any(item["name"].startswith("reference__") for item in lists["tools"])
    own = plans.as_if_direct({**result, **lists}, "reference") if named else plans.own_uris(result, "reference")
    return {key: value for key, value in own.items() if key not in plans.OF_THE_WAY and value}
