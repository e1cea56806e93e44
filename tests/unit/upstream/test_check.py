"""The five verdicts on an upstream, and the steps that led there."""

import asyncio

import pytest

from mcp_hub.catalog.parts import Kind
from mcp_hub.egress.dial import Dialer
from mcp_hub.upstream.check import Status, by_dialing, check, status_of, url_not_set
from rig.fake_upstream import Answer, FakeUpstream, Request, tool
from rig.parts import LOOPBACK, NOTHING, bearer, fetch_from, settings_for, wires_to

pytestmark = pytest.mark.promise("D26")


class Plain:
    """For whom nothing more is said."""

    def begun(self, steps):
        pass

    async def reached(self, steps):
        pass

    async def ended(self, steps, error):
        return status_of(error)


async def verdict(fake: FakeUpstream, dialer: Dialer | None = None, **more):
    credential = more.pop("credential", NOTHING)
    settings = settings_for(fake, **more)
    async with wires_to(fake) as wires, asyncio.timeout(5):
        fetch = fetch_from(wires, credential=credential, deadline=settings.listing)
        reach = by_dialing(settings.url, dialer or Dialer(allow_private=LOOPBACK))
        return await check(settings, reach, fetch, Plain())


def steps(found) -> list[tuple[str, bool]]:
    return [(each.step, each.ok) for each in found.steps]


def answering(status: int):
    async def handler(request: Request) -> Answer:
        return Answer(b"SECRET", status, headers={"www-authenticate": "SECRET"})

    return handler


def test_the_verdicts_are_these_five_and_no_other():
    assert [each.value for each in Status] == [
        "OK", "Unauthorized", "User not authenticated", "Server URL not set", "Failed",
    ]  # fmt: skip


def test_an_upstream_without_a_url_has_a_verdict_of_its_own():
    found = url_not_set("up", Plain())
    assert (found.name, found.status, found.part) == ("up", Status.SERVER_URL_NOT_SET, None)
    assert steps(found) == [("url", False)]


@pytest.mark.parametrize("eras", ["modern", "legacy"])
async def test_all_is_well_and_every_step_says_what_it_found(eras):
    async with FakeUpstream(eras=eras, name="up") as fake:
        fake.tools = [tool("a"), {"name": "broken"}]
        found = await verdict(fake, credential=bearer("right"))
    assert found.status is Status.OK
    assert steps(found) == [("dns", True), ("tcp", True), ("mcp", True), ("lists", True)]
    assert found.steps[0].detail == "127.0.0.1"
    assert found.steps[2].detail.startswith(f"{eras} era, revision 202")
    assert found.steps[2].detail.endswith("up 1")
    assert found.steps[3].detail == "1 tool, 0 prompts, 0 resources, 0 templates"
    assert len(found.part.of(Kind.TOOL)) == 1
    assert "broken" in found.part.warnings[0]
    assert all(each.ms >= 0 for each in found.steps)
    assert not fake.sessions, "no session is left behind"


async def test_a_server_without_a_name_and_without_lists_is_ok_too():
    async def nameless(request: Request) -> Answer:
        return Answer(
            b'{"jsonrpc":"2.0","id":%d,"result":{"supportedVersions":["2026-07-28"]}}' % request.message["id"]
        )

    async with FakeUpstream() as fake:
        fake.handlers["server/discover"] = nameless
        found = await verdict(fake)
    assert found.status is Status.OK
    assert found.steps[2].detail == "modern era, revision 2026-07-28, a server without a name"
    assert found.steps[3].detail == "nothing is offered"


@pytest.mark.promise("T10")
@pytest.mark.parametrize("status", [401, 403])
@pytest.mark.parametrize("method", ["server/discover", "tools/list"])
async def test_a_rejected_credential_is_unauthorized(status, method):
    async with FakeUpstream() as fake:
        fake.handlers[method] = answering(status)
        found = await verdict(fake)
    assert found.status is Status.UNAUTHORIZED
    assert steps(found)[-1] == ("auth", False)
    assert f"HTTP {status}" in found.steps[-1].detail
    assert "SECRET" not in repr(found)
    assert found.part is None


@pytest.mark.parametrize(
    ("method", "status", "step"),
    [("server/discover", 500, "mcp"), ("server/discover", 429, "mcp"), ("tools/list", 400, "lists")],
)
async def test_a_server_that_fails_is_failed_at_that_step(method, status, step):
    async with FakeUpstream() as fake:
        fake.handlers[method] = answering(status)
        found = await verdict(fake)
    assert found.status is Status.FAILED
    assert steps(found)[-1] == (step, False)
    assert f"HTTP {status}" in found.steps[-1].detail
    assert "SECRET" not in repr(found)


async def test_a_server_of_something_else_is_failed_at_the_protocol():
    async with FakeUpstream(eras="") as fake:
        found = await verdict(fake)
    assert found.status is Status.FAILED
    assert steps(found) == [("dns", True), ("tcp", True), ("mcp", False)]


@pytest.mark.promise("T24")
async def test_a_server_that_hangs_is_failed_in_time():
    async def never(request: Request) -> Answer:
        await request.until_hung_up()
        return Answer(raw=b"", hangs_up=True)

    async with FakeUpstream() as fake:
        fake.before = never
        found = await verdict(fake, listing=0.05)
        assert (found.status, found.steps[-1].detail) == (Status.FAILED, "fake did not introduce itself within 0.05 s.")
        fake.before, fake.handlers["tools/list"] = None, never
        found = await verdict(fake, listing=0.05)
    assert (found.status, found.steps[-1].step) == (Status.FAILED, "lists")


async def test_a_port_that_nobody_listens_on_is_failed_at_connecting():
    async with FakeUpstream() as fake:
        await fake.stop()
        found = await verdict(fake)
    assert found.status is Status.FAILED
    assert steps(found) == [("dns", True), ("tcp", False)]


async def test_a_name_that_does_not_resolve_is_failed_at_that():
    async def nowhere(host: str, port: int) -> list[str]:
        raise OSError("no such name")

    async with FakeUpstream() as fake:
        found = await verdict(fake, Dialer(allow_private=LOOPBACK, resolve=nowhere))
    assert (found.status, steps(found)) == (Status.FAILED, [("dns", False)])


@pytest.mark.promise("D28", "T4")
async def test_an_address_that_is_not_allowed_is_judged_and_not_connected():
    async with FakeUpstream() as fake:
        found = await verdict(fake, Dialer())
    assert (found.status, steps(found)) == (Status.FAILED, [("address", False)])
    assert "network.allow_private" in found.steps[0].detail
    assert not fake.seen


async def test_a_check_with_tls_says_so():
    async with FakeUpstream() as fake:
        found = await verdict(fake, url=fake.url.replace("http://", "https://"))
    assert steps(found) == [("dns", True), ("tls", False)]
