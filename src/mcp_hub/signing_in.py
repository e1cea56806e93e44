"""What a check finds out about signing in at an upstream.

Rule: everything is asked anew, and nothing of it is kept. Loaded when it is needed, since it brings half of what OAuth
takes.
"""

import time
from contextlib import AsyncExitStack
from typing import Final

from mcp_hub.config import model
from mcp_hub.connecting import declared_of
from mcp_hub.egress.dial import Dialer
from mcp_hub.egress.fetch import GuardedFetch
from mcp_hub.oauth.discovery import Discovery, DiscoveryFailed, Found, Outcome
from mcp_hub.upstream.check import Steps

_UNPUBLISHED: Final = (
    "It publishes nothing about a sign-in, so the places that were usual before 2025-06 would be tried. If it takes a"
    " key instead, say so in 'auth' or 'headers'."
)


async def found_out(declared: model.Upstream, dialer: Dialer, steps: Steps, challenges: tuple[str, ...] | None) -> bool:
    """Whether its users sign in, and each thing that was asked on the way, noted in `steps`.

    `challenges` are what it refused with; `None` has it asked first. Never raises for what another side does.
    """
    started = time.perf_counter()
    async with AsyncExitStack() as stack:
        fetch = GuardedFetch(dialer)
        stack.push_async_callback(fetch.aclose)
        discovery = Discovery(fetch)
        stack.push_async_callback(discovery.aclose)
        found = await discovery.find(declared_of(declared).target, challenges=challenges, fresh=True)
    for each in found.trace:
        steps.note("discovery", f"{each.what}: {each.detail}", ok=each.ok)
    steps.note("discovery", _outcome(found), ok=isinstance(found, Found), since=started)
    return isinstance(found, Found)


def _outcome(found: Outcome) -> str:
    match found:
        case Found(server=server) if not server.has_metadata:
            return _UNPUBLISHED
        case Found():
            return f"Users sign in at {found.server.issuer}."
        case DiscoveryFailed():
            return found.public
        case _:
            return "It has nobody sign in, as far as can be found out."
