"""FastMCP as a proxy for one upstream, in one of the two ways its documentation shows.

python fastmcp_proxy.py UPSTREAM_URL PORT (url | open)
  url   create_proxy(url): the shortest way, a fresh client for each request
  open  create_proxy(client) with a client that stays connected
"""

import asyncio
import sys

from fastmcp import Client
from fastmcp.server import create_proxy


async def main(url: str, port: int, way: str) -> None:
    """Serves until it is ended from outside."""
    if way == "url":
        await create_proxy(url, name="peer").run_async("http", host="127.0.0.1", port=port, **_QUIET)
        return
    async with Client(url) as client:
        await create_proxy(client, name="peer").run_async("http", host="127.0.0.1", port=port, **_QUIET)


_QUIET = {"show_banner": False, "log_level": "error", "uvicorn_config": {"access_log": False}}

asyncio.run(main(sys.argv[1], int(sys.argv[2]), sys.argv[3]))
