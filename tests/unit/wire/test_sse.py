"""Events are the WHATWG's however the bytes are cut; what is written is read back; nothing grows without bound."""

import time
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Raw

from mcp_hub.wire.sse import COMMENT, Event, EventParser, EventTooLarge, encode_event, named_event

pytestmark = pytest.mark.promise("A5")

SETTINGS = settings(deadline=None)

lines = st.one_of(
    st.sampled_from(
        [b"", b"", b"data", b"data:", b"data: x", b"data:  y:z", b":c", b": comment", b"event: e", b"event"]
    ),
    st.sampled_from(
        [b"id: 7", b"id", b"id: a\0b", b"retry: 30", b"retry: x", b"retry: -1", b"retry:9", b"foo: bar", b" "]
    ),
    st.sampled_from(["data: ü\u2028".encode(), b"\xff\xfe", b"data: \xff", b"DATA: no", b"\xef\xbb\xbfdata: late"]),
)
ends = st.sampled_from([b"\n", b"\r", b"\r\n"])
streams = st.builds(
    lambda start, parts: start + b"".join(line + end for line, end in parts),
    st.sampled_from([b"", b"\xef\xbb\xbf", b"\xef\xbb", b"\xef"]),
    st.lists(st.tuples(lines, ends), max_size=25),
)


def reference(stream):
    """The WHATWG's algorithm, word by word, over the whole stream."""
    stream = stream.removeprefix(b"\xef\xbb\xbf").replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    events, data, kind, last_id, retry = [], b"", None, None, None
    for line in stream.split(b"\n")[:-1]:
        if not line:
            if data:
                events.append(Event(data[:-1], last_id, kind or None, retry))
            data, kind, retry = b"", None, None
            continue
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"data":
            data += value + b"\n"
        elif name == b"event":
            kind = value.decode()
        elif name == b"id" and b"\0" not in value:
            last_id = value.decode()
        elif name == b"retry" and value.isdigit():
            retry = int(value)
    return events


def cut(stream, places):
    borders = [0, *sorted(place % (len(stream) + 1) for place in places), len(stream)]
    return [stream[start:stop] for start, stop in pairwise(borders)]


def parsed(chunks, limit=10_000):
    parser = EventParser(limit)
    return [event for chunk in chunks for event in parser.feed(chunk)]


@SETTINGS
@given(streams, st.lists(st.integers(0, 10_000), max_size=8))
def test_events_are_the_specifications_however_the_bytes_are_cut(stream, places):
    assert parsed(cut(stream, places)) == reference(stream)


@SETTINGS
@given(streams)
def test_one_byte_at_a_time_gives_the_same_events(stream):
    assert parsed([stream[at : at + 1] for at in range(len(stream))]) == reference(stream)


@SETTINGS
@given(streams, st.integers(0, 12), st.lists(st.integers(0, 10_000), max_size=8))
def test_whether_an_event_is_too_large_does_not_depend_on_how_the_bytes_are_cut(stream, limit, places):
    def outcome(chunks):
        parser, events = EventParser(limit), []
        try:
            for chunk in chunks:
                events += parser.feed(chunk)
        except EventTooLarge as error:
            return [*events, *error.events], True
        return events, False

    stream += b"\n\n"
    assert outcome(cut(stream, places)) == outcome([stream])


@pytest.mark.promise("T64")
@SETTINGS
@given(st.lists(st.binary(max_size=20), max_size=4), st.one_of(st.none(), st.text("abc-1", min_size=1, max_size=5)))
def test_whatever_is_written_is_read_back_as_one_event(parts, event_id):
    written = encode_event(parts, event_id)
    joined = b"".join(parts).replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    assert parsed([written]) == [Event(joined, event_id)]


def test_parts_of_an_event_may_be_raw_json():
    assert encode_event((b'{"result":', Raw(b'{"a":1}'), b"}")) == b'data: {"result":{"a":1}}\n\n'


