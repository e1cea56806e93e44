"""The conformance suite against the reference upstream, directly and through the hub: every check the same.

A required scenario must pass directly. It must come out the same through the hub, and so must every other scenario
that passes directly, except those named in expected-failures.yaml; with `--signed-in` once more through a hub that asks
who calls. With `--authorization` the hub's own authorization server is checked as well, and with `--client` how it
signs in to the suite's servers.
Exit code: 0 as expected, 1 not, 2 wrong usage.
"""

import argparse
import contextlib
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import authorization
import client_leg
import suite
import yaml
from results import CRASHED, Judgement, Scenario, differences, judge

import node_tools
import processes
from rig import login_hub
from rig.browser import ADA

ERAS = ("both", "modern", "legacy")
ONLY = "only"
EXPECTED = Path(__file__).with_name("expected-failures.yaml")
PROXY = Path(__file__).parents[1] / "rig" / "bearer_proxy.py"
HUB_CONFIG = """\
version: 1
network:
  allow_private: [127.0.0.0/8]
upstreams:
  ref:
    url: {url}
    prefix: false
"""


@dataclass(frozen=True, slots=True)
class Leg:
    """One run through a hub: what the upstream speaks, and whether the hub asks who calls."""

    era: str
    signed_in: bool = False

    @property
    def name(self) -> str:
        return f"over {self.era}{', signed in' if self.signed_in else ''}"


@dataclass(frozen=True, slots=True)
class Options:
    direct: bool
    through: bool
    revisions: list[str]
    legs: list[Leg]
    keep_going: bool


def main() -> int:
    node_tools.install()
    given = _parser().parse_args()
    results = Path(tempfile.mkdtemp(prefix="conformance-"))
    more = {"authorization": authorization.run, "client": client_leg.run}
    good = ONLY in (given.authorization, given.client) or _revisions(_options(given), results)
    for name, run in more.items():
        if getattr(given, name) and (good or given.keep_going):
            good = _tells(run(results)) and good
    if good:
        shutil.rmtree(results)
    else:
        print(f"\nThe suite's own results are in {results}")
    return 0 if good else 1


def _tells(complaints: list[str]) -> bool:
    """Prints them. True if there are none."""
    for complaint in complaints:
        print(f"  ✗ {complaint}")
    return not complaints


def _revisions(options: Options, results: Path) -> bool:
    good = True
    for revision in options.revisions:
        try:
            good = _revision(revision, options, results / revision) and good
        except processes.DidNotStart as error:
            print(f"conformance: {error}", file=sys.stderr)
            good = False
        if not good and not options.keep_going:
            break
    return good


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="conformance", description=__doc__.splitlines()[0])
    legs = parser.add_mutually_exclusive_group()
    legs.add_argument("--direct", action="store_true", help="only directly")
    legs.add_argument("--through", action="store_true", help="only through the hub; the direct result counts as passed")
    parser.add_argument("--requirements", nargs="+", metavar="REV", choices=suite.revisions())
    behind = f"what the upstream behind the hub speaks: {', '.join(ERAS)}; several are one after the other"
    parser.add_argument("--upstream-era", nargs="+", metavar="ERA", choices=ERAS, default=[ERAS[0]], help=behind)
    parser.add_argument("--keep-going", action="store_true", help="run every revision even if one is not as expected")
    parser.add_argument("--signed-in", action="store_true", help="once more, through a hub that asks who calls")
    too = "check the hub's authorization server as well, or nothing else"
    parser.add_argument("--authorization", nargs="?", const="too", choices=("too", ONLY), help=too)
    too = "check how the hub signs in to its upstreams as well, or nothing else"
    parser.add_argument("--client", nargs="?", const="too", choices=("too", ONLY), help=too)
    return parser


def _options(given: argparse.Namespace) -> Options:
    newest_first = sorted(suite.revisions(), reverse=True)
    legs = [*map(Leg, given.upstream_era), *([Leg(ERAS[0], signed_in=True)] if given.signed_in else [])]
    return Options(not given.through, not given.direct, given.requirements or newest_first, legs, given.keep_going)


def _revision(revision: str, options: Options, results: Path) -> bool:
    """Runs one revision and prints a table for each kind of upstream. True if everything is as expected."""
    direct = None
    complaints: list[str] = []
    if options.direct:
        with processes.running(processes.reference()) as upstream:
            direct = suite.run(upstream.url, revision, results / "direct")
        complaints += [f"The reference upstream: {complaint}" for complaint in upstream.complaints()]
    good = True
    for leg in options.legs:
        folder = results / leg.name.replace(" ", "-").replace(",", "")
        through, found = _through(leg, revision, folder) if options.through else (None, [])
        good = _report(revision, leg, direct, through, complaints + found) and good
    return good


