"""`WWW-Authenticate`: what an answer of 401 or 403 asks for (RFC 9110 section 11.6.1, RFC 6750, RFC 9728).

Rule: a header of a stranger is read once, in time linear in its length, and what is not plain says nothing. Junk ends
at the next comma; a parameter that is given twice with different values counts as not given; what is over a limit is
left out whole, so nothing is ever cut into something else.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, final

MAX_CHARS: Final = 16 * 1024
"""How long one header value may be, and all of one answer together."""
MAX_CHALLENGES: Final = 32
"""How many challenges of one answer count: the first ones."""
MAX_PARAMS: Final = 64
"""How many parameters of one challenge count: the first ones."""

_TCHAR: Final = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]"
_GAP: Final = re.compile(r"[ \t,]*")
_PARAM: Final = re.compile(rf"({_TCHAR}+)[ \t]*=[ \t]*(?=[^ \t=,])")
_SCHEME: Final = re.compile(rf"({_TCHAR}+)(?=[ \t,]|\Z)[ \t]*")
_TOKEN68: Final = re.compile(r"([0-9A-Za-z\-._~+/]+=*)[ \t]*(?=,|\Z)")
# Addresses are often sent without the quotes that they need; nothing else can be meant by them.
_BARE: Final = re.compile(r"([\x21\x23-\x2b\x2d-\x5b\x5d-\x7e]+)(?=[ \t,]|\Z)")
_QUOTED: Final = re.compile(r'"((?:[\t \x21\x23-\x5b\x5d-\x7e\x80-\xff]|\\[\t \x21-\x7e\x80-\xff])*)"')
_ESCAPED: Final = re.compile(r"\\(.)")

_SCOPES: Final = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+(?: +[\x21\x23-\x5b\x5d-\x7e]+)*")
_ERROR: Final = re.compile(r"[\x20\x21\x23-\x5b\x5d-\x7e]+")
_ADDRESS: Final = re.compile(r"[\x21-\x7e]+")


@final
@dataclass(frozen=True, slots=True)
class Challenge:
    """One challenge. `scheme` and the names of `params` are in lower case; values are as they came, unescaped.

    A name that came twice with different values is not in `params`. `token68` is empty where there is none.
    """

    scheme: str
    params: Mapping[str, str]
    token68: str = ""


@final
@dataclass(frozen=True, slots=True)
class BearerChallenge:
    """What the Bearer challenges of one answer say together; `None` where they say nothing, or contradict themselves.

    `resource_metadata` is an address as it was given, in visible ASCII: nothing says that it may be fetched. `scope`
    has its parts in the order given, each once, one space between them (RFC 6749 section 3.3).
    """

    resource_metadata: str | None = None
    scope: str | None = None
    error: str | None = None


def parse(values: Iterable[str]) -> list[Challenge]:
    """Every challenge in these header values, in order. Never fails: junk is skipped."""
    found: list[Challenge] = []
    room = MAX_CHARS
    for value in values:
        room -= len(value)
        if room < 0:
            break
        found.extend(_challenges(value))
    return found[:MAX_CHALLENGES]


def bearer(values: Iterable[str]) -> BearerChallenge | None:
    """What is asked of a bearer token (RFC 6750 section 3); `None` where no challenge is of that scheme."""
    found = [each.params for each in parse(values) if each.scheme == "bearer"]
    if not found:
        return None
    scope = _one(found, "scope", _SCOPES)
    return BearerChallenge(
        resource_metadata=_one(found, "resource_metadata", _ADDRESS),
        scope=scope and " ".join(dict.fromkeys(scope.split())),
        error=_one(found, "error", _ERROR),
    )


def _one(challenges: list[Mapping[str, str]], name: str, form: re.Pattern[str]) -> str | None:
    """The value all agree on who give one, if it has the form that the specification gives it."""
    given = {params[name] for params in challenges if name in params}
    value = given.pop() if len(given) == 1 else ""
    return value if form.fullmatch(value) else None


@final
class _Open:
    """A challenge that is being read."""

    __slots__ = ("params", "refused", "scheme", "token68")

    def __init__(self, scheme: str, token68: str) -> None:
        self.scheme = scheme.lower()
        self.token68 = token68
        self.params: dict[str, str] = {}
        self.refused: set[str] = set()

    def add(self, name: str, value: str | None) -> None:
        """One parameter; `None` is one that cannot be read, which then counts as given twice."""
        if value is None or self.params.get(name, value) != value:
            self.refused.add(name)
        elif len(self.params) < MAX_PARAMS:
            self.params[name] = value

    def closed(self) -> Challenge:
        kept = {name: value for name, value in self.params.items() if name not in self.refused}
        return Challenge(self.scheme, MappingProxyType(kept), self.token68)


def _challenges(value: str) -> Iterator[Challenge]:
    """The challenges of one header value. A parameter before the first scheme belongs to nobody."""
    now: _Open | None = None
    at = _after(_GAP, value, 0)
    while at < len(value):
        if param := _PARAM.match(value, at):
            text, at = _value(value, param.end())
            if now is not None:
                now.add(param[1].lower(), text)
        elif scheme := _SCHEME.match(value, at):
            if now is not None:
                yield now.closed()
            token68 = _TOKEN68.match(value, scheme.end()) if value[scheme.end() - 1] in " \t" else None
            now = _Open(scheme[1], token68[1] if token68 else "")
            at = token68.end() if token68 else scheme.end()
        else:
            at = _junk(value, at)
        at = _after(_GAP, value, at)
    if now is not None:
        yield now.closed()


def _value(value: str, at: int) -> tuple[str | None, int]:
    """The value of a parameter that begins here, and where it ends; `None` if it is not one."""
    if quoted := _QUOTED.match(value, at):
        end = quoted.end()
        if end == len(value) or value[end] in " \t,":
            return _ESCAPED.sub(r"\1", quoted[1]), end
    elif bare := _BARE.match(value, at):
        return bare[1], bare.end()
    return None, _junk(value, at)


def _junk(value: str, at: int) -> int:
    """Where junk that begins here ends: at the next comma that no quotes hold, or with the value."""
    while at < len(value) and value[at] != ",":
        if value[at] == '"':
            quoted = _QUOTED.match(value, at)
            at = quoted.end() if quoted else len(value)
        else:
            at += 1
    return at


def _after(pattern: re.Pattern[str], value: str, at: int) -> int:
    found = pattern.match(value, at)
    return found.end() if found else at
