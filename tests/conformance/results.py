"""Two runs of the suite are the same if every check of every scenario came out the same; no I/O happens here.

A check is known by its id. Ids may occur several times in a scenario, then their outcomes are compared as a set with
counts. Checks of status INFO only tell a story and are left out.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

TELLS = "INFO"
BAD = frozenset({"FAILURE", "WARNING"})


@dataclass(frozen=True, slots=True)
class Scenario:
    """How each check came out, and what the suite said about those that came out badly."""

    outcomes: Mapping[str, Counter[str]]
    said: Mapping[str, str] = field(default_factory=dict)

    @property
    def failed(self) -> bool:
        return any(count["FAILURE"] for count in self.outcomes.values())

    @property
    def passed(self) -> bool:
        return bool(self.outcomes) and all(set(count) == {"SUCCESS"} for count in self.outcomes.values())

    @property
    def summary(self) -> str:
        """As in `30 ok` or `2 ok, 1 failure`."""
        total: Counter[str] = sum(self.outcomes.values(), Counter())
        words = {"SUCCESS": "ok", "FAILURE": "failure", "WARNING": "warning", "SKIPPED": "skipped"}
        return ", ".join(f"{total[status]} {word}" for status, word in words.items() if total[status]) or "nothing"


def scenario_from(checks: Iterable[Mapping[str, Any]]) -> Scenario:
    """From the content of a `checks.json`."""
    outcomes: dict[str, Counter[str]] = {}
    said: dict[str, str] = {}
    for check in checks:
        if check["status"] == TELLS:
            continue
        outcomes.setdefault(check["id"], Counter())[check["status"]] += 1
        if check["status"] in BAD:
            said[check["id"]] = str(check.get("errorMessage") or check.get("description", ""))
    return Scenario(outcomes, said)


CRASHED = Scenario({"scenario-ran": Counter(FAILURE=1)}, {"scenario-ran": "The suite did not finish this scenario."})


@dataclass(frozen=True, slots=True)
class Difference:
    check: str
    direct: str
    through: str
    said: str

    def __str__(self) -> str:
        return f"{self.check}: {self.direct} direct, {self.through} through the hub. {self.said[:400]}".rstrip()


def differences(direct: Scenario, through: Scenario) -> list[Difference]:
    """The checks that did not come out the same, in the order of the direct run."""
    ids = [*direct.outcomes, *(check for check in through.outcomes if check not in direct.outcomes)]
    return [
        Difference(check, _counted(before), _counted(after), through.said.get(check, direct.said.get(check, "")))
        for check in ids
        if (before := direct.outcomes.get(check)) != (after := through.outcomes.get(check))
    ]


def _counted(outcome: Counter[str] | None) -> str:
    if not outcome:
        return "absent"
    return " ".join(f"{count}x {status}" if count > 1 else status for status, count in sorted(outcome.items()))


@dataclass(frozen=True, slots=True)
class Judgement:
    """What is left to say about one scenario once the expected differences are taken away."""

    unexpected: tuple[Difference, ...]
    excused: tuple[str, ...]
    stale: tuple[str, ...]


def judge(name: str, found: Iterable[Difference], expected: Mapping[str, str]) -> Judgement:
    """`expected` names whole scenarios (`scenario`) or single checks (`scenario:check-id`), each with its reason.

    An entry that excuses nothing is stale: it must be removed, so that the list only ever shrinks.
    """
    found = list(found)
    mine = {key: reason for key, reason in expected.items() if key.partition(":")[0] == name}
    excuses = {difference: _excuse(name, difference, mine) for difference in found}
    used = {key for key in excuses.values() if key is not None}
    return Judgement(
        unexpected=tuple(difference for difference, key in excuses.items() if key is None),
        excused=tuple(dict.fromkeys(mine[key] for key in mine if key in used)),
        stale=tuple(key for key in mine if key not in used),
    )


def _excuse(name: str, difference: Difference, expected: Mapping[str, str]) -> str | None:
    exact = f"{name}:{difference.check}"
    return next((key for key in (exact, name) if key in expected), None)
