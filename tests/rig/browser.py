"""A browser that a script drives: it keeps cookies, goes where it is sent, and presses what stands on a page.

It keeps the rules of real browsers that a hub's defences stand on: which `Origin` and `Sec-Fetch-Site` a request
carries (Fetch, "append a request Origin header"; Fetch Metadata), that a page's referrer policy may hide its origin,
and where a form may lead, redirects included (CSP 3, "form-action", as Chromium reads it). Every browser has its own
cookies, so two of them are two people, or one person on two computers.
"""

import functools
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Self
from urllib.parse import parse_qsl, urljoin, urlsplit

import httpx2

from rig import html

HOPS = 20
STEPS = 12
REDIRECTS = frozenset({301, 302, 303, 307, 308})
NAMES = ("email", "username", "login")
LEADS_AWAY = ("Connect", "Reconnect", "Allow")
"""What stands on the button that leads to an upstream's own sign-in."""


class Stuck(AssertionError):
    """The person at the screen could not go on; the message says what stood there."""


@dataclass(frozen=True, slots=True)
class Page:
    """What the screen shows."""

    url: str
    status: int
    headers: httpx2.Headers
    document: html.Document

    def __str__(self) -> str:
        return f"{self.status} at {without_query(self.url)}: {self.document.text[:600]}"

    @property
    def onward(self) -> str | None:
        """Where the page goes by itself, which its head says or the headers it came with."""
        said = self.headers.get("refresh")
        return self.document.onward if said is None else html.refresh(said, self.url)

    def form_with(self, label: str) -> tuple[html.Form, html.Button] | None:
        """The form and its button whose label is or begins with this."""
        pressed = [(form, button) for form in self.document.forms for button in form.buttons]
        return next((each for each in pressed if each[1].label.startswith(label)), None)


@dataclass(frozen=True, slots=True)
class Arrival:
    """Where the browser was sent and did not go, since nobody but the test waits there."""

    url: str

    @property
    def answer(self) -> dict[str, str]:
        """The parameters of its query. Fails if one comes twice."""
        pairs = parse_qsl(urlsplit(self.url).query, keep_blank_values=True)
        told = dict(pairs)
        assert len(told) == len(pairs), f"a parameter comes twice: {[name for name, _ in pairs]}"
        return told


@dataclass(frozen=True, slots=True)
class Person:
    """Who sits there, and what they type. `provider`: they take the way over the identity provider, if offered."""

    email: str
    password: str
    provider: bool = False


ADA = Person("ada@example.com", "correct horse battery staple")
BOB = Person("bob@example.com", "a long enough password of bob")


