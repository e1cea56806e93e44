"""What the command line prints and how it ends."""

import json

import click
import pytest

from mcp_hub.cli.output import Exit, exit_code, fail, print_json, print_table, problem_json, problem_lines, report
from mcp_hub.errors import (
    BadRequest,
    BrokeProtocol,
    Busy,
    ConfigError,
    ConnectionNeeded,
    Forbidden,
    Problem,
    RefusedCredential,
    StoreFailed,
    TimedOut,
    Unauthenticated,
    UnknownName,
    Unreachable,
)

pytestmark = pytest.mark.promise("E38")

PROBLEM = Problem(7, 3, "server.prot", "unknown key", "did you mean 'port'?", "     7 |   prot: …\n       |   ^")


@pytest.mark.promise("E38")
@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ConfigError("hub.yaml", [PROBLEM]), Exit.USAGE),
        (BadRequest("x"), Exit.USAGE),
        (UnknownName("tool", "x", "x"), Exit.USAGE),
        (Unauthenticated("x"), Exit.SIGN_IN),
        (Forbidden("x"), Exit.SIGN_IN),
        (RefusedCredential("a", "x"), Exit.SIGN_IN),
        (ConnectionNeeded("a", "x", url=None, state="not_connected"), Exit.SIGN_IN),
        (Unreachable("a", "x"), Exit.UNREACHABLE),
        (TimedOut("a", "x"), Exit.UNREACHABLE),
        (BrokeProtocol("a", "x"), Exit.UNREACHABLE),
        (Busy("a", "x"), Exit.UNREACHABLE),
        (StoreFailed("x"), Exit.UNEXPECTED),
    ],
)
def test_every_failure_has_its_exit_code(error, code):
    assert exit_code(error) == code
    with pytest.raises(click.exceptions.Exit) as caught:
        fail(error)
    assert caught.value.exit_code == code


def test_the_exit_codes_are_those_scripts_know():
    assert [code.value for code in Exit] == [0, 1, 2, 3, 4, 5]


@pytest.mark.promise("B20")
def test_where_a_user_has_to_act_stands_on_a_line_of_its_own(capsys):
    with pytest.raises(click.exceptions.Exit):
        fail(ConnectionNeeded("a", "A is not connected.", url="https://hub/connect/a", state="not_connected"))
    assert capsys.readouterr().err == "A is not connected.\n  ↳ open:  https://hub/connect/a\n"


@pytest.mark.promise("E39")
def test_problems_are_printed_with_place_line_and_next_step(capsys):
    with pytest.raises(click.exceptions.Exit):
        fail(ConfigError("hub.yaml", [PROBLEM, Problem(0, 0, "", "no such file")]))
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.splitlines() == [
        "hub.yaml: no such file",
        "hub.yaml:7:3: server.prot: unknown key",
        "     7 |   prot: …",
        "       |   ^",
        "       = did you mean 'port'?",
        "2 problems",
    ]


def test_one_problem_is_one():
    assert list(report(ConfigError("hub.yaml", [PROBLEM])))[-1] == "1 problem"
    assert len(list(problem_lines("hub.yaml", PROBLEM))) == 4


def test_json_is_one_document(capsys):
    print_json([problem_json(PROBLEM), "ü"])
    first, second = json.loads(capsys.readouterr().out)
    assert first["line"] == 7
    assert second == "ü"


def test_columns_are_as_wide_as_their_widest_cell(capsys):
    print_table([("a", "bbb", "c"), ("aa", "b", "")])
    assert capsys.readouterr().out == "a   bbb  c\naa  b\n"
    print_table([])
    assert capsys.readouterr().out == ""
