"""`${VAR}`, `${VAR:-default}`, `$$`."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_hub.config.expand import expand

pytestmark = pytest.mark.promise("E39")

NAMES = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,12}", fullmatch=True)


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        ("plain", "plain"),
        ("${KEY}", "k"),
        ("Bearer ${KEY}!", "Bearer k!"),
        ("${KEY}${KEY}", "kk"),
        ("${NONE:-other}", "other"),
        ("${NONE:-}", ""),
        ("${EMPTY:-other}", "other"),
        ("${EMPTY}", ""),
        ("$$", "$"),
        ("$${KEY}", "${KEY}"),
        ("$KEY and $5", "$KEY and $5"),
    ],
)
def test_references_become_what_they_name(raw, text):
    expanded = expand(raw, {"KEY": "k", "EMPTY": ""})
    assert (expanded.text, expanded.faults) == (text, ())


def test_an_unset_variable_is_a_fault_that_names_it():
    assert expand("${NONE}", {}).faults == ("environment variable NONE is not set",)


@pytest.mark.parametrize("raw", ["${", "${KEY", "${}", "${1A}", "${KEY-x}", "${a${KEY}}"])
def test_a_reference_in_another_form_is_a_fault_that_does_not_quote_it(raw):
    (fault,) = expand(raw, {"KEY": "k"}).faults
    assert fault.startswith("a variable is written ${NAME}")


def test_what_a_variable_holds_is_not_expanded_again():
    assert expand("${KEY}", {"KEY": "${OTHER} $$"}).text == "${OTHER} $$"


def test_only_variables_that_were_used_are_named():
    assert expand("${A} ${B:-x} ${A}", {"A": "1"}).variables == ("A",)


@given(st.text())
def test_any_text_survives_with_its_dollars_doubled(text):
    assert expand(text.replace("$", "$$"), {}).text == text


@given(NAMES, st.text())
def test_a_variable_gives_exactly_what_it_holds(name, value):
    assert expand(f"<${{{name}}}>", {name: value}).text == f"<{value}>"
