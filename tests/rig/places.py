"""A small server on loopback that answers at each of its paths what a test says, and a canary that nobody may reach."""

import asyncio
import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Self
from urllib.parse import parse_qsl, urlsplit


class Asked(NamedTuple):
    """One request; header names are in lower case."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    query: str = ""

    @property
    def form(self) -> dict[str, str]:
        """The body as a form."""
        return dict(parse_qsl(self.body.decode()))


class Said(NamedTuple):
    """One answer; what is not bytes is encoded."""

    status: int = 200
    body: Any = b""
    headers: dict[str, str] = {}  # noqa: RUF012 - never changed


Answer = Said | Callable[[Asked], Said]


@dataclass
class Places:
    """Listens on `host` while entered. `answers` is what is said at a path; elsewhere it is 404. `seen` in order."""

    host: str = "127.0.0.1"
    answers: dict[str, Answer] = field(default_factory=dict)
    seen: list[Asked] = field(default_factory=list)
    connections: int = 0
    origin: str = ""
    _server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, self.host, 0)
        self.origin = f"http://{self.host}:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *failure: object) -> None:
        if self._server is not None:
            self._server.close()

    @property
    def paths(self) -> list[str]:
        """Where it was asked, in order."""
        return [each.path for each in self.seen]

    def at(self, path: str) -> list[Asked]:
        """What was asked there."""
        return [each for each in self.seen if each.path == path]

    def put(self, path: str, body: Any = b"", status: int = 200, **headers: str) -> None:
        """Say this at a path from now on."""
        self.answers[path] = Said(status, body, {name.replace("_", "-"): each for name, each in headers.items()})

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                writer.write(_encoded(self._answer(await _read(reader))))
                await writer.drain()
        writer.close()

    def _answer(self, asked: Asked) -> Said:
        self.seen.append(asked)
        answer = self.answers.get(asked.path, Said(404, b"SECRET: nothing here"))
        return answer(asked) if callable(answer) else answer


async def _read(reader: asyncio.StreamReader) -> Asked:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    line, *rest = head.strip().split("\r\n")
    headers = {name.lower(): value for name, _, value in (each.partition(": ") for each in rest)}
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    method, target, _ = line.split(" ")
    parts = urlsplit(target)
    return Asked(method, parts.path, headers, body, parts.query)


def _encoded(said: Said) -> bytes:
    data = said.body if isinstance(said.body, bytes) else json.dumps(said.body).encode()
    lines = [f"HTTP/1.1 {said.status} Status", f"Content-Length: {len(data)}"]
    lines += [f"{name}: {value}" for name, value in said.headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + data
