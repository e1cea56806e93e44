"""Which of an upstream's own names are offered at all.

Rule: what a filter does not permit is neither listed nor reached. Patterns are shell globs, matched with case against
the name as the upstream spells it (for resources, against the URI as text).
"""

import re
from dataclasses import dataclass, field
from fnmatch import translate
from typing import Final


@dataclass(frozen=True, slots=True)
class Filter:
    """`allow` permits only what it names, `None` permits everything; `deny` outweighs `allow`."""

    allow: tuple[str, ...] | None = None
    deny: tuple[str, ...] = ()
    _allowed: tuple[re.Pattern[str], ...] | None = field(init=False, repr=False, compare=False)
    _denied: tuple[re.Pattern[str], ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_allowed", None if self.allow is None else _compiled(self.allow))
        object.__setattr__(self, "_denied", _compiled(self.deny))

    def permits(self, name: str) -> bool:
        """Whether this name may be listed and reached."""
        return not self.denies(name) and (self._allowed is None or _any(self._allowed, name))

    def denies(self, name: str) -> bool:
        """Whether this name is refused by `deny`."""
        return _any(self._denied, name)


def _compiled(globs: tuple[str, ...]) -> tuple[re.Pattern[str], ...]:
    # `translate` writes atomic groups, so many stars in one glob cannot make matching explode.
    return tuple(re.compile(translate(glob)) for glob in globs)


def _any(patterns: tuple[re.Pattern[str], ...], name: str) -> bool:
    return any(pattern.match(name) for pattern in patterns)


EVERYTHING: Final = Filter()
