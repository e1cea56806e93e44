"""A local command as a child process: its environment, its three pipes, its end.

Rule: a child gets nothing of the hub's but a few variables that say where it is, and leaves nothing behind: its whole
process group ends with it, and every pipe is closed.
Source: MCP 2026-07-28, basic/transports/stdio ("Shutdown").
"""

import asyncio
import logging
import os
import shutil
import signal
from collections import deque
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final, cast, final

from mcp_hub.config.foreign import holds_secret
from mcp_hub.errors import Unreachable
from mcp_hub.secret import Secret
from mcp_hub.upstream.carrier import Lost
from mcp_hub.upstream.link import Failed, LinkOver

GRACE: Final = 2.0
"""Seconds between closing its input, asking it to end, and ending it."""
_POLL: Final = 0.02
_SETTLING: Final = 0.5
_MISSING: Final = "Install it, or write its full path, if it is not in the hub's PATH."
_LONGEST_REMARK: Final = 2000
"""Bytes of one line on standard error that are logged."""
_REMEMBERED: Final = 5
REMARKS: Final = 100
"""Lines of standard error that are logged in one second; the rest of that second is counted."""
_SAID: Final = 256 * 1024
"""Bytes of standard error that are read in one second; beyond them the child has to wait."""
_HELD: Final = 1024 * 1024
"""Bytes of whole lines that wait to be read; beyond them the child has to wait."""
_OF_A_LINE: Final = 64
"""What a line that waits costs besides its bytes: even empty ones may not wait without bound."""
_SHORTEST_SECRET: Final = 6
_PASSED_ON: Final = frozenset(
    {"PATH", "HOME", "USER", "LOGNAME", "LANG", "LANGUAGE", "TMPDIR", "TZ"}
    # What programs on Windows do not start without.
    | {"APPDATA", "LOCALAPPDATA", "PATHEXT", "SYSTEMDRIVE", "SYSTEMROOT", "TEMP", "TMP", "USERNAME", "USERPROFILE"}
)

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Command:
    """What is run: the program and its arguments, what its environment has besides the usual, and where it runs."""

    arguments: tuple[Secret, ...]
    env: Mapping[str, Secret] = field(default_factory=dict[str, Secret])
    cwd: str | None = None

    @property
    def program(self) -> str:
        """The program's name alone, which may be shown."""
        return os.path.basename(self.arguments[0].open())

    @property
    def secrets(self) -> list[str]:
        """What may not be shown, the longest first: its environment, and those arguments that look like a secret."""
        words = [each.open() for each in self.arguments]
        risky = [word for before, word in pairwise(words) if holds_secret(word, before)]
        values = [word.partition("=")[2] for word in risky]
        found = {*risky, *values, *(each.open() for each in self.env.values())}
        # What a child says is looked at line by line, and so a key of several lines is hidden line by line.
        found |= {line.strip() for each in found for line in each.splitlines()}
        return sorted((each for each in found if len(each) >= _SHORTEST_SECRET), key=len, reverse=True)


def child_environment(environ: Mapping[str, str], given: Mapping[str, Secret]) -> dict[str, str]:
    """The whole environment of a child: of the hub's own only the few variables in the list, and what is configured."""
    passed = {key: each for key, each in environ.items() if key in _PASSED_ON or key.startswith("LC_")}
    return passed | {key: each.open() for key, each in given.items()}


class LineTooLong(Exception):
    """A child wrote more than the limit without ending the line."""


