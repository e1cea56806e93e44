"""Whoever has to allow more is told so in a sentence that is one, whether they have a name here or not."""

import pytest

from mcp_hub.credentials.needed import Place
from mcp_hub.oauth.needed import allow_more
from mcp_hub.principal import LOCAL, Principal

pytestmark = pytest.mark.promise("B19")

ADA = Principal("https://id.example.com", "ada", email="ada@example.com")


@pytest.mark.parametrize(("caller", "named"), [(ADA, "ada@example.com"), (LOCAL, "you")])
def test_the_sentence_names_who_has_to_allow_more(caller: Principal, named: str):
    needed = allow_more(Place("github", "GitHub", "https://hub.example.com/connect/github"), caller, ["repo", "admin"])
    assert needed.public == (
        f"GitHub asks for more than {named} allowed (missing: admin, repo)."
        " Open https://hub.example.com/connect/github to allow it, then try again."
    )
