"""Where messages to one client are written: the response of one request, a stream of its own, or standard output.

Rule: whoever has something to say to a client says it here, and does not know what lies between.
"""

from typing import Protocol

from mcp_hub.upstream.call import Pause


class Outlet(Protocol):
    """One way to one client, for everything that comes before an answer, or, where there is one stream, for all."""

    @property
    def takes_messages(self) -> bool:
        """Whether the client reads more here than an answer, so that it can be told and asked something."""
        ...

    @property
    def pause(self) -> Pause | None:
        """Closes what the client reads for a while, if it is a stream of its own that the client can come back to."""
        ...

    async def say(self, message: bytes) -> bool | None:
        """`emit` for what needs an answer; `False` if its client is gone and cannot come back for it."""
        ...

    async def emit(self, message: bytes) -> None:
        """Write one encoded message, whole and in its turn, and return when the next may follow.

        Dropped where the client takes no messages, or is gone.
        """
        ...
