"""The page of the documentation that is made from the shape."""

import subprocess
import sys
from pathlib import Path

import pytest

from mcp_hub.config.load import load
from mcp_hub.config.part import Part, keys_of
from mcp_hub.config.reference import reference

pytestmark = pytest.mark.promise("E39")

PAGE = Path(__file__).parents[3] / "docs" / "configuration.md"


@pytest.mark.promise("E39")
def test_the_page_is_what_the_shape_says():
    again = "docs/configuration.md is old: python -m mcp_hub.config.reference > docs/configuration.md"
    assert PAGE.read_text(encoding="utf-8") == reference(), again


def test_the_command_prints_the_page():
    done = subprocess.run(
        [sys.executable, "-m", "mcp_hub.config.reference"], capture_output=True, check=True, timeout=30
    )
    assert done.stdout.decode() == reference()


def test_every_key_and_every_word_for_later_stands_on_it():
    page = reference()
    for part in Part.__subclasses__():
        for name in [*keys_of(part), *part.later]:
            assert f"`{name}`" in page


def test_its_example_is_a_configuration():
    example = reference().partition("```yaml\n")[2].partition("```")[0]
    assert len(load(example, environ={"SEARCH_API_KEY": "x", "WIKI_KEY": "y"}).upstreams) == 7
