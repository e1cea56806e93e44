"""The decision table: one function, one table."""

import re
from itertools import product

import pytest

from mcp_hub.config.model import ApiKey, Auth, ClientCredentials, NoAuth, OAuth, OwnHeader, SharedHeader, Upstream
from mcp_hub.credentials.decide import Discovered, SignIn, decide, decide_declared
from mcp_hub.secret import Secret

pytestmark = pytest.mark.promise("B16")

KEY = Secret("canary")
NOT_ASKED, NOTHING, OAUTH = Discovered.NOT_ASKED, Discovered.NOTHING, Discovered.OAUTH
ANY = (NOT_ASKED, NOTHING, OAUTH)
BOTH = (False, True)

AUTHS: dict[str, Auth | None] = {
    "nothing": None,
    "none": NoAuth(),
    "api_key": ApiKey(KEY),
    "header, value": SharedHeader("X-Key", KEY),
    "header, from": OwnHeader("X-Key", "brought", "x-mine"),
    "header, per_user": OwnHeader("X-Key", "pasted"),
    "header, claim": OwnHeader("X-Key", "claim", "email"),
    "oauth": OAuth(),
    "client_credentials": ClientCredentials("https://id.example", "hub", KEY),
}

# headers filled, what auth says, what discovery found -> sign-in, row
TABLE = [
    ((False,), "none", ANY, SignIn.NONE, "auth: none"),
    ((True,), "none", ANY, SignIn.SHARED, "headers"),
    ((True,), "nothing", ANY, SignIn.SHARED, "headers"),
    (BOTH, "api_key", ANY, SignIn.SHARED, "auth: api_key"),
    (BOTH, "header, value", ANY, SignIn.SHARED, "auth: header, value"),
    (BOTH, "header, from", ANY, SignIn.BROUGHT, "auth: header, from"),
    (BOTH, "header, per_user", ANY, SignIn.PASTED, "auth: header, per_user"),
    (BOTH, "header, claim", ANY, SignIn.CLAIM, "auth: header, claim"),
    (BOTH, "oauth", ANY, SignIn.OAUTH, "auth: oauth"),
    (BOTH, "client_credentials", ANY, SignIn.SERVICE, "auth: client_credentials"),
    ((False,), "nothing", (OAUTH,), SignIn.OAUTH, "OAuth found"),
    ((False,), "nothing", (NOTHING,), SignIn.NONE, "nothing found"),
    ((False,), "nothing", (NOT_ASKED,), SignIn.UNDECIDED, "not asked yet"),
]
CELLS = [
    pytest.param(headers, auth, found, sign_in, row, id=f"{'filled' if headers else 'empty'}-{auth}-{found}")
    for filled, auth, all_found, sign_in, row in TABLE
    for headers, found in product(filled, all_found)
]


@pytest.mark.parametrize(("headers", "auth", "found", "sign_in", "row"), CELLS)
def test_every_case_has_one_row(headers, auth, found, sign_in, row):
    decision = decide(headers=headers, auth=AUTHS[auth], found=found)
    assert (decision.sign_in, decision.row) == (sign_in, row)
    assert decision.why.endswith(".")
    assert "canary" not in repr(decision)


def test_the_table_has_every_case_once():
    cases = [tuple(cell.values[:3]) for cell in CELLS]
    assert sorted(cases) == sorted(product(BOTH, AUTHS, ANY))


@pytest.mark.parametrize("auth", AUTHS)
def test_a_command_takes_its_credentials_from_its_environment(auth):
    assert decide(headers=True, auth=AUTHS[auth], found=OAUTH, command=True).row == "command"


def test_the_table_of_the_docstring_names_the_same_rows():
    written = re.findall(r"^ *\| ([^|]+?) \| (?:yes|no) .* \| (\w+) \|$", decide.__doc__ or "", re.MULTILINE)
    assert set(written) == {(row, str(sign_in)) for _, _, _, sign_in, row in TABLE} | {("command", "none")}


def test_a_credential_in_the_headers_turns_discovery_off():
    said = decide_declared(Upstream("a", "https://a.example/mcp", headers={"X-Key": KEY}), OAUTH)
    assert said.sign_in is SignIn.SHARED
    assert "no sign-in (OAuth) is looked for" in said.why


def test_what_is_a_callers_own_is_known():
    assert {each for each in SignIn if each.is_own} == {"brought", "pasted", "claim", "oauth"}
    assert {each for each in SignIn if each.on_page} == {"pasted", "oauth"}
