"""Forms that are small and say each thing once."""

import asyncio

import pytest
from starlette.requests import Request

from mcp_hub.web.forms import MAX_FORM, BadForm, parse_form, read_bytes, read_form

pytestmark = pytest.mark.promise("E37", "T33")
FORM = "application/x-www-form-urlencoded"


def request(*chunks: bytes, media: str = FORM) -> Request:
    waiting = [*chunks]

    async def receive():
        body = waiting.pop(0)
        return {"type": "http.request", "body": body, "more_body": bool(waiting)}

    headers = [(b"content-type", media.encode())]
    return Request({"type": "http", "method": "POST", "headers": headers}, receive)


@pytest.mark.parametrize("media", [FORM, FORM.upper(), f"{FORM}; charset=utf-8"])
async def test_a_form_is_read_with_its_empty_fields(media):
    form = await read_form(request(b"name=Ada+L%C3%B6", b"w&empty=&x=a%26b", media=media))
    assert form == {"name": "Ada Löw", "empty": "", "x": "a&b"}


async def test_a_form_that_is_too_large_is_read_no_further():
    sent = request(b"a=" + b"x" * MAX_FORM, b"never read")
    with pytest.raises(BadForm) as caught:
        await read_form(sent)
    assert caught.value.status == 413
    assert (await sent.receive())["body"] == b"never read"


async def test_a_form_whose_sender_has_gone_is_refused():
    async def receive():
        return {"type": "http.disconnect"}

    sent = Request({"type": "http", "method": "POST", "headers": [(b"content-type", FORM.encode())]}, receive)
    with pytest.raises(BadForm) as caught:
        await read_form(sent)
    assert caught.value.status == 400


async def test_a_body_that_does_not_arrive_in_time_is_waited_for_no_longer():
    async def receive():
        await asyncio.Event().wait()
        return {"type": "http.request"}

    sent = Request({"type": "http", "method": "POST", "headers": []}, receive)
    with pytest.raises(BadForm) as caught:
        await read_bytes(sent, most=MAX_FORM, seconds=0.01)
    assert caught.value.status == 408


@pytest.mark.parametrize("media", ["", "application/json", "multipart/form-data; boundary=x", "text/plain"])
async def test_what_is_no_form_is_refused_unread(media):
    with pytest.raises(BadForm) as caught:
        await read_form(request(b"a=1", media=media))
    assert caught.value.status == 415


@pytest.mark.parametrize(
    "body", [b"a=1&a=2", b"a=1&b=&a=", b"a=%ff", b"a=\xff", "&".join(f"f{n}=1" for n in range(101)).encode()]
)
def test_what_two_readers_could_read_differently_is_refused_without_repeating_it(body):
    with pytest.raises(BadForm) as caught:
        parse_form(body)
    assert caught.value.status == 400
    assert "a=" not in caught.value.public
