import pytest

from mcp_hub.egress.errors import ConnectionLost, DialFailed, DialStep, EgressError

pytestmark = pytest.mark.promise("D28")


def test_an_error_is_the_sentence_it_shows():
    error = ConnectionLost("a.example closed the connection.", sent=True)
    assert isinstance(error, EgressError)
    assert str(error) == error.public == "a.example closed the connection."
    assert (error.sent, error.answered) == (True, False)


def test_a_dial_error_says_how_far_it_came():
    assert DialFailed("no", DialStep.TLS).step == "tls"
