"""How every page of the hub looks, and the headers under which browsers show it.

Rule: a page is a template of this package, filled by an engine that escapes every value. It runs no script, loads
nothing from anywhere else, is kept by no cache and shown in no frame. What came with a request is never written back:
outcomes travel as codes, and the sentences are ours.
Source: Content Security Policy Level 3; Referrer Policy. With `no-referrer` browsers would send forms with
`Origin: null`, which cannot be told from a stranger's; `same-origin` says as little to others.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from importlib.resources import files
from math import ceil
from typing import Final, Literal, final
from urllib.parse import urlsplit

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import BaseRoute, Route

_POLICY: Final = (
    "default-src 'none'; style-src 'self'; img-src 'self'; form-action {forms}; base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS: Final = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
_STATIC: Final = {"hub.css": "text/css; charset=utf-8", "icon.svg": "image/svg+xml"}
_FOR_A_YEAR: Final = {"Cache-Control": "public, max-age=31536000, immutable", "X-Content-Type-Options": "nosniff"}
_HOST: Final = re.compile(r"[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?(?::[0-9]{1,5})?")
_SCHEME: Final = re.compile(r"[a-z][a-z0-9+.-]*")


@dataclass(frozen=True, slots=True)
class Notice:
    """A sentence above a page: what came of what was just done, and whether it is good, a warning or bad."""

    text: str
    kind: Literal["good", "warn", "bad"] = "good"


@dataclass(frozen=True, slots=True)
class Onward:
    """A link that leads on from a page: what it says, and a path of the hub."""

    text: str
    path: str


HOME: Final = Onward("To the first page of the hub", "/")


@final
class Frame:
    """The pages of one hub. Keep one: it holds the compiled templates. `version` is the hub's."""

    def __init__(self, version: str) -> None:
        self._assets = {_hashed(name, data): (data, _STATIC[name]) for name, data in _static()}
        self._templates = Environment(
            loader=PackageLoader("mcp_hub.web"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        addresses = {name: f"/static/{_hashed(name, data)}" for name, data in _static()}
        self._common = {"version": version, "static": addresses, "visitor": None, "here": "", "notice": None}
        self._templates.filters.update(when=when, day=day, moment=moment)

    def page(
        self, template: str, *, status: int = 200, form_targets: Iterable[str] = (), **values: object
    ) -> HTMLResponse:
        """A page from a template of this package.

        `form_targets` are URLs to which the answer to a form of this page may redirect, besides the hub's own.
        Every page takes `visitor` (a `Shown`), `here` (the path of the entry in the navigation it belongs to) and
        `notice` (a `Notice`: what came of what was just done).
        """
        text = self._templates.get_template(template).render({**self._common, **values})
        forms = " ".join(("'self'", *sorted({_source(url) for url in form_targets})))
        headers = {**_HEADERS, "Content-Security-Policy": _POLICY.format(forms=forms)}
        return HTMLResponse(text, status, headers)

    def error(
        self,
        title: str,
        sentence: str,
        next_step: str,
        *,
        status: int,
        code: str = "",
        onward: Onward = HOME,
        visitor: object = None,
    ) -> HTMLResponse:
        """A page that says what happened, and what to do now. `code` is for whoever is asked for help."""
        given = {"title": title, "sentence": sentence, "next_step": next_step, "code": code}
        return self.page("error.html", status=status, form_targets=(), onward=onward, visitor=visitor, **given)

    def routes(self) -> list[BaseRoute]:
        """The style sheet and the icon, at addresses that change with them."""
        return [Route("/static/{name}", self._asset)]

    async def _asset(self, request: Request) -> Response:
        data, media = self._assets.get(request.path_params["name"], (None, ""))
        if data is None:
            return Response("Not found\n", 404, media_type="text/plain")
        return Response(data, media_type=media, headers=_FOR_A_YEAR)


def try_again(response: Response, wait: float | None) -> Response:
    """The same response. Where it helps to wait for `wait` seconds, its status and its headers say so."""
    if wait is not None:
        response.status_code = 429
        response.headers["Retry-After"] = str(ceil(wait))
    return response


def when(at: float) -> Markup:
    """A moment (unix seconds) for people and programs: the minute, in UTC."""
    moment = datetime.fromtimestamp(at, UTC)
    return _time(moment, f"{moment.day} {moment:%b %Y, %H:%M} UTC")


def moment(at: float) -> Markup:
    """The same, to the second and without the year, where many stand below each other."""
    moment = datetime.fromtimestamp(at, UTC)
    return _time(moment, f"{moment.day} {moment:%b, %H:%M:%S} UTC")


def day(at: float) -> Markup:
    """The same, without the time of day."""
    moment = datetime.fromtimestamp(at, UTC)
    return _time(moment, f"{moment.day} {moment:%b %Y}")


def _time(moment: datetime, shown: str) -> Markup:
    return Markup('<time datetime="{}">{}</time>').format(f"{moment:%Y-%m-%dT%H:%M:%SZ}", shown)


def _source(url: str) -> str:
    """What a policy calls the place of a URL: its origin, or its scheme where it has no host that a policy can name.

    Raises:
        ValueError: it has neither.
    """
    parts = urlsplit(url)
    host = parts.netloc.lower()
    if parts.scheme in ("http", "https") and _HOST.fullmatch(host):
        return f"{parts.scheme}://{host}"
    if not _SCHEME.fullmatch(parts.scheme):
        raise ValueError("a form's target has to be an absolute URL")
    return f"{parts.scheme}:"


def _static() -> list[tuple[str, bytes]]:
    folder = files("mcp_hub.web") / "static"
    return [(name, (folder / name).read_bytes()) for name in _STATIC]


def _hashed(name: str, data: bytes) -> str:
    stem, _, ending = name.rpartition(".")
    return f"{stem}.{sha256(data).hexdigest()[:12]}.{ending}"
