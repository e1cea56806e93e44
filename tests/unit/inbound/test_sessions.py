import asyncio
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from msgspec import Raw

from mcp_hub.errors import Forbidden
from mcp_hub.inbound.flight import Ended
from mcp_hub.inbound.sessions import LIFE, Event, Limits, MemorySessions, Session, State
from mcp_hub.principal import Principal
from mcp_hub.wire.eras import Client, Era
from unit.inbound.hub import ALICE, BOB, Hub

pytestmark = pytest.mark.promise("A4")

CLIENT = Client(Era.LEGACY, "2025-11-25", Raw(b"{}"))


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Table:
    """Sessions under test, with a clock that stands still until it is moved."""

    def __init__(self, **limits):
        self.clock = Clock()
        self.ended: list[str] = []
        self.sessions = MemorySessions(self.end, Limits(**limits), self.clock)

    async def end(self, session_id: str, owner: object) -> None:
        self.ended.append(session_id)


@pytest.mark.promise("T19")
async def test_ids_cannot_be_guessed():
    table = Table()
    ids = {(await table.sessions.open(ALICE, CLIENT)).id for _ in range(100)}
    assert len(ids) == 100
    assert all(len(each) >= 43 for each in ids), "256 bits"


@pytest.mark.promise("T19")
async def test_being_asked_for_by_somebody_else_does_not_keep_a_session_alive():
    table = Table(idle=10)
    session = await table.sessions.open(ALICE, CLIENT)
    table.clock.now = 9
    assert await table.sessions.find(session.id, BOB) is None
    table.clock.now = 10
    assert await table.sessions.find(session.id, ALICE) is None


@pytest.mark.promise("T19")
async def test_a_session_belongs_to_issuer_and_subject_not_to_a_name():
    table = Table()
    session = await table.sessions.open(ALICE, CLIENT)
    for other in (Principal("other", "alice"), Principal("idp", "alice", tenant="t2")):
        assert await table.sessions.find(session.id, other) is None
    renewed = Principal("idp", "alice", roles=frozenset({"admin"}), label="Alice")
    assert await table.sessions.find(session.id, renewed) is session


async def test_a_session_that_was_idle_for_too_long_is_over_and_the_road_is_told():
    table = Table(idle=10)
    old = await table.sessions.open(ALICE, CLIENT)
    table.clock.now = 5
    used = await table.sessions.open(ALICE, CLIENT)
    table.clock.now = 10
    assert await table.sessions.find(used.id, ALICE) is used
    assert await table.sessions.find(old.id, ALICE) is None
    await table.sessions.settle()
    assert table.ended == [old.id]
    assert old.state is State.ENDED


async def test_using_a_session_keeps_it():
    table = Table(idle=10)
    session = await table.sessions.open(ALICE, CLIENT)
    for _ in range(5):
        table.clock.now += 9
        assert await table.sessions.find(session.id, ALICE) is session


async def test_a_session_that_holds_a_stream_is_not_idle():
    table = Table(idle=10)
    session = await table.sessions.open(ALICE, CLIENT)
    stops: list[Ended] = []
    session.streams.add(stops.append)
    table.clock.now = 100
    table.sessions.sweep()
    assert await table.sessions.find(session.id, ALICE) is session
    session.streams.clear()
    table.clock.now = 200
    table.sessions.sweep()
    assert len(table.sessions) == 0
    assert stops == []


async def test_the_oldest_idle_session_makes_room_for_a_new_one():
    table = Table(per_principal=3)
    bobs = await table.sessions.open(BOB, CLIENT)
    first, second, third = [await table.sessions.open(ALICE, CLIENT) for _ in range(3)]
    await table.sessions.find(first.id, ALICE)
    second.running[1] = lambda why: None
    await table.sessions.open(ALICE, CLIENT)
    assert third.state is State.ENDED
    assert {first.state, second.state, bobs.state} == {State.OPENED}


async def test_a_caller_whose_sessions_are_all_in_use_gets_no_more():
    table = Table(per_principal=1)
    session = await table.sessions.open(ALICE, CLIENT)
    session.running[1] = lambda why: None
    with pytest.raises(Forbidden):
        await table.sessions.open(ALICE, CLIENT)
    await table.sessions.open(BOB, CLIENT)


