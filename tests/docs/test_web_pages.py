"""The documentation names every page that people can come to."""

import pytest
from starlette.routing import Route

from docs.pages import page
from rig.household import People
from rig.site import site_of

pytestmark = pytest.mark.promise("F4", "E37")
BESIDE = {"/static/{name}"}


async def test_every_page_is_documented_and_no_other():
    people = People()
    routes = site_of(people, "http://127.0.0.1:8080").app().routes
    await people.aclose()
    looked_at = {each.path for each in routes if isinstance(each, Route) and "GET" in (each.methods or ())}
    assert {row[0] for row in page("docs/pages.md").table("Pages")} == looked_at - BESIDE
