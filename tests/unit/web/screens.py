"""Somebody who looks at pages in memory and presses their buttons."""

from dataclasses import dataclass

import httpx2

from mcp_hub.principal import Principal
from rig import html

URL = "http://127.0.0.1:8080"


@dataclass
class Screen:
    """What a browser shows: `answer` as it came, `document` as it is read."""

    answer: httpx2.Response
    document: html.Document

    @property
    def text(self) -> str:
        return self.document.text

    @property
    def status(self) -> int:
        return self.answer.status_code

    @property
    def location(self) -> str:
        return self.answer.headers.get("location", "")

    def buttons(self) -> set[str]:
        """What stands on the buttons of its forms."""
        return {button.label for form in self.document.forms for button in form.buttons}


class Sitting:
    """One browser before a site."""

    def __init__(self, app, cookie: str | None = None, url: str = URL, caller: Principal | None = None):
        self.caller = caller
        self.http = httpx2.AsyncClient(
            transport=httpx2.ASGITransport(app), base_url=url, headers={"accept": "text/html"}
        )
        if cookie is not None:
            self.http.cookies.set("mcp_hub", cookie)

    async def look(self, path: str, **headers: str) -> Screen:
        """A page, wherever it sends to."""
        return self._screen(await self.http.get(path, headers=headers))

    async def follow(self, screen: Screen) -> Screen:
        """The page that this one sends to."""
        return await self.look(screen.location)

    async def press(self, screen: Screen, label: str, *, origin: str | None = URL, **filled: str) -> Screen:
        """The answer to the form of a button, filled in."""
        form, _ = next(
            (form, button) for form in screen.document.forms for button in form.buttons if button.label == label
        )
        headers = {} if origin is None else {"origin": origin}
        return self._screen(await self.http.post(form.action, data={**form.fields, **filled}, headers=headers))

    async def send(self, path: str, **fields: str) -> Screen:
        """A form that no page has shown."""
        return self._screen(await self.http.post(path, data=fields))

    def _screen(self, answer: httpx2.Response) -> Screen:
        return Screen(answer, html.read(answer.text, str(answer.url)))
