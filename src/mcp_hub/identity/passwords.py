"""Passwords: what makes one good enough, and whether one is right.

Rule: a password is stored as an argon2id hash; checking one costs the same whether there is such an account or not;
however many are checked at once, they take turns in a few threads, so that wrong ones cannot use up the memory.
Source: NIST SP 800-63B section 3.1.1 (length, no composition rules, normalization), RFC 9106 section 4.
"""

import asyncio
import secrets
import unicodedata
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final, TypeVar, final

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from mcp_hub.identity.refusals import NotSignedIn
from mcp_hub.secret import Secret

LEAST: Final = 8
MOST: Final = 1024
AT_ONCE: Final = 2
"""How many passwords are checked at the same time; each takes the memory of one hash."""
MOST_WAITING: Final = 64
_FIRST_TRIED: Final = frozenset(
    {
        *("password", "password1", "password12", "password123", "passw0rd", "p@ssw0rd", "p@ssword", "pa$$word"),
        *("12345678", "123456789", "1234567890", "87654321", "987654321", "0987654321", "12341234", "11223344"),
        *("qwertyui", "qwertyuiop", "qwerty12", "qwerty123", "qwertz123", "asdfghjk", "asdfghjkl", "1q2w3e4r"),
        *("1qaz2wsx", "abcd1234", "abc12345", "iloveyou", "letmein1", "welcome1", "changeme", "administrator"),
        *("sunshine", "princess", "football", "baseball", "superman", "trustno1", "admin123", "admin1234"),
    }
)
"""What leads every list of passwords that leaked; more of them would give nothing that slow guessing does not."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Cost:
    """What one hash takes: passes over `memory` KiB, in `lanes`. The default is that of RFC 9106 for little memory."""

    passes: int = 3
    memory: int = 64 * 1024
    lanes: int = 4


DEFAULT_COST: Final = Cost()


@dataclass(frozen=True, slots=True)
class Checked:
    """Whether a password is right; `fresh` is a new hash of it where the stored one was made at another cost."""

    is_right: bool
    fresh: str | None = None


def password_fault(password: str, email: str = "") -> str:
    """Why this may not be a password, as a sentence; empty if it may. `email` is whose it would be."""
    text = _normal(password)
    if len(text) < LEAST:
        return f"A password needs at least {LEAST} characters. A few words are easy to remember and hard to guess."
    if len(text) > MOST:
        return f"A password has at most {MOST} characters."
    lower = text.lower()
    own = (email.lower(), email.lower().partition("@")[0])
    if lower in own or lower in _FIRST_TRIED or len(set(text)) == 1:
        return "This password is the first that anybody would try. Choose another."
    return ""


@final
class Passwords:
    """Hashes and checks passwords, off the event loop. Close it with `close`."""

    def __init__(self, cost: Cost = DEFAULT_COST, *, at_once: int = AT_ONCE, most_waiting: int = MOST_WAITING) -> None:
        self._hasher = PasswordHasher(time_cost=cost.passes, memory_cost=cost.memory, parallelism=cost.lanes)
        self._threads = ThreadPoolExecutor(at_once, thread_name_prefix="passwords")
        self._most = at_once + most_waiting
        self._under_way = 0
        self._nobodys: str | None = None

    async def hash(self, password: str) -> str:
        """What is stored of a password.

        Raises:
            NotSignedIn: too many are being checked at this moment.
        """
        return await self._run(lambda: self._hasher.hash(_normal(password)))

    async def check(self, stored: str | None, password: str) -> Checked:
        """Whether `password` is the one that was stored; with `None`, which is nobody's, it costs the same and is not.

        Raises:
            NotSignedIn: too many are being checked at this moment.
        """
        return await self._run(lambda: self._check(stored, _normal(password)))

    def close(self) -> None:
        """End the threads, after what they have begun."""
        self._threads.shutdown(wait=True, cancel_futures=True)

    def _check(self, stored: str | None, password: str) -> Checked:
        try:
            self._hasher.verify(stored or self._of_nobody(), password[: MOST + 1])
        except (VerificationError, InvalidHashError):
            return Checked(is_right=False)
        if stored is None or len(password) > MOST:
            return Checked(is_right=False)
        fresh = self._hasher.hash(password) if self._hasher.check_needs_rehash(stored) else None
        return Checked(is_right=True, fresh=fresh)

    def _of_nobody(self) -> str:
        if self._nobodys is None:
            self._nobodys = self._hasher.hash(secrets.token_urlsafe(16))
        return self._nobodys

    async def _run(self, work: Callable[[], T]) -> T:
        if self._under_way >= self._most:
            raise NotSignedIn("Too many people sign in at this moment. Try again in a minute.", "busy", wait=60.0)
        self._under_way += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        finally:
            self._under_way -= 1


def generated() -> Secret:
    """A password that nobody chose: for an account that somebody else makes."""
    return Secret("-".join(secrets.token_hex(3) for _ in range(4)))


def _normal(password: str) -> str:
    """The same text however a keyboard composes it; what is no text at all is no password either."""
    text = unicodedata.normalize("NFKC", password)
    return text.encode("utf-8", "replace").decode()