@final
class Lines:
    """Bytes cut into lines; at most `limit` bytes wait for their line's end."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._parts: list[bytes] = []
        self._size = 0

    def feed(self, data: bytes) -> list[bytes]:
        """The lines that `data` completes, without their ends.

        Raises:
            LineTooLong: one is longer than the limit.
        """
        *whole, rest = data.split(b"\n")
        if whole:
            whole[0] = b"".join((*self._parts, whole[0]))
            self._parts.clear()
            self._size = 0
        self._parts.append(rest)
        self._size += len(rest)
        if self._size > self._limit or any(len(line) > self._limit for line in whole):
            raise LineTooLong
        return whole


@final
class Remarks:
    """What a child says on standard error, as bounded lines of the log; the last few are remembered."""

    def __init__(self, name: str, hidden: Iterable[str] = ()) -> None:
        self._name = name
        self._hidden = list(hidden)
        # Enough of a line to recognise a secret that begins before its end.
        self._most = _LONGEST_REMARK + max((len(each.encode()) for each in self._hidden), default=0)
        self._begun = b""
        self._skips = False
        self._second = 0.0
        self._logged = 0
        self.last: deque[str] = deque(maxlen=_REMEMBERED)

    def feed(self, data: bytes, now: float) -> None:
        """Log every line that `data` completes; what is too long of one, or too much in one second, is left out."""
        if now - self._second >= 1.0:
            self.count()
            self._second = now
        *whole, rest = data.split(b"\n")
        for line in whole:
            if not self._skips:
                self._note(self._begun + line)
            self._begun, self._skips = b"", False
        self._begun = (self._begun + rest)[: self._most + 1]
        if len(self._begun) > self._most and not self._skips:
            self._note(self._begun)
            self._skips = True

    def count(self) -> None:
        """Say how many lines have been left out since the last count, if any."""
        if self._logged > REMARKS:
            log.info("%s: %d more lines on standard error are left out", self._name, self._logged - REMARKS)
        self._logged = 0

    def _note(self, line: bytes) -> None:
        text = line[: self._most].decode("utf-8", "replace").rstrip()
        for secret in self._hidden:
            text = text.replace(secret, "***")
        if text:
            self.last.append(text[:_LONGEST_REMARK])
            self._logged += 1
            if self._logged <= REMARKS:
                log.info("%s: %s", self._name, text[:_LONGEST_REMARK])


@final
class Child(asyncio.SubprocessProtocol):
    """One running process. Made by `start`; whoever has it ends it."""

    def __init__(self, name: str, remarks: Remarks, longest_line: int) -> None:
        self.name = name
        self.remarks = remarks
        self.exit_code: int | None = None
        self._lines = Lines(longest_line)
        self._read: deque[bytes] = deque()
        self._held = 0
        self._said = 0
        self._news = asyncio.Event()
        self._writable = asyncio.Event()
        self._writable.set()
        self._eof = asyncio.Event()
        self._exited = asyncio.Event()
        self._transport: asyncio.SubprocessTransport | None = None
        self._group = 0
        self._ending: asyncio.Task[None] | None = None
        self._is_closed = False

    # What the event loop tells

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See `asyncio.SubprocessProtocol`."""
        self._transport = cast("asyncio.SubprocessTransport", transport)
        self._group = self._transport.get_pid()  # in a session of its own, so it leads its group

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        """See `asyncio.SubprocessProtocol`."""
        if fd == 2:  # noqa: PLR2004 - standard error
            self._remarked(data)
            return
        if self._eof.is_set():
            return  # it writes on although nobody listens any more
        try:
            whole = self._lines.feed(data)
        except LineTooLong:
            log.warning("%s wrote a line that is longer than the hub accepts; its process is ended", self.name)
            self._finish_reading()
            self._begin_to_end()
            return
        self._read += whole
        self._held += sum(map(len, whole)) + _OF_A_LINE * len(whole)
        self._news.set()
        if self._held > _HELD:
            self._output(1).pause_reading()

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:
        """See `asyncio.SubprocessProtocol`."""
        del exc
        if fd == 1:
            self._finish_reading()
        elif fd == 0:
            self._writable.set()
            self._begin_to_end()  # who hears nothing any more serves nobody

    def process_exited(self) -> None:
        """See `asyncio.SubprocessProtocol`."""
        self.exit_code = self._transport.get_returncode() if self._transport is not None else None
        self._exited.set()
        self._begin_to_end()

    def pause_writing(self) -> None:
        """See `asyncio.BaseProtocol`: it does not read what it is told."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """See `asyncio.BaseProtocol`."""
        self._writable.set()

    # What its owner does

    async def line(self) -> bytes | None:
        """The next line of standard output, `None` at its end. For one reader."""
        while not self._read:
            if self._eof.is_set():
                return None
            self._news.clear()
            await self._news.wait()
        line = self._read.popleft()
        was_full = self._held > _HELD
        self._held -= len(line) + _OF_A_LINE
        if was_full and self._held <= _HELD and not self._eof.is_set():
            self._output(1).resume_reading()
        return line

    async def write(self, line: bytes, failed: Failed) -> None:
        """See `Line.write`: as soon as the process takes it; it has failed if its input is closed."""
        while not self._writable.is_set():  # others have waited, too, and may have filled it again
            await self._writable.wait()
        if not self._put(line):
            failed(LinkOver(self.name, f"{self.name} has closed its input."))

    def write_now(self, line: bytes) -> None:
        """Write one line unless the process does not read, or its input is closed: for what may be lost."""
        self._put(line)

    def _put(self, line: bytes) -> bool:
        stdin = self._stdin()
        if not self._writable.is_set() or stdin is None or stdin.is_closing():
            return False
        stdin.write(one_line(line) + b"\n")
        return True

    @property
    def last_words(self) -> str:
        """What it said last on standard error, on one line, for the log."""
        return " | ".join(self.remarks.last)

    def farewell(self) -> Lost:
        """See `Line.farewell`."""
        code = self.exit_code
        how = "" if code is None else f" (exit code {code})" if code >= 0 else f" (signal {-code})"
        return Lost(self.name, f"The process of {self.name} has ended{how}. The call may have had effects.")

    async def settle(self) -> None:
        """Wait a moment for the exit of a process that has closed its output, so that its exit code is known."""
        await _within(_SETTLING, self._exited)

    async def end(self) -> None:
        """End the process and everything it has started; returns when all of it is over."""
        self._begin_to_end()
        if self._ending is not None:
            await asyncio.shield(self._ending)

    def _remarked(self, data: bytes) -> None:
        loop = asyncio.get_running_loop()
        self.remarks.feed(data, loop.time())
        before, self._said = self._said, self._said + len(data)
        if before == 0:
            loop.call_later(1.0, self._listen_again)
        if before <= _SAID < self._said:
            self._output(2).pause_reading()

    def _listen_again(self) -> None:
        was_paused, self._said = self._said > _SAID, 0
        if was_paused and not self._is_closed:
            self._output(2).resume_reading()

    def _begin_to_end(self) -> None:
        if self._ending is None:
            self._ending = asyncio.ensure_future(self._end())

    async def _end(self) -> None:
        stdin = self._stdin()
        if stdin is not None:
            stdin.close()
        if not await _within(GRACE, self._exited):
            self._signal(signal.SIGTERM)
            if not await _within(GRACE, self._exited):
                self._signal(_KILL)
                await _within(GRACE, self._exited)
        await self._end_group()
        self._is_closed = True
        if self._transport is not None:
            self._transport.close()
        self.remarks.count()
        self._finish_reading()

    async def _end_group(self) -> None:
        # The leader is gone. Whoever else is in its group may still hold its pipes.
        for number in (signal.SIGTERM, _KILL):
            if not self._signal(number):
                break
            for _ in range(round(GRACE / _POLL)):
                if not self._signal(0):
                    break
                await asyncio.sleep(_POLL)  # nobody tells when a process ends that is not a child
        await _within(GRACE, self._eof)

    def _signal(self, number: int) -> bool:
        """Whether there was anybody in the group to send it to."""
        if not self._group:
            return False
        try:
            os.killpg(self._group, number)
        except (ProcessLookupError, PermissionError):
            return False
        return True

    def _finish_reading(self) -> None:
        self._eof.set()
        self._news.set()

    def _stdin(self) -> asyncio.WriteTransport | None:
        pipe = self._transport.get_pipe_transport(0) if self._transport is not None else None
        return cast("asyncio.WriteTransport | None", pipe)

    def _output(self, fd: int) -> asyncio.ReadTransport:
        if self._transport is None:
            raise AssertionError("a process is read only once it runs")
        return cast("asyncio.ReadTransport", self._transport.get_pipe_transport(fd))


_KILL: Final = getattr(signal, "SIGKILL", signal.SIGTERM)


def one_line(message: bytes) -> bytes:
    """A message without line breaks: it may hold some between its parts, where they mean nothing.

    Without this a caller could end the message early and write another one of its own to the process.
    """
    if b"\n" in message or b"\r" in message:
        return message.replace(b"\r", b" ").replace(b"\n", b" ")
    return message


async def start(name: str, command: Command, longest_line: int) -> Child:
    """Start the command in a session of its own, with its pipes open. The caller ends it.

    Raises:
        Unreachable: it cannot be started.
    """
    env = child_environment(os.environ, command.env)
    arguments = [each.open() for each in command.arguments]
    program = arguments[0]
    if not os.path.dirname(program):
        found = shutil.which(program, path=env.get("PATH"))
        if found is None:
            raise Unreachable(name, f"{name} cannot be started: there is no command {program!r}. {_MISSING}")
        arguments[0] = found
    # Should the hub be killed, its children see the end of their input. PR_SET_PDEATHSIG would end the stubborn ones,
    # too, but exists on Linux only, needs code between fork and exec, is tied to the thread that forks, and is not
    # inherited: what `npx` starts would be left all the same. A service manager ends a whole control group.
    child = Child(name, Remarks(name, command.secrets), longest_line)
    try:
        await asyncio.get_running_loop().subprocess_exec(
            lambda: child, *arguments, env=env, cwd=command.cwd, start_new_session=True
        )
    except (OSError, ValueError) as error:
        why = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else "its command is not one"
        raise Unreachable(name, f"{name} cannot be started: {why}. Check its command and cwd.") from error
    return child


async def _within(seconds: float, event: asyncio.Event) -> bool:
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
    return event.is_set()
