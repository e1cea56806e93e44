"""The pages of a hub with people, without its endpoint."""

from mcp_hub.web.access import Access
from mcp_hub.web.frame import Frame
from mcp_hub.web.index import Index
from mcp_hub.web.site import Part, Site
from mcp_hub.web.users import Users
from mcp_hub.web.visitors import Visitors
from rig.household import People

KEY = b"k" * 32


def visitors_of(people: People, url: str) -> Visitors:
    return Visitors(people.browsers, base_url=url, key=KEY)


def site_of(people: People, url: str, *more: Part) -> Site:
    """The site at this address; `more` are further parts of it."""
    frame, visitors = Frame("9.9"), visitors_of(people, url)
    access = Access(
        frame,
        visitors,
        grants=people.store,
        sessions=people.store,
        accounts=people.accounts,
        tokens=people.tokens,
        events=people.events,
        endpoint=f"{url}/mcp",
        now=people.now,
    )
    users = Users(
        frame,
        visitors,
        accounts=people.accounts,
        grants=people.store,
        tokens=people.tokens,
        events=people.events,
        now=people.now,
    )
    return Site([Index("9.9", f"{url}/mcp", (frame, visitors)), access, users, *more], frame)
