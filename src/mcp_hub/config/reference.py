"""The reference of the configuration, as Markdown: `python -m mcp_hub.config.reference > docs/configuration.md`."""

import sys
import textwrap
from collections.abc import Iterator
from typing import Any, Final, get_args, get_origin

from pydantic.fields import FieldInfo

from mcp_hub.config.explain import part_in
from mcp_hub.config.fields import Choice, Duration, Reader, Size, duration_text, size_text
from mcp_hub.config.part import Part, keys_of
from mcp_hub.config.shape import Root

_INTRO: Final = """\
# Configuration

The hub reads one YAML file: the one named with `-c`, else `hub.yaml`, else `config/hub.yaml`. `mcp-hub init` writes a
first one, `mcp-hub validate` says everything that is wrong with it, `mcp-hub config show` prints what is in force and
where each value was said. Every key may be left out.

```yaml
# yaml-language-server: $schema=./hub.schema.json
version: 1
login: local
network:
  allow_private: [10.20.0.0/16]
upstreams:
  docs:
    url: https://docs.example.com/mcp
  search:
    url: https://search.example.com/mcp
    headers: {X-API-Key: "${SEARCH_API_KEY}"}
  wiki:
    url: https://wiki.example.com/mcp
    auth: {type: api_key, value: "${WIKI_KEY}"}
    tools: {deny: ["delete_*"]}
  billing:
    url: https://billing.example.com/mcp
    auth: {type: header, name: Authorization, scheme: Bearer, from: X-Billing-Token}
  warehouse:
    url: http://10.20.0.7/mcp
    auth: {type: header, name: X-API-Key, per_user: true}
  github:
    url: https://api.githubcopilot.com/mcp/
    auth: {type: oauth, scopes: [repo, "read:org"]}
  clock:
    command: [uvx, mcp-server-time]
```

[Credentials](credentials.md) says what each kind of `auth` is for, and which credential goes where.
`mcp-hub config schema > hub.schema.json` makes the file for the first line: with it an editor completes and checks.

## How values are written

- `${VAR}` is the environment variable `VAR`; one that is not set is an error. `${VAR:-text}` is `text` where the
  variable is not set or empty. A plain dollar sign is `$$`. Variables are put in after the file was parsed, into values
  only, so what they hold can never change the file's structure.
- A **duration** has a unit: `500ms`, `60s`, `5m`, `1h`, `1d`. A **size** is a number of bytes, or has a unit: `64KiB`,
  `4MiB`, `10MB`. A switch is `true` or `false` and nothing else.
- Everything else is taken as it is written: `no`, `22:30` and `010` are plain text. A key that stands twice is an
  error, and so is one that the hub does not know. Tags, merge keys (`<<`) and a second document are refused.
- An upstream's name has 1 to 32 lower-case letters, digits and hyphens and starts with a letter; `hub` is taken.
"""
_TOP: Final = "The top level"


def reference() -> str:
    """The whole page."""
    parts = dict(_parts(_TOP, Root))
    sections = "\n".join(_section(title, part) for title, part in parts.items())
    return f"{_INTRO}\n{sections}\n{_not_yet(parts)}"


def _parts(title: str, part: type[Part]) -> Iterator[tuple[str, type[Part]]]:
    yield title, part
    for name, info in keys_of(part).items():
        inner = part_in(info.annotation)
        if inner is not None:
            yield from _parts(_title(title, name, info), inner)


def _title(title: str, name: str, info: FieldInfo) -> str:
    name = f"{name}.NAME" if get_origin(info.annotation) is dict else name
    if name in {"resources", "prompts"}:
        name = "tools"  # the same form, described once
    return f"`{name}`" if title == _TOP else f"`{title.strip('`')}.{name}`"


def _section(title: str, part: type[Part]) -> str:
    rows = "\n".join(_row(title, name, info) for name, info in keys_of(part).items())
    also = " `resources` and `prompts` have the same form." if title.endswith(".tools`") else ""
    about = textwrap.fill((part.__doc__ or "").strip() + also, 120)
    head = "| key | takes | default | meaning |\n|---|---|---|---|"
    return f"## {title}\n\n{about}\n\n{head}\n{rows}\n"


def _row(title: str, name: str, info: FieldInfo) -> str:
    inner = part_in(info.annotation)
    takes = f"see {_title(title, name, info)}" if inner else _takes(info.annotation, info.metadata)
    return f"| `{name}` | {takes} | {_default(info)} | {info.description} |"


def _takes(annotation: Any, metadata: list[Any]) -> str:
    reader = next((one for one in metadata if isinstance(one, Reader)), None)
    if isinstance(reader, Choice):
        return " or ".join(f"`{option}`" for option in reader.options)
    if reader is not None:
        return reader.words.partition(" such as")[0]
    inner = [_takes(one, list(getattr(one, "__metadata__", ()))) for one in get_args(annotation)]
    match get_origin(annotation), [words for words in inner if words]:
        case (kind, [key, value]) if kind is dict:
            return f"a mapping: {key}, and {value}"
        case (kind, [item]) if kind is list:
            return f"a list, each {item}"
        case (_, [words]):
            return words
        case _:
            return ""


def _default(info: FieldInfo) -> str:
    value: Any = info.default
    if info.is_required():
        return "needed"
    if value is None or info.default_factory is not None or value in ("", [], {}):
        return "-"
    reader = next((one for one in info.metadata if isinstance(one, Duration | Size)), None)
    if isinstance(reader, Duration):
        return f"`{duration_text(value)}`"
    if isinstance(reader, Size):
        return f"`{size_text(value)}`"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def _not_yet(parts: dict[str, type[Part]]) -> str:
    lines = [
        f"- {title}: {', '.join(f'`{key}`' for key in sorted(part.later))}"
        for title, part in parts.items()
        if part.later
    ]
    for title, part in parts.items():
        for name, info in keys_of(part).items():
            for reader in info.metadata:
                if isinstance(reader, Choice) and reader.later:
                    where = f"`{name}`" if title == _TOP else f"`{title.strip('`')}.{name}`"
                    lines.append(f"- {where}: {', '.join(f'`{option}`' for option in reader.later)}")
    listed = "\n".join(lines)
    return f"## Not supported yet\n\nThese are refused with a sentence that says so, never ignored.\n\n{listed}\n"


if __name__ == "__main__":
    sys.stdout.write(reference())
