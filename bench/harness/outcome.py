"""What a case found out, and how it is printed: the same Markdown on the terminal and in docs/speed.md."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from harness.load import Sample, Samples, median


@dataclass(frozen=True, slots=True)
class Verdict:
    """One target against what was measured in this run. `met` is None where nothing could be measured."""

    target: str
    measured: str
    met: bool | None


@dataclass(frozen=True, slots=True)
class Outcome:
    """A case's table and verdicts, with remarks for what could not be done."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    verdicts: Sequence[Verdict] = ()
    remarks: Sequence[str] = field(default_factory=tuple)


def at_most(limit: float, value: float, target: str, measured: str) -> Verdict:
    """A verdict that is met where the value does not exceed the limit."""
    return Verdict(target, measured, value <= limit)


def at_least(limit: float, value: float, target: str, measured: str) -> Verdict:
    """A verdict that is met where the value reaches the limit."""
    return Verdict(target, measured, value >= limit)


LOAD_COLUMNS = ("", "CPU ms per call", "calls/s", "p50 ms")


def load_rows(samples: Samples) -> list[tuple[str, ...]]:
    """A row per contender in LOAD_COLUMNS: medians, and in brackets the lowest and highest CPU of the rounds."""
    return [(name, _cpu(taken), *_speed(taken)) for name, taken in samples.items()]


def table(columns: Sequence[str], rows: Sequence[Sequence[str]], left: int = 1) -> str:
    """A Markdown table with aligned columns, so many to the left and the others to the right."""
    widths = [max(len(cell) for cell in column) for column in zip(columns, *rows, strict=True)]

    def line(cells: Sequence[str]) -> str:
        pairs = enumerate(zip(cells, widths, strict=True))
        return "| " + " | ".join(c.ljust(w) if n < left else c.rjust(w) for n, (c, w) in pairs) + " |"

    rule = "|" + "|".join("-" * (w + 1) + ("-" if n < left else ":") for n, w in enumerate(widths)) + "|"
    return "\n".join([line(columns), rule, *map(line, rows)])


def summary(cases: Sequence[tuple[str, str, Outcome]]) -> str:
    """Every target with what was measured for it."""
    words = {True: "met", False: "**missed**", None: "not measured"}
    rows = [
        (name, title, verdict.target, verdict.measured, words[verdict.met])
        for name, title, outcome in cases
        for verdict in outcome.verdicts
    ]
    return table(("", "what", "target", "measured", ""), rows, left=5)


def chapter(name: str, title: str, outcome: Outcome) -> str:
    """One case in full."""
    parts = [f"### {name}: {title}", table(outcome.columns, outcome.rows) if outcome.rows else ""]
    return "\n\n".join(filter(None, [*parts, *outcome.remarks]))


def _cpu(taken: Sequence[Sample]) -> str:
    if not any(sample.cpu_ms for sample in taken):
        return "-"
    low, high = min(sample.cpu_ms for sample in taken), max(sample.cpu_ms for sample in taken)
    return f"{median(taken, lambda s: s.cpu_ms):#.3g} ({low:#.3g} to {high:#.3g})"


def _speed(taken: Sequence[Sample]) -> tuple[str, str]:
    return f"{median(taken, lambda s: s.per_second):,.0f}", f"{median(taken, lambda s: s.p50_ms):.2f}"
