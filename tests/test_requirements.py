"""Every promise has its tests, and every test its promise."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from requirements import LATER, MEASURED, PROMISES

TESTS = Path(__file__).parent
pytestmark = pytest.mark.promise("F4")


def _promised(node: ast.expr) -> Iterator[str]:
    for call in ast.walk(node):
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr == "promise":
            yield from (each.value for each in call.args if isinstance(each, ast.Constant))


def _tests(path: Path) -> Iterator[tuple[str, set[str]]]:
    """Each test of a file with the promises that it, its class or its file carries."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    shared: set[str] = set()
    for node in tree.body:
        if isinstance(node, ast.Assign) and any(getattr(each, "id", "") == "pytestmark" for each in node.targets):
            shared |= set(_promised(node.value))
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
            own = {each for decorator in node.decorator_list for each in _promised(decorator)}
            yield f"{path.relative_to(TESTS)}::{node.name}", shared | own


INSTALLED = {"node_modules", ".venv"}
FILES = [path for path in sorted(TESTS.rglob("test_*.py")) if not INSTALLED & set(path.parts)]
FOUND = dict(test for path in FILES for test in _tests(path))


def test_every_promise_that_is_kept_today_has_a_test():
    shown = set().union(*FOUND.values())
    assert sorted(set(PROMISES) - LATER - MEASURED - shown) == []


def test_every_test_shows_a_promise():
    assert [name for name, promises in FOUND.items() if not promises] == []


def test_tests_name_only_promises_that_exist():
    assert sorted(set().union(*FOUND.values()) - set(PROMISES)) == []


def test_what_comes_later_is_a_promise_too():
    assert sorted(LATER - set(PROMISES)) == []
