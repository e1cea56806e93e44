"""Why a connection was not made, in sentences."""

import pytest

from mcp_hub.oauth.flow import TABLE
from mcp_hub.web.failures import BAD_ADDRESS, NOT_HERE, sentence_of

pytestmark = pytest.mark.promise("E37")
ENDS = sorted({event.value for events in TABLE.values() for event, row in events.items() if row.public})


@pytest.mark.parametrize("code", [*ENDS, NOT_HERE, BAD_ADDRESS])
def test_every_way_in_which_it_ends_has_a_sentence_that_names_the_upstream(code):
    sentence = sentence_of(code, "GitHub")
    assert sentence != sentence_of("made_up", "GitHub")
    assert "{" not in sentence
    assert sentence.endswith(".")


@pytest.mark.promise("T40")
@pytest.mark.parametrize("code", ["", "made_up", "<script>", "{title.__class__}"])
def test_what_somebody_made_up_is_not_repeated(code):
    assert sentence_of(code, "{0}") == "{0} was not connected, and nothing was stored."
