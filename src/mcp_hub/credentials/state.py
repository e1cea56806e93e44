"""How a principal stands with an upstream: the same five words in code, log, command and page."""

from enum import StrEnum


class State(StrEnum):
    """The five states of a connection."""

    READY = "ready"
    NOT_CONNECTED = "not_connected"
    RECONNECT_NEEDED = "reconnect_needed"
    UNREACHABLE = "unreachable"
    DISABLED = "disabled"
