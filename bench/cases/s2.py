"""S2: what the same call costs in other MCP proxies."""

from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack

from harness.contenders import Lab, Running
from harness.load import Samples, compare, ratio, warm_up
from harness.mcp import call
from harness.outcome import LOAD_COLUMNS, Outcome, Verdict, at_least, load_rows
from harness.process import Failed

TITLE = "the same call, beside other MCP proxies"
TARGETS = ("at least 5x cheaper than the fastest other MCP proxy", "at least 300x cheaper than FastMCP's proxy")


def run(lab: Lab) -> Outcome:
    """The hub and whichever peers can be had here, by turns. A peer that cannot be had is a remark, not an end."""
    remarks: list[str] = []
    with ExitStack() as stack, lab.upstream() as upstream:
        ways: list[tuple[str, Callable[[], AbstractContextManager[Running]]]] = [
            ("nginx", lambda: lab.nginx(upstream)),
            ("mcp_hub", lambda: lab.hub(upstream)),
            ("mcp-proxy (Node), modern", lambda: lab.node_proxy("modern")),
            ("mcp-proxy (Node), legacy", lambda: lab.node_proxy("legacy")),
            ("FastMCP, client kept open", lambda: lab.fastmcp(upstream, "open")),
            ("FastMCP, create_proxy(url)", lambda: lab.fastmcp(upstream, "url")),
        ]
        present: list[Running] = []
        for name, enter in ways:
            try:
                peer = stack.enter_context(enter())
                warm_up(lab, peer, call(peer.tool))
                present.append(peer)
            except Failed as problem:
                remarks.append(f"{name} is missing from this table: {problem}")
        samples = compare(lab, [(each, call(each.tool)) for each in present])
        return Outcome(LOAD_COLUMNS, load_rows(samples), _verdicts(samples), remarks)


def _verdicts(samples: Samples) -> list[Verdict]:
    peers = {name: taken for name, taken in samples.items() if name not in ("mcp_hub", "nginx")}
    if "mcp_hub" not in samples or not peers:
        return [Verdict(target, "-", None) for target in TARGETS]
    times = {name: ratio(taken, samples["mcp_hub"], lambda s: s.cpu_ms) for name, taken in peers.items()}
    nearest = min(times, key=lambda name: times[name])
    fastmcp = {name: value for name, value in times.items() if name.startswith("FastMCP")}
    return [
        at_least(5, times[nearest], TARGETS[0], f"{times[nearest]:.1f}x ({nearest})"),
        *(at_least(300, value, TARGETS[1], f"{value:.0f}x ({name})") for name, value in fastmcp.items()),
        *([] if fastmcp else [Verdict(TARGETS[1], "-", None)]),
    ]
