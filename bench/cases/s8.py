"""S8: what a large result costs."""

from harness.contenders import Lab, Running
from harness.load import compare, median, ratio
from harness.mcp import ask, call, text_of
from harness.outcome import Outcome, at_least, at_most
from harness.process import Failed

TITLE = "a result of 10 MB"
TARGETS = ("peak memory at most 3x its size", "at least 50 % of nginx's bytes/s")
SIZE = 10_000_000


def run(lab: Lab) -> Outcome:
    """Memory of one call on a hub that has made few; then four calls at a time, beside nginx."""
    with (
        lab.upstream(1, "--era", "modern", "--big", str(SIZE)) as upstream,
        lab.direct(upstream) as direct,
        lab.nginx(upstream) as nginx,
        lab.hub(upstream) as hub,
    ):
        grown = [_growth(hub) for _ in range(lab.rounds)]
        everybody = (direct, nginx, hub)
        samples = compare(lab, [(each, call(_big(each))) for each in everybody], connections=4)
    rate = {name: median(taken, lambda s: s.bytes_per_second) / 1e6 for name, taken in samples.items()}
    cpu = {name: median(taken, lambda s: s.cpu_ms) for name, taken in samples.items()}
    rows = [(name, f"{rate[name]:,.0f}", f"{cpu[name]:.2f}" if cpu[name] else "-") for name in samples]
    memory = max(grown) / SIZE
    share = ratio(samples[hub.name], samples[nginx.name], lambda s: s.bytes_per_second)
    verdicts = [
        at_most(3, memory, TARGETS[0], f"{memory:.2f}x ({max(grown) / 1e6:.0f} MB above idle)"),
        at_least(0.5, share, TARGETS[1], f"{share:.0%}"),
    ]
    return Outcome(("", "MB/s", "CPU ms per call"), rows, verdicts)


def _big(running: Running) -> str:
    return running.tool.removesuffix("echo") + "big"


def _growth(hub: Running) -> int:
    """How far the peak of one call rises above what the hub holds before it."""
    if hub.process is None:
        raise Failed("the hub has no process of its own")
    hub.process.forget_peak()
    before = hub.process.resident_bytes()
    if len(text_of(ask(hub.to, call(_big(hub))))) != SIZE:
        raise Failed("the large result did not arrive whole")
    return hub.process.peak_bytes() - before
