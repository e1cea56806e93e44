"""S5: what a result costs that comes as a stream, with progress before it."""

from dataclasses import replace

from harness.contenders import Lab
from harness.load import compare, median, ratio
from harness.mcp import call, watched_call
from harness.outcome import LOAD_COLUMNS, Outcome, at_most, load_rows
from harness.process import Failed

TITLE = "a result as a stream with 10 progress notifications"
TARGETS = ("CPU per call at most 3x a plain call",)
SMALLEST = 10 * 100
"""Bytes that ten notifications have at least."""


def run(lab: Lab) -> Outcome:
    """Plain and watched calls by turns at the same hub; nginx passes the same streams on for comparison."""
    with lab.upstream(1, "--era", "modern") as upstream, lab.nginx(upstream) as nginx, lab.hub(upstream) as hub:
        plain = replace(hub, name="mcp_hub, plain call")
        watched = replace(hub, name="mcp_hub, with progress", tool=hub.tool.removesuffix("echo") + "progress")
        passed = replace(nginx, name="nginx, with progress", tool="progress")
        turns = [(passed, watched_call("progress")), (plain, call(plain.tool)), (watched, watched_call(watched.tool))]
        samples = compare(lab, turns)
    size = median(samples[watched.name], lambda s: s.bytes_per_second / s.per_second)
    if size < SMALLEST:
        raise Failed(f"under load, streams of only {size:.0f} bytes were answered")
    times = ratio(samples[watched.name], samples[plain.name], lambda s: s.cpu_ms)
    return Outcome(LOAD_COLUMNS, load_rows(samples), [at_most(3, times, TARGETS[0], f"{times:.2f}x")])
