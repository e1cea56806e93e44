"""The pages of a hub with people, without its endpoint."""

from collections.abc import Mapping

from mcp_hub.authserver.clients import Clients
from mcp_hub.authserver.consents import Consents
from mcp_hub.authserver.documents import PublishedDocuments
from mcp_hub.authserver.registration import Registration
from mcp_hub.config.model import Client, Server
from mcp_hub.egress.fetch import FetchFailed
from mcp_hub.identity.limits import Limits
from mcp_hub.identity.refusals import NotSignedIn
from mcp_hub.web.access import Access
from mcp_hub.web.authorize import Authorize
from mcp_hub.web.consent import ConsentPages
from mcp_hub.web.frame import Frame
from mcp_hub.web.login import LoginPages, Provider
from mcp_hub.web.lookers import Doorway, Members, NoSessions, Owner
from mcp_hub.web.own import Own, own_parts
from mcp_hub.web.register import Registrations
from mcp_hub.web.setup import SetupPage
from mcp_hub.web.site import Part, Site
from mcp_hub.web.users import Users
from mcp_hub.web.visitors import Visitors
from rig.connections import FakeConnections
from rig.household import People

KEY = b"k" * 32


class Down:
    """An identity provider that does not answer."""

    async def begin(self, browser, next_path):
        raise NotSignedIn("id.example.com does not answer. Try again later.", "provider_down")

    async def finish(self, query, browser):
        raise NotSignedIn("id.example.com did not say who you are.", "provider_refused")


NO_CLIENTS: Mapping[str, Client] = {}


class Offline:
    """A network that nothing is reached over."""

    async def get(self, url, **options):
        raise FetchFailed("there is no network here")

    async def post(self, url, form, **options):
        raise FetchFailed("there is no network here")


def visitors_of(people: People, url: str) -> Visitors:
    return Visitors(people.browsers, base_url=url, key=KEY)


def site_of(
    people: People,
    url: str,
    declared: Mapping[str, Client] = NO_CLIENTS,
    provider: Provider | None = None,
    own: Own | None = None,
) -> Site:
    """The site at this address, with these clients set up beforehand, this provider, and what is people's own."""
    frame, visitors = Frame("9.9"), visitors_of(people, url)
    pages = own_pages(own or FakeConnections().own(people.store), frame, Doorway(Members(visitors), visitors), url)
    access = Access(
        frame,
        visitors,
        grants=people.store,
        sessions=people.store,
        browsers=people.browsers,
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
    limits = Limits(now=people.now)
    clients = Clients(declared, people.store, PublishedDocuments(Offline(), limits, None, people.now), people.now)
    authorize = Authorize(
        issuer=url,
        resources=(f"{url}/mcp",),
        clients=clients,
        consents=Consents(people.store, clients, people.events, people.now),
        limits=limits,
        pages=ConsentPages(frame),
        visitors=visitors,
    )
    register = Registrations(Registration(people.store, limits, people.events, people.now))
    login = LoginPages(
        frame,
        visitors,
        accounts=people.accounts,
        browsers=people.browsers,
        limits=limits,
        events=people.events,
        provider=provider,
    )
    setup = SetupPage(frame, visitors, setup=people.setup, browsers=people.browsers)
    return Site([*pages, login, setup, access, users, authorize, register], frame)


def private_site(own: Own, url: str) -> Site:
    """The site of a private hub."""
    frame, visitors = Frame("9.9"), Visitors(NoSessions(), base_url=url, key=KEY)
    return Site(own_pages(own, frame, Doorway(Owner(visitors), visitors), url), frame)


def own_pages(own: Own, frame: Frame, doorway: Doorway, url: str) -> list[Part]:
    """The pages about somebody's own connections."""
    return own_parts(frame, doorway, own, server=Server(public_url=url), version="9.9", told=f"{url}/mcp")
