"""What a rule finds. Rule: it names the path it is about, and what else it was judged by."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from mcp_hub.config.model import Config

Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing a rule has to say about the part at `path`."""

    path: Path
    message: str
    hint: str = ""
    needs: tuple[Path, ...] = ()
    at_key: bool = False


Rule = Callable[[Config], Iterator[Finding]]
