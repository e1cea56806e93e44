"""Server lists of MCP clients: `mcpServers`, `servers` of VS Code and others, with what is secret in them taken out.

Rule: a literal that may be a secret never comes out of here; its place takes a variable, and the variable is listed.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Final, cast

from pydantic_core import Url

from mcp_hub.config.addresses import split_url
from mcp_hub.config.fields import CONTROL, RESERVED_NAMES, fits_a_process, slug
from mcp_hub.config.headers import HeaderName
from mcp_hub.config.jsonc import plain
from mcp_hub.config.rules import starts_a_hub

Json = dict[str, Any]

_VARIABLE: Final = re.compile(r"\$\{([^{}]*)\}")
_SCHEME: Final = re.compile(r"(Bearer|Basic|Token|ApiKey|Api-Key) +(.+)", re.IGNORECASE | re.DOTALL)
_SECRET_KEY: Final = re.compile(r"key|token|secret|auth|pass|pwd|sig|cred|session|code", re.IGNORECASE)
_SECRET_START: Final = re.compile(r"sk-|pk-|rk-|gh[a-z]_|github_pat_|glpat-|xox[a-z]-|AKIA|eyJ|Bearer |Basic ")
_LONG: Final = 20
_LISTS: Final = (("mcpServers",), ("servers",), ("mcp", "servers"), ("context_servers",), ("amp.mcpServers",))
"""Where clients keep their servers; the last two are Zed's and Amp's."""
_REMARK: Final = re.compile(r"\A\s*#[^\r\n]*")
"""A line above the list that says where it belongs, as a shell would write it."""


class NotAServerList(ValueError):
    """The text holds no server list; the sentence says why and holds nothing of the text."""


@dataclass(slots=True)
class Variables:
    """The variables one server needs, each with what it has to hold; `taken` is shared by all servers of a file."""

    taken: set[str] = field(default_factory=set[str])
    meanings: dict[str, str] = field(default_factory=dict[str, str])

    def take(self, name: str, meaning: str) -> str:
        """A reference to a new variable called like `name`, which nothing else is called."""
        base = re.sub(r"[^A-Z0-9]+", "_", name.upper()).strip("_") or "VALUE"
        base = f"V_{base}" if base[0].isdigit() else base
        free, number = base, 1
        while free in self.taken:
            number += 1
            free = f"{base}_{number}"
        self.taken.add(free)
        self.meanings[free] = meaning
        return f"${{{free}}}"

    def known(self, name: str, meaning: str) -> str:
        """A reference to a variable that the file itself names; the same name is the same variable."""
        self.meanings.setdefault(name, meaning)
        return f"${{{name}}}"


@dataclass(slots=True)
class Foreign:
    """One server of the list. Either it has a `url`, or it is a local command, or `left_out` says why it is neither.

    All texts are values as our file writes them: variables as `${NAME}`, a plain dollar sign as `$$`.
    """

    name: str
    title: str
    url: str = ""
    transport: str = ""
    headers: dict[str, str] = field(default_factory=dict[str, str])
    command: list[str] = field(default_factory=list[str])
    env: dict[str, str] = field(default_factory=dict[str, str])
    cwd: str = ""
    description: str = ""
    enabled: bool = True
    left_out: str = ""
    notes: list[str] = field(default_factory=list[str])
    variables: Variables = field(default_factory=Variables)


def read_servers(text: str) -> list[Foreign]:
    """The servers in the file of a client, in their order.

    Raises:
        NotAServerList: not JSON, or without a server list.
    """
    names: set[str] = set(RESERVED_NAMES)
    variables = {_said(reference)[1] for reference in _VARIABLE.finditer(text)}
    found: list[Foreign] = []
    for title, entry in _servers(text).items():
        name = _free(slug(title) or "server", names)
        names.add(name)
        server = Foreign(name, _plain_text(title), variables=Variables(variables))
        _fill(server, _flat(cast("Json", entry)) if isinstance(entry, dict) else {})
        found.append(server)
    return found


def _servers(text: str) -> Mapping[str, Any]:
    try:
        data: Any = json.loads(_whole(text))
    except json.JSONDecodeError as error:
        raise NotAServerList(f"this is not JSON, from line {error.lineno}, column {error.colno} on") from None
    except (RecursionError, ValueError):
        raise NotAServerList(
            "this JSON cannot be read: it is nested too deeply or holds a number that is too long"
        ) from None
    for path in _LISTS:
        found = data
        for key in path:
            found = cast("Json", found).get(key) if isinstance(found, dict) else None
        if isinstance(found, dict):
            return cast("Json", found)
    raise NotAServerList("there is neither 'mcpServers' nor 'servers' in it")


def _whole(text: str) -> str:
    """Plain JSON. Pages of servers often show only the member that is to be pasted, without the braces around it."""
    bare = plain(_REMARK.sub("", text))
    return plain(f"{{{bare}}}") if bare.lstrip().startswith('"') else bare


def _flat(entry: Json) -> Json:
    """A server's entry whose command is a word: Zed used to put the word and all that belongs to it into an object."""
    inner = entry.get("command")
    if not isinstance(inner, dict):
        return entry
    inner = cast("Json", inner)
    return {**entry, **inner, "command": inner.get("path")}


