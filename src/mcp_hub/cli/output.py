"""What the command line prints and how it ends.

Rule: results go to stdout, everything said about them to stderr; a failure is one plain sentence and an exit code.
"""

import json
from collections.abc import Iterator, Sequence
from enum import IntEnum
from typing import Any, Final, NoReturn

import click

from mcp_hub.errors import (
    ConfigError,
    ConnectionNeeded,
    Forbidden,
    HubError,
    HubFault,
    Problem,
    RefusedCredential,
    Unauthenticated,
    UpstreamError,
    VaultLocked,
)


class Exit(IntEnum):
    """How a command ends; scripts are written against these."""

    DONE = 0
    UNEXPECTED = 1
    USAGE = 2
    SIGN_IN = 3
    UNREACHABLE = 4
    TOOL_ERROR = 5


# The first that fits counts, so a class stands before the one it is derived from.
_CODES: Final[tuple[tuple[type[HubError], Exit], ...]] = (
    (Unauthenticated, Exit.SIGN_IN),
    (Forbidden, Exit.SIGN_IN),
    (ConnectionNeeded, Exit.SIGN_IN),
    (RefusedCredential, Exit.SIGN_IN),
    (UpstreamError, Exit.UNREACHABLE),
    (VaultLocked, Exit.USAGE),
    (HubFault, Exit.UNEXPECTED),
)


def exit_code(error: HubError) -> Exit:
    """How a command ends that ran into `error`."""
    return next((code for kind, code in _CODES if isinstance(error, kind)), Exit.USAGE)


def fail(error: HubError) -> NoReturn:
    """Print what is wrong to stderr and end the command with the code that belongs to it."""
    lines = report(error) if isinstance(error, ConfigError) else [error.public]
    for line in lines:
        click.echo(line, err=True)
    if isinstance(error, ConnectionNeeded):
        show_link(error.url)
    raise click.exceptions.Exit(exit_code(error))


def show_link(link: str | None) -> None:
    """Print to stderr where the user acts, on a line of its own, which terminals let them open; nothing for `None`."""
    if link is not None:
        click.echo(f"  ↳ open:  {link}", err=True)


def report(error: ConfigError) -> Iterator[str]:
    """Every problem with its place, its line and the next step, then how many there are."""
    for problem in error.problems:
        yield from problem_lines(error.source, problem)
    count = len(error.problems)
    yield f"{count} problem{'' if count == 1 else 's'}"


def problem_lines(source: str, problem: Problem) -> Iterator[str]:
    """One problem as compilers print them: `file:line:column: path: message`, so that editors find the place."""
    place = f"{source}:{problem.line}:{problem.column}: " if problem.line else f"{source}: "
    path = f"{problem.path}: " if problem.path else ""
    yield f"{style(place, bold=True)}{path}{problem.message}"
    yield from problem.excerpt.splitlines()
    if problem.hint:
        yield f"       = {problem.hint}"


def problem_json(problem: Problem) -> dict[str, Any]:
    """One problem for programs."""
    return {
        "line": problem.line,
        "column": problem.column,
        "path": problem.path,
        "message": problem.message,
        "hint": problem.hint,
    }


def print_json(value: Any) -> None:
    """Print one JSON document to stdout."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=False))


def print_table(rows: Sequence[Sequence[str]]) -> None:
    """Print rows in columns, two spaces apart."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def style(text: str, **how: Any) -> str:
    """Coloured text; the colour goes again where the output is not a terminal, or `NO_COLOR` is set."""
    return click.style(text, **how)
