"""What a person finds on a page: its forms with what is filled in already, its buttons, its links, its words.

No script is run and no style is read; a page of the hub must work without them.
"""

from dataclasses import dataclass, field
from html.parser import HTMLParser
from urllib.parse import urljoin

UNSEEN = frozenset({"style", "script", "template"})
FILLED = frozenset({"button", "submit", "image", "reset", "file"})


@dataclass(frozen=True, slots=True)
class Button:
    """Sends its form; the label is what stands on it."""

    label: str
    name: str = ""
    value: str = ""
    action: str = ""


@dataclass(slots=True)
class Form:
    """Where it goes, what it holds before anybody types, and what a person can press."""

    action: str
    method: str
    fields: dict[str, str] = field(default_factory=dict)
    kinds: dict[str, str] = field(default_factory=dict)
    buttons: list[Button] = field(default_factory=list)

    def named(self, kind: str) -> list[str]:
        """The names of its fields of this kind, as in `password`."""
        return [name for name, each in self.kinds.items() if each == kind]


@dataclass(slots=True)
class Document:
    """A page as it is read; `text` is everything that can be seen, in one line. `onward` is where it goes by itself."""

    title: str = ""
    text: str = ""
    forms: list[Form] = field(default_factory=list)
    links: dict[str, str] = field(default_factory=dict)
    onward: str | None = None


def read(html: str, url: str) -> Document:
    """The document; every address in it is complete."""
    reader = _Reader(url)
    reader.feed(html)
    reader.close()
    reader.document.text = " ".join(" ".join(reader.words).split())
    return reader.document


def refresh(said: str, url: str) -> str | None:
    """Where `0;url=...` leads from this page; `None` if it only loads the page again."""
    address = said.partition(";")[2].strip()
    return urljoin(url, address[4:].strip("'\"")) if address[:4].lower() == "url=" else None


class _Reader(HTMLParser):
    def __init__(self, url: str) -> None:
        super().__init__()
        self.document = Document()
        self.words: list[str] = []
        self._url = url
        self._form: Form | None = None
        self._within: list[str] = []
        self._said: list[str] = []
        self._about: dict[str, str] = {}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        told = {name: value or "" for name, value in attrs}
        if tag == "form":
            method = told.get("method", "get").upper()
            self._form = Form(urljoin(self._url, told.get("action", "")), method)
            self.document.forms.append(self._form)
        elif tag == "input":
            self._input(told)
        elif tag == "meta" and told.get("http-equiv", "").lower() == "refresh":
            self.document.onward = refresh(told.get("content", ""), self._url)
        elif tag in {"a", "button", "title", "select", "textarea"} or tag in UNSEEN:
            self._within.append(tag)
            self._said, self._about = [], told
        elif tag == "option" and "selected" in told:
            self._fill(self._about.get("name", ""), told.get("value", ""), "select")

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._form = None
        if tag not in self._within:
            return
        self._within.remove(tag)
        said = " ".join("".join(self._said).split())
        if tag == "title":
            self.document.title = said
        elif tag == "a" and "href" in self._about:
            self.document.links[said] = urljoin(self._url, self._about["href"])
        elif tag == "button" and self._about.get("type", "submit") == "submit":
            self._button(said, self._about)
        elif tag == "textarea":
            self._fill(self._about.get("name", ""), said, "textarea")

    def handle_data(self, data: str) -> None:
        if not UNSEEN & {*self._within}:
            self._said.append(data)
            self.words.append(data)

    def _input(self, told: dict[str, str]) -> None:
        kind = told.get("type", "text").lower()
        if kind in {"submit", "image"}:
            self._button(told.get("value", "Submit"), told)
        elif kind in {"checkbox", "radio"} and "checked" not in told:
            return
        elif kind not in FILLED:
            self._fill(told.get("name", ""), told.get("value", "on" if kind == "checkbox" else ""), kind)

    def _fill(self, name: str, value: str, kind: str) -> None:
        if self._form is not None and name:
            self._form.fields[name] = value
            self._form.kinds[name] = kind

    def _button(self, label: str, told: dict[str, str]) -> None:
        if self._form is not None:
            action = urljoin(self._url, told["formaction"]) if "formaction" in told else ""
            self._form.buttons.append(Button(label, told.get("name", ""), told.get("value", ""), action))
