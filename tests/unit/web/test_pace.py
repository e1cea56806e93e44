"""How often somebody may have the hub ask others."""

import pytest

from mcp_hub.principal import LOCAL, Principal
from mcp_hub.web.frame import Frame
from mcp_hub.web.lookers import Looker
from mcp_hub.web.pace import Pace
from mcp_hub.web.visitors import Newcomer, Shown

pytestmark = pytest.mark.promise("E37")


class Twice:
    """Lets everybody do it twice."""

    def __init__(self):
        self.taken: dict[str, int] = {}

    def take(self, name, key):
        self.taken[key] = self.taken.get(key, 0) + 1
        return None if self.taken[key] <= 2 else 41.2


def looker(caller: Principal, browser: bytes) -> Looker:
    return Looker(caller, Shown("", is_admin=False, sign_out_token=""), Newcomer(browser, None))


def test_a_user_waits_in_whatever_browser_and_nobody_else_does():
    pace = Pace(Frame("9.9"), Twice())
    assert pace.too_often(looker(LOCAL, b"one")) is None
    assert pace.too_often(looker(LOCAL, b"two")) is None
    answer = pace.too_often(looker(LOCAL, b"three"))
    assert answer.status_code == 429
    assert answer.headers["retry-after"] == "42"
    assert b"Try again in 42 seconds." in answer.body
    assert pace.too_often(looker(Principal("local", "other"), b"one")) is None


async def test_looking_beginning_and_checking_all_count(ada, fake):
    page = await ada.look("/connect/github")
    home = await ada.look("/")
    fake.connect(ada.caller, "github")
    connected = await ada.look("/")
    for _ in range(59):
        assert (await ada.look("/connect/github")).status == 200
    assert (await ada.look("/connect/github")).status == 429
    assert (await ada.press(page, "Connect GitHub")).status == 429
    assert (await ada.press(connected, "Check GitHub now")).status == 429
    assert (await ada.press(home, "Save and check Warehouse", key="k")).status == 429
    assert fake.begun == {}
    assert (await ada.look("/")).status == 200
