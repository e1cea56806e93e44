"""Servers that other makers have published, each started as its own page says, and what is asked of it.

The commands are not ours: they are taken from the JSON in the README that came with the package, by `mcp-hub import`.
What a user would fill in is filled in: a directory, a key. `npx`, `uvx` and `uv` run what the test dependencies have
installed at one exact version, so that nothing is fetched from the internet.
"""

import http.server
import json
import os
import re
import shutil
import sqlite3
import stat
import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import node_tools
import python1_tools

Json = dict[str, Any]
KEY: Final = "ntn_0123456789abcdef"
NPM, PYPI = "npm", "PyPI"


@dataclass(frozen=True)
class Server:
    """One published server.

    `start` is the command that its README tells, `ours` what we write in the place of the README's placeholders,
    `more` and `env` are settings its README offers and that keep it away from the internet and from a browser,
    `variables` are those that the import takes the secrets out into. `calls` are asked in this order.
    """

    package: str
    registry: str
    era: str
    start: str
    calls: tuple[tuple[str, Json], ...]
    says: str
    ours: Mapping[str, str] = field(default_factory=dict[str, str])
    more: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict[str, str])
    variables: Mapping[str, str] = field(default_factory=dict[str, str])
    old_sdk: bool = False


_ANN = {"name": "Ann", "entityType": "person", "observations": ["¡sabe contar!"]}
_THOUGHT = {"thought": "Count first.", "thoughtNumber": 1, "totalThoughts": 2, "nextThoughtNeeded": True}

SERVERS: Final = {
    "everything": Server(
        "@modelcontextprotocol/server-everything",
        NPM,
        "legacy",
        "npx -y @modelcontextprotocol/server-everything",
        (("echo", {"message": "¡hola!"}), ("get-structured-content", {"location": "Chicago"})),
        "Echo: ¡hola!",
    ),
    "filesystem": Server(
        "@modelcontextprotocol/server-filesystem",
        NPM,
        "legacy",
        "npx -y @modelcontextprotocol/server-filesystem /Users/username/Desktop /path/to/other/allowed/dir",
        (
            ("write_file", {"path": "{desktop}/new.txt", "content": "one\ntwo ¡ñ!"}),
            ("read_text_file", {"path": "{desktop}/new.txt"}),
            ("list_directory", {"path": "{desktop}"}),
            ("read_text_file", {"path": "/etc/passwd"}),
        ),
        "two ¡ñ!",
        {"/Users/username/Desktop": "{desktop}", "/path/to/other/allowed/dir": "{other}"},
    ),
    "memory": Server(
        "@modelcontextprotocol/server-memory",
        NPM,
        "legacy",
        "npx -y @modelcontextprotocol/server-memory",
        (("create_entities", {"entities": [_ANN]}), ("read_graph", {}), ("search_nodes", {"query": "nobody"})),
        "¡sabe contar!",
        env={"MEMORY_FILE_PATH": "{memory}"},
    ),
    "sequential-thinking": Server(
        "@modelcontextprotocol/server-sequential-thinking",
        NPM,
        "legacy",
        "npx -y @modelcontextprotocol/server-sequential-thinking",
        (("sequentialthinking", _THOUGHT), ("sequentialthinking", {"thought": 7})),
        '"thoughtNumber": 1',
    ),
    "context7": Server(
        "@upstash/context7-mcp",
        NPM,
        "modern",
        "npx -y @upstash/context7-mcp --api-key YOUR_API_KEY",
        (("resolve-library-id", {"query": "how to count", "libraryName": "abacus"}),),
        "Counts, ¡sí!",
        env={"CONTEXT7_API_URL": "{library}", "OTEL_SDK_DISABLED": "true"},
        variables={"CONTEXT7_ARG_4": "ctx7sk-0123456789abcdef"},
    ),
    "playwright": Server(
        "@playwright/mcp",
        NPM,
        "legacy",
        "npx @playwright/mcp@latest",
        (("browser_tabs", {"action": "list"}), ("browser_navigate", {"url": 7})),
        "no-browser",
        more=("--headless", "--isolated", "--executable-path", "{desktop}/no-browser", "--output-dir", "{other}"),
    ),
    "notionapi": Server(
        "@notionhq/notion-mcp-server",
        NPM,
        "legacy",
        "npx -y @notionhq/notion-mcp-server",
        (("API-get-self", {}), ("API-get-user", {"user_id": "none"})),
        "A bot of ours",
        env={"BASE_URL": "{library}"},
        variables={"NOTIONAPI_NOTION_TOKEN": KEY},
    ),
    "time": Server(
        "mcp-server-time",
        PYPI,
        "modern",
        "uvx mcp-server-time",
        (
            ("convert_time", {"source_timezone": "UTC", "time": "12:00", "target_timezone": "Asia/Tokyo"}),
            ("get_current_time", {"timezone": "Atlantis"}),
        ),
        "+9.0h",
    ),
    "git": Server(
        "mcp-server-git",
        PYPI,
        "modern",
        "uvx mcp-server-git --repository path/to/git/repo",
        (
            ("git_log", {"repo_path": "{repository}", "max_count": 2}),
            ("git_show", {"repo_path": "{repository}", "revision": "HEAD"}),
            ("git_status", {"repo_path": "/"}),
        ),
        "The first bead",
        {"path/to/git/repo": "{repository}"},
    ),
    "fetch": Server(
        "mcp-server-fetch",
        PYPI,
        "modern",
        "uvx mcp-server-fetch",
        (("fetch", {"url": "{library}/page", "raw": True}), ("fetch", {"url": "nowhere"})),
        "Move the beads.",
        more=("--allow-private-ips", "--ignore-robots-txt"),
    ),
    "calculator": Server(
        "mcp-server-calculator",
        PYPI,
        "legacy",
        "uvx mcp-server-calculator",
        (("calculate", {"expression": "6*7 + sqrt(16)"}), ("calculate", {"expression": "six"})),
        "46.0",
        old_sdk=True,
    ),
    "sqlite": Server(
        "mcp-server-sqlite",
        PYPI,
        "legacy",
        "uvx mcp-server-sqlite --db-path ${input:db_path}",
        (
            ("create_table", {"query": "CREATE TABLE beads (colour TEXT)"}),
            ("write_query", {"query": "INSERT INTO beads VALUES ('réd'), ('blue')"}),
            ("read_query", {"query": "SELECT * FROM beads"}),
            ("read_query", {"query": "DROP TABLE beads"}),
        ),
        "'réd'",
        variables={"DB_PATH": "{database}"},
        old_sdk=True,
    ),
}