def _free(name: str, taken: set[str]) -> str:
    if name not in taken:
        return name
    numbered = (f"{name[: 31 - len(str(n))]}-{n}" for n in range(2, len(taken) + 3))
    return next(one for one in numbered if one not in taken)


def probe(url: str) -> Url | None:
    """The parts of an imported URL, with something in the place of its variables; `None` if its host is not known."""
    if not re.match(r"https?://[^/?$]+", url):
        return None
    return split_url(_VARIABLE.sub("1", url))


def _fill(server: Foreign, entry: Json) -> None:
    server.description = _plain_text(_text(entry, "description"))
    server.enabled = entry.get("disabled") is not True and entry.get("enabled") is not False
    url = _text(entry, "url") or _text(entry, "serverUrl") or _text(entry, "httpUrl")
    headers = _texts(entry.get("headers"))
    command = [_text(entry, "command"), *_list(entry.get("args"))]
    if not url and any(re.fullmatch(r"mcp-remote(@.*)?", part) for part in command):
        url, headers = _bridged(command)
    if url:
        _take_url(server, url)
        _take_headers(server, headers)
        server.transport = "sse" if "sse" in (entry.get("type"), entry.get("transport")) else ""
    elif starts_a_hub(command):
        server.left_out = "it is the hub, which would start itself without end"
    elif command[0]:
        server.command = [_argument(server, command, index) for index in range(len(command))]
        _take_env(server, _texts(entry.get("env")))
        server.cwd = _with_variables(server, _text(entry, "cwd"))
        if not all(map(fits_a_process, server.command)) or CONTROL.search(server.cwd):
            server.left_out = "its command holds a character that no process can be given"
    else:
        server.left_out = "it has neither a url nor a command"


def _take_env(server: Foreign, env: dict[str, str]) -> None:
    for key, value in env.items():
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", key):
            server.notes.append("a variable of this server is left out: its name is none")
        elif own := _VARIABLE.fullmatch(value):
            server.env[key] = _renamed(server, own)
        else:
            server.env[key] = server.variables.take(f"{server.name}_{key}", f"what {key} of '{server.name}' held")


def _bridged(command: list[str]) -> tuple[str, dict[str, str]]:
    """What `mcp-remote` bridges to: its URL and headers."""
    url = next((part for part in command if re.match(r"https?://", part)), "")
    pairs = (after.partition(":") for flag, after in pairwise(command) if flag == "--header")
    return url, {name.strip(): value.strip() for name, _, value in pairs}


def _take_headers(server: Foreign, headers: dict[str, str]) -> None:
    seen: set[str] = set()
    for name, value in headers.items():
        try:
            HeaderName().read(name)
        except ValueError:
            server.notes.append("a header of this server is left out: the hub sets it itself, or its name is none")
            continue
        if value.strip() and name.lower() not in seen:
            seen.add(name.lower())
            server.headers[name] = _header_value(server, name, value.strip())


def _header_value(server: Foreign, header: str, value: str) -> str:
    scheme = _SCHEME.fullmatch(value)
    if scheme:
        return f"{scheme[1]} {_hidden(server, header, scheme[2])}"
    return _hidden(server, header, value)


def _hidden(server: Foreign, header: str, value: str) -> str:
    own = _VARIABLE.fullmatch(value)
    if own:
        return _renamed(server, own)
    word = "token" if header.lower() == "authorization" else header
    return server.variables.take(f"{server.name}_{word}", f"what the header {header} of '{server.name}' held")


