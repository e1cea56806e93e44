"""What goes on one request. Rule: a credential is header lines ready to send, and shows to nobody else."""

from collections.abc import Mapping
from contextlib import suppress
from typing import final

from mcp_hub.egress.request import HeaderLines, header_lines
from mcp_hub.secret import Secret


@final
class Credential:
    """Header lines for one upstream, encoded once; `repr()` masks them. Compares by identity.

    Raises:
        ValueError: a header that cannot be sent; the sentence does not repeat its value.
    """

    __slots__ = ("_lines", "names")

    def __init__(self, headers: Mapping[str, Secret]) -> None:
        self.names = tuple(headers)
        """The header names, which are not secret."""
        self._lines = header_lines(
            [(_encoded(name, name), _encoded(name, each.open())) for name, each in headers.items()]
        )

    def open(self) -> HeaderLines:
        """The encoded header lines, each ended by CRLF. Call it only where the request is written."""
        return self._lines

    def __repr__(self) -> str:
        return f"Credential({', '.join(self.names)})" if self.names else "Credential()"


def same(one: Credential | None, other: Credential | None) -> bool:
    """Whether both put the same on a request."""
    return one is other or (one is not None and other is not None and one.open() == other.open())


def _encoded(name: str, text: str) -> bytes:
    with suppress(UnicodeEncodeError):
        return text.encode("latin-1")
    # Raised here and not there, because the codec's error carries the whole text and `repr` shows it.
    raise ValueError(f"the header {name!r} or its value has a character that no header can carry")


NOTHING = Credential({})
"""The credential of an upstream that gets none."""
