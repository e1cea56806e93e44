"""Everything that is compared: each starts on the proxy's core and is handed out once it answered a call rightly."""

import json
import os
import secrets
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from harness import setup
from harness.machine import LOAD_CORE, PROXY_CORE
from harness.mcp import Endpoint, Era, get_json, open_session, require_refusal, wait_for_call
from harness.process import Failed, Process, started

KEY = {"X-Api-Key": "k"}
"""The credential every proxy that can do so puts on each request."""
SHARED: Mapping[str, object] = {"headers": KEY}
"""What a hub is told of an upstream that gets it."""
OWNER = "bench@example.com"
"""Whose token it is, where the hub asks for one."""


@dataclass(frozen=True, slots=True)
class Upstream:
    """The benchmark's own MCP server, on one port or on many."""

    ports: tuple[int, ...]
    process: Process

    @property
    def urls(self) -> tuple[str, ...]:
        return tuple(f"http://127.0.0.1:{port}/mcp" for port in self.ports)

    def stats(self) -> dict[str, int]:
        """What has arrived so far, over all ports."""
        return get_json(f"http://127.0.0.1:{self.ports[-1]}/stats")


@dataclass(frozen=True, slots=True)
class Running:
    """A contender that is up: where to ask, the name its echo goes by, and the process to account for."""

    name: str
    to: Endpoint
    tool: str = "echo"
    process: Process | None = None
    upstream: Upstream | None = None
    adds_key: bool = False