@pytest.mark.promise("T64")
def test_indented_json_stays_one_event_with_the_same_value():
    assert encode_event([b'{\r\n "a": 1\n}'], "5") == b'id: 5\ndata: {\ndata:  "a": 1\ndata: }\n\n'


@pytest.mark.parametrize("event_id", ["a\nb", "a\rb", "a\0b"])
def test_an_id_that_would_break_the_stream_is_refused(event_id):
    with pytest.raises(ValueError, match="event id"):
        encode_event([b"x"], event_id)


def test_a_keep_alive_is_no_event():
    assert parsed([COMMENT, b"data: x\n\n", COMMENT]) == [Event(b"x")]


def test_an_id_without_data_is_noted_for_resuming_but_only_at_the_end_of_its_block():
    parser = EventParser(100)
    assert parser.feed(b"id: 9\nretry: 250\n") == []
    assert (parser.last_id, parser.retry) == (None, 250)
    assert parser.feed(b"\n") == []
    assert parser.last_id == "9"
    assert parser.feed(b"data: x\n\n") == [Event(b"x", "9")]


def test_an_event_with_an_empty_data_line_is_given():
    assert parsed([b"id: 1\ndata:\n\n"]) == [Event(b"", "1")]


def test_an_unfinished_event_is_never_given():
    assert parsed([b"data: x\n"]) == []


def test_a_retry_of_many_digits_is_ignored():
    assert parsed([b"retry: " + b"9" * 5000 + b"\ndata: x\n\n"]) == [Event(b"x")]


@pytest.mark.promise("T23")
@pytest.mark.parametrize("stream", [b"data: %b\n\n", b":%b", b"foo%b", b"data: a\ndata: %b"])
def test_an_endless_event_is_cut_off_while_it_streams(stream):
    start, _, _ = stream.partition(b"%b")
    parser = EventParser(1000)
    parser.feed(start)

    def stream_on():
        for _ in range(200):
            parser.feed(b"x" * 10)

    with pytest.raises(EventTooLarge):
        stream_on()
    assert len(parser._pending) <= 1020


@pytest.mark.promise("T23")
def test_many_small_lines_of_one_event_are_cut_off_too():
    with pytest.raises(EventTooLarge):
        parsed([b"data\n" * 2000], limit=1000)


def test_an_event_of_exactly_the_limit_passes_and_one_byte_more_does_not():
    assert parsed([b"data: 12345\n\n"], limit=5) == [Event(b"12345")]
    assert parsed([b"data:12345\n\n"], limit=5) == [Event(b"12345")]
    for line in (b"data: 123456\n\n", b"data:123456\n\n", b"data:123\ndata:45\n\n"):
        with pytest.raises(EventTooLarge):
            parsed([line], limit=5)


def test_events_before_the_one_that_is_too_large_are_not_lost():
    with pytest.raises(EventTooLarge) as caught:
        EventParser(3).feed(b"data: a\n\ndata: long\n\n")
    assert caught.value.events == [Event(b"a")]


@pytest.mark.promise("T25")
@pytest.mark.parametrize("size", [1, 2, 3])
def test_hostile_cuts_cost_linear_time(size):
    def seconds(length):
        chunk, parser = b"x" * size, EventParser(10 * length)
        begin = time.process_time()
        for _ in range(length // size):
            parser.feed(chunk)
        return time.process_time() - begin

    # Quadratic work would take sixteen times as long for four times the bytes; the small term forgives a coarse clock.
    assert seconds(400_000) < 10 * seconds(100_000) + 0.2


@pytest.mark.promise("T64")
@given(st.binary(max_size=60), st.sampled_from([b"\n\nevent: endpoint\ndata: https://evil.example/\n\n", b"\r\r", b""]))
def test_nothing_in_a_named_event_begins_another_one(start, attack):
    (read,) = EventParser(1000).feed(named_event("message", start + attack))
    assert read.event == "message"
    assert read.data == (start + attack).replace(b"\r\n", b"\n").replace(b"\r", b"\n")
