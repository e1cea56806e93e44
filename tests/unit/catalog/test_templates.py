"""Template matching says what a backtracking matcher would say, in time that nobody can blow up."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcp_hub.catalog.templates import MAX_WORK, Template, expands

pytestmark = pytest.mark.promise("A1")

SETTINGS = settings(deadline=None)
PATTERNS = {
    "": "[^/?#]*",
    "+": ".*",
    "#": "(?:#.*)?",
    ".": r"(?:\.[^/?#]*)?",
    "/": "(?:/[^?#]*)?",
    ";": "(?:;[^/?#]*)?",
    "?": r"(?:\?[^#]*)?",
    "&": "(?:&[^#]*)?",
}
pieces = st.one_of(
    st.text("ab/?#.;&", min_size=1, max_size=3), st.sampled_from(list(PATTERNS)).map(lambda op: "{" + op + "x}")
)
templates = st.lists(pieces, max_size=5).map("".join)
uris = st.text("ab/?#.;&", max_size=9)


def reference(template):
    parts = re.split(r"\{([+#./;?&]?)x\}", template)
    return re.compile(
        "".join(PATTERNS[part] if at % 2 else re.escape(part) for at, part in enumerate(parts)), re.DOTALL
    )


@settings(deadline=None, max_examples=400)
@given(templates, uris)
def test_a_template_matches_what_a_backtracking_matcher_matches(template, uri):
    assert Template(template).matches(uri) is (reference(template).fullmatch(uri) is not None)


@SETTINGS
@given(templates, st.lists(st.text("ab", max_size=3), min_size=6, max_size=6))
def test_every_expansion_matches(template, values):
    filled = iter(values)
    expanded = re.sub(
        r"\{([+#./;?&]?)x\}", lambda found: f"{'' if found[1] == '+' else found[1]}{next(filled, '')}", template
    )
    assert Template(template).matches(expanded)
    assert Template(template).begins(expanded)
    assert expands([Template("never"), Template(template)], expanded)


@pytest.mark.parametrize(
    ("template", "uri", "fits"),
    [
        ("repo://{owner}/{repo}/contents{/path}{?ref}", "repo://a/b/contents/x/y?ref=1", True),
        ("repo://{owner}/{repo}/contents{/path}{?ref}", "repo://a/b/contents", True),
        ("docs://{id}", "docs://a/b", False),
        ("docs://{+id}", "docs://a/b", True),
        ("docs://x{?q}", "docs://xyz", False),
        ("docs://{a,b}", "docs://1,2", True),
        ("docs://{unclosed", "docs://{unclosed", True),
        ("docs://{}", "docs://x", False),
        ("", "", True),
        ("", "x", False),
    ],
)
def test_the_common_forms(template, uri, fits):
    assert Template(template).matches(uri) is fits


def test_templates_are_values():
    assert Template("a{b}") == Template("a{b}") != Template("a{c}")
    assert repr(Template("a{b}")) == "Template('a{b}')"
    assert len({Template("a"), Template("a")}) == 1


@pytest.mark.promise("T29", "T61")
def test_hostile_templates_are_given_up_after_a_bounded_amount_of_work():
    uri = "a" * 1000 + "b"
    bomb = Template("{+a}a" * 40)
    honest = Template("{+anything}")
    assert 2 < MAX_WORK / bomb.work(uri) < 10
    assert expands([bomb, bomb, honest], uri)
    assert not expands([*[bomb] * 10, honest], uri)
