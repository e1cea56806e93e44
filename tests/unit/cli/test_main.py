"""The command `mcp-hub` and how it ends."""

import os
import subprocess
import sys
from importlib.util import find_spec

import click
import pytest
from click.testing import CliRunner

from mcp_hub import __version__
from mcp_hub.cli import main
from mcp_hub.cli.output import Exit
from mcp_hub.errors import BadRequest, Unreachable

pytestmark = pytest.mark.promise("E38")

HEAVY = ("mcp", "uvicorn", "starlette", "httpx2", "anyio", "asyncio", "sqlite_utils")


def run(*words, cwd=None, **environ):
    clean = {key: value for key, value in os.environ.items() if key not in {"NO_COLOR", "MCP_HUB_DEBUG"}}
    command = [sys.executable, "-m", "mcp_hub", *words]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=60, cwd=cwd, env={**clean, **environ}, check=False
    )


def loaded_by(words, tmp_path):
    program = (
        "import sys\n"
        "from mcp_hub.cli.main import main\n"
        f"sys.argv = ['mcp-hub', *{words!r}]\n"
        "try:\n    main()\nfinally:\n    print('LOADED', *sorted(sys.modules), file=sys.stderr)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, cwd=tmp_path, check=False
    )
    assert done.returncode == 0, done.stderr
    return set(done.stderr.partition("LOADED")[2].split())


@pytest.mark.promise("E38")
@pytest.mark.parametrize("words", [["--help"], ["--version"], ["validate"], ["config", "show"], ["config", "schema"]])
def test_a_command_without_a_server_loads_none(words, tmp_path):
    (tmp_path / "hub.yaml").write_text("upstreams: {a: {url: 'https://a.example/'}}\n", encoding="utf-8")
    assert loaded_by(words, tmp_path).isdisjoint(HEAVY)


def test_help_loads_no_command_at_all(tmp_path):
    loaded = loaded_by(["--help"], tmp_path)
    assert loaded.isdisjoint({entry.module for entry in main.COMMANDS.values()} | {"pydantic", "yaml"})


@pytest.mark.promise("E38")
def test_help_names_every_command_there_is():
    said = CliRunner().invoke(main.cli, ["-h"]).output
    for name, entry in main.COMMANDS.items():
        assert (f"  {name} " in said) == bool(find_spec(entry.module))
        assert not find_spec(entry.module) or entry.does[:30] in said


@pytest.mark.parametrize("name", main.COMMANDS)
def test_every_command_can_be_loaded(name):
    if find_spec(main.COMMANDS[name].module):
        result = CliRunner().invoke(main.cli, [name, "--help"])
        assert result.exit_code == Exit.DONE
        assert result.output.startswith(f"Usage: cli {name}")


def test_a_command_whose_module_is_missing_is_not_offered(monkeypatch):
    monkeypatch.setitem(main.COMMANDS, "tunnel", main.Entry("mcp_hub.cli.tunnel", "tunnel", "Dig."))
    runner = CliRunner()
    assert "tunnel" not in runner.invoke(main.cli, ["--help"]).output
    assert runner.invoke(main.cli, ["tunnel"]).exit_code == Exit.USAGE


def test_the_version_is_printed():
    done = run("--version")
    assert (done.returncode, done.stdout) == (Exit.DONE, f"mcp_hub {__version__}\n")


@pytest.mark.parametrize("words", [[], ["frob"], ["--frob"], ["config"], ["client", "netscape"]])
def test_wrong_usage_ends_with_2_and_says_how(words):
    done = run(*words)
    assert done.returncode == Exit.USAGE
    assert "Usage:" in done.stderr
    assert done.stdout == ""


@pytest.fixture
def failing(monkeypatch):
    """Run the command line with a command `fail` that does what the test says."""

    def run_failing(act):
        @click.command()
        def fail():
            act()

        monkeypatch.setattr(main.Commands, "get_command", lambda *_: fail)
        monkeypatch.setattr(sys, "argv", ["mcp-hub", "fail"])
        with pytest.raises(SystemExit) as caught:
            main.main()
        return caught.value.code

    return run_failing


def raising(error):
    def act():
        raise error

    return act


@pytest.mark.promise("E38")
def test_a_known_failure_is_one_sentence_and_its_code(failing, capsys):
    assert failing(raising(Unreachable("a", "a could not be reached. Try later."))) == Exit.UNREACHABLE
    assert capsys.readouterr() == ("", "a could not be reached. Try later.\n")
    assert failing(raising(BadRequest("No."))) == Exit.USAGE


@pytest.mark.promise("E38", "T31")
def test_an_unexpected_failure_is_one_sentence_with_a_reference_and_no_trace(failing, capsys, monkeypatch):
    monkeypatch.delenv("MCP_HUB_DEBUG", raising=False)
    act = raising(RuntimeError("canary"))
    assert failing(act) == Exit.UNEXPECTED
    first = capsys.readouterr()
    assert first.out == ""
    assert first.err.count("\n") == 1
    assert "Traceback" not in first.err
    assert "canary" not in first.err
    assert failing(raising(RuntimeError("another text"))) == Exit.UNEXPECTED
    assert capsys.readouterr().err == first.err, "the same fault has the same reference"
    assert failing(raising(KeyError("canary"))) == Exit.UNEXPECTED
    assert capsys.readouterr().err != first.err


def test_the_trace_of_an_unexpected_failure_is_there_for_who_asks(failing, capsys, monkeypatch):
    monkeypatch.setenv("MCP_HUB_DEBUG", "1")
    failing(raising(RuntimeError("why")))
    assert "RuntimeError: why" in capsys.readouterr().err


@pytest.mark.parametrize("stop", [KeyboardInterrupt(), click.Abort()])
def test_a_stop_is_no_fault(failing, capsys, stop):
    assert failing(raising(stop)) == Exit.UNEXPECTED
    assert capsys.readouterr().err.strip() == "Stopped."


def test_a_reader_that_has_enough_is_met_with_silence(tmp_path):
    program = f"{sys.executable} -m mcp_hub config schema | true; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(
        ["bash", "-c", program], capture_output=True, text=True, timeout=60, cwd=tmp_path, check=False
    )
    assert (done.stdout.strip(), done.stderr) == ("1", "")


def test_colour_goes_where_there_is_no_terminal_or_nobody_wants_it(tmp_path):
    (tmp_path / "hub.yaml").write_text("a: 1\n", encoding="utf-8")
    assert "\x1b" not in run("validate", cwd=tmp_path).stderr
    runner = CliRunner()
    words = ["validate", "-c", str(tmp_path / "hub.yaml")]
    assert "\x1b" in runner.invoke(main.cli, words, color=True).output
    assert "\x1b" not in runner.invoke(main.cli, words, color=True, env={"NO_COLOR": "1"}).output
    assert "\x1b" in runner.invoke(main.cli, words, color=True, env={"NO_COLOR": ""}).output
