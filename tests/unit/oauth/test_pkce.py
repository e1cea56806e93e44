"""A challenge for a verifier."""

import pytest

from mcp_hub.oauth.pkce import challenge_of


@pytest.mark.promise("C23")
def test_a_challenge_is_as_in_the_example_of_the_specification():
    # RFC 7636, appendix B
    verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
    assert challenge_of(verifier) == "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
