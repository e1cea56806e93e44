"""Where a request comes from."""

import pytest
from starlette.requests import Request

from mcp_hub.web.addresses import address_of

FORWARDED = [
    (b"x-forwarded-for", b"198.51.100.7"),
    (b"x-real-ip", b"198.51.100.7"),
    (b"forwarded", b"for=198.51.100.7"),
]


def request_from(client):
    return Request({"type": "http", "client": client, "headers": FORWARDED})


@pytest.mark.promise("C24")
def test_nobody_chooses_by_a_header_where_they_come_from():
    assert address_of(request_from(("192.0.2.1", 4711))) == "192.0.2.1"
    assert address_of(request_from(None)) == ""
