"""YAML text to a checked configuration, or every problem at once.

Rule: for any text, `load` gives a `Config` or raises `ConfigError`; no problem ever holds a value of the file.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from mcp_hub.config.build import build
from mcp_hub.config.document import Document, read
from mcp_hub.config.explain import checked
from mcp_hub.config.findings import Finding, Rule
from mcp_hub.config.model import Config
from mcp_hub.config.rules import PROBLEMS, WARNINGS
from mcp_hub.config.shape import Root
from mcp_hub.config.tree import MAX_CHARACTERS
from mcp_hub.errors import ConfigError, Problem


def load(text: str, *, source: str = "hub.yaml", environ: Mapping[str, str]) -> Config:
    """Read a configuration; an empty text is the defaults. `source` is what problems call the file. No I/O.

    Raises:
        ConfigError: everything that is wrong, in the order of the file.
    """
    document = read(text, environ)
    root = None if () in document.broken else checked(document)
    config = build(root or Root.model_validate({}), document, source)
    if root is not None:
        _judge(config, document)
    if document.problems:
        raise ConfigError(source, document.problems)
    return replace(config, warnings=tuple(sorted(_problem(document, found) for found in _found(config, WARNINGS))))


def load_file(path: Path, environ: Mapping[str, str]) -> Config:
    """Read the configuration in a file.

    Raises:
        ConfigError: the file cannot be read, or what `load` finds.
    """
    try:
        with path.open("rb") as file:
            content = file.read(4 * MAX_CHARACTERS + 1)
    except OSError as error:
        failed = Problem(0, 0, "", _unreadable(error))
    else:
        try:
            return load(content.decode("utf-8"), source=str(path), environ=environ)
        except UnicodeDecodeError as error:
            failed = _not_text(content, error.start)
    raise ConfigError(str(path), [failed])


def _not_text(content: bytes, at: int) -> Problem:
    line = content.count(b"\n", 0, at) + 1
    column = at - content.rfind(b"\n", 0, at)
    return Problem(line, column, "", "the file is not UTF-8 text", "save it as UTF-8")


def _judge(config: Config, document: Document) -> None:
    problems = [found for found in _found(config, PROBLEMS) if not _known(document, found)]
    for found in problems:
        document.report(found.path, found.message, found.hint, at_key=found.at_key)


def _known(document: Document, found: Finding) -> bool:
    return any(document.is_broken(path) for path in (found.path, *found.needs))


def _found(config: Config, rules: tuple[Rule, ...]) -> list[Finding]:
    return [found for rule in rules for found in rule(config)]


def _problem(document: Document, found: Finding) -> Problem:
    return document.problem(found.path, found.message, found.hint, at_key=found.at_key)


def _unreadable(error: OSError) -> str:
    if isinstance(error, FileNotFoundError):
        return "there is no such file; 'mcp-hub init' writes one"
    if isinstance(error, IsADirectoryError):
        return "this is a directory, not a file"
    return "the file could not be read; check that this user may read it"