@dataclass(frozen=True, slots=True)
class Lab:
    """What a case works with: the installed programs, a directory that is removed after the case, and how thorough."""

    programs: setup.Programs
    home: Path
    hub_command: str
    rounds: int
    seconds: float
    minutes: float = 0.5
    """How long the case that looks for leaks goes on."""

    @contextmanager
    def upstream(self, ports: int = 1, *flags: str) -> Iterator[Upstream]:
        """The upstream on so many ports; flags as in upstream.c."""
        words = [self.programs.upstream, "--listen", str(ports), *flags]
        with started(words, LOAD_CORE, self.home) as process:
            line = process.wait_for_line(r"^[\d ]+$", 10)
            yield Upstream(tuple(map(int, line.group().split())), process)

    @contextmanager
    def direct(self, upstream: Upstream) -> Iterator[Running]:
        """No proxy at all."""
        yield Running("direct, no proxy", Endpoint(upstream.urls[0]), upstream=upstream)

    @contextmanager
    def nginx(self, upstream: Upstream) -> Iterator[Running]:
        """The reference: one worker, connections to the upstream kept open, one header added, no log."""
        port = _free_port()
        config = self.home / f"nginx-{port}.conf"
        config.write_text(_NGINX.format(home=self.home, port=port, upstream=upstream.ports[0], user=_nginx_user()))
        words = [self.programs.nginx, "-c", str(config), "-p", str(self.home), "-e", "stderr"]
        with started(words, PROXY_CORE, self.home) as process:
            to = Endpoint(f"http://127.0.0.1:{port}/mcp")
            wait_for_call(to, "echo", process)
            yield Running("nginx", to, process=process, upstream=upstream, adds_key=True)

    @contextmanager
    def hub(
        self, upstreams: Upstream, era: Era = "modern", name: str = "mcp_hub", *, watched: bool = False
    ) -> Iterator[Running]:
        """The hub in front of every port of the upstream, spoken to in this era. The tool is the last port's echo."""
        with self.bare_hub(upstreams, watched=watched) as (process, url):
            to = Endpoint(url) if era == "modern" else open_session(url)
            tool = f"u{len(upstreams.ports) - 1}__echo"
            wait_for_call(to, tool, process)
            yield Running(name, to, tool, process, upstreams, adds_key=True)

    @contextmanager
    def signed_in_hub(self, upstreams: Upstream, *, own_key: bool = False) -> Iterator[Running]:
        """The same hub, which asks for a token, and a caller who has one; whoever has none is refused.

        With `own_key` the caller's own credential goes to the upstream, in place of the one that all share.
        """
        credential = {"auth": {"type": "header", "name": "X-Api-Key", "claim": "email"}} if own_key else SHARED
        config = self._configured(upstreams, {"login": {"type": "local"}}, credential)
        self._command(config, "user", "add", OWNER, "--password-stdin", text=f"{secrets.token_urlsafe()}\n")
        token = self._command(config, "token", "create", "--user", OWNER).strip()
        with self._served(config) as (process, url):
            nobody = Endpoint(url)
            to, tool = replace(nobody, token=token), f"u{len(upstreams.ports) - 1}__echo"
            wait_for_call(to, tool, process)
            require_refusal(nobody, tool)
            name = "mcp_hub, signed in, a key of one's own" if own_key else "mcp_hub, signed in"
            yield Running(name, to, tool, process, upstreams, adds_key=True)

    @contextmanager
    def bare_hub(self, upstreams: Upstream, *, watched: bool = False) -> Iterator[tuple[Process, str]]:
        """The hub as soon as it says that it listens; `watched` as in watched_hub.py."""
        with self._served(self._configured(upstreams), watched=watched) as served:
            yield served

    def _configured(
        self, upstreams: Upstream, more: Mapping[str, object] | None = None, credential: Mapping[str, object] = SHARED
    ) -> Path:
        """A configuration in a directory of its own, where the hub keeps its data too."""
        config = Path(tempfile.mkdtemp(prefix="hub-", dir=self.home)) / "hub.yaml"
        config.write_text(json.dumps(_hub_config(upstreams.urls, credential) | dict(more or {})))  # JSON is YAML
        return config

    @contextmanager
    def _served(self, config: Path, *, watched: bool = False) -> Iterator[tuple[Process, str]]:
        command = [sys.executable, str(setup.BENCH / "watched_hub.py")] if watched else [self._hub()]
        words = [*command, "serve", "-c", str(config), "--port", "0"]
        with started(words, PROXY_CORE, self.home, _data(config)) as process:
            line = process.wait_for_line(r"^\s*Endpoint\s+(http\S+)", 30)
            yield process, line.group(1)

    def _command(self, config: Path, *words: str, text: str = "") -> str:
        """What a command of the hub prints; `text` is its standard input. Raises: Failed"""
        line = [self._hub(), *words, "-c", str(config)]
        env = {**os.environ, **_data(config)}
        done = subprocess.run(line, env=env, input=text, capture_output=True, text=True, check=False)
        if done.returncode:
            raise Failed(f"mcp-hub {' '.join(words[:2])} ended with code {done.returncode}: {done.stderr.strip()}")
        return done.stdout

    def _hub(self) -> str:
        if not Path(self.hub_command).exists():
            raise Failed(f"there is no {self.hub_command}: install the hub first (python -m pip install -e .)")
        return self.hub_command

    @contextmanager
    def fastmcp(self, upstream: Upstream, way: str) -> Iterator[Running]:
        """FastMCP's proxy; `way` as in peers/fastmcp_proxy.py."""
        port = _free_port()
        script = str(setup.BENCH / "peers" / "fastmcp_proxy.py")
        words = [setup.fastmcp_python(), script, upstream.urls[0], str(port), way]
        name = "FastMCP, create_proxy(url)" if way == "url" else "FastMCP, client kept open"
        with started(words, PROXY_CORE, self.home) as process:
            to = Endpoint(f"http://127.0.0.1:{port}/mcp")
            wait_for_call(to, "echo", process, 60)
            yield Running(name, to, process=process, upstream=upstream)

    @contextmanager
    def node_proxy(self, era: Era) -> Iterator[Running]:
        """The npm package mcp-proxy. It only fronts commands, so its upstream speaks on stdin; that is not counted."""
        node, script = setup.node_proxy()
        port = _free_port()
        own = ["--host", "127.0.0.1", "--port", str(port), "--server", "stream", "--upstreamProtocol", era]
        words = [node, script, *own, "--", self.programs.upstream, "--stdio"]
        with started(words, PROXY_CORE, self.home, not_counted="upstream") as process:
            url = f"http://127.0.0.1:{port}/mcp"
            _wait_for_port(port, process)
            to = Endpoint(url) if era == "modern" else open_session(url)
            wait_for_call(to, "echo", process)
            process.move_uncounted(LOAD_CORE)
            yield Running(f"mcp-proxy (Node), {era}", to, process=process)


def _hub_config(urls: Sequence[str], credential: Mapping[str, object]) -> dict[str, object]:
    upstreams = {f"u{n}": {"url": url, **credential} for n, url in enumerate(urls)}
    return {"network": {"allow_private": ["127.0.0.0/8"]}, "upstreams": upstreams}


def _data(config: Path) -> dict[str, str]:
    return {"MCP_HUB_DATA": str(config.parent)}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _wait_for_port(port: int, process: Process) -> None:
    until = time.monotonic() + 20
    while time.monotonic() < until:
        process.check_alive()
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    raise Failed(f"nothing listens on port {port}")


def _nginx_user() -> str:
    return "user root;" if os.geteuid() == 0 else ""


_NGINX = """
{user}
daemon off;
worker_processes 1;
pid {home}/nginx-{port}.pid;
error_log stderr error;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    client_body_temp_path {home}/body;
    proxy_temp_path {home}/proxied;
    fastcgi_temp_path {home}/unused-fastcgi;
    uwsgi_temp_path {home}/unused-uwsgi;
    scgi_temp_path {home}/unused-scgi;
    keepalive_requests 100000000;
    upstream mcp {{
        server 127.0.0.1:{upstream};
        keepalive 64;
        keepalive_requests 100000000;
    }}
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass http://mcp;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header X-Api-Key k;
        }}
    }}
}}
"""
