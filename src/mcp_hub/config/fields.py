"""How the text of one value is read: the one place that knows what a duration, a size or a header value is.

Rule: a reader takes text and gives the value or a sentence; no sentence ever holds the value, which may be a secret.
"""

import re
from abc import ABC, abstractmethod
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Final

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from mcp_hub.secret import Secret

VARIABLE: Final = {"type": "string", "pattern": r"\$\{"}
"""What a JSON Schema allows wherever a value may come from a variable."""

NAME: Final = re.compile(r"[a-z][a-z0-9-]{0,31}")
RESERVED_NAMES: Final = frozenset({"hub"})

Json = dict[str, Any]

CONTROL: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")
_HALF: Final = re.compile("[\ud800-\udfff]")
_WHOLE: Final = re.compile(r"0|[1-9][0-9]{0,14}")
_DURATION: Final = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,3})?)(ms|s|m|h|d)")
_SECONDS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_SIZE: Final = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,3})?) ?(B|kB|KB|MB|GB|KiB|MiB|GiB)?")
_BYTES: Final = {
    "B": 1, "kB": 10**3, "KB": 10**3, "MB": 10**6, "GB": 10**9, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30,
}  # fmt: skip


def wrong(sentence: str, hint: str = "", *, at_key: bool = False) -> PydanticCustomError:
    """What a reader raises: a sentence that goes on "`path`: …", and perhaps a next step. `at_key` is for what is wrong
    with a key, whatever its value."""
    return PydanticCustomError("rule", "{sentence}", {"sentence": sentence, "hint": hint, "at_key": at_key})


class Reader(ABC):
    """Put into `Annotated[...]` it reads the field; `takes` says what in words."""

    takes = "text"

    @property
    def words(self) -> str:
        """What it reads, for people."""
        return self.takes

    @abstractmethod
    def read(self, raw: str) -> Any:
        """The value.

        Raises:
            PydanticCustomError: by `wrong`.
        """

    @abstractmethod
    def schema(self) -> Json:
        """What an editor may check before variables are expanded."""

    def _read(self, raw: object) -> Any:
        if not isinstance(raw, str):
            raise wrong(f"must be {self.words}" if raw is not None else f"has no value; it must be {self.words}")
        return self.read(raw)

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(self._read)

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> Json:
        return self.schema()


@dataclass(frozen=True, slots=True)
class Text(Reader):
    """Any text without control characters."""

    def read(self, raw: str) -> str:
        if CONTROL.search(raw):
            raise wrong("holds a control character")
        return raw

    def schema(self) -> Json:
        return {"type": "string"}


@dataclass(frozen=True, slots=True)
class Pattern(Text):
    """A pattern over names: text that is not empty, in which `*` stands for anything."""

    takes = "a name or a pattern such as delete_*"

    def read(self, raw: str) -> str:
        if not raw:
            raise wrong("must not be empty")
        return Text.read(self, raw)


@dataclass(frozen=True, slots=True)
class Word(Reader):
    """A word of a command, or a value of its environment: any text that a process can be given."""

    def read(self, raw: str) -> Secret:
        if not fits_a_process(raw):
            raise wrong("holds a character that no process can be given")
        return Secret(raw)

    def schema(self) -> Json:
        return {"type": "string"}


@dataclass(frozen=True, slots=True)
class VariableName(Reader):
    """The name of an environment variable."""

    takes = "the name of a variable"

    def read(self, raw: str) -> str:
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", raw):
            raise wrong("must be letters, digits and _, and not start with a digit")
        return raw

    def schema(self) -> Json:
        return {"type": "string", "pattern": "^[A-Za-z_][A-Za-z0-9_]*$"}


@dataclass(frozen=True, slots=True)
class Original(Pattern):
    """The name an upstream itself gives to something."""

    takes = "the server's own name"


@dataclass(frozen=True, slots=True)
class Switch(Reader):
    """`true` or `false` and nothing else: what YAML 1.1 made of `yes` and `off` is refused."""

    takes = "true or false"

    def read(self, raw: str) -> bool:
        if raw not in {"true", "false"}:
            raise wrong("must be true or false")
        return raw == "true"

    def schema(self) -> Json:
        return {"anyOf": [{"type": "boolean"}, VARIABLE]}


@dataclass(frozen=True, slots=True)
class Prefix(Reader):
    """`true`, `false` or a namespace."""

    takes = "true, false or a name"

    def read(self, raw: str) -> bool | str:
        if raw in {"true", "false"}:
            return raw == "true"
        if raw.lower() in {"yes", "no", "on", "off", "true", "false"}:
            raise wrong("must be true or false, in these words, or a name")
        return _require_name(raw, guess="")

    def schema(self) -> Json:
        return {"anyOf": [{"type": "boolean"}, {"type": "string", "pattern": rf"^{NAME.pattern}$"}, VARIABLE]}


@dataclass(frozen=True, slots=True)
class Name(Reader):
    """The name of an upstream."""

    takes = "a name of lower-case letters, digits and hyphens"

    def read(self, raw: str) -> str:
        # A key is no secret, so the nearest name to it may be said.
        return _require_name(raw, guess=slug(raw))

    def schema(self) -> Json:
        return {"type": "string", "pattern": rf"^{NAME.pattern}$"}


