"""Where a request comes from.

Rule: it is the other end of the connection. What a header says of it counts for nothing, since anybody can write one;
behind a proxy, everybody comes from the proxy's address.
"""

from starlette.requests import Request


def address_of(request: Request) -> str:
    """The network address that a request comes from; empty where the server does not know it."""
    return "" if request.client is None else request.client.host