def _renamed(server: Foreign, reference: re.Match[str]) -> str:
    """Another client's way to write a variable, as ours; its default is dropped, since it may be the secret."""
    kind, name = _said(reference)
    if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name) and kind in {"", "env"}:
        return server.variables.known(name, f"as before, for '{server.name}'")
    return server.variables.take(name, f"what the client asked for or filled in itself, for '{server.name}'")


def _said(reference: re.Match[str]) -> tuple[str, str]:
    kind, _, name = reference[1].partition(":-")[0].rpartition(":")
    return kind, name


def _take_url(server: Foreign, raw: str) -> None:
    raw = raw.strip().partition("#")[0]
    bare = re.sub(r"^(https?://)[^/?]*@", r"\1", raw, flags=re.IGNORECASE)
    if bare != raw:
        server.notes.append("user name and password were taken out of the url; send them in 'headers'")
    guess = _VARIABLE.sub("1", bare)
    if split_url(f"https://{guess}" if _VARIABLE.match(bare) else guess) is None:
        server.left_out = "its url is not an http address"
        return
    address, question, query = bare.partition("?")
    origin, path = address[: _origin_end(address)], address[_origin_end(address) :]
    server.url = _with_variables(server, origin)
    server.url += "/".join(_part(server, "path", part) for part in path.split("/"))
    server.url += question + "&".join(_parameter(server, part) for part in query.split("&"))


def _origin_end(address: str) -> int:
    found = re.match(r"https?://[^/]*", address, re.IGNORECASE)
    return found.end() if found else 0


def _parameter(server: Foreign, part: str) -> str:
    key, equals, value = part.partition("=")
    if not equals:
        return _part(server, "query", key)
    if value and not _VARIABLE.search(value) and (_SECRET_KEY.search(key) or _may_be_secret(value)):
        return (
            f"{_escaped(key)}={server.variables.take(f'{server.name}_{key}', f'what {server.name!r} had in its url')}"
        )
    return f"{_escaped(key)}={_with_variables(server, value)}"


def _part(server: Foreign, kind: str, part: str) -> str:
    if _may_be_secret(_VARIABLE.sub("", part)):
        return server.variables.take(f"{server.name}_{kind}", f"the long part in the url of '{server.name}'")
    return _with_variables(server, part)


def _argument(server: Foreign, command: list[str], index: int) -> str:
    part = command[index]
    if not holds_secret(part, command[index - 1] if index else ""):
        return _with_variables(server, part)
    return server.variables.take(f"{server.name}_arg_{index}", f"argument {index} of the command of '{server.name}'")


def holds_secret(word: str, before: str) -> bool:
    """Whether a word of a command may hold a secret, by what it looks like and by the word before it."""
    key = re.match(r"[^=:\s]*[=:]", word)
    return bool(
        _may_be_secret(word)
        or (re.match(r"-[^=]*$", before) and _SECRET_KEY.search(before))
        or (key and _SECRET_KEY.search(key[0]))
        or ("://" in word and re.search(r"[@?]", word))
    )


def _may_be_secret(text: str) -> bool:
    if _SECRET_START.match(text):
        return True
    mixed = re.search(r"[0-9]", text) and re.search(r"[A-Za-z]", text)
    return len(text) >= _LONG and mixed is not None and re.fullmatch(r"[A-Za-z0-9+_=.%~-]+", text) is not None


def _with_variables(server: Foreign, text: str) -> str:
    pieces: list[str] = []
    end = 0
    for reference in _VARIABLE.finditer(text):
        pieces += [_escaped(text[end : reference.start()]), _renamed(server, reference)]
        end = reference.end()
    return "".join([*pieces, _escaped(text[end:])])


def _escaped(text: str) -> str:
    return text.replace("$", "$$")


def _plain_text(text: str) -> str:
    return _escaped("".join(c for c in text if c.isprintable()))


def _text(entry: Json, key: str) -> str:
    value = entry.get(key)
    return value if isinstance(value, str) else ""


def _texts(value: Any) -> dict[str, str]:
    if not isinstance(value, dict):
        return {}
    return {key: one for key, one in cast("Json", value).items() if isinstance(one, str)}


def _list(value: Any) -> Iterator[str]:
    if isinstance(value, list):
        yield from (str(one) for one in cast("list[Any]", value))
