"""`${VAR}`, `${VAR:-default}` and `$$` in one scalar.

Rule: expansion happens after parsing and gives text only, so what a variable holds cannot change the document.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

_REFERENCE = re.compile(r"\$(?:(?P<dollar>\$)|\{(?P<body>[^{}]*)\}|(?P<open>\{))")
_BODY = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)(?::-(.*))?", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Expanded:
    """The text, the variables it was taken from, and what went wrong (sentences without any value)."""

    text: str
    variables: tuple[str, ...] = ()
    faults: tuple[str, ...] = ()


def expand(raw: str, environ: Mapping[str, str]) -> Expanded:
    """Replace every reference in `raw`; as in a shell, `:-` also covers a variable that is set but empty."""
    if "$" not in raw:
        return Expanded(raw)
    variables: list[str] = []
    faults: list[str] = []

    def replaced(match: re.Match[str]) -> str:
        if match["dollar"]:
            return "$"
        body = _BODY.fullmatch(match["body"] or "")
        if body is None:
            faults.append("a variable is written ${NAME} or ${NAME:-default}, and a plain dollar sign $$")
            return ""
        name, default = body[1], body[2]
        value = environ.get(name)
        if value is None and default is None:
            faults.append(f"environment variable {name} is not set")
            return ""
        if value or default is None:
            variables.append(name)
            return value or ""
        return default

    text = _REFERENCE.sub(replaced, raw)
    return Expanded(text, tuple(dict.fromkeys(variables)), tuple(dict.fromkeys(faults)))
