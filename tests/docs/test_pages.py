"""What the pages name exists, and what exists is named on its page."""

import json
import re

import pytest

from docs import cli_reference
from docs.pages import ROOT, page, pages
from mcp_hub import __version__
from mcp_hub.audit.calls import Outcome
from mcp_hub.catalog.names import exposed_name, exposed_uri
from mcp_hub.cli.output import Exit, exit_code
from mcp_hub.config.model import Config, Lifetimes
from mcp_hub.config.snippets import CLIENTS
from mcp_hub.credentials.state import State
from mcp_hub.errors import ConfigError, HubError, UnknownName, UpstreamError
from mcp_hub.identity.passwords import LEAST
from mcp_hub.inbound.errors import TABLE
from mcp_hub.inbound.sessions import DEFAULT_LIMITS
from mcp_hub.store.base import MOST_CALLS
from mcp_hub.upstream.check import Status
from mcp_hub.upstream.process import REMARKS
from mcp_hub.upstream.stdio import MOST

pytestmark = pytest.mark.promise("F4")
PAGES = {each.name: each for each in pages()}
OPERATIONS = PAGES["docs/operations.md"]
GROUPS = {"config", "connection", "key", "token", "upstream", "user"}


def kinds(base: type[HubError]) -> set[type[HubError]]:
    """All classes of failures below one, where the hub itself defines them."""
    found = {each for each in base.__subclasses__() if each.__module__ == "mcp_hub.errors"}
    return found.union(*(kinds(each) for each in found))


@pytest.mark.parametrize("name", PAGES)
def test_every_link_to_a_file_or_a_heading_leads_there(name):
    for link in PAGES[name].links:
        target, _, fragment = link.partition("#")
        if "://" in link:
            continue
        path = (ROOT / name).parent / target if target else ROOT / name
        assert path.exists(), link
        if fragment:
            assert fragment in PAGES[path.resolve().relative_to(ROOT).as_posix()].anchors, link


@pytest.mark.parametrize("name", PAGES)
def test_every_file_that_a_page_names_exists(name):
    paths = [
        each for each in PAGES[name].codes if re.fullmatch(r"(src|tests|docs|config|examples|scripts)/[\w/.-]+", each)
    ]
    assert [each for each in paths if not (ROOT / each).exists()] == []


@pytest.mark.parametrize("name", PAGES)
def test_no_line_of_prose_is_longer_than_a_line_of_code(name):
    assert [line for line in PAGES[name].prose.splitlines() if len(line) > 120 and not line.startswith("|")] == []


def test_the_life_of_a_request_passes_every_room():
    named = "".join(PAGES["docs/life-of-a-request.md"].codes)
    rooms = {path.parent.name for path in ROOT.glob("src/mcp_hub/*/__init__.py")}
    assert [room for room in rooms - {"cli", "config"} if f"src/mcp_hub/{room}/" not in named] == []


def test_every_claim_about_security_names_the_test_that_attacks_it():
    claims = re.split(r"^- ", PAGES["docs/security.md"].prose, flags=re.MULTILINE)[1:]
    assert len(claims) > 15
    assert [claim for claim in claims if "(`tests/" not in claim] == []


def test_every_page_can_be_reached_from_the_readme():
    linked = {link.partition("#")[0] for link in PAGES["README.md"].links}
    assert [name for name in PAGES if name != "README.md" and name not in linked] == []


def test_nothing_stands_above_the_two_commands_but_a_sentence_and_a_picture():
    above = PAGES["README.md"].text.partition("```console\n")[0]
    title, sentence, picture = above.strip().split("\n\n", 2)
    assert title == "# mcp_hub"
    assert sentence.count(".") == 1
    assert re.fullmatch(r"```text\n[^`]*```", picture)


def test_the_version_has_a_place_in_the_changelog():
    assert f"## [{__version__}]" in PAGES["CHANGELOG.md"].text
    assert __version__ in PAGES["README.md"].text


# commands


@pytest.mark.promise("E38")
def test_the_page_of_the_commands_is_their_own_help():
    again = "docs/cli.md is old: python tests/docs/cli_reference.py > docs/cli.md"
    assert PAGES["docs/cli.md"].text == cli_reference.reference(), again


def test_every_command_stands_in_the_changelog_or_came_later():
    assert [
        each for each in cli_reference.commands() if each not in GROUPS and f"`{each}`" not in page("CHANGELOG.md").text
    ] == []


@pytest.mark.parametrize("name", [name for name in PAGES if name not in ("docs/cli.md", "docs/speed.md")])
def test_every_command_that_a_page_names_exists(name):
    said = re.findall(r"`mcp-hub ([a-z]+)(?: ([a-z]+))?", PAGES[name].prose)
    known = cli_reference.commands()
    unknown = [
        each for each in said if each[0] not in known or (each[0] in GROUPS and each[1] and " ".join(each) not in known)
    ]
    assert unknown == []


