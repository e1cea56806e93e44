"""Passwords: what makes one good enough, and that checking wrong ones stays cheap for everybody else."""

import asyncio
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_hub.identity.passwords import Cost, Passwords, generated, password_fault
from mcp_hub.identity.refusals import NotSignedIn

pytestmark = pytest.mark.promise("C24")
CHEAP = Cost(passes=1, memory=8, lanes=1)


@pytest.fixture(scope="module")
def passwords():
    made = Passwords(CHEAP)
    yield made
    made.close()


async def test_the_right_password_is_right_and_every_other_is_not(passwords):
    stored = await passwords.hash("correct horse")
    assert stored.startswith("$argon2id$")
    assert "correct horse" not in stored
    assert (await passwords.check(stored, "correct horse")).is_right
    for wrong in ("", "correct horsf", "Correct horse", "correct horse ", "x" * 5000, "\x00", "\ud800"):
        assert not (await passwords.check(stored, wrong)).is_right


async def test_two_hashes_of_one_password_differ(passwords):
    assert await passwords.hash("correct horse") != await passwords.hash("correct horse")


async def test_the_way_a_keyboard_composes_a_letter_does_not_matter(passwords):
    stored = await passwords.hash("caf\u00e9 caf\u00e9")
    assert (await passwords.check(stored, "cafe\u0301 cafe\u0301")).is_right


async def test_nobodys_password_is_checked_like_anybodys_and_never_right(passwords):
    assert not (await passwords.check(None, "correct horse")).is_right
    assert passwords._nobodys is not None, "a hash was made to check against, at the same cost"
    assert not (await passwords.check("no hash at all", "correct horse")).is_right


async def test_a_hash_of_another_cost_is_made_anew(passwords):
    older = Passwords(Cost(passes=2, memory=8, lanes=1))
    stored = await older.hash("correct horse")
    checked = await passwords.check(stored, "correct horse")
    assert checked.is_right
    assert checked.fresh is not None
    again = await passwords.check(checked.fresh, "correct horse")
    assert (again.is_right, again.fresh) == (True, None)
    assert (await passwords.check(stored, "wrong horse")).fresh is None
    older.close()


@pytest.mark.promise("T53")
async def test_however_many_are_checked_at_once_only_a_few_run_and_a_bounded_number_waits():
    passwords = Passwords(CHEAP, at_once=2, most_waiting=8)
    running, most, gate, lock = 0, 0, threading.Event(), threading.Lock()
    refused, full = [], asyncio.Event()

    def work() -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        gate.wait(5)
        with lock:
            running -= 1

    async def attempt() -> bool:
        try:
            await passwords._run(work)
        except NotSignedIn as said:
            refused.append((said.reason, said.wait))
            if len(refused) == 990:
                full.set()
            return False
        return True

    attempts = [asyncio.ensure_future(attempt()) for _ in range(1000)]
    async with asyncio.timeout(5):
        await full.wait()
        gate.set()
        done = await asyncio.gather(*attempts)
    assert set(refused) == {("busy", 60.0)}
    assert sum(done) == 10
    assert most <= 2
    await passwords.hash("after that it works")
    passwords.close()


@pytest.mark.parametrize(
    ("password", "says"),
    [
        ("", "at least 8"),
        ("1234567", "at least 8"),
        ("x" * 1025, "at most 1024"),
        ("aaaaaaaaaa", "the first that anybody would try"),
        ("12345678", "the first that anybody would try"),
        ("Password123", "the first that anybody would try"),
        ("ADA@example.com", "the first that anybody would try"),
    ],
)
def test_a_password_that_is_no_good_is_refused_with_a_sentence(password, says):
    assert says in password_fault(password, "ada@example.com")


@pytest.mark.parametrize("password", ["correct horse", "12345679", "пароль пароль", "x" * 1023 + "y", "pass word"])
def test_length_is_what_counts(password):
    assert password_fault(password, "ada@example.com") == ""


@given(st.text())
def test_any_text_gets_an_answer(password):
    assert isinstance(password_fault(password), str)


def test_a_generated_password_is_good_and_never_the_same():
    first, second = generated(), generated()
    assert password_fault(first.open()) == ""
    assert first != second
