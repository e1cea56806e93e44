"""The table of a connection that is being made."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_hub.oauth.flow import ERRORS, TABLE, Event, Stage, step

pytestmark = pytest.mark.promise("B15")

WAY = [Event.MINE, Event.SAME_ISSUER, Event.CODE, Event.TOKENS]


def test_there_is_one_way_to_a_connection():
    stage = Stage.WAITING
    for event in WAY:
        row = step(stage, event)
        assert row.public == ""
        stage = row.next
    assert stage is Stage.CONNECTED


def test_everything_else_ends_it_with_a_sentence_of_its_own():
    ends = [(event, row) for rows in TABLE.values() for event, row in rows.items() if event not in WAY]
    assert all(row.next is Stage.OVER and "connected" in row.public for _, row in ends)
    assert len({row.public for _, row in ends}) == len(ends)
    assert {event for event, _ in ends} | set(WAY) == set(Event)


def test_the_sentences_name_nothing_but_the_upstream_and_the_host():
    for rows in TABLE.values():
        for row in rows.values():
            said = row.public.format(title="GitHub", host="github.example")
            assert "{" not in said
            assert not said or said.endswith(".")


@pytest.mark.promise("T35", "T43")
@given(st.lists(st.sampled_from(Event), max_size=12))
def test_no_order_of_events_leads_there_but_the_one(events):
    stage, taken = Stage.WAITING, []
    for event in events:
        if event in TABLE[stage]:
            taken.append(event)
            stage = step(stage, event).next
    assert stage is not Stage.CONNECTED or taken == WAY


@pytest.mark.promise("T43")
def test_an_error_is_looked_at_only_once_it_is_known_who_sent_it():
    for event in {*ERRORS.values(), Event.ERROR, Event.NO_CODE}:
        assert [stage for stage, rows in TABLE.items() if event in rows] == [Stage.GENUINE]
