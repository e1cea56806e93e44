"""YAML text to a tree of nodes that is safe to walk.

Rule: whatever the text is, the answer is a tree of bounded depth or one `Unreadable` with a place and a sentence
that holds nothing of the text.
"""

import re
from typing import Any, Final, cast

import yaml

MAX_CHARACTERS: Final = 512 * 1024
MAX_DEPTH: Final = 24

LINE_BREAK: Final = re.compile("\r\n|[\n\r\x85\u2028\u2029]")
"""What the YAML scanner counts as the end of a line."""

_UNPRINTABLE: Final = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

# The parser's own sentences quote the text, which may be a secret that stands unquoted (`password: *abc`).
_SENTENCES: Final = (
    ("'\\t' that cannot start", "a tab stands here; YAML indents with spaces"),
    ("that cannot start any token", "this character cannot start a value; put the value in quotes"),
    ("undefined alias", "a value that starts with * needs quotes; there is no anchor of that name"),
    ("duplicate anchor", "this anchor (&name) is defined twice"),
    ("mapping values are not allowed", "a colon stands where no key can be; check the indentation, or quote the value"),
    ("could not find expected ':'", "a key is not followed by a colon"),
    ("expected <block end>", "the indentation does not match the lines above"),
    ("sequence entries are not allowed", "a list item (-) stands where none can be; check the indentation"),
    ("unknown escape character", "unknown escape after a backslash; use single quotes for plain text"),
    ("expected a single document", "the file holds a second document (---); only one is read"),
    ("expected '<document start>'", "something stands after the end of the document"),
    ("unexpected end of stream", "a quote is opened and never closed"),
    ("unexpected document separator", "a quote is opened and never closed"),
    (
        "expected ',' or ']'",
        "a [ is opened and never closed, or a comma is missing; inside brackets ${VAR} needs quotes",
    ),
    ("expected ',' or '}'", "a { is opened and never closed, or a comma is missing; inside braces ${VAR} needs quotes"),
    ("directive", "lines that start with % are not supported"),
    ("tag", "tags (!name) are not supported; put the value in quotes"),
)
_OTHERWISE: Final = "this is not valid YAML; check the indentation, the quotes and the brackets around here"


class Unreadable(Exception):
    """The text is no tree. `line` and `column` count from 1; 0 means the text as a whole."""

    def __init__(self, line: int, column: int, sentence: str) -> None:
        super().__init__(sentence)
        self.line = line
        self.column = column
        self.sentence = sentence


class _Tree(yaml.SafeLoader):
    """Composes nodes only; nothing is ever constructed from a tag."""

    depth = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event = cast("Any", self).peek_event()
        if getattr(event, "tag", None) is not None:
            raise yaml.MarkedYAMLError(problem="tag", problem_mark=event.start_mark)
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise Unreadable(*_place(event.start_mark), "too deeply nested")
        try:
            return super().compose_node(parent, index)
        finally:
            self.depth -= 1


def compose(text: str) -> yaml.Node | None:
    """The root node, or `None` for a text without any.

    Raises:
        Unreadable: not one YAML document, or over a limit.
    """
    _require_plain_text(text)
    # Its first character may be a byte order mark, which is not part of the document (YAML 1.2.2, 5.2).
    tree = _Tree(text.removeprefix("\ufeff"))
    try:
        return tree.get_single_node()
    except yaml.MarkedYAMLError as error:
        found = Unreadable(*_place(error.problem_mark or error.context_mark), _sentence(error))
    except (ValueError, OverflowError):
        # An escape such as "\UFFFFFFFF" is no character at all; the scanner hands on what `chr` said.
        found = Unreadable(*_place(tree.get_mark()), "an escape after a backslash names no character")
    finally:
        tree.dispose()
    raise found


def _require_plain_text(text: str) -> None:
    if len(text) > MAX_CHARACTERS:
        raise Unreadable(0, 0, f"larger than {MAX_CHARACTERS // 1024} KiB; this is not a configuration")
    bad = _UNPRINTABLE.search(text, 1 if text.startswith("\ufeff") else 0)
    if bad is None:
        return
    before = LINE_BREAK.split(text[: bad.start()])
    code = f"U+{ord(bad[0]):04X}"
    raise Unreadable(len(before), len(before[-1]) + 1, f"the file holds a character that is not text ({code})")


def _place(mark: Any) -> tuple[int, int]:
    return (0, 0) if mark is None else (mark.line + 1, mark.column + 1)


def _sentence(error: yaml.MarkedYAMLError) -> str:
    said = f"{error.context or ''} {error.problem or ''}"
    return next((sentence for part, sentence in _SENTENCES if part in said), _OTHERWISE)
