"""docs/credentials.md: its table is the one that decides, and its results and steps are those of a check."""

import asyncio
import re

import pytest
from click.testing import CliRunner

from docs.pages import page
from docs.test_commands import squeezed
from mcp_hub.cli.main import cli
from mcp_hub.cli.upstream import EXITS
from mcp_hub.config.auth_shape import KEYS, AuthShape
from mcp_hub.config.model import ApiKey, ClientCredentials, NoAuth, OAuth, OwnHeader, SharedHeader
from mcp_hub.config.part import keys_of
from mcp_hub.credentials.decide import Discovered, decide
from mcp_hub.oauth.document import callback_of, document_url
from mcp_hub.secret import Secret
from mcp_hub.upstream.check import STEPS, Status
from rig.fake_upstream import FakeUpstream

pytestmark = [pytest.mark.promise("F4")]

PAGE = page("docs/credentials.md")
KEY = Secret("canary")
AUTHS = {
    "none": NoAuth(),
    "nothing": None,
    "nothing, or none": None,
    "api_key": ApiKey(KEY),
    "header with value": SharedHeader("X-Key", KEY),
    "header with from": OwnHeader("X-Key", "brought", "x-mine"),
    "header with per_user": OwnHeader("X-Key", "pasted"),
    "header with claim": OwnHeader("X-Key", "claim", "email"),
    "oauth": OAuth(),
    "client_credentials": ClientCredentials("https://id.example", "hub", KEY),
}
SAID = {
    "-": Discovered.NOT_ASKED,
    "its users sign in": Discovered.OAUTH,
    "it lets the hub in, or names no sign-in": Discovered.NOTHING,
    "it has not been asked": Discovered.NOT_ASKED,
}


@pytest.mark.promise("B16")
@pytest.mark.parametrize("cells", PAGE.table("Which one is used"), ids=lambda cells: cells[0])
def test_a_row_of_the_page_is_a_row_of_the_table(cells):
    row, headers, auth, said, sign_in = cells
    decision = decide(
        headers=headers == "filled",
        auth=AUTHS.get(auth),
        found=SAID[said],
        command=row == "command",
    )
    assert (decision.row, decision.sign_in) == (row, sign_in)


@pytest.mark.promise("B16")
def test_the_page_has_every_row():
    rows = re.findall(r"^ *\| ([^|]+?) \| (?:yes|no) \|", decide.__doc__ or "", re.MULTILINE)
    assert {cells[0] for cells in PAGE.table("Which one is used")} == set(rows)


@pytest.mark.promise("D26", "E38")
def test_the_results_are_the_five_with_their_exit_codes():
    rows = {cells[0]: int(cells[-1]) for cells in PAGE.table("Checking")}
    assert rows == {each.value: EXITS[each] for each in Status}
    assert list(rows) == list(Status)


@pytest.mark.promise("D26", "E38")
async def test_a_check_prints_what_the_page_shows(tmp_path, monkeypatch):
    command, *lines = PAGE.fences("text")[0].splitlines()
    async with FakeUpstream(name="warehouse") as fake, asyncio.timeout(20):
        auth = "{type: header, name: X-API-Key, per_user: true}"
        written = (
            f"login: local\nnetwork: {{allow_private: [127.0.0.0/8]}}\nupstreams:\n  warehouse:\n    url: {fake.url}"
        )
        (tmp_path / "hub.yaml").write_text(f"{written}\n    auth: {auth}\n", encoding="utf-8")
        monkeypatch.chdir(tmp_path)
        result = await asyncio.to_thread(CliRunner().invoke, cli, command.split()[2:])
    assert (result.exit_code, squeezed(result.output)) == (
        EXITS[Status.USER_NOT_AUTHENTICATED],
        squeezed("\n".join(lines)),
    )


@pytest.mark.promise("D26")
def test_every_step_has_its_row():
    named = {name.strip() for cells in PAGE.table("The steps of a check") for name in cells[0].split(",")}
    assert named == set(STEPS)


@pytest.mark.promise("B17")
def test_the_addresses_to_register_are_those_of_the_hub():
    base = "https://hub.example.com"
    assert {callback_of(base, "NAME"), document_url(base, "NAME", "private_key_jwt")} <= set(PAGE.codes)


@pytest.mark.promise("B17")
def test_what_is_to_be_written_about_a_server_belongs_to_oauth():
    written = {
        name.partition(":")[0] for cells in PAGE.table("With OAuth") for name in re.findall(r"[a-z_]{5,}", cells[1])
    }
    assert {name for name in written if name in keys_of(AuthShape)} <= KEYS["oauth"]
    assert {"authorization_url", "token_url", "revocation_url", "issuer", "scopes", "resource"} <= written
    assert {"unadvertised_pkce", "extra_params", "client_id"} <= written
