"""What goes on one request. Rule: a credential is header lines ready to send, and shows to nobody else."""

from collections.abc import Mapping
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
            [(name.encode("ascii"), each.open().encode("latin-1")) for name, each in headers.items()]
        )

    def open(self) -> HeaderLines:
        """The encoded header lines, each ended by CRLF. Call it only where the request is written."""
        return self._lines

    def __repr__(self) -> str:
        return f"Credential({', '.join(self.names)})" if self.names else "Credential()"


NOTHING = Credential({})
"""The credential of an upstream that gets none."""
