"""docs/upstream-sign-in.md: its codes are all there are, and its addresses are those of the hub."""

import re
from pathlib import Path

import pytest

import mcp_hub.oauth
from docs.pages import page
from mcp_hub.oauth.document import JWKS, callback_of, document_url
from mcp_hub.oauth.flow import TABLE, Stage

pytestmark = pytest.mark.promise("F4")

PAGE = page("docs/upstream-sign-in.md")
BASE = "https://hub.example.com"
RAISED = re.compile(r"(?:_Stop|BadServer|RegistrationFailed|_failed|ConnectFailed)\(\s*(?:[\w.]+, )?\"([a-z_]+)\"")
SECOND = re.compile(r"ConnectFailed\([^\"]*\"([a-z_]+)\"")


def test_every_code_has_its_row():
    named = [code for row in PAGE.table("What can go wrong") for code in re.findall(r"[a-z_]+", row[0])]
    room = Path(mcp_hub.oauth.__file__).parent
    sources = "".join(each.read_text("utf-8") for each in room.glob("*.py"))
    raised = {*RAISED.findall(sources), *SECOND.findall(sources)}
    ends = {event.value for rows in TABLE.values() for event, row in rows.items() if row.next is Stage.OVER}
    assert sorted(named) == sorted(raised | ends)


def test_the_addresses_are_those_of_the_hub():
    named = [row[0] for row in PAGE.table("How users sign in to upstreams")]
    assert named == [callback_of(BASE, "NAME"), document_url(BASE, "NAME", "private_key_jwt"), f"{BASE}{JWKS}"]
