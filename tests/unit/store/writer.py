"""A process that writes to a store and says what was acknowledged: `writer.py FILE NAME [COUNT]`, else for ever."""

import asyncio
import sys

from mcp_hub.store.base import CallRecord, Remembered
from mcp_hub.store.sqlite import SqliteStore


async def write(path: str, name: str, count: int) -> None:
    store = SqliteStore.open(path)
    key = await store.keep_setting_if_absent("key", name.encode())
    say(f"key {key.decode()}")
    at = 0
    while count < 0 or at < count:
        calls = [
            CallRecord(float(at), name, "local", "me", "c", "u", "tools/call", str(n), "ok", 1.0) for n in range(3)
        ]
        await store.append_calls(calls)
        await store.remember(Remembered(name, f"u{at}", "shared", "https://x/mcp", "modern", b"x" * 2000, float(at)))
        say(f"kept {at}")
        at += 1
    await store.aclose()


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(write(sys.argv[1], sys.argv[2], int(sys.argv[3]) if len(sys.argv) > 3 else -1))