async def test_the_total_is_bounded_too():
    table = Table(total=2)
    first = await table.sessions.open(ALICE, CLIENT)
    await table.sessions.open(BOB, CLIENT)
    await table.sessions.open(BOB, CLIENT)
    assert len(table.sessions) == 2
    assert first.state is State.ENDED


async def test_a_caller_with_too_many_sessions_is_told_whose_turn_it_is():
    hub = Hub(limits=Limits(per_principal=1))
    session = await hub.open()
    stream = hub.begin("GET", mcp_session_id=session)
    await stream.started.wait()
    response = await hub.initialize()
    assert response.status == 403
    assert "end one" in response.json["error"]["message"]
    stream.hung_up.set()
    await stream.over()


async def test_an_upstream_that_is_slow_to_say_goodbye_holds_up_nobody():
    goodbye = asyncio.Event()

    async def slow(session_id: str, owner: object) -> None:
        await goodbye.wait()

    sessions = MemorySessions(slow, Limits(per_principal=1), lambda: 0.0)
    for _ in range(3):
        async with asyncio.timeout(5):
            await sessions.open(ALICE, CLIENT)
    goodbye.set()
    await sessions.settle()


async def test_a_goodbye_that_fails_is_logged_and_harms_nobody(caplog):
    async def broken(session_id: str, owner: object) -> None:
        raise RuntimeError("planted")

    sessions = MemorySessions(broken, Limits(), lambda: 0.0)
    session = await sessions.open(ALICE, CLIENT)
    await sessions.end(session, Event.DELETED)
    await sessions.end(session, Event.DELETED)
    await sessions.settle()
    assert len(caplog.records) == 1


@given(st.lists(st.sampled_from(Event)))
def test_an_ended_session_stays_ended(events):
    session = Session("id", ALICE.key, CLIENT, 0.0)
    seen = [session.state]
    for event in events:
        session.happen(event)
        seen.append(session.state)
    order = list(State)
    assert [order.index(state) for state in seen] == sorted(order.index(state) for state in seen)


def test_every_state_has_an_end_and_every_row_is_one_of_a_state_that_lives():
    assert all(state is not State.ENDED for state, _ in LIFE)
    living, endings = (State.OPENED, State.LIVE), (Event.DELETED, Event.EXPIRED, Event.CROWDED_OUT)
    assert all(LIFE[each] is State.ENDED for each in product(living, endings))


class Model(RuleBasedStateMachine):
    """Sessions against a plain list of (owner, id, last used), over any order of events."""

    @initialize()
    def begin(self):
        self.table = Table(idle=10, per_principal=2, total=3)
        self.mine: list[tuple[Principal, Session]] = []

    def run(self, work):
        return asyncio.run(work)

    @rule(owner=st.sampled_from([ALICE, BOB]))
    def open(self, owner):
        self.mine.append((owner, self.run(self.table.sessions.open(owner, CLIENT))))

    @rule(seconds=st.integers(0, 12))
    def wait(self, seconds):
        self.table.clock.now += seconds

    @rule(data=st.data(), owner=st.sampled_from([ALICE, BOB]))
    def find(self, data, owner):
        if self.mine:
            whose, session = data.draw(st.sampled_from(self.mine))
            idle = self.table.clock.now - session.last_used
            found = self.run(self.table.sessions.find(session.id, owner))
            alive = whose == owner and session.state is not State.ENDED
            assert (found is session) == (alive and idle < 10)

    @rule(data=st.data())
    def end(self, data):
        if self.mine:
            _, session = data.draw(st.sampled_from(self.mine))
            self.run(self.table.sessions.end(session, Event.DELETED))

    @invariant()
    def bounded_and_consistent(self):
        if not hasattr(self, "table"):
            return
        alive = [(owner, session) for owner, session in self.mine if session.state is not State.ENDED]
        assert len(self.table.sessions) == len(alive) <= 3
        assert all(sum(o == owner for o, _ in alive) <= 2 for owner in (ALICE, BOB))


TestModel = Model.TestCase
TestModel.settings = settings(max_examples=25, stateful_step_count=20, deadline=None)