class Browser:
    """One cookie jar and one screen. `tls`: whom it trusts, where a test has an authority of its own."""

    def __init__(self, *, tls: ssl.SSLContext | None = None) -> None:
        self.http = httpx2.AsyncClient(trust_env=False, timeout=20, verify=tls or _usual_trust())

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *failure: object) -> None:
        await self.http.aclose()

    async def open(self, url: str, *, until: str | None = None) -> Page | Arrival:
        """Type an address, or click it in another program. `until`: the address at which it stops, any query."""
        return await self._go("GET", url, None, _Initiator(None, _anywhere), until)

    async def follow(self, page: Page, text: str, *, until: str | None = None) -> Page | Arrival:
        """Click a link."""
        found = next((href for said, href in page.document.links.items() if said.startswith(text)), None)
        if found is None:
            raise Stuck(f"there is no link {text!r}: {page}")
        return await self._go("GET", found, None, _Initiator(page, _anywhere), until)

    async def press(
        self, page: Page, label: str, filled: Mapping[str, str] | None = None, *, until: str | None = None
    ) -> Page | Arrival:
        """Fill in the form that has this button, and press it."""
        found = page.form_with(label)
        if found is None:
            raise Stuck(f"there is no button {label!r}: {page}")
        form, button = found
        unknown = set(filled or {}) - set(form.fields) - set(form.kinds)
        assert not unknown, f"the form has no field {unknown}: {page}"
        sent = {**form.fields, **(filled or {}), **({button.name: button.value} if button.name else {})}
        action = button.action or form.action
        initiator = _Initiator(page, _form_action(page))
        if form.method == "GET":
            return await self._go("GET", str(httpx2.URL(action, params=sent)), None, initiator, until)
        return await self._go("POST", action, sent, initiator, until)

    async def _go(
        self, method: str, url: str, sent: Mapping[str, str] | None, initiator: "_Initiator", until: str | None
    ) -> Page | Arrival:
        came_by = [initiator.origin] if initiator.origin else []
        for _ in range(HOPS):
            initiator.judge(url)
            if until is not None and without_query(url) == without_query(until):
                return Arrival(url)
            headers = {**initiator.headers(method, [*came_by, url]), "Accept": "text/html,*/*;q=0.8"}
            response = await self.http.request(method, url, data=sent, headers=headers, follow_redirects=False)
            if response.status_code not in REDIRECTS:
                page = Page(url, response.status_code, response.headers, html.read(response.text, url))
                onward = page.onward
                if onward is None:
                    return page
                method, url, sent, initiator = "GET", onward, None, _Initiator(page, _anywhere)
                came_by = [initiator.origin]
                continue
            came_by.append(url)
            url = urljoin(url, response.headers["location"])
            if response.status_code in {301, 302, 303}:
                method, sent = "GET", None
        raise Stuck(f"it is sent around in a circle, last to {without_query(url)}")


