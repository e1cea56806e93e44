"""The commands on the pages are run as they stand there, and print what stands below them."""

import os
import re
import shlex
import shutil
import sqlite3
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import httpx2
import pytest

import processes
from docs.pages import ROOT, Page, page, pages

pytestmark = pytest.mark.promise("F4")

MCP_HUB = Path(sysconfig.get_path("scripts")) / "mcp-hub"
SECONDS = 60
EXAMPLES = re.compile(r"^shop +(http\S+)")
NUMBERS = re.compile(r"\b\d+ ms\b")
NOT_RUN_HERE = {
    "./scripts/run": "below, with --check",
    "./scripts/test": "is what runs this",
    "source": "the commands are found without it",
    "./bench/run": "takes minutes; its page belongs to it",
}
AS_BROWSER = {"Accept": "text/html"}
CURSOR = '{"mcpServers": {"Issues": {"url": "https://issues.example.com/mcp"}}}'


@dataclass(frozen=True)
class Step:
    """A command of a page, and the lines below it."""

    command: str
    expected: str


@dataclass(frozen=True)
class Pasted:
    """A key that the reader enters on the page of which a command has told."""

    key: str
    page: str


@dataclass
class Stage:
    """A directory like a clone's, with the examples and their hub running; `ports` are the pages' to the real ones."""

    directory: Path
    ports: dict[str, str]
    env: dict[str, str]
    running: ExitStack = field(default_factory=ExitStack)
    served: ExitStack = field(default_factory=ExitStack)
    """The hub that the reader has started; there is one at a time."""

    def real(self, text: str) -> str:
        return re.sub(r"\b\d{4}\b", lambda found: self.ports.get(found[0], found[0]), text)

    def as_on_the_page(self, text: str) -> str:
        back = {actual: said for said, actual in self.ports.items()}
        return re.sub(r"\b\d{2,5}\b", lambda found: back.get(found[0], found[0]), text)

    def write(self, block: str) -> None:
        """Keep a YAML block that begins with its file's name."""
        named = re.match(r"# (\S+\.yaml)\n", block)
        if named:
            (self.directory / named[1]).write_text(self.real(block), encoding="utf-8")

    def do(self, command: str) -> str:
        """What the command prints, on both streams, with the ports of the page."""
        words = [os.path.expanduser(word) for word in shlex.split(self.real(command), comments=True)]
        if words[0] == "export":
            self.env |= dict([words[1].split("=", 1)])
            return ""
        if words[0] == "sqlite3":
            return self._query(words[2])
        assert words[0] == "mcp-hub", f"{command}: not a command that is known here"
        if words[1] == "serve":
            self.served.close()
            self.served.enter_context(processes.running([MCP_HUB, *words[1:]], env=self.env))
            return ""
        done = subprocess.run(
            [MCP_HUB, *words[1:]],
            env={**os.environ, **self.env},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=SECONDS,
            check=False,
            text=True,
            encoding="utf-8",
        )
        assert done.returncode in (0, 2, 3, 4, 5), done.stdout
        return self.as_on_the_page(done.stdout)

    def paste(self, key: str, page: str) -> None:
        """Open a page of a hub of the reader's own, enter the key there, and save it."""
        url = self.real(page)
        with httpx2.Client(trust_env=False) as browser:
            (token,) = set(re.findall(r'name="form_token" value="([^"]+)"', browser.get(url, headers=AS_BROWSER).text))
            form = {"form_token": token, "key": key}
            saved = browser.post(f"{url}/key", data=form, headers={"Origin": url.partition("/connect")[0]})
        assert "Your key is saved" in saved.text

    def _query(self, sql: str) -> str:
        db = sqlite3.connect(self.directory / "data" / "hub.db")
        try:
            return "\n".join("|".join(map(str, row)) for row in db.execute(sql))
        finally:
            db.close()


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NO_COLOR", "1")
    (tmp_path / ".cursor").mkdir()
    (tmp_path / ".cursor" / "mcp.json").write_text(CURSOR, encoding="utf-8")
    command = [sys.executable, ROOT / "examples" / "run_all.py", "--ports", "0", "0", "0", "0"]
    with ExitStack() as running:
        examples = running.enter_context(processes.running(command, announcement=EXAMPLES))
        ports = dict(
            zip(("8101", "8102", "8103", "8104"), re.findall(r"127\.0\.0\.1:(\d+)", examples.log), strict=True)
        )
        stage = Stage(tmp_path, ports, {"MCP_HUB_DATA": str(tmp_path / "own-data")}, running)
        config = stage.real((ROOT / "config" / "hub.yaml").read_text(encoding="utf-8"))
        hub = running.enter_context(processes.hub(config, tmp_path))
        (tmp_path / "hub.yaml").unlink()
        ports |= {"8080": port_of(hub.url), "8090": str(processes.free_port())}
        (tmp_path / "config").mkdir()
        (tmp_path / "config" / "hub.yaml").write_text(stage.real(config), encoding="utf-8")
        running.callback(stage.served.close)
        yield stage
        assert hub.complaints() == []


