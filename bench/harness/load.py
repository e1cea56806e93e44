"""One way to measure: contenders by turns in the same run, the same load for each, medians and paired ratios."""

import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import count

from harness.contenders import Lab, Running
from harness.machine import LOAD_CORE
from harness.mcp import Question, ask
from harness.process import Failed, started
from harness.setup import BENCH

_numbers = count()
_SETTLE = 0.15
"""Seconds after a load in which calls that were under way still end, and are accounted for."""

_PATIENCE = 10
"""Seconds by which a turn may grow so that a slow proxy answers anything at all."""


@dataclass(frozen=True, slots=True)
class Sample:
    """What one turn of one contender came to."""

    calls: int
    per_second: float
    cpu_ms: float
    p50_ms: float
    p99_ms: float
    bytes_per_second: float
    upstream_posts: int


Samples = dict[str, list[Sample]]


def compare(
    lab: Lab, contenders: Iterable[tuple[Running, Question]], connections: int = 16, seconds: float = 0
) -> Samples:
    """Warms everybody up, then takes turns, A B A B, as many rounds as the lab says. Raises: Failed"""
    turns = list(contenders)
    length = seconds or lab.seconds
    for running, question in turns:
        warm_up(lab, running, question, connections)
    samples: Samples = {running.name: [] for running, _ in turns}
    for _ in range(lab.rounds):
        for running, question in turns:
            samples[running.name].append(_turn(lab, running, question, connections, length))
    for running, question in turns:
        ask(running.to, question)
    return samples


def warm_up(lab: Lab, running: Running, question: Question, connections: int = 16) -> None:
    """A short turn that counts for nothing. Raises: Failed if it does not stand the load."""
    _turn(lab, running, question, connections, lab.seconds / 2)


def load(
    lab: Lab, running: Running, question: Question, connections: int, seconds: float, *, pause_ms: int = 0
) -> float:
    """Calls per second of one load, each connection resting `pause_ms` between two calls. Raises: Failed"""
    found = _wrk(lab, running, question, connections, seconds, pause_ms=pause_ms)
    _check_answers(running, found)
    return found["requests"] * 1e6 / found["us"]


def median(samples: Sequence[Sample], of: Callable[[Sample], float]) -> float:
    """The median over the rounds."""
    return statistics.median(map(of, samples))


def ratio(ours: Sequence[Sample], theirs: Sequence[Sample], of: Callable[[Sample], float]) -> float:
    """The median over the rounds of our figure by theirs in the same round."""
    return statistics.median(of(a) / of(b) for a, b in zip(ours, theirs, strict=True))


def _turn(lab: Lab, running: Running, question: Question, connections: int, seconds: float) -> Sample:
    before, cpu = _posts(running), _cpu(running)
    found = _wrk(lab, running, question, connections, seconds)
    time.sleep(_SETTLE)
    cpu = _cpu(running) - cpu
    after = _posts(running)
    _check_answers(running, found)
    calls = _check_arrivals(running, question, found["requests"], before, after)
    if not calls:
        raise Failed(f"{running.name} answered nothing in {seconds:.1f} s")
    took = found["us"] / 1e6
    return Sample(
        calls=calls,
        per_second=found["requests"] / took,
        cpu_ms=cpu * 1000 / calls,
        p50_ms=found["p50"] / 1000,
        p99_ms=found["p99"] / 1000,
        bytes_per_second=found["bytes"] / took,
        upstream_posts=after["posts"] - before["posts"],
    )


def _check_answers(running: Running, found: dict[str, int]) -> None:
    """Raises: Failed if anything but success came back, or nothing at all."""
    kinds = ("refused", "connect", "read", "write", "timeout")
    if troubles := [f"{kind} {found[kind]}" for kind in kinds if found[kind]]:
        if running.process:
            running.process.check_alive()
        last = f"; it said last: {running.process.last_words()}" if running.process else ""
        said = f"{', '.join(troubles)} beside {found['requests']} answers"
        raise Failed(f"{running.name} did not answer every request: {said}{last}")


def _check_arrivals(
    running: Running, question: Question, answered: int, before: dict[str, int], after: dict[str, int]
) -> int:
    """How many calls to divide by: with a slow proxy, those under way at the end weigh something too."""
    if running.upstream is None or question.method != "tools/call":
        return answered
    arrived = after["calls"] - before["calls"]
    if arrived < answered:
        raise Failed(f"{running.name} answered {answered} calls, but only {arrived} reached the upstream")
    if running.adds_key and after["keyed"] - before["keyed"] < answered:
        raise Failed(f"{running.name} lets calls through without the credential it was told to add")
    return arrived


def _wait_for_arrivals(running: Running, question: Question, wanted: int) -> None:
    """A turn goes on for a proxy so slow that next to nothing has come through, but not for ever."""
    until = time.monotonic() + _PATIENCE
    while running.upstream and question.method == "tools/call" and time.monotonic() < until:
        if _posts(running)["calls"] >= wanted:
            return
        time.sleep(0.05)


def _wrk(
    lab: Lab, running: Running, question: Question, connections: int, seconds: float, *, pause_ms: int = 0
) -> dict[str, int]:
    before = _posts(running)
    job = lab.home / f"job-{next(_numbers)}"
    headers = "\n".join(f"{name}: {value}" for name, value in question.headers(running.to).items())
    job.write_text(f"{headers}\n\n{question.body(running.to, '@ID@')}")
    words = [lab.programs.wrk, "-t1", f"-c{connections}", "-d1h", "--timeout", "1m", "-s", str(BENCH / "load.lua")]
    with started([*words, running.to.url, "--", str(job), str(pause_ms)], LOAD_CORE, lab.home) as wrk:
        time.sleep(seconds)
        _wait_for_arrivals(running, question, before["calls"] + 2 * connections)
        wrk.interrupt()  # it ends well and reports; its own limit knows whole seconds only
        line = wrk.wait_for_line(r"^RESULT (.+)$", 10)
    return {name: int(value) for name, value in (pair.split("=") for pair in line.group(1).split())}


def _cpu(running: Running) -> float:
    return running.process.cpu_seconds() if running.process else 0.0


def _posts(running: Running) -> dict[str, int]:
    return running.upstream.stats() if running.upstream else {"posts": 0, "keyed": 0, "calls": 0}
