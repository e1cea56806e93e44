"""What somebody meets on a page: by eye, by keyboard, by finger, by screen reader."""

from dataclasses import dataclass
from itertools import pairwise

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

LOOKS = (("light", 1280), ("dark", 1280), ("dark", 320), ("light", 320))
TARGET = 44
"""Pixels that a finger needs (WCAG 2.5.5)."""

_REACHED = "a[href], button, summary, select, input:not([type=hidden])"
_TARGETS = f"""() => [...document.querySelectorAll('{_REACHED}, label.choice')]
  .filter(each => !each.closest('label.choice') || each.matches('label.choice'))
  .filter(each => getComputedStyle(each).display !== 'inline')
  .map(each => [each.innerText || each.name, each.getBoundingClientRect()])
  .map(([name, box]) => [name, box.width, box.height])"""
_STOP = """() => {
  const each = document.activeElement, box = each.getBoundingClientRect(), style = getComputedStyle(each);
  return each === document.body ? null : {
    name: (each.innerText || each.name || each.value || '').trim(),
    tag: each.tagName.toLowerCase(),
    top: box.top + scrollY, bottom: box.bottom + scrollY, left: box.left,
    outline: style.outlineStyle === 'none' ? 0 : parseFloat(style.outlineWidth),
  };
}"""
_ALL = f"""() => document.querySelectorAll('{_REACHED}, [tabindex="0"]').length"""
_AXE = """async () => {
  const found = (await axe.run({resultTypes: ['violations']})).violations;
  const wide = document.documentElement.scrollWidth, screen = document.documentElement.clientWidth;
  return [...found.map(each => `${each.id}: ${each.nodes[0].html}`), ...(wide > screen ? [`${wide} pixels wide`] : [])];
}"""


@dataclass(frozen=True)
class Stop:
    """Something that the tab key comes to."""

    name: str
    tag: str
    top: float
    bottom: float
    left: float
    outline: float


def complaints(page: Page) -> list[str]:
    """What axe finds on a page, in every look that it has; and where it is wider than its screen."""
    found: list[str] = []
    page.evaluate(Axe().axe_script)
    for scheme, width in LOOKS:
        page.emulate_media(color_scheme=scheme)
        page.set_viewport_size({"width": width, "height": 800})
        found += [f"{scheme} at {width}: {each}" for each in page.evaluate(_AXE)]
    return found


def small_targets(page: Page) -> list[str]:
    """What is too small for a finger. Links inside of a sentence are as high as its lines."""
    return [
        f"{name}: {width} x {height}" for name, width, height in page.evaluate(_TARGETS) if min(width, height) < TARGET
    ]


def stops(page: Page) -> list[Stop]:
    """Where the tab key leads, from the beginning to the end of the page."""
    found: list[Stop] = []
    for _ in range(page.evaluate(_ALL)):
        page.keyboard.press("Tab")
        stop = page.evaluate(_STOP)
        if stop is None:
            break
        found.append(Stop(**stop))
    return found


def out_of_order(found: list[Stop]) -> list[tuple[str, str]]:
    """Pairs of stops of which the second stands before the first for somebody who reads."""
    return [
        (one.name, next_.name)
        for one, next_ in pairwise(found[1:])  # the first, which skips the rest, lies above the page
        if next_.bottom <= one.top or (next_.top < one.bottom and one.top < next_.bottom and next_.left < one.left)
    ]
