"""The command: sets up, runs the cases one after the other, prints, and writes the page if asked to."""

import argparse
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType

from cases import s1, s2, s3, s4, s5, s6, s7, s8, s9, s10, s11, s12, s13
from harness import machine, setup
from harness.contenders import Lab
from harness.outcome import Outcome, Verdict, chapter, summary, table
from harness.process import Failed, end_on_signals

CASES: Mapping[str, ModuleType] = {
    "S1": s1, "S2": s2, "S3": s3, "S4": s4, "S5": s5, "S6": s6, "S7": s7, "S8": s8, "S9": s9, "S10": s10, "S11": s11,
    "S12": s12, "S13": s13,
}  # fmt: skip
ROOT = setup.BENCH.parent
PAGE = ROOT / "docs" / "speed.md"
BEGIN, END = "<!-- written by bench/run: begin -->", "<!-- written by bench/run: end -->"
MISSING = "-"
BUSY = 0.1
WHOLE, QUICK = (3, 3.0), (2, 0.5)
"""Rounds, and seconds per turn."""
HUB = ROOT / ".venv" / "bin" / "mcp-hub"


def main() -> int:
    """0: every case ran (whether or not targets were met); 1: something could not be measured; 2: nothing could."""
    options = _options()
    end_on_signals()
    try:
        programs = setup.programs()
        busy = machine.busy_share()
        if busy > BUSY:
            print(f"something else keeps the two cores {busy:.0%} busy: figures will be worse", file=sys.stderr)
        found = _run(options, programs)
    except Failed as problem:
        print(f"bench/run: {problem}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("bench/run: stopped; what was started has been ended", file=sys.stderr)
        return 130
    text = _report(found, programs, options, busy)
    print(text)
    if options.write_docs:
        _write(text)
    return 1 if any(verdict.met is None for _, _, outcome in found for verdict in outcome.verdicts) else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench/run", description="Compares the hub with nginx and other MCP proxies.")
    parser.add_argument("--quick", action="store_true", help="short turns: for orientation, not for publishing")
    parser.add_argument("--only", metavar="S1,S6", default=",".join(CASES), help="only these cases")
    parser.add_argument("--write-docs", action="store_true", help=f"put the table into {PAGE.relative_to(ROOT)}")
    parser.add_argument("--minutes", type=float, metavar="N", help="how long S13 goes on (1, or 0.2 with --quick)")
    parser.add_argument("--hub", metavar="PATH", default=str(HUB), help="the hub's command")
    options = parser.parse_args()
    options.only = [name.strip().upper() for name in options.only.split(",")]
    if unknown := [name for name in options.only if name not in CASES]:
        parser.error(f"no such case: {', '.join(unknown)}; there are {', '.join(CASES)}")
    if options.write_docs and (options.quick or len(options.only) < len(CASES) or options.hub != str(HUB)):
        parser.error("--write-docs goes with a whole run of this checkout: without --quick, --only and --hub")
    return options


def _run(options: argparse.Namespace, programs: setup.Programs) -> list[tuple[str, str, Outcome]]:
    found = []
    for name in options.only:
        begin = time.monotonic()
        print(f"{name}: {CASES[name].TITLE} ...", end=" ", file=sys.stderr, flush=True)
        found.append((name, CASES[name].TITLE, _case(CASES[name], options, programs)))
        print(f"{time.monotonic() - begin:.0f} s", file=sys.stderr)
    return found


def _case(case: ModuleType, options: argparse.Namespace, programs: setup.Programs) -> Outcome:
    """Its outcome, or one that says why there is none: the other cases go on."""
    with tempfile.TemporaryDirectory(prefix="mcp-hub-bench-") as home:
        minutes = options.minutes or (0.2 if options.quick else 1.0)
        lab = Lab(programs, Path(home), options.hub, *(QUICK if options.quick else WHOLE), minutes)
        try:
            return case.run(lab)
        except Failed as problem:
            verdicts = [Verdict(target, MISSING, None) for target in case.TARGETS]
            return Outcome((), (), verdicts, [f"Not measured: {problem}"])


def _report(
    found: Sequence[tuple[str, str, Outcome]], programs: setup.Programs, options: argparse.Namespace, busy: float
) -> str:
    head = [
        (
            "measured",
            time.strftime("%Y-%m-%d") + (", quick: for orientation only" if options.quick else ""),
        ),
        *machine.describe(),
        ("other work", f"{busy:.0%} of the two cores just before the run"),
        ("mcp_hub", _hub_version(options.hub)),
        ("nginx", setup.version_line([programs.nginx, "-v"]).rpartition(": ")[2]),
        ("wrk", setup.version_line([programs.wrk, "-v"]).partition(" Copyright")[0]),
        ("FastMCP", setup.FASTMCP),
        ("mcp-proxy (npm)", f"{setup.NODE_PROXY} on Node {setup.node_version()}"),
    ]
    parts = [table(("", ""), head, left=2), summary(found), *(chapter(*case) for case in found)]
    return "\n\n".join(parts)


def _hub_version(command: str) -> str:
    if command != str(HUB):
        return command
    return f"{machine.package_version('mcp-hub-gateway')}, commit {machine.commit()}"


def _write(text: str) -> None:
    """Replaces what stands between the two markers of the page. Raises: ValueError if they are not there."""
    before, _, rest = PAGE.read_text().partition(BEGIN)
    _, end, after = rest.partition(END)
    if not end:
        raise ValueError(f"{PAGE} lacks the two markers")
    PAGE.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{after}")
    print(f"written: {PAGE.relative_to(ROOT)}", file=sys.stderr)
