"""The rooms keep to their floors, and no room is forgotten."""

import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "src" / "mcp_hub"
pytestmark = pytest.mark.promise("F5")


def test_every_room_stands_on_a_floor():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = project["tool"]["importlinter"]["contracts"]
    layers = next(each["layers"] for each in contracts if each["type"] == "layers")
    placed = {room.strip().removeprefix("mcp_hub.") for floor in layers for room in floor.split("|")}
    rooms = {each.stem for each in PACKAGE.iterdir() if each.suffix == ".py" or (each / "__init__.py").exists()}
    assert rooms - placed == {"__init__"}


def test_contributors_are_told_the_floors_as_they_are():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    layers = next(each["layers"] for each in project["tool"]["importlinter"]["contracts"] if each["type"] == "layers")
    floors = [floor.replace("mcp_hub.", "") for floor in layers if floor != "mcp_hub.__main__"]
    told = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").partition("```text\n")[2].partition("```")[0]
    assert told.splitlines() == floors


def test_a_room_hands_nothing_on():
    handing_on = [
        path
        for path in PACKAGE.glob("*/__init__.py")
        if len(path.read_text(encoding="utf-8").strip().splitlines()) != 1
    ]
    assert handing_on == []
