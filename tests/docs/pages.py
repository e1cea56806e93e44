"""The documentation as data: pages, headings, fenced blocks, links, tables."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
HEADING = re.compile(r"^(#+) (.+)$", re.MULTILINE)
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
CODE = re.compile(r"`([^`\n]+)`")


@dataclass(frozen=True)
class Page:
    """One file of Markdown; `name` is its path from the root of the repository."""

    name: str
    text: str

    def fences(self, language: str) -> list[str]:
        return [body for found, body in FENCE.findall(self.text) if found == language]

    @property
    def prose(self) -> str:
        """The text without its fenced blocks."""
        return FENCE.sub("", self.text)

    def headings(self, level: int) -> list[str]:
        return [title for marks, title in HEADING.findall(self.prose) if len(marks) == level]

    @property
    def anchors(self) -> set[str]:
        return {anchor(title) for _, title in HEADING.findall(self.prose)}

    @property
    def links(self) -> list[str]:
        return LINK.findall(self.prose)

    @property
    def codes(self) -> list[str]:
        """What stands between single backticks."""
        return CODE.findall(self.prose)

    def table(self, title: str) -> list[list[str]]:
        """The cells of the first table below a heading, without its own head and without backticks."""
        below = self.text.partition(f"# {title}\n")[2]
        rows = re.findall(r"^\|(.*)\|$", re.split(r"^#+ ", below, maxsplit=1, flags=re.MULTILINE)[0], re.MULTILINE)
        return [[cell.strip().replace("`", "") for cell in row.split("|")] for row in rows[2:]]


def anchor(title: str) -> str:
    """The fragment under which a heading is found."""
    return re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")


def page(name: str) -> Page:
    return Page(name, (ROOT / name).read_text(encoding="utf-8"))


def pages() -> Iterator[Page]:
    for path in sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")]):
        yield page(path.relative_to(ROOT).as_posix())
