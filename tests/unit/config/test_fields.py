"""How single values are read."""

from contextlib import suppress
from typing import Annotated

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel
from pydantic_core import PydanticCustomError

from mcp_hub.config.fields import (
    Choice,
    Duration,
    Name,
    NewName,
    Original,
    Pattern,
    Prefix,
    Reader,
    Size,
    Switch,
    Text,
    Version,
    Whole,
    duration_text,
    size_text,
    slug,
)

pytestmark = pytest.mark.promise("E39")

GIB = 2**30
ALL = [
    Text(),
    Pattern(),
    Original(),
    Switch(),
    Prefix(),
    Name(),
    Whole(0, 9),
    Version(),
    Duration(0, 9e9),
    Size(0, GIB),
    Choice(("one", "two"), later=("three",)),
    NewName(),
]


def refusal(reader: Reader, raw: object) -> tuple[str, str]:
    with pytest.raises(PydanticCustomError) as caught:
        reader._read(raw)
    context = caught.value.context or {}
    return context["sentence"], context["hint"]


@pytest.mark.parametrize(
    ("reader", "raw", "value"),
    [
        (Text(), "no\n\ttext", "no\n\ttext"),
        (Pattern(), "delete_*", "delete_*"),
        (Switch(), "true", True),
        (Switch(), "false", False),
        (Prefix(), "true", True),
        (Prefix(), "false", False),
        (Prefix(), "alias-2", "alias-2"),
        (Name(), "a", "a"),
        (Name(), "a" * 32, "a" * 32),
        (Whole(0, 10), "0", 0),
        (Whole(0, 10), "10", 10),
        (Version(), "1", 1),
        (Duration(0, 9e9), "60s", 60.0),
        (Duration(0, 9e9), "500ms", 0.5),
        (Duration(0, 9e9), "5m", 300.0),
        (Duration(0, 9e9), "1.5h", 5400.0),
        (Duration(0, 9e9), "2d", 172800.0),
        (Duration(0, 9e9), "0", 0.0),
        (Size(0, GIB), "4MiB", 4 * 2**20),
        (Size(0, GIB), "64 KiB", 65536),
        (Size(0, GIB), "10MB", 10_000_000),
        (Size(0, GIB), "1.5kB", 1500),
        (Size(0, GIB), "17", 17),
        (Choice(("one", "two")), "two", "two"),
        (NewName(), "find-It_2", "find-It_2"),
    ],
)
def test_a_good_value_is_read(reader, raw, value):
    assert reader._read(raw) == value


@pytest.mark.promise("E39")
@pytest.mark.parametrize(
    ("reader", "raw", "sentence", "hint"),
    [
        (Text(), "a\0b", "holds a control character", ""),
        (Text(), "\ud800", "holds a control character", ""),
        (Pattern(), "", "must not be empty", ""),
        (Switch(), "yes", "must be true or false", ""),
        (Switch(), "True", "must be true or false", ""),
        (Prefix(), "no", "must be true or false, in these words, or a name", ""),
        (Name(), "hub", "this name belongs to the hub's own tools", "choose another name"),
        (Name(), "My Docs", "must be 1 to 32 lower-case", "did you mean 'my-docs'?"),
        (Name(), "HUB", "must be 1 to 32 lower-case", ""),
        (Name(), "a" * 33, "must be 1 to 32 lower-case", f"did you mean '{'a' * 32}'?"),
        (Name(), "a\n", "must be 1 to 32 lower-case", "did you mean 'a'?"),
        (Whole(0, 10), "11", "must be a whole number from 0 to 10", ""),
        (Whole(0, 10), "010", "must be a whole number from 0 to 10", ""),
        (Whole(0, 10), "1e1", "must be a whole number from 0 to 10", ""),
        (Whole(0, 10), "٣", "must be a whole number from 0 to 10", ""),
        (Whole(0, 10), "9" * 5000, "must be a whole number from 0 to 10", ""),
        (Version(), "2", "this hub reads version 1", "write 'version: 1'"),
        (Duration(1, 120), "60", "must be a duration such as 60s", "add the unit: s for seconds"),
        (Duration(1, 120), "22:30", "must be a duration such as 60s", ""),
        (Duration(1, 120), "1h", "must be from 1s to 2m", ""),
        (Duration(1, 120), "0", "must be from 1s to 2m", ""),
        (Size(1024, GIB), "4 potatoes", "must be a size such as 4MiB", ""),
        (Size(1024, GIB), "2GiB", "must be from 1KiB to 1GiB", ""),
        (Choice(("auto", "legacy")), "legasy", "must be auto or legacy", "did you mean 'legacy'?"),
        (Choice(("auto",), later=("sse",)), "sse", "'sse' is not supported yet", "this version knows: auto"),
        (NewName(), "a b", "must be 1 to 60 letters", ""),
        (Text(), ["x"], "must be text", ""),
        (Switch(), None, "has no value; it must be true or false", ""),
    ],
)
def test_a_bad_value_is_refused_in_plain_words(reader, raw, sentence, hint):
    said, step = refusal(reader, raw)
    assert said.startswith(sentence)
    assert step == hint


@pytest.mark.promise("E39")
@pytest.mark.parametrize("reader", ALL, ids=lambda one: type(one).__name__)
def test_no_sentence_holds_the_value(reader):
    for raw in ("c4n4ry\x00", "C4N4RY secret", "5c4n4ry"):
        try:
            reader._read(raw)
        except PydanticCustomError as error:
            said = f"{error} {error.context}"
            assert "c4n4ry" not in said.lower() or type(reader) in {Name, Prefix}, (
                "only names are said back, as a guess"
            )


@given(st.text())
def test_any_text_is_read_or_refused(text):
    for reader in ALL:
        with suppress(PydanticCustomError):
            reader._read(text)


@given(st.integers(0, 7 * 86_400_000))
def test_a_duration_is_written_as_it_is_read(milliseconds):
    seconds = milliseconds / 1000
    assert Duration(0, 9e9).read(duration_text(seconds)) == pytest.approx(seconds)


@given(st.integers(0, GIB))
def test_a_size_is_written_as_it_is_read(size):
    assert Size(0, GIB).read(size_text(size)) == size


@given(st.text())
def test_a_slug_is_a_name_or_nothing(text):
    made = slug(text)
    assert made in {"", "hub"} or Name().read(made) == made


def test_every_reader_describes_itself_for_an_editor():
    for reader in ALL:
        assert reader.schema()
        assert reader.words


class OnePort(BaseModel):
    port: Annotated[int, Whole(0, 9)]


def test_a_reader_reads_and_describes_the_field_it_is_put_on():
    assert OnePort.model_validate({"port": "7"}).port == 7
    assert OnePort.model_json_schema()["properties"]["port"]["anyOf"][0]["maximum"] == 9