def _through(leg: Leg, revision: str, results: Path) -> tuple[Mapping[str, Scenario], list[str]]:
    """What comes out through the hub in front of an upstream of these eras, and what the hub did wrong."""
    with _hub(leg, results) as (hub, url):
        through = suite.run(url, revision, results / "through")
    (results / "hub.log").write_text(hub.log, "utf-8")
    return through, [f"The hub: {complaint}" for complaint in hub.complaints()]


@contextlib.contextmanager
def _hub(leg: Leg, results: Path) -> Iterator[tuple[processes.Running, str]]:
    """A hub in front of an upstream of this era, and the address at which the suite is to meet it."""
    results.mkdir(parents=True, exist_ok=True)
    with processes.running(processes.reference(leg.era)) as upstream:
        if leg.signed_in:
            with _asking(f"login: local\n{HUB_CONFIG.format(url=upstream.url)}", results) as asking:
                yield asking
        else:
            with processes.hub(HUB_CONFIG.format(url=upstream.url), results) as hub:
                yield hub, hub.url


@contextlib.contextmanager
def _asking(config: str, results: Path) -> Iterator[tuple[processes.Running, str]]:
    """A hub that asks who calls, behind a proxy that says so: the suite itself cannot carry a token."""
    with login_hub.serving(config, results, people=[ADA]) as hub:
        token = hub.command("token", "create", "--user", ADA.email).strip()
        command = [sys.executable, PROXY, hub.url]
        with processes.running(command, env={"BEARER": token}) as proxy:
            yield hub.process, proxy.url


def _report(
    revision: str,
    leg: Leg,
    direct: Mapping[str, Scenario] | None,
    through: Mapping[str, Scenario] | None,
    complaints: list[str],
) -> bool:
    expected = _expected(revision, f"{revision} over {leg.era}")
    asked = suite.requirements(revision)
    title = f"{revision} {leg.name}"
    print(f"\n{title:<48}{'direct':<22}through the hub")
    for name in (*asked.required, *asked.others):
        row = _Row(name, _outcome(direct, name), _outcome(through, name), required=name in asked.required)
        print(row.line(expected))
        complaints += row.complaints(expected)
    unknown = {key.partition(":")[0] for key in expected} - {*asked.required, *asked.others}
    complaints += [f"{name}: expected-failures.yaml names it, but {revision} has no such scenario" for name in unknown]
    for complaint in complaints:
        print(f"  ✗ {complaint}")
    print(f"{title}: {'not as expected' if complaints else 'as expected'}")
    return not complaints


def _expected(revision: str, section: str) -> dict[str, str]:
    """What may differ in this revision always, and over an upstream of these eras in particular; with the reasons."""
    sections: dict[str, dict[str, str] | None] = yaml.safe_load(EXPECTED.read_text("utf-8")) or {}
    return {**(sections.get(revision) or {}), **(sections.get(section) or {})}


def _outcome(run: Mapping[str, Scenario] | None, name: str) -> Scenario | None:
    """None if that leg was not asked for; a scenario that left no result crashed."""
    return None if run is None else run.get(name, CRASHED)


@dataclass(frozen=True, slots=True)
class _Row:
    """One scenario of the table."""

    name: str
    direct: Scenario | None
    through: Scenario | None
    required: bool

    @property
    def counts(self) -> bool:
        return self.required or (self.direct is not None and self.direct.passed)

    def judgement(self, expected: Mapping[str, str]) -> Judgement:
        if self.through is None or not self.counts:
            return Judgement((), (), ())
        if self.direct is not None:
            return judge(self.name, differences(self.direct, self.through), expected)
        return judge(self.name, differences(_passed(self.through), self.through), expected)

    def line(self, expected: Mapping[str, str]) -> str:
        judgement = self.judgement(expected)
        columns = ["-" if leg is None else leg.summary for leg in (self.direct, self.through)]
        note = "" if self.counts else "not required"
        mark = "✗" if self.complaints(expected) else " "
        return f"{mark} {self.name:<46}{columns[0]:<22}{columns[1]:<22}{'; '.join(judgement.excused) or note}".rstrip()

    def complaints(self, expected: Mapping[str, str]) -> list[str]:
        judgement = self.judgement(expected)
        found = [f"{self.name}:{difference}" for difference in judgement.unexpected]
        found += [f"{key}: expected to differ, but does not; remove it from the list" for key in judgement.stale]
        if self.required and self.direct is not None and self.direct.failed:
            found.append(f"{self.name}: the reference upstream itself fails: {dict(self.direct.said)}")
        return found


def _passed(scenario: Scenario) -> Scenario:
    """The same checks, all of them passed."""
    outcomes = {check: type(count)(SUCCESS=count.total()) for check, count in scenario.outcomes.items()}
    return Scenario(outcomes)


if __name__ == "__main__":
    sys.exit(main())
