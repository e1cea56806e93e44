"""A hub at which people sign in, as a real process: its accounts are made before it starts, by its own command."""

import sysconfig
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2
from click.testing import CliRunner

import processes
from mcp_hub.cli.main import cli
from rig.browser import Person

PROGRAM = Path(sysconfig.get_path("scripts")) / "mcp-hub"


@dataclass(frozen=True, slots=True)
class LoginHub:
    """One that runs. Its commands find its configuration and its data."""

    process: processes.Running
    file: Path
    env: Mapping[str, str]

    @property
    def url(self) -> str:
        """Its endpoint, which is the resource that tokens are for."""
        return self.process.url

    @property
    def issuer(self) -> str:
        return self.url.removesuffix("/mcp")

    def command(self, *words: str, told: str = "") -> str:
        """What one of its commands prints. Fails if it does not end well."""
        return _command(self.file, self.env, words, told)

    def status_with(self, token: str) -> httpx2.Response:
        """The answer to a request with this token, straight to its endpoint."""
        body = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
        headers = {"Authorization": f"Bearer {token}", "Accept": "application/json, text/event-stream"}
        return httpx2.post(self.url, json=body, headers=headers, trust_env=False, verify=False)


def _command(file: Path, env: Mapping[str, str], words: Sequence[str], told: str) -> str:
    # In this process, since there are many of them; in a thread, since a test's own event loop may be running.
    environ = {"NO_COLOR": "1", "MCP_HUB_TOKEN": None, **env}
    with ThreadPoolExecutor(1) as aside:
        done = aside.submit(CliRunner().invoke, cli, [*words, "-c", str(file)], told, environ).result(30)
    assert done.exit_code == 0, f"mcp-hub {' '.join(words)} ended with {done.exit_code}: {done.stderr}"
    return done.stdout


@contextmanager
def serving(
    config: str, folder: Path, *, people: Sequence[Person] = (), env: Mapping[str, str] | None = None
) -> Iterator[LoginHub]:
    """The hub, from its start to the end of the block; `people` have local accounts. Raises: DidNotStart."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "hub.yaml"
    file.write_text(config, "utf-8")
    given = {"MCP_HUB_DATA": str(folder / "data"), **(env or {})}
    for person in people:
        _command(file, given, ["user", "add", person.email, "--password-stdin"], person.password + "\n")
    with processes.running([PROGRAM, "serve", "-c", file, "--port", "0"], env=given) as started:
        yield LoginHub(started, file, given)
