"""An upstream at which everybody has an account of their own, and the accesses of those who call there."""

import json
from collections import defaultdict

from mcp_hub.principal import Principal
from rig.accesses import OwnAccess
from rig.fake_upstream import Answer, FakeUpstream, Request, result, tool


def token_of(request: Request) -> str:
    """The bearer token that a request carries."""
    return request.headers.get("authorization", "").removeprefix("Bearer ")


def account_of(token: str) -> str:
    """Whose a token is: what stands before its number."""
    return token.partition("-")[0]


class Personal(FakeUpstream):
    """Offers each account its own tool beside `whoami`, which tells whose token came, in which session, how often.

    `expired` tokens are refused. `connections` holds the accounts that came on each connection, `sessions_of` those
    that came in each session.
    """

    def __init__(self, *, eras: str = "modern", name: str = "up") -> None:
        super().__init__(eras=eras, name=name, tools=[])
        self.expired: set[str] = set()
        self.connections: defaultdict[int, set[str]] = defaultdict(set)
        self.sessions_of: defaultdict[str, set[str]] = defaultdict(set)
        self.counts: defaultdict[str, int] = defaultdict(int)
        self.before = self._judge
        self.handlers |= {"tools/list": self._list, "tools/call": self._call}

    async def _judge(self, request: Request) -> Answer | None:
        token = token_of(request)
        if not token or token in self.expired:
            return Answer(status=401, headers={"www-authenticate": "Bearer"})
        self.connections[id(request.reader)].add(account_of(token))
        if "mcp-session-id" in request.headers:
            self.sessions_of[request.headers["mcp-session-id"]].add(account_of(token))
        return None

    async def _list(self, request: Request) -> Answer:
        account = account_of(token_of(request))
        hints = self.hints if "modern" in self.eras else {}
        return result(request, {"tools": [tool("whoami"), tool(f"of-{account}")], "resultType": "complete", **hints})

    async def _call(self, request: Request) -> Answer:
        key = request.headers.get("mcp-session-id") or account_of(token_of(request))
        self.counts[key] += 1
        told = {"token": token_of(request), "session": key, "count": self.counts[key]}
        content = [{"type": "text", "text": json.dumps(told)}]
        return result(request, {"content": content, "structuredContent": told, "resultType": "complete"})

    @property
    def mixed(self) -> list[set[str]]:
        """The connections and sessions on which more than one account came."""
        used = [*self.connections.values(), *self.sessions_of.values()]
        return [each for each in used if len(each) > 1]


class Accesses:
    """Everybody's accesses, each made when first asked for; whoever is in `connected` has a token `NAME-1`."""

    def __init__(self, *connected: Principal) -> None:
        self.connected = set(connected)
        self.made: dict[tuple[str, str], OwnAccess] = {}

    def __call__(self, caller: Principal, upstream: str) -> OwnAccess:
        tokens = [f"{caller.subject}-1"] if caller in self.connected else []
        key = (caller.subject, upstream)
        if key not in self.made:
            self.made[key] = OwnAccess(*tokens, upstream=upstream, whose=caller.subject)
        return self.made[key]
