"""What was called in somebody's name."""

from typing import get_args

import pytest

from mcp_hub.audit.calls import Outcome
from mcp_hub.identity.principals import principal_of
from mcp_hub.store.base import CallRecord
from rig.household import NOW
from rig.site import site_of
from unit.web.screens import URL, Sitting

pytestmark = pytest.mark.promise("E37")
MARKUP = "<img src=x onerror=alert(1)>"


def call(who, name, outcome="ok", milliseconds=12.0, client="Claude Code"):
    return CallRecord(NOW, *who.key, client, "github", "tools/call", name, outcome, milliseconds)


async def test_everybody_sees_their_own_calls_the_last_one_first(people):
    ada, bo = await people.add("Ada"), await people.add("Bo")
    mine, theirs = principal_of(ada), principal_of(bo)
    await people.store.append_calls(
        [
            call(mine, "search_issues"),
            call(theirs, "secret_plan"),
            call(mine, "create_issue", "tool_error", 2140.0),
            call(mine, MARKUP, "made up", 3.0, MARKUP),
        ]
    )
    page = await Sitting(site_of(people, URL).app(), await people.sign_in(ada)).look("/activity")
    assert "secret_plan" not in page.text
    assert page.text.index("create_issue") < page.text.index("search_issues")
    for told in (
        "Claude Code",
        "GitHub",
        "Done",
        "The tool reported an error",
        "2.1 s",
        "12 ms",
        "22 Nov, 23:03:00 UTC",
    ):
        assert told in page.text
    assert "<img src=x" not in page.answer.text


@pytest.mark.parametrize("outcome", get_args(Outcome))
async def test_however_a_call_ended_it_is_said_in_words(people, outcome):
    ada = await people.add("Ada")
    await people.store.append_calls([call(principal_of(ada), "search_issues", outcome)])
    page = await Sitting(site_of(people, URL).app(), await people.sign_in(ada)).look("/activity")
    assert "search_issues" in page.text
    assert outcome not in page.text.split()


async def test_somebody_who_called_nothing_is_told_where_to_begin(people):
    page = await Sitting(site_of(people, URL).app(), await people.sign_in(await people.add("Ada"))).look("/activity")
    assert "Nothing was called in your name yet." in page.text
