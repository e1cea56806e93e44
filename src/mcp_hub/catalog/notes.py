"""What the hub says beside the lists: who is missing and why, whose instructions are whose, how long all this holds.

Rule: an upstream's words stand under its own heading, bounded and cleaned, and cannot open a heading of the hub's.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from mcp_hub.catalog.parts import Part
from mcp_hub.catalog.text import clean_text, label
from mcp_hub.wire.jsonrpc import Json

META_UPSTREAMS: Final = "io.mcp-hub/upstreams"
"""The key in `_meta` of merged lists under which absences are named."""
MAX_INSTRUCTIONS: Final = 8000

_MARK: Final = "…"
_heading: Final = re.compile(r"^([ \t]*)#", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Absence:
    """One upstream that a list lacks, or holds as it was earlier (`stale`).

    `sentence` says why and what to do, `link` is the page that cures it; `state` is one of the five connection states.
    """

    upstream: str
    state: str
    sentence: str
    link: str | None = None
    stale: bool = False


def absences_meta(absences: Iterable[Absence]) -> Json:
    """The value of `_meta["io.mcp-hub/upstreams"]`: by upstream, in the given order."""
    return {absence.upstream: _absence_object(absence) for absence in absences}


def instructions(
    hub_line: str,
    sections: Sequence[tuple[str, str]],
    absences: Sequence[Absence] = (),
    limit: int = MAX_INSTRUCTIONS,
) -> str:
    """The hub's line, what is missing, and each upstream's (title, instructions), in at most `limit` characters.

    What is missing comes first, because it explains the rest; sections share the room that is left, so that a long one
    shortens itself and not its neighbours.
    """
    head = hub_line
    if absences:
        head = _cut("\n".join((f"{hub_line}\n", *map(_absence_line, absences))), limit // 2)
    bodies = [(f"\n\n## {label(title)}\n", _demoted(body)) for title, body in sections if body.strip()]
    room = limit - len(head) - sum(len(heading) for heading, _ in bodies)
    shares = _shares([len(body) for _, body in bodies], max(room, 0))
    tail = "".join(heading + _cut(body, share) for (heading, body), share in zip(bodies, shares, strict=True))
    return _cut(head + tail, limit)


def ttl_ms(parts: Iterable[Part], default: int) -> int:
    """How long a merged list is fresh: as its shortest-lived part, `default` for those that say nothing."""
    return min((default if part.ttl_ms is None else part.ttl_ms for part in parts), default=default)


def cache_scope(parts: Iterable[Part], *, filtered: bool) -> str:
    """`public` only if every part is and nothing was `filtered` for this caller, else `private`."""
    scopes = [part.public for part in parts]
    return "public" if scopes and all(scopes) and not filtered else "private"


def _absence_object(absence: Absence) -> Json:
    told: Json = {"state": absence.state, "stale": absence.stale, "message": absence.sentence}
    return told if absence.link is None else {**told, "link": absence.link}


def _absence_line(absence: Absence) -> str:
    line = f"- {absence.upstream} ({absence.state}): {absence.sentence}"
    return line if absence.link is None or absence.link in absence.sentence else f"{line} {absence.link}"


def _demoted(body: str) -> str:
    """The text without what cannot be seen, its headings two levels down, below the hub's."""
    return _heading.sub(r"\1###", clean_text(body).strip())


def _cut(text: str, limit: int) -> str:
    if len(text) <= limit:
        return text
    return text[: limit - len(_MARK)] + _MARK if limit >= len(_MARK) else ""


def _shares(lengths: Sequence[int], room: int) -> list[int]:
    """Room for each so that what short ones leave over goes to the long ones."""
    shares = [0] * len(lengths)
    for waiting, index in enumerate(sorted(range(len(lengths)), key=lengths.__getitem__)):
        shares[index] = min(lengths[index], room // (len(lengths) - waiting))
        room -= shares[index]
    return shares
