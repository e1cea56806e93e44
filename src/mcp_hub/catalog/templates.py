"""Whether a URI can be an expansion of a URI template (RFC 6570, levels 1 to 3).

Rule: time is linear in the URI for a given template, and bounded for many of them. Matching keeps the set of all
places it may have reached, as spans, instead of guessing one and going back. It says yes a little too often (variables
are not told apart within an expression) and never no to a real expansion.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

MAX_WORK: Final = 200_000
"""Characters looked at for one URI, all templates of an upstream together; about a tenth of a second."""

Span = tuple[int, int]
"""Places from the first to the last, both included."""

_expression: Final = re.compile(r"\{([+#./;?&]?)([^{}]+)\}")


@dataclass(frozen=True, slots=True)
class _Operator:
    """What an expression expands to: nothing, or `first` and then characters up to one of `stops`."""

    first: str
    stops: re.Pattern[str] | None


_SEGMENT: Final = re.compile("[/?#]")
_PATH: Final = re.compile("[?#]")
_QUERY: Final = re.compile("#")

# RFC 6570 section 3.2.1: what each operator puts first, and which reserved characters can follow unescaped.
_OPERATORS: Final = {
    "": _Operator("", _SEGMENT),
    "+": _Operator("", None),
    "#": _Operator("#", None),
    ".": _Operator(".", _SEGMENT),
    "/": _Operator("/", _PATH),
    ";": _Operator(";", _SEGMENT),
    "?": _Operator("?", _QUERY),
    "&": _Operator("&", _QUERY),
}


class Template:
    """A parsed template; text that is not a well-formed expression stands for itself."""

    __slots__ = ("_parts", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        self._parts = _parse(text)

    def __repr__(self) -> str:
        return f"Template({self.text!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Template) and other.text == self.text

    def __hash__(self) -> int:
        return hash(self.text)

    def begins(self, uri: str) -> bool:
        """Whether the URI starts with the template's text before its first expression: a cheap first look."""
        first = self._parts[0] if self._parts else ""
        return not isinstance(first, str) or uri.startswith(first)

    def work(self, uri: str) -> int:
        """How much `matches` may have to do."""
        return len(self._parts) * len(uri)

    def matches(self, uri: str) -> bool:
        """Whether values for the variables may exist that make the template this URI."""
        spans: list[Span] = [(0, 0)]
        for part in self._parts:
            spans = _after_text(part, uri, spans) if isinstance(part, str) else _after(part, uri, spans)
            if not spans:
                return False
        return spans[-1][1] == len(uri)


def expands(templates: Iterable[Template], uri: str) -> bool:
    """Whether the URI can be an expansion of one of these; those that `MAX_WORK` leaves no room for are not tried."""
    left = MAX_WORK
    for template in templates:
        if template.begins(uri):
            left -= template.work(uri)
            if left < 0:
                return False
            if template.matches(uri):
                return True
    return False


def _parse(text: str) -> tuple[str | _Operator, ...]:
    parts: list[str | _Operator] = []
    end = 0
    for found in _expression.finditer(text):
        if found.start() > end:
            parts.append(text[end : found.start()])
        parts.append(_OPERATORS[found[1]])
        end = found.end()
    if end < len(text):
        parts.append(text[end:])
    return tuple(parts)


def _after_text(text: str, uri: str, spans: list[Span]) -> list[Span]:
    """Where one can be after reading exactly this text from any place of the spans."""
    ends: list[Span] = []
    for first, last in spans:
        at = uri.find(text, first, last + len(text))
        while at >= 0:
            ends.append((at + len(text), at + len(text)))
            at = uri.find(text, at + 1, last + len(text))
    return ends


def _after(operator: _Operator, uri: str, spans: list[Span]) -> list[Span]:
    """Where one can be after an expansion of this expression, the empty one included."""
    reached = list(spans)
    run = (0, -1)
    for first, last in spans:
        begin = _opening(operator, uri, first, last)
        while begin >= 0:
            # Every start inside one run ends where the run ends, so that each run is looked up once.
            if not run[0] <= begin <= run[1]:
                run = (begin, _stop(operator, uri, begin))
                reached.append(run)
            begin = _opening(operator, uri, run[1] + 1, last)
    return _merged(reached)


def _opening(operator: _Operator, uri: str, first: int, last: int) -> int:
    """The earliest place behind the operator's own character, started from the span; -1 if there is none."""
    if first > last:
        return -1
    if not operator.first:
        return first
    return uri.find(operator.first, first, last + 1) + 1 or -1


def _stop(operator: _Operator, uri: str, begin: int) -> int:
    stop = None if operator.stops is None else operator.stops.search(uri, begin)
    return len(uri) if stop is None else stop.start()


def _merged(spans: list[Span]) -> list[Span]:
    merged: list[Span] = []
    for first, last in sorted(spans):
        if merged and first <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(last, merged[-1][1]))
        else:
            merged.append((first, last))
    return merged
