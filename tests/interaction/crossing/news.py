"""Tells every process of an upstream what has changed there, as a file or a database would whose changes it watches."""

import asyncio
import json
from collections import defaultdict
from typing import Self


class News:
    """A port of this computer that upstreams read news from; `port` is where, while entered."""

    def __init__(self) -> None:
        self.port = 0
        self._readers: defaultdict[str, set[tuple[asyncio.StreamReader, asyncio.StreamWriter]]] = defaultdict(set)
        self._telling = asyncio.Lock()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._met, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *failure: object) -> None:
        self._server.close()
        for _, writer in set().union(*self._readers.values()):
            writer.close()

    async def _met(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        name = (await reader.readline()).decode().strip()
        self._readers[name].add((reader, writer))

    async def tell(self, upstream: str, **news: str) -> None:
        """Let the upstream know, and return once each of its processes has told whoever listens there."""
        async with self._telling:
            for each in list(self._readers[upstream]):
                reader, writer = each
                writer.write(json.dumps(news).encode() + b"\n")
                if not await reader.readline():  # that process has ended
                    writer.close()
                    self._readers[upstream].discard(each)
