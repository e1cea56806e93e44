"""A log line is one line on standard error, and no secret is on it."""

import json
import logging

import pytest
import structlog

from mcp_hub.audit.logs import configure
from mcp_hub.secret import Secret

pytestmark = pytest.mark.promise("D32")

CANARY = "canary-3f9a.77_x"


@pytest.fixture(autouse=True)
def logging_as_it_was():
    root = logging.getLogger()
    level = root.level
    yield
    structlog.reset_defaults()
    root.setLevel(level)
    root.handlers[:] = [handler for handler in root.handlers if type(handler) is not logging.StreamHandler]
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access", "httpx2", "httpcore2"):
        logger = logging.getLogger(name)
        logger.setLevel(logging.NOTSET)
        logger.propagate = True


@pytest.fixture(params=[False, True], ids=["key=value", "json"])
def started(request, capsys):
    """Call it to configure logging; what it returns reads the lines written since. (Standard error is the test's
    own only once the test runs.)
    """

    def configured():
        configure(json=request.param, level="INFO")

        def lines() -> list[str]:
            captured = capsys.readouterr()
            assert captured.out == ""
            return captured.err.splitlines()

        return lines

    return configured


def fail(text: str) -> None:
    raise ValueError(text)


@pytest.mark.promise("D29", "T31")
@pytest.mark.parametrize(
    "leak",
    [
        f"Authorization: Bearer {CANARY}",
        f"authorization: bearer  {CANARY}",
        f'{{"access_token": "{CANARY}", "expires_in": 1}}',
        f"refresh_token={CANARY}&grant_type=refresh_token",
        f"https://id.example.com/callback?code={CANARY}&state=x",
        f"client_secret='{CANARY}'",
        f"X-API-Key: {CANARY}",
        f"Basic {CANARY}=",
    ],
)
def test_what_looks_like_a_credential_is_masked_wherever_it_stands(started, leak):
    lines = started()
    log = structlog.get_logger("test")
    log.info(leak)
    log.info("event", deep={"list": [leak, (leak,)]})
    logging.getLogger("some.library").warning("said %s", leak)
    try:
        fail(leak)
    except ValueError:
        log.exception("failed")
        logging.getLogger("some.library").exception("failed")
    written = lines()
    assert len(written) == 5
    assert not [line for line in written if CANARY in line]
    assert all("***" in line for line in written)


@pytest.mark.promise("D29", "T31")
def test_secrets_and_members_named_after_one_are_masked(started):
    lines = started()
    structlog.get_logger("test").info("event", key=Secret(CANARY), nested=[{"x": Secret(CANARY)}], Authorization=CANARY)
    [line] = lines()
    assert CANARY not in line
    assert line.count("***") == 3


def test_ordinary_words_stay(started):
    lines = started()
    structlog.get_logger("test").info("basic usage, a bearer of news: code 7, the password is asked for")
    [line] = lines()
    assert "basic usage" in line
    assert "code 7, the password is asked for" in line


@pytest.mark.promise("T65")
def test_a_name_cannot_start_a_line_of_its_own(started):
    lines = started()
    hostile = "x\nlevel=info event=forged\r\x1b[2J\u2028\u202e"
    structlog.get_logger("test").warning(hostile, tool=hostile)
    logging.getLogger("some.library").warning(hostile)
    written = lines()
    assert len(written) == 2
    assert all(line.isprintable() for line in written)


def test_lines_of_libraries_look_like_ours(capsys):
    configure(json=True, level="INFO")
    structlog.get_logger("mcp_hub.test").info("ours", count=3)
    logging.getLogger("uvicorn.error").info("theirs")
    ours, theirs = (json.loads(line) for line in capsys.readouterr().err.splitlines())
    assert (ours["event"], ours["count"], ours["logger"], ours["level"]) == ("ours", 3, "mcp_hub.test", "info")
    assert (theirs["event"], theirs["logger"], theirs["level"]) == ("theirs", "uvicorn.error", "info")
    assert theirs["timestamp"].endswith("Z")


def test_key_value_lines_read_from_left_to_right(capsys):
    configure(json=False, level="INFO")
    structlog.get_logger("test").info("upstream is back", upstream="docs", after=1.5)
    line = capsys.readouterr().err
    assert line.startswith("timestamp=")
    assert line.endswith(' level=info logger=test event="upstream is back" upstream=docs after=1.5\n')


def test_addresses_asked_for_are_not_written_down(started):
    lines = started()
    logging.getLogger("uvicorn.access").info('"GET /callback?code=1 HTTP/1.1" 200')
    logging.getLogger("httpx2").info("HTTP Request: GET https://example.com/?x=1")
    assert lines() == []


def test_the_level_holds_for_ours_and_theirs(capsys):
    configure(json=False, level="warning")
    structlog.get_logger("test").info("quiet")
    logging.getLogger("some.library").info("quiet")
    structlog.get_logger("test").warning("heard")
    assert "quiet" not in (written := capsys.readouterr().err)
    assert "heard" in written