@dataclass(frozen=True, slots=True)
class Whole(Reader):
    """A whole number from `low` to `high`."""

    low: int
    high: int

    @property
    def words(self) -> str:
        return f"a whole number from {self.low} to {self.high}"

    def read(self, raw: str) -> int:
        if not _WHOLE.fullmatch(raw) or not self.low <= int(raw) <= self.high:
            raise wrong(f"must be {self.words}")
        return int(raw)

    def schema(self) -> Json:
        return {"anyOf": [{"type": "integer", "minimum": self.low, "maximum": self.high}, VARIABLE]}


@dataclass(frozen=True, slots=True)
class Version(Reader):
    """The version of the file's form."""

    takes = "1"

    def read(self, raw: str) -> int:
        if raw != "1":
            raise wrong("this hub reads version 1", "write 'version: 1'")
        return 1

    def schema(self) -> Json:
        return {"const": 1}


@dataclass(frozen=True, slots=True)
class Duration(Reader):
    """A span of time with its unit, from `low` to `high` seconds."""

    low: float
    high: float
    takes = "a duration such as 60s, 500ms, 5m, 1h or 30d"

    def read(self, raw: str) -> float:
        match = _DURATION.fullmatch(raw)
        if match is None and raw != "0":
            digits = _WHOLE.fullmatch(raw) is not None
            raise wrong(f"must be {self.words}", "add the unit: s for seconds" if digits else "")
        seconds = float(match[1]) * _SECONDS[match[2]] if match else 0.0
        if not self.low <= seconds <= self.high:
            raise wrong(f"must be from {duration_text(self.low)} to {duration_text(self.high)}")
        return seconds

    def schema(self) -> Json:
        written = {"type": "string", "pattern": rf"^(0|{_DURATION.pattern})$"}
        return {"anyOf": [written, {"const": 0}, VARIABLE]}


@dataclass(frozen=True, slots=True)
class Size(Reader):
    """A number of bytes from `low` to `high`, with or without a unit."""

    low: int
    high: int
    takes = "a size such as 4MiB, 64KiB, 10MB or a number of bytes"

    def read(self, raw: str) -> int:
        match = _SIZE.fullmatch(raw)
        if match is None:
            raise wrong(f"must be {self.words}")
        size = int(float(match[1]) * _BYTES[match[2] or "B"])
        if not self.low <= size <= self.high:
            raise wrong(f"must be from {size_text(self.low)} to {size_text(self.high)}")
        return size

    def schema(self) -> Json:
        number = {"type": "integer", "minimum": self.low, "maximum": self.high}
        return {"anyOf": [number, {"type": "string", "pattern": rf"^{_SIZE.pattern}$"}, VARIABLE]}


@dataclass(frozen=True, slots=True)
class Choice(Reader):
    """One of a few words; `later` are those that this version knows of and cannot do yet."""

    options: tuple[str, ...]
    later: tuple[str, ...] = ()

    @property
    def words(self) -> str:
        return " or ".join(self.options)

    def read(self, raw: str) -> str:
        if raw in self.later:
            raise wrong(f"'{raw}' is not supported yet", f"this version knows: {', '.join(self.options)}")
        if raw not in self.options:
            close = get_close_matches(raw, self.options, n=1)
            raise wrong(f"must be {self.words}", f"did you mean '{close[0]}'?" if close else "")
        return raw

    def schema(self) -> Json:
        return {"anyOf": [{"enum": list(self.options)}, VARIABLE]}


@dataclass(frozen=True, slots=True)
class NewName(Reader):
    """What a tool or prompt is called instead."""

    takes = "a name of letters, digits, _ and -"

    def read(self, raw: str) -> str:
        if not re.fullmatch(r"[A-Za-z0-9_-]{1,60}", raw):
            raise wrong("must be 1 to 60 letters, digits, _ or -")
        return raw

    def schema(self) -> Json:
        return {"anyOf": [{"type": "string", "pattern": "^[A-Za-z0-9_-]{1,60}$"}, VARIABLE]}


def fits_a_process(raw: str) -> bool:
    """Whether a command or its environment can hold this text."""
    return "\x00" not in raw and _HALF.search(raw) is None


def _require_name(raw: str, guess: str) -> str:
    if raw in RESERVED_NAMES:
        raise wrong("this name belongs to the hub's own tools", "choose another name")
    if not NAME.fullmatch(raw):
        better = f"did you mean '{guess}'?" if guess and guess not in RESERVED_NAMES else ""
        raise wrong("must be 1 to 32 lower-case letters, digits and hyphens, starting with a letter", better)
    return raw


def slug(raw: str) -> str:
    """The nearest name to `raw` that an upstream may have; empty if nothing is left."""
    text = re.sub(r"[^a-z0-9]+", "-", raw.lower())
    return re.sub(r"^[^a-z]+", "", text)[:32].rstrip("-")


def duration_text(seconds: float) -> str:
    """Seconds as they are written in the file."""
    for unit in ("d", "h", "m", "s"):
        if seconds and seconds % _SECONDS[unit] == 0 and (unit != "m" or seconds > _SECONDS[unit]):
            return f"{int(seconds / _SECONDS[unit])}{unit}"
    return f"{seconds * 1000:.3f}".rstrip("0").rstrip(".") + "ms" if seconds else "0"


def size_text(size: int) -> str:
    """Bytes as they are written in the file."""
    for unit in ("GiB", "MiB", "KiB"):
        if size and size % _BYTES[unit] == 0:
            return f"{size // _BYTES[unit]}{unit}"
    return str(size)
