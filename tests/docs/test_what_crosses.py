"""The page *What crosses* says what its tests show."""

import pytest

from docs import what_crosses
from docs.pages import page
from interaction.crossing.grid import ROWS

pytestmark = pytest.mark.promise("F4", "A5")
PAGE = page("docs/what-crosses.md")


def test_the_page_is_made_of_the_rows_that_are_tested():
    again = "docs/what-crosses.md is old: python tests/docs/what_crosses.py > docs/what-crosses.md"
    assert PAGE.text == what_crosses.page(), again


def test_every_message_has_a_sentence_and_a_cell_for_every_combination():
    messages = [row.message.replace("`", "") for row in ROWS]
    assert len(set(messages)) == len(messages)
    assert [row[0] for row in PAGE.table("What each message is about")] == messages
    for title in what_crosses.CLIENTS.values():
        table = PAGE.table(title)
        assert [row[0] for row in table] == messages
        assert {len(row) for row in table} == {1 + len(what_crosses.UPSTREAMS)}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.id)
def test_a_row_says_in_a_sentence_what_arrives(row):
    assert row.sentence.endswith(".")
    assert all(no.reason.endswith(".") for no in row.nos)
