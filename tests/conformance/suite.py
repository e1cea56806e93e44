"""The suite runs as its own makers run it: one process, one revision, the results read from the files it writes."""

import json
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import yaml
from results import CRASHED, Scenario, scenario_from

import node_tools

SECONDS = 180
RESULT_DIRECTORY = re.compile(r"server-(?P<name>.+)-\d{4}-\d\d-\d\dT[\d-]+Z")


@dataclass(frozen=True, slots=True)
class Requirements:
    """The scenarios a revision asks of a server or a client, and those the suite runs on top of them."""

    required: tuple[str, ...]
    others: tuple[str, ...]


def revisions() -> list[str]:
    return sorted(path.stem for path in _requirements_directory().glob("*.yaml"))


def requirements(revision: str, leg: Literal["server", "client"] = "server") -> Requirements:
    document: dict[str, Any] = yaml.safe_load((_requirements_directory() / f"{revision}.yaml").read_text("utf-8"))
    others = [entry["scenario"] for entry in document["not_scored"] if entry["leg"] == leg]
    return Requirements(tuple(document[leg]), tuple(others))


def run(url: str, revision: str, results: Path) -> dict[str, Scenario]:
    """Every scenario the suite ran, by name. Its output is kept in `results/suite.log`.

    Raises: TimeoutExpired if the suite as a whole hangs.
    """
    results.mkdir(parents=True)
    command = [node_tools.NODE, node_tools.CONFORMANCE, "server", "--url", url, "--requirements", revision]
    with (results / "suite.log").open("w", encoding="utf-8") as log:
        subprocess.run(
            [*command, "--output-dir", results],
            env=node_tools.environment(),
            stdout=log,
            stderr=subprocess.STDOUT,
            timeout=SECONDS,
            check=False,
        )
    return {found["name"]: read(path) for path in results.iterdir() if (found := RESULT_DIRECTORY.match(path.name))}


def read(directory: Path) -> Scenario:
    """The result that the suite left there; without one it crashed."""
    checks = directory / "checks.json"
    return scenario_from(json.loads(checks.read_text("utf-8"))) if checks.exists() else CRASHED


def _requirements_directory() -> Path:
    return node_tools.CONFORMANCE.parents[1] / "requirements"
