"""Every "no" of the token endpoint, and that nothing gives more than was granted."""

from base64 import urlsafe_b64encode
from dataclasses import replace
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_hub.authserver.errors import OAuthError
from mcp_hub.authserver.rules import GRACE, CodeRequest, Standing, check_code, check_resource, narrowed, standing
from mcp_hub.identity.scopes import SUPPORTED, reach
from mcp_hub.store.grants import Code, Family, RefreshToken

VERIFIER = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
CHALLENGE = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"  # of RFC 7636 appendix B
CODE = Code(
    b"c", "default", "app", "App", "ann", "http://127.0.0.1:4711/cb", CHALLENGE, "https://hub/mcp",
    frozenset({"hub:use"}), b"", 1000.0, 1060.0,
)  # fmt: skip
ASKED = CodeRequest("app", "http://127.0.0.1:4711/cb", VERIFIER, "https://hub/mcp")
FAMILY = Family("f", "default", "ann", "app", "App", "https://hub/mcp", frozenset(), 1000.0, 1000.0, 9000.0)
TOKEN = RefreshToken(b"r", "f", frozenset(), 1000.0, 5000.0)
SCOPES = st.frozensets(st.sampled_from(SUPPORTED))


@pytest.mark.promise("C24")
@pytest.mark.parametrize("resource", [None, "https://hub/mcp"])
@pytest.mark.parametrize("at", [1000.0, 1059.9])
def test_a_request_that_is_in_order_may_redeem_its_code(resource, at):
    check_code(CODE, replace(ASKED, resource=resource), at)


@pytest.mark.promise("C24")
def test_a_code_without_redirect_is_redeemed_without_one():
    check_code(replace(CODE, redirect_uri=""), replace(ASKED, redirect_uri=None), 1000.0)


@pytest.mark.promise("T45", "T46", "T14")
@pytest.mark.parametrize(
    ("changed", "error"),
    [
        ({"client": "other"}, "invalid_grant"),
        ({"redirect_uri": None}, "invalid_grant"),
        ({"redirect_uri": "http://127.0.0.1:4712/cb"}, "invalid_grant"),
        ({"redirect_uri": "http://127.0.0.1:4711/cb/"}, "invalid_grant"),
        ({"redirect_uri": "HTTP://127.0.0.1:4711/cb"}, "invalid_grant"),
        ({"verifier": None}, "invalid_request"),
        ({"verifier": VERIFIER[:-1] + "j"}, "invalid_grant"),
        ({"verifier": CHALLENGE}, "invalid_grant"),
        ({"verifier": VERIFIER + "\n"}, "invalid_grant"),
        ({"verifier": "\u00e4" * 50}, "invalid_grant"),
        ({"verifier": "short"}, "invalid_grant"),
        ({"resource": "https://hub/mcp/"}, "invalid_target"),
        ({"resource": "https://evil/mcp"}, "invalid_target"),
    ],
)
def test_a_request_that_differs_from_what_was_granted_gets_nothing(changed, error):
    with pytest.raises(OAuthError) as refused:
        check_code(CODE, replace(ASKED, **changed), 1000.0)
    assert (refused.value.code, refused.value.status) == (error, 400)


@pytest.mark.promise("T45")
@pytest.mark.parametrize("challenge", ["", VERIFIER, CHALLENGE + "="])
def test_a_code_that_no_verifier_belongs_to_is_redeemed_by_none(challenge):
    with pytest.raises(OAuthError, match="code_verifier"):
        check_code(replace(CODE, challenge=challenge), ASKED, 1000.0)


@pytest.mark.promise("T45")
@pytest.mark.parametrize("length", [42, 129])
def test_a_verifier_of_another_length_than_the_rfc_says_is_none(length):
    verifier = "v" * length
    challenge = urlsafe_b64encode(sha256(verifier.encode()).digest()).rstrip(b"=").decode()
    with pytest.raises(OAuthError, match="code_verifier"):
        check_code(replace(CODE, challenge=challenge), replace(ASKED, verifier=verifier), 1000.0)


@pytest.mark.promise("T46", "T55")
@pytest.mark.parametrize("at", [1060.0, 1e12])
def test_a_code_ends_at_its_end_and_no_clock_of_a_client_changes_that(at):
    with pytest.raises(OAuthError) as refused:
        check_code(CODE, ASKED, at)
    assert refused.value.code == "invalid_grant"


@pytest.mark.promise("T58")
@given(SCOPES, st.none() | st.lists(st.sampled_from([*SUPPORTED, "offline_access", "", "other", "HUB:ADMIN"])))
def test_a_refresh_never_gives_a_scope_that_was_not_granted(granted, asked):
    text = None if asked is None else " ".join(asked)
    if set(asked or ()) - {"", "offline_access"} <= reach(granted):
        scopes = narrowed(granted, text)
        assert scopes <= reach(granted)
        assert narrowed(scopes, text) == scopes
    else:
        with pytest.raises(OAuthError, match="scope"):
            narrowed(granted, text)


@pytest.mark.promise("T58")
@pytest.mark.parametrize("asked", ["hub:use hub:admin", "hub:admin", "hub:use,hub:admin", "hub:use\thub:admin", "*"])
def test_more_than_was_granted_is_refused_and_not_trimmed(asked):
    with pytest.raises(OAuthError, match="scope"):
        narrowed(frozenset({"hub:use"}), asked)


@pytest.mark.promise("T58")
def test_what_a_scope_includes_may_be_asked_for_alone():
    assert narrowed(frozenset({"hub:admin"}), "hub:use") == {"hub:use"}
    assert narrowed(frozenset({"hub:admin"}), "offline_access") == {"hub:admin"}


@pytest.mark.promise("T48", "T55")
@pytest.mark.parametrize(
    ("superseded_at", "at", "expected"),
    [
        (None, 1000.0, Standing.USABLE),
        (None, 4999.9, Standing.USABLE),
        (None, 5000.0, Standing.ENDED),
        (None, 9000.0, Standing.ENDED),
        (2000.0, 1990.0, Standing.REPEATED),  # another process's clock is behind
        (2000.0, 2000.0, Standing.REPEATED),
        (2000.0, 2000.0 + GRACE - 0.1, Standing.REPEATED),
        (2000.0, 2000.0 + GRACE, Standing.REPLAYED),
        (2000.0, 9999.0, Standing.REPLAYED),
    ],
)
def test_what_a_refresh_token_is_good_for_depends_on_its_use_and_its_end(superseded_at, at, expected):
    assert standing(replace(TOKEN, superseded_at=superseded_at), FAMILY, at) is expected


@pytest.mark.promise("T48")
def test_a_family_ends_its_refresh_tokens():
    assert standing(TOKEN, replace(FAMILY, expires_at=3000.0), 3000.0) is Standing.ENDED


@pytest.mark.promise("T14")
@pytest.mark.parametrize("asked", ["", "https://hub/MCP", "https://hub/mcp?x", "https://hub"])
def test_another_resource_than_the_granted_one_is_refused(asked):
    with pytest.raises(OAuthError) as refused:
        check_resource("https://hub/mcp", asked)
    assert refused.value.code == "invalid_target"
