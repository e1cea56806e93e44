"""S6: what a list costs when everything is known."""

import json
from dataclasses import replace

from harness.contenders import Lab
from harness.load import compare, median, ratio
from harness.mcp import LIST, ask, call
from harness.outcome import LOAD_COLUMNS, Outcome, Verdict, at_most, load_rows
from harness.process import Failed

TITLE = "tools/list, 50 upstreams with 20 tools each, warm"
TARGETS = ("CPU per list at most 2x a call", "no request reaches an upstream")


def run(lab: Lab) -> Outcome:
    """Lists and calls by turns at the same hub; the upstream counts what reaches it while the lists run."""
    with lab.upstream(50, "--era", "modern", "--tools", "20") as upstreams, lab.hub(upstreams) as hub:
        listing, calling = replace(hub, name="tools/list"), replace(hub, name="tools/call")
        whole = ask(hub.to, LIST)
        if len(whole["tools"]) != 1000:
            raise Failed(f"the list holds {len(whole['tools'])} tools instead of 1000")
        samples = compare(lab, [(calling, call(hub.tool)), (listing, LIST)])
    size = median(samples["tools/list"], lambda s: s.bytes_per_second / s.per_second)
    if size < 0.9 * len(json.dumps(whole, separators=(",", ":"))):
        raise Failed(f"under load, lists of only {size:.0f} bytes were answered")
    times = ratio(samples["tools/list"], samples["tools/call"], lambda s: s.cpu_ms)
    lists = sum(sample.calls for sample in samples["tools/list"])
    reached = sum(sample.upstream_posts for sample in samples["tools/list"])
    verdicts = [
        at_most(2, times, TARGETS[0], f"{times:.2f}x"),
        Verdict(TARGETS[1], f"{reached} requests during {lists:,} lists", reached == 0),
    ]
    return Outcome(LOAD_COLUMNS, load_rows(samples), verdicts, [f"One list is {size / 1000:.0f} kB."])
