"""The servers that the page names are those that the tests run, in their versions and as the tests start them."""

import pytest

from docs.pages import page
from interaction.published import SERVERS, version

pytestmark = pytest.mark.promise("F2", "F4")


def test_the_servers_known_to_work_are_those_that_are_tested():
    rows = [tuple(row) for row in page("docs/servers.md").table("Servers known to work")]
    tested = [(each.package, each.registry, version(each), each.era, each.start) for each in SERVERS.values()]
    assert rows == tested