def port_of(url: str) -> str:
    return url.rpartition(":")[2].partition("/")[0]


def steps(block: str) -> Iterator[Step]:
    for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
        command, _, expected = part.partition("\n")
        yield Step(command, expected)


def played(page: Page) -> Iterator[Step | Pasted | str]:
    """The commands of a page, the files that its reader writes and the keys they paste, in their order."""
    found = re.findall(r"^```(console|yaml)\n(.*?)^```$|^Open that.*paste `(.+?)`", page.text, re.MULTILINE | re.DOTALL)
    link = ""
    for language, block, key in found:
        link = (re.findall(r"Open (\S+),", block) or [link])[-1]
        if key:
            yield Pasted(key, link)
        elif language == "yaml":
            yield block
        else:
            yield from steps(block)


def is_run_here(command: str) -> bool:
    return command.split(maxsplit=1)[0] not in NOT_RUN_HERE


def squeezed(text: str) -> list[str]:
    """Lines without what differs from run to run: widths of columns and milliseconds."""
    return [re.sub(r"\s+", " ", NUMBERS.sub("0 ms", line)).strip() for line in text.strip().splitlines()]


def fits(expected: str, printed: str) -> bool:
    """Whether it was printed; `...` stands for anything, on a line of its own for any lines."""
    lines = [re.escape(line).replace(re.escape("..."), ".*") for line in squeezed(expected)]
    wanted = "\n".join("(?:.*\n)*?.*" if line == ".*" else line for line in lines)
    return re.fullmatch(wanted, "\n".join(squeezed(printed))) is not None


WITH_COMMANDS = [each.name for each in pages() if each.fences("console")]


@pytest.mark.promise("E38", "E40")
@pytest.mark.parametrize("name", WITH_COMMANDS)
def test_the_commands_of_a_page_print_what_it_says(name, stage):
    for step in played(page(name)):
        if isinstance(step, str):
            stage.write(step)
        elif isinstance(step, Pasted):
            stage.paste(step.key, step.page)
        elif is_run_here(step.command):
            printed = stage.do(step.command)
            if step.expected.strip():
                assert fits(step.expected, printed), f"$ {step.command}\n{printed}"


@pytest.mark.promise("F3")
def test_the_two_commands_can_be_typed_as_they_stand():
    first = page("README.md").fences("console")[0]
    assert [step.command.split()[0] for step in steps(first)] == ["./scripts/run", "./scripts/test"]
    for command in ("scripts/run", "scripts/test"):
        assert os.access(ROOT / command, os.X_OK)


@pytest.mark.promise("F3", "A1")
def test_the_first_command_sets_up_runs_the_hub_and_calls_every_example():
    bash = shutil.which("bash")
    assert bash is not None
    done = subprocess.run(
        [bash, ROOT / "scripts" / "run", "--check"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=600,
        check=False,
        text=True,
    )
    assert done.returncode == 0, done.stdout
    for call in ("notes__search", "library__search", "clock__wind", "shop__order"):
        assert f"mcp-hub call {call}" in done.stdout


def test_what_does_not_fit_is_noticed():
    assert fits("a  65 ms\n...\nb", "a 3 ms\nx\ny\nb\n")
    assert fits("link?x=...", "link?x=abc")
    assert not fits("a\nb", "a\nc")
    assert not fits("a", "a\nb")