@dataclass(frozen=True, slots=True)
class _Initiator:
    """What began a request: a page, or nothing that a browser knows of."""

    page: Page | None
    allows: Callable[[str], bool]

    @property
    def origin(self) -> str:
        return "" if self.page is None else origin_of(self.page.url)

    def judge(self, url: str) -> None:
        if not self.allows(url):
            raise Stuck(f"the page does not let a form lead to {without_query(url)}: {self.page}")

    def headers(self, method: str, chain: list[str]) -> dict[str, str]:
        told = {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document", "Sec-Fetch-User": "?1"}
        told["Sec-Fetch-Site"] = _site(chain) if self.page is not None else "none"
        if method != "GET" and self.page is not None:
            told["Origin"] = "null" if _hides_origin(self.page, chain[-1]) or _passed_on(chain) else self.origin
        return told


@functools.cache
def _usual_trust() -> ssl.SSLContext:
    """What this computer trusts, read once: every new browser would read it anew."""
    return ssl.create_default_context()


def _anywhere(_url: str) -> bool:
    return True


def _site(chain: list[str]) -> str:
    """The worst of the relations between where a request began and each address on its way."""
    origins = [origin_of(each) for each in chain]
    if all(each == origins[0] for each in origins):
        return "same-origin"
    places = {(urlsplit(each).scheme, urlsplit(each).hostname) for each in chain}
    return "same-site" if len(places) == 1 else "cross-site"


def _passed_on(chain: list[str]) -> bool:
    """Whether a request comes by a redirect from a third origin, which hides where it began."""
    return any(origin_of(each) != origin_of(chain[0]) for each in chain[1:-1])


def _hides_origin(page: Page, url: str) -> bool:
    policy = page.headers.get("referrer-policy", "").split(",")[-1].strip()
    return policy == "no-referrer" or (policy == "same-origin" and origin_of(url) != origin_of(page.url))


def _form_action(page: Page) -> Callable[[str], bool]:
    """Where the forms of a page may lead, as its content security policy says."""
    directives = [part.split() for part in page.headers.get("content-security-policy", "").split(";")]
    sources = next((words[1:] for words in directives if words and words[0].lower() == "form-action"), None)
    if sources is None:
        return _anywhere
    return lambda url: any(_matches(source, url, page.url) for source in sources)


def _matches(source: str, url: str, page: str) -> bool:
    if source == "'self'":
        return origin_of(url) == origin_of(page)
    if source.endswith(":"):
        return url.startswith(source)
    if source.endswith(":*"):
        wanted, given = urlsplit(source.removesuffix(":*")), urlsplit(url)
        return (wanted.scheme, wanted.hostname) == (given.scheme, given.hostname)
    return source == "*" or origin_of(url) == origin_of(source)


def origin_of(url: str) -> str:
    """Scheme, host and port."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def without_query(url: str) -> str:
    """The address alone, which holds nothing that anybody could use."""
    return url.partition("?")[0].partition("#")[0]


async def authorize(browser: Browser, url: str, person: Person, answer: str = "Allow") -> Arrival:
    """Go from an authorization request to the client's redirect address: sign in if asked, then answer.

    Raises: Stuck where no page offers a way on; its text is in the message.
    """
    redirect = dict(parse_qsl(urlsplit(url).query))["redirect_uri"]
    return await until_arrival(browser, await browser.open(url, until=redirect), person, answer, redirect)


async def until_arrival(browser: Browser, screen: Page | Arrival, person: Person, answer: str, until: str) -> Arrival:
    """Go on from a page that is open already."""
    for _ in range(STEPS):
        if isinstance(screen, Arrival):
            return screen
        screen = await _sign_in_step(browser, screen, person, until) or await _press_first(
            browser, screen, (answer, "Continue"), until
        )
    raise Stuck(f"there is no end to it: {screen}")


async def sign_in(browser: Browser, url: str, person: Person) -> Page:
    """Sign in at an address, and give the page on which that ends.

    Raises: Stuck where a page still asks who this is after it was told.
    """
    screen = await browser.open(url)
    for _ in range(STEPS):
        assert isinstance(screen, Page)
        after = await _sign_in_step(browser, screen, person, None)
        if after is None and urlsplit(screen.url).path != "/login":
            return screen
        if after is None:
            raise Stuck(f"there is no way in for this person: {screen}")
        screen = after
    raise Stuck(f"it asks again and again: {screen}")


async def connect(browser: Browser, link: str, person: Person) -> Page:
    """Open the page of a hub that leads to an upstream's sign-in, go there, and sign in. Gives the page of the hub on
    which that ends, which is the first one where nothing leads on.

    Raises: Stuck where a page of the other side offers no way on, or the first one is refused.
    """
    page = await sign_in(browser, link, person)
    label = next((each for each in LEADS_AWAY if page.form_with(each)), None)
    if label is None:
        return page
    screen = await browser.press(page, label)
    while isinstance(screen, Page) and origin_of(screen.url) != origin_of(link):
        onward = await _sign_in_step(browser, screen, person, None)
        if onward is None:
            raise Stuck(f"there is no way on: {screen}")
        screen = onward
    assert isinstance(screen, Page)
    return screen


async def _sign_in_step(browser: Browser, page: Page, person: Person, until: str | None) -> Page | Arrival | None:
    """The page after the next step of signing in; `None` if this page asks for none. Raises: Stuck."""
    if page.status >= 400:
        raise Stuck(str(page))
    if person.provider and any(said.startswith("Sign in with") for said in page.document.links):
        return await browser.follow(page, "Sign in with", until=until)
    for form in page.document.forms:
        name = next((each for each in NAMES if each in form.fields), None)
        if name is not None and form.named("password"):
            filled = {name: person.email, form.named("password")[0]: person.password}
            return await browser.press(page, form.buttons[0].label, filled, until=until)
    if page.form_with("Authorize") is not None:  # an identity provider that asks whether the hub may know
        return await browser.press(page, "Authorize", until=until)
    return None


async def _press_first(browser: Browser, page: Page, labels: tuple[str, ...], until: str) -> Page | Arrival:
    for label in labels:
        if page.form_with(label) is not None:
            return await browser.press(page, label, until=until)
        if any(said.startswith(label) for said in page.document.links):
            return await browser.follow(page, label, until=until)
    raise Stuck(f"nothing on it says {' or '.join(labels)}: {page}")
