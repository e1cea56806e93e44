"""The suite's checks of an authorization server, against the hub; its browser part is played by a script.

Each way in which a client can be known is tried. The suite sends no scope, and the resource only when told to, so what
the hub assumes must be right.
"""

import asyncio
import tempfile
from collections.abc import Iterator
from pathlib import Path

import httpx2
from suite import SECONDS, read

import node_tools
import processes
from rig import client_documents, login_hub
from rig.browser import ADA, Browser, authorize
from rig.login_hub import LoginHub

CONFIG = """\
version: 1
login: {type: local, client_documents: [localhost]}
clients:
  conformance:
    redirect_uris: ["http://127.0.0.1/callback"]
network:
  allow_private: [127.0.0.0/8]
"""
DOCUMENT = "/conformance.json"
SCENARIOS = 2


def run(results: Path) -> list[str]:
    """What is not as it should be, in every way of being known; prints a line for each."""
    with tempfile.TemporaryDirectory() as folder, client_documents.serving(Path(folder)) as documents:
        document = documents.publish(DOCUMENT, "http://127.0.0.1/callback")
        env = {"SSL_CERT_FILE": str(documents.authority)}
        with login_hub.serving(CONFIG, Path(folder) / "hub", people=[ADA], env=env) as hub:
            found = [each for way in _ways(hub, document) for each in _way(hub, *way, results)]
        (results / "hub.log").write_text(hub.process.log, "utf-8")
    return [*found, *(f"The hub: {complaint}" for complaint in hub.process.complaints())]


def _ways(hub: LoginHub, document: str) -> list[tuple[str, str, str]]:
    """The name of each way, the id of the client, and the resource it names."""
    told = {"redirect_uris": ["http://127.0.0.1/callback"], "token_endpoint_auth_method": "none"}
    registered = httpx2.post(f"{hub.issuer}/register", json=told, trust_env=False, verify=False)
    return [
        ("known", "conformance", ""),
        ("known, naming the resource", "conformance", hub.url),
        ("registered", registered.json()["client_id"], ""),
        ("with a document", document, hub.url),
    ]


def _way(hub: LoginHub, name: str, client: str, resource: str, results: Path) -> Iterator[str]:
    folder = results / name.replace(" ", "-").replace(",", "")
    folder.mkdir(parents=True)
    log = asyncio.run(_suite(hub, client, resource, folder))
    found = {path.name: read(path) for path in sorted(folder.iterdir())}
    (folder / "suite.log").write_text(log, "utf-8")
    print(f"authorization: {name:<33}{'; '.join(scenario.summary for scenario in found.values())}")
    if len(found) != SCENARIOS:
        yield f"{name}: the suite ran {sorted(found)}"
    for each, scenario in found.items():
        if not scenario.passed:
            yield f"{name}: {each}: {dict(scenario.said)}"


async def _suite(hub: LoginHub, client: str, resource: str, results: Path) -> str:
    """Run the suite once, and give what it printed."""
    told = ["--url", hub.issuer, "--client-id", client, "--port", str(processes.free_port())]
    command = [node_tools.NODE, node_tools.CONFORMANCE, "authorization", *told, "--output-dir", results]
    process = await asyncio.create_subprocess_exec(
        *command,
        *(["--resource", resource] if resource else []),
        env=node_tools.environment(),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        async with asyncio.timeout(SECONDS):
            said = await _play(process, hub.issuer)
            await process.wait()
            return said
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def _play(process: asyncio.subprocess.Process, issuer: str) -> str:
    """Play the person whom the suite asks to open an address, to the end of the suite."""
    assert process.stdout is not None
    said: list[str] = []
    async with Browser() as browser:
        async for line in process.stdout:
            said.append(line.decode())
            if said[-1].startswith(f"{issuer}/authorize?"):
                arrival = await authorize(browser, said[-1].strip(), ADA)
                await browser.open(arrival.url)
    return "".join(said)
