"""What is shown of each upstream, and in which order."""

import pytest

from mcp_hub.credentials.state import State
from mcp_hub.oauth.connection import Connection
from mcp_hub.upstream.health import Health
from mcp_hub.upstream.known import Known
from mcp_hub.web.cards import Declared, card, cards, offered, summary
from rig.connections import DECLARED, SIGN_INS, Contact, answering, silent

pytestmark = pytest.mark.promise("E37")
GITHUB = DECLARED[2]


def mine(name="github", state=State.READY, **more) -> Connection:
    return Connection(name, name.title(), "", SIGN_INS[name], state, **more)


def test_what_waits_for_its_user_comes_first_and_what_is_switched_off_last():
    connections = [
        mine("linear", wanted=frozenset({"write"})),
        mine("github", State.NOT_CONNECTED),
        mine("warehouse", State.RECONNECT_NEEDED),
    ]
    drawn = cards(DECLARED, connections, SIGN_INS, {})
    assert [each.name for each in drawn] == [
        "warehouse",
        "github",
        "linear",
        "docs",
        "billing",
        "crm",
        "clock",
        "old",
    ]


@pytest.mark.parametrize(
    ("connection", "contact", "state", "sentence"),
    [
        (mine(), answering(1), State.READY, ""),
        (mine(), None, State.READY, ""),
        (mine(), Contact(State.UNREACHABLE, "The first contact is under way."), State.READY, ""),
        (mine(), Contact(State.NOT_CONNECTED, "Sign in.", Known(Health(tried=True))), State.READY, ""),
        (mine(), silent("GitHub does not answer."), State.UNREACHABLE, "GitHub does not answer."),
        (
            mine(state=State.RECONNECT_NEEDED, sentence="Do it again."),
            answering(1),
            State.RECONNECT_NEEDED,
            "Do it again.",
        ),
        (
            mine(state=State.NOT_CONNECTED),
            silent("No."),
            State.NOT_CONNECTED,
            "You have to sign in there before its tools can be used.",
        ),
    ],
)
def test_how_somebody_stands_is_their_credential_and_then_what_the_upstream_says(connection, contact, state, sentence):
    drawn = card(GITHUB, connection, "oauth", contact)
    assert (drawn.state, drawn.sentence) == (state, sentence)


@pytest.mark.parametrize(
    ("sign_in", "contact", "word", "needs_user"),
    [
        ("shared", answering(1), "Ready", False),
        ("none", silent("It does not answer."), "Unreachable", False),
        ("brought", None, "", False),
        ("claim", None, "", False),
    ],
)
def test_nobody_has_to_do_anything_where_nobody_has_a_credential_of_their_own(sign_in, contact, word, needs_user):
    drawn = card(GITHUB, None, sign_in, contact)
    assert (drawn.word, drawn.needs_user, drawn.is_own) == (word, needs_user, False)


def test_an_upstream_that_is_switched_off_says_why_and_asks_for_nothing():
    absent = Declared("github", "GitHub", "api.example.com", absent="Server URL not set")
    drawn = card(absent, mine(state=State.NOT_CONNECTED), "oauth", None)
    assert (drawn.word, drawn.sentence, drawn.needs_user, drawn.is_own) == (
        "Disabled",
        "Server URL not set",
        False,
        False,
    )


def test_scopes_that_were_given_are_not_asked_for_again():
    drawn = card(GITHUB, mine(scopes=frozenset({"a"}), wanted=frozenset({"a", "b"})), "oauth", None)
    assert drawn.wanted == ("b",)
    assert card(GITHUB, mine(scopes=frozenset({"a"}), wanted=frozenset({"a"})), "oauth", None).needs_user is False


@pytest.mark.parametrize(
    ("contact", "words"),
    [(answering(41, 3, 1), "41 tools, 3 prompts, 1 resource"), (answering(), "nothing"), (Contact(), ""), (None, "")],
)
def test_what_an_upstream_offers_is_counted_once_it_is_known(contact, words):
    assert offered(contact) == words


def test_what_somebody_gave_back_is_not_counted_any_more():
    assert card(GITHUB, mine(state=State.NOT_CONNECTED), "oauth", answering(41)).offers == ""


@pytest.mark.parametrize(
    ("states", "line"),
    [
        ([], "No upstream is set up here yet."),
        ([State.READY], "1 of 1 is ready."),
        ([State.READY, State.READY], "All are ready."),
        ([State.READY, State.NOT_CONNECTED], "1 of 2 is ready. 1 is not connected."),
        (
            [State.RECONNECT_NEEDED, State.NOT_CONNECTED, State.NOT_CONNECTED, State.UNREACHABLE],
            "0 of 4 are ready. 1 needs you to reconnect. 2 are not connected. 1 does not answer.",
        ),
    ],
)
def test_one_line_says_how_many_are_ready_and_what_the_others_want(states, line):
    drawn = [card(GITHUB, mine(state=state), "oauth", None) for state in states if state is not State.UNREACHABLE]
    drawn += [card(GITHUB, mine(), "oauth", silent("No.")) for state in states if state is State.UNREACHABLE]
    assert summary(drawn) == line


def test_what_only_clients_bring_is_not_counted():
    assert summary([card(DECLARED[4], None, "brought", None)]) == ""
