"""YAML text to plain data of which every part knows its place.

Rule: every scalar is text. What is a number or a switch is decided by the key it belongs to, so `no`, `22:30` and
`010` surprise nobody; a plain empty value or `null` means that nothing was said.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import yaml

from mcp_hub.config.expand import expand
from mcp_hub.config.tree import LINE_BREAK, MAX_DEPTH, Unreadable, compose
from mcp_hub.errors import Problem

MAX_NODES: Final = 20_000
_NULLS: Final = frozenset({"", "~", "null", "Null", "NULL"})
_LONGEST_SHOWN: Final = 60
# An escape such as "\ud800" gives half a character, which cannot be written out again.
_HALF: Final = re.compile("[\ud800-\udfff]")

Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Spot:
    """Where a part stands: its key (for a list's item and the root, its value) and its value; lines count from 1."""

    key_line: int
    key_column: int
    line: int
    column: int
    variables: tuple[str, ...] = ()


@dataclass(slots=True)
class Document:
    """The data (dicts, lists, text, `None`), the place of every part, and the problems met on the way.

    `broken` are the paths that have a problem already: nothing more is to be said about them.
    """

    lines: list[str]
    data: Any = None
    spots: dict[Path, Spot] = field(default_factory=dict[Path, Spot])
    problems: list[Problem] = field(default_factory=list[Problem])
    broken: set[Path] = field(default_factory=set[Path])

    def spot(self, path: Path) -> Spot:
        """The place of `path`, or of the nearest part around it that stands in the text."""
        while path and path not in self.spots:
            path = path[:-1]
        return self.spots.get(path, Spot(0, 0, 0, 0))

    def report(self, path: Path, message: str, hint: str = "", *, at_key: bool = False) -> None:
        """Add a problem of the part at `path`; its line is shown only up to the key, never the value."""
        self.problems.append(self.problem(path, message, hint, at_key=at_key))
        self.broken.add(path)

    def problem(self, path: Path, message: str, hint: str = "", *, at_key: bool = False) -> Problem:
        """A problem of the part at `path`, not added."""
        spot = self.spot(path)
        line, column = (spot.key_line, spot.key_column) if at_key else (spot.line, spot.column)
        excerpt = self._excerpt(line, column, str(path[-1])) if at_key and path else ""
        return Problem(line, column, dotted(path), message, hint, excerpt)

    def is_broken(self, path: Path) -> bool:
        """Whether a problem was already reported at, inside or around `path`."""
        return any(within(path, known) or within(known, path) for known in self.broken)

    def _excerpt(self, line: int, column: int, key: str) -> str:
        # What stands before the key on its line, or after it, may be a secret.
        if not 0 < line <= len(self.lines) or self.lines[line - 1][: column - 1].strip(" "):
            return ""
        margin, indent = f"{line:>6} | ", " " * (column - 1)
        return f"{margin}{indent}{shown(key)}: …\n{'|':>8} {indent}^"


def within(path: Path, around: Path) -> bool:
    """Whether `path` is `around` or lies inside it."""
    return path[: len(around)] == around


def shown(key: str) -> str:
    """A key as it may be printed: on one line, not too long, without characters that move the cursor."""
    text = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in key)
    return text if len(text) <= _LONGEST_SHOWN else text[:_LONGEST_SHOWN] + "…"


def dotted(path: Path) -> str:
    """A path as people write it: `network.allow_private[0]`."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{shown(part)}" for part in path)
    return text.removeprefix(".")


def read(text: str, environ: Mapping[str, str]) -> Document:
    """Parse and expand; whatever is wrong stands in `problems`. Never raises for any text."""
    document = Document(LINE_BREAK.split(text.removeprefix("\ufeff")))
    try:
        root = compose(text)
        if root is not None:
            document.data = _Walk(document, environ).value((), root, None, 0)
    except Unreadable as error:
        document.problems = [Problem(error.line, error.column, "", error.sentence)]
        document.broken.add(())
    return document


class _Walk:
    """One walk over the nodes; an alias is walked again wherever it is used, so the number of visits is bounded."""

    def __init__(self, document: Document, environ: Mapping[str, str]) -> None:
        self._document = document
        self._environ = environ
        self._visits = 0

    def value(self, path: Path, node: yaml.Node, key: yaml.Node | None, depth: int) -> Any:
        """The node's data.

        Raises:
            Unreadable: aliases make it too large, or it contains itself.
        """
        self._visits += 1
        line, column = _start(node)
        if self._visits > MAX_NODES or depth > MAX_DEPTH:
            raise Unreadable(line, column, "aliases (*name) make this document too large")
        at = _start(key if key is not None else node)
        self._document.spots[path] = Spot(*at, line, column)
        if isinstance(node, yaml.MappingNode):
            return self._mapping(path, node, depth)
        if isinstance(node, yaml.SequenceNode):
            return [self.value((*path, index), item, None, depth + 1) for index, item in enumerate(node.value)]
        return self._scalar(path, node, Spot(*at, line, column))

    def _mapping(self, path: Path, node: yaml.MappingNode, depth: int) -> dict[str, Any]:
        data: dict[str, Any] = {}
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode) or _HALF.search(key.value):
                self._at(key, path, "a key must be plain text")
            elif key.value == "<<" and key.style is None:
                self._at(key, path, "merge keys (<<) are not supported; write the keys out")
            elif key.value in data:
                self._duplicate((*path, key.value), key)
            else:
                data[key.value] = self.value((*path, key.value), value, key, depth + 1)
        return data

    def _scalar(self, path: Path, node: yaml.Node, spot: Spot) -> str | None:
        raw: str = node.value
        if getattr(node, "style", None) is None and raw in _NULLS:
            return None
        expanded = expand(raw, self._environ)
        if expanded.variables:
            self._document.spots[path] = Spot(
                spot.key_line, spot.key_column, spot.line, spot.column, expanded.variables
            )
        for fault in expanded.faults:
            self._document.report(path, fault)
        return None if expanded.faults else expanded.text

    def _duplicate(self, path: Path, key: yaml.Node) -> None:
        first = self._document.spots[path]
        again = Document(self._document.lines, spots={path: Spot(*_start(key), *_start(key))})
        hint = f"first set on line {first.key_line}"
        self._document.problems.append(again.problem(path, "duplicate key", hint, at_key=True))

    def _at(self, node: yaml.Node, path: Path, message: str) -> None:
        self._document.problems.append(Problem(*_start(node), dotted(path), message))


def _start(node: yaml.Node) -> tuple[int, int]:
    mark = node.start_mark
    return mark.line + 1, mark.column + 1