@pytest.mark.promise("E40")
def test_the_readme_has_one_line_for_each_of_five_clients_as_the_command_gives_it():
    lines = [row[1] for row in PAGES["README.md"].table("Connect your client")]
    given = [_squeezed(make(Config().server.endpoint).paste) for name, make in CLIENTS.items() if name != "chatgpt"]
    assert sorted(map(_squeezed, lines)) == sorted(given)


@pytest.mark.promise("E40")
def test_every_client_has_its_place_on_the_page_of_clients():
    text = PAGES["docs/clients.md"].text
    assert [name for name in CLIENTS if f"$ mcp-hub client {name}\n" not in text] == []


def _squeezed(line: str) -> str:
    return json.dumps(json.loads(line)) if line.startswith("{") else line


# words


def test_every_state_is_explained():
    assert sorted(row[0] for row in OPERATIONS.table("States of an upstream")) == sorted(State)


@pytest.mark.promise("D26")
def test_the_five_verdicts_are_named():
    assert [each for each in Status if f"`{each}`" not in OPERATIONS.text] == []


def test_every_exit_code_is_explained():
    rows = [(int(row[0]), row[1]) for row in OPERATIONS.table("Exit codes")]
    assert rows == [(each.value, each.name) for each in Exit]


def test_every_failure_is_explained_with_its_code_on_the_wire():
    rows = {row[0]: row[1] for row in OPERATIONS.table("Errors by who has to act")}
    assert set(rows) == {kind.__name__ for kind in kinds(HubError)}
    for kind in kinds(HubError) - {ConfigError}:
        row = next(TABLE[each] for each in kind.__mro__ if each in TABLE)
        if kind.__subclasses__() and not issubclass(kind, UpstreamError):
            continue
        assert rows[kind.__name__].startswith(str(row.code)), kind
        assert (f"HTTP {row.status}" in rows[kind.__name__]) == (row.status is not None), kind


def test_an_unknown_name_is_a_matter_of_usage_as_the_table_says():
    assert exit_code(UnknownName("tool", "x", "x")) is Exit.USAGE


def test_every_outcome_of_the_call_log_is_named():
    assert [each for each in Outcome.__args__ if f"`{each}`" not in OPERATIONS.text] == []
    assert f"newest {MOST_CALLS} calls" in OPERATIONS.text


def test_the_limits_are_those_in_force():
    said = {row[2]: row[1] for row in PAGES["docs/security.md"].table("Limits")}
    config = Config()
    assert said["server.max_request"] == f"{config.server.max_request >> 20} MiB"
    assert said["defaults.max_result"] == f"{config.defaults.max_result >> 20} MiB"
    assert said["defaults.max_event"] == f"{config.defaults.max_event >> 20} MiB"
    assert said["defaults.timeout"] == f"{config.defaults.timeout:g} s"
    assert said["defaults.list_timeout"] == f"{config.defaults.list_timeout:g} s"
    named = {row[0]: row[1] for row in PAGES["docs/security.md"].table("Limits")}
    assert named["processes of one command"].startswith(f"{MOST};")
    assert named["standard error of a process"].startswith(f"{REMARKS} lines")
    of = DEFAULT_LIMITS
    assert (
        named["legacy sessions"] == f"{of.per_principal} per caller, {of.total} in all, {of.idle / 60:g} minutes idle"
    )


@pytest.mark.promise("C24")
def test_what_is_given_out_lasts_as_long_as_the_page_says():
    rows = PAGES["docs/sign-in.md"].table("How long it lasts")
    units = {"minutes": 60, "hours": 3600, "days": 86400}
    said = {row[2].removeprefix("login.lifetimes."): row[1].partition(",")[0].split() for row in rows}
    lasts = {name: float(count) * units[unit] for name, (count, unit) in said.items()}
    assert lasts == {each: getattr(Config().login.lifetimes, each) for each in Lifetimes.__slots__}


@pytest.mark.promise("C24")
def test_what_the_page_asks_of_a_password_is_what_is_asked():
    assert f"{LEAST} characters or more" in PAGES["docs/sign-in.md"].text


# names


@pytest.mark.promise("A6")
def test_names_are_made_as_their_page_says():
    rows = page("docs/names.md").table("Tools and prompts")
    assert len(rows) > 4
    for upstream, prefix, original, exposed in rows:
        namespace = {"true": upstream, "false": None}.get(prefix, prefix)
        assert exposed_name(upstream, namespace, original, Config().defaults.name_limit) == exposed


@pytest.mark.promise("A6")
def test_uris_are_made_as_their_page_says():
    rows = page("docs/names.md").table("Resources and templates")
    assert len(rows) > 4
    for upstream, original, exposed in rows:
        assert exposed_uri(upstream, original) == exposed