class Library(http.server.BaseHTTPRequestHandler):
    """What servers ask on the internet, answered here: Context7's library, a page to fetch, Notion's users."""

    def do_GET(self) -> None:
        kind, body = _answers(self.path, self.headers.get("Authorization"))
        self.send_response(404 if body is None else 200)
        self.send_header("Content-Type", kind)
        self.end_headers()
        self.wfile.write((body or json.dumps({"object": "error", "status": 404})).encode())

    def log_message(self, *said: object) -> None:
        del said


def _answers(path: str, key: str | None) -> tuple[str, str | None]:
    if path.startswith("/v2/libs/search?"):
        found = {"id": "/tools/abacus", "title": "Abacus", "description": "Counts, ¡sí!", "totalSnippets": 3}
        return "application/json", json.dumps({"results": [found]})
    if path.startswith("/v1/"):
        mine = path == "/v1/users/me" and key == f"Bearer {KEY}"
        return "application/json", json.dumps({"object": "user", "name": "A bot of ours"}) if mine else None
    return "text/plain", "### Counting\n\nMove the beads."


@contextmanager
def library() -> Iterator[str]:
    """The address of a small server that stands for the internet."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Library) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@dataclass(frozen=True)
class World:
    """The directories, files and addresses that the servers work with; the same for every visit."""

    root: Path
    library: str

    @property
    def places(self) -> dict[str, str]:
        names = {"desktop": "desktop", "other": "other", "repository": "repository"}
        files = {"memory": "memory.jsonl", "database": "beads.db"}
        return {key: str(self.root / name) for key, name in (names | files).items()} | {"library": self.library}

    def fresh(self) -> None:
        """As it was before any visit."""
        for name in ("desktop", "other"):
            shutil.rmtree(self.root / name, ignore_errors=True)
            (self.root / name).mkdir()
        (self.root / "memory.jsonl").unlink(missing_ok=True)
        (self.root / "beads.db").unlink(missing_ok=True)
        with closing(sqlite3.connect(self.root / "beads.db")):
            pass
        if not (self.root / "repository").exists():
            _commit(self.root / "repository")

    def filled(self, value: Any) -> Any:
        """The value with the places of this world in it."""
        if isinstance(value, str):
            return re.sub(r"\{([a-z]+)\}", lambda found: self.places.get(found[1], found[0]), value)
        if isinstance(value, Mapping):
            return {key: self.filled(each) for key, each in value.items()}
        return [self.filled(each) for each in value] if isinstance(value, list | tuple) else value


def _commit(repository: Path) -> None:
    repository.mkdir()
    (repository / "beads.txt").write_text("red\n", "utf-8")
    date = "2026-01-01T12:00:00+00:00"
    person = {"NAME": "Ann", "EMAIL": "ann@example.org", "DATE": date}
    env = {f"GIT_{who}_{key}": each for who in ("AUTHOR", "COMMITTER") for key, each in person.items()}
    env |= {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    for words in (["init", "--quiet", "-b", "main"], ["add", "."], ["commit", "--quiet", "-m", "The first bead"]):
        subprocess.run(["git", *words], cwd=repository, env=env, check=True)


def shims(directory: Path) -> Path:
    """`npx` and `uvx` that run what is installed already. Returns the directory, which belongs first in the `PATH`."""
    node, modern, old = (
        node_tools.install(),
        python1_tools.install(python1_tools.PUBLISHED).parent,
        python1_tools.install().parent,
    )
    directory.mkdir()
    npx, uvx = [], []
    for server in SERVERS.values():
        if server.registry == NPM:
            package = node_tools.MODULES / server.package
            found = json.loads((package / "package.json").read_text("utf-8"))["bin"]
            program = package / (found if isinstance(found, str) else next(iter(found.values())))
            npx.append(f'  {server.package}|{server.package}@latest) exec "{node}" "{program}" "$@" ;;')
        else:
            uvx.append(f'  {server.package}) exec "{(old if server.old_sdk else modern) / server.package}" "$@" ;;')
    for name, cases in (("npx", npx), ("uvx", uvx)):
        lines = ["#!/bin/sh", '[ "$1" = -y ] && shift', "wanted=$1", "shift", 'case "$wanted" in', *cases, "esac"]
        file = directory / name
        file.write_text("\n".join([*lines, 'echo "nothing is installed for $wanted" >&2', "exit 1", ""]), "utf-8")
        file.chmod(file.stat().st_mode | stat.S_IXUSR)
    return directory


def npx(directory: Path) -> Path:
    """The command `npx` of the Node that the test dependencies brought along, whose own is broken in its wheel."""
    file = directory / "npx"
    program = node_tools.NPM.with_name("npx-cli.js")
    file.write_text(f'#!/bin/sh\nexec "{node_tools.NODE}" "{program}" "$@"\n', "utf-8")
    file.chmod(file.stat().st_mode | stat.S_IXUSR)
    return file


def readme(server: Server) -> str:
    """The page of a server, as its package brings it along."""
    if server.registry == NPM:
        node_tools.install()
        return (node_tools.MODULES / server.package / "README.md").read_text("utf-8")
    python = python1_tools.install(python1_tools.PACKAGE if server.old_sdk else python1_tools.PUBLISHED)
    folder = server.package.replace("-", "_")
    (metadata,) = python.parents[1].glob(f"lib/python3*/site-packages/{folder}-*.dist-info/METADATA")
    return metadata.read_text("utf-8")


def in_our_places(text: str, server: Server, world: World) -> str:
    """The text with what a user would write in the place of the README's placeholders."""
    for placeholder, own in server.ours.items():
        text = text.replace(placeholder, world.filled(own))
    return text


def snippets(server: Server) -> list[str]:
    """The JSON that the page tells users of clients to paste: its fenced blocks that name a command."""
    blocks = re.findall(r"^ *```json *\n(.*?)^ *```", readme(server), re.MULTILINE | re.DOTALL)
    return [each for each in blocks if '"command"' in each]


def version(server: Server) -> str:
    """The version that the test dependencies pin."""
    if server.registry == NPM:
        return json.loads((node_tools.PACKAGE / "package.json").read_text("utf-8"))["dependencies"][server.package]
    texts = [
        (each / "requirements.txt").read_text("utf-8") for each in (python1_tools.PACKAGE, python1_tools.PUBLISHED)
    ]
    found = re.search(rf"^{server.package}==(\S+)$", "\n".join(texts), re.MULTILINE)
    assert found is not None, server.package
    return found[1]


def text_of(results: list[Json]) -> str:
    """All texts of the results of tools."""
    return "\n".join(block.get("text", "") for result in results for block in result["content"])
