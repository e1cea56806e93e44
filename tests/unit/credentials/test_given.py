"""What a caller's client sends, and who they are, as headers of their own."""

from dataclasses import replace

import pytest

from mcp_hub.config.model import OwnHeader
from mcp_hub.credentials.brought import brought_access
from mcp_hub.credentials.claimed import claimed_access
from mcp_hub.credentials.needed import Place
from mcp_hub.errors import ConnectionNeeded, RefusedCredential
from mcp_hub.principal import Principal
from mcp_hub.secret import Secret

pytestmark = pytest.mark.promise("B14")

PLACE = Place("docs", "Docs", "https://hub.example/connect/docs")
ADA = Principal(
    "https://idp.example", "u-1", label="Ada", email="ada@example.com", email_verified=True,
    groups=frozenset({"ops", "dev"}), brought=(("x-docs-key", Secret("adas-key")), ("x-other", Secret("adas-other"))),
)  # fmt: skip
KEY = OwnHeader("X-Api-Key", "brought", "x-docs-key")
REFUSAL = RefusedCredential("docs", "Docs refused the credential.", status=401, challenges=("Bearer realm=x",))


def claim(word: str) -> OwnHeader:
    return OwnHeader("X-User", "claim", word)


async def needed(access):
    assert access.ready() is None
    with pytest.raises(ConnectionNeeded) as raised:
        await access.credential()
    return raised.value


async def test_what_the_client_sent_goes_on_under_the_configured_name_and_nothing_else_does():
    access = brought_access(ADA, PLACE, KEY)
    assert access.ready() is await access.credential()
    assert access.ready().open() == b"X-Api-Key: adas-key\r\n"
    bearer = brought_access(ADA, PLACE, OwnHeader("Authorization", "brought", "x-docs-key", "Bearer"))
    assert bearer.ready().open() == b"Authorization: Bearer adas-key\r\n"


async def test_headers_that_all_share_stand_beside_it():
    access = brought_access(ADA, PLACE, KEY, {"X-Version": Secret("1")})
    assert access.ready().open() == b"X-Version: 1\r\nX-Api-Key: adas-key\r\n"
    overruled = brought_access(ADA, PLACE, KEY, {"X-Api-Key": Secret("shared")})
    assert overruled.ready().open() == b"X-Api-Key: adas-key\r\n"


@pytest.mark.parametrize("brought", [(), (("x-other", Secret("adas-other")),), (("x-docs-key", Secret("")),)])
async def test_who_sent_nothing_is_told_which_header_their_client_sends(brought):
    error = await needed(brought_access(replace(ADA, brought=brought), PLACE, KEY, {"X-Version": Secret("1")}))
    assert (error.upstream, error.url, error.state) == ("docs", None, "not_connected")
    assert error.public == (
        "Docs needs a credential of your own, which your client sends in the header x-docs-key."
        " Set it where your client is told the address of this hub, then try again."
    )


@pytest.mark.promise("T11")
@pytest.mark.parametrize("value", ["adas-key\r\nX-Evil: 1", "adas-key\0", "adas-k\u00e4y", " adas-key", "k" * 9000])
async def test_a_value_that_cannot_be_sent_is_an_answer_that_does_not_repeat_it(value):
    error = await needed(brought_access(replace(ADA, brought=(("x-docs-key", Secret(value)),)), PLACE, KEY))
    assert error.state == "reconnect_needed"
    assert "x-docs-key" in error.public
    assert value not in error.public
    assert "adas" not in error.public


async def test_what_the_upstream_refuses_is_for_the_client_to_change():
    access = brought_access(ADA, PLACE, KEY)
    with pytest.raises(ConnectionNeeded) as raised:
        await access.refused(access.ready(), REFUSAL)
    assert (raised.value.state, raised.value.url) == ("reconnect_needed", None)
    assert "Docs refused what your client sends in the header x-docs-key." in raised.value.public
    assert raised.value.__cause__ is REFUSAL


@pytest.mark.parametrize(
    ("word", "value"),
    [
        ("email", "ada@example.com"),
        ("subject", "u-1"),
        ("issuer", "https://idp.example"),
        ("tenant", "default"),
        ("name", "Ada"),
        ("groups", "dev,ops"),
    ],
)
async def test_a_claim_says_who_the_caller_is(word, value):
    access = claimed_access(ADA, PLACE, claim(word))
    assert access.ready() is await access.credential()
    assert access.ready().open() == f"X-User: {value}\r\n".encode()


async def test_a_claim_that_is_not_known_is_for_whoever_runs_the_hub():
    error = await needed(claimed_access(replace(ADA, email=""), PLACE, claim("email")))
    assert (error.upstream, error.url, error.state) == ("docs", None, "not_connected")
    assert error.public == (
        "Docs is told the email of its callers, and that of Ada is not known."
        " Ask whoever runs this hub to change your account, or what Docs is told."
    )


async def test_an_address_that_nobody_vouches_for_tells_no_upstream_who_calls():
    error = await needed(claimed_access(replace(ADA, email_verified=False), PLACE, claim("email")))
    assert "does not vouch for it" in error.public
    assert claimed_access(replace(ADA, email_verified=False), PLACE, claim("subject")).ready() is not None


@pytest.mark.promise("T11")
@pytest.mark.parametrize(
    ("caller", "word"),
    [
        (replace(ADA, label="Ada\r\nX-Admin: yes"), "name"),
        (replace(ADA, label="Ad\u00e4"), "name"),
        (replace(ADA, email="ada@example.com\n"), "email"),
        (replace(ADA, groups=frozenset({"dev,admin"})), "groups"),
        (replace(ADA, groups=frozenset()), "groups"),
    ],
)
async def test_a_claim_that_could_be_read_as_something_else_is_not_sent(caller, word):
    error = await needed(claimed_access(caller, PLACE, claim(word)))
    assert "whoever runs this hub" in error.public


async def test_a_caller_whom_the_upstream_refuses_is_told_as_whom_it_knows_them():
    access = claimed_access(ADA, PLACE, claim("email"))
    with pytest.raises(ConnectionNeeded, match=r"Docs refused ada@example\.com, whom it knows by their email"):
        await access.refused(access.ready(), REFUSAL)


def test_nothing_of_it_ever_changes():
    access = brought_access(ADA, PLACE, KEY)
    access.watch(lambda: pytest.fail("told"))()
