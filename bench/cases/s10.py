"""S10: how long a start takes."""

import statistics
import sys
import time

from harness.contenders import Lab, Upstream
from harness.machine import PROXY_CORE, package_version
from harness.mcp import LIST, Endpoint, ask
from harness.outcome import Outcome, at_most
from harness.process import Failed, started

TITLE = "from the start of the process to its first answered tools/list"
TARGETS = ('at most 1.5x `python -c "import uvicorn, starlette, mcp"`',)


def run(lab: Lab) -> Outcome:
    """The imports and the hub by turns, each a new process; the first turn only warms the file cache."""
    if package_version("mcp") == "not installed":
        raise Failed("the reference imports mcp, which is not installed beside this interpreter")
    imports, starts = [], []
    with lab.upstream() as upstream:
        for _ in range(lab.rounds + 1):
            imports.append(_imports(lab))
            starts.append(_start(lab, upstream))
    pairs = list(zip(starts[1:], imports[1:], strict=True))
    times = statistics.median(start / bare for start, bare in pairs)
    rows = [
        ("python -c import uvicorn, starlette, mcp", f"{statistics.median(imports[1:]):.2f}"),
        ("mcp_hub, one upstream, first list answered", f"{statistics.median(starts[1:]):.2f}"),
    ]
    return Outcome(("", "seconds"), rows, [at_most(1.5, times, TARGETS[0], f"{times:.2f}x")])


def _imports(lab: Lab) -> float:
    words = [sys.executable, "-c", "import uvicorn, starlette, mcp; print('done', flush=True)"]
    begin = time.monotonic()
    with started(words, PROXY_CORE, lab.home) as process:
        process.wait_for_line("^done$", 60)
        return time.monotonic() - begin


def _start(lab: Lab, upstream: Upstream) -> float:
    begin = time.monotonic()
    with lab.bare_hub(upstream) as (_, url):
        found = len(ask(Endpoint(url), LIST)["tools"])
        took = time.monotonic() - begin
    if found != 20:
        raise Failed(f"the first list holds {found} tools instead of 20")
    return took
