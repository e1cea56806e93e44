"""How often something may be tried: logins, registrations, token requests.

Rule: what is counted needs bounded memory however many names an attacker makes up, and every refusal ends by itself
when its window does, so nobody is locked out for ever.
"""

import time
from collections.abc import Callable, Mapping
from enum import StrEnum
from hashlib import sha256
from ipaddress import IPv6Address, ip_address
from typing import Final, final

from limits import RateLimitItem, parse
from limits.storage import Storage
from limits.strategies import FixedWindowRateLimiter


class Limit(StrEnum):
    """What is counted; the key of each is what it is counted by."""

    LOGIN_ADDRESS = "login_address"
    """Attempts to sign in with a password, by network address."""
    LOGIN_ACCOUNT = "login_account"
    """Wrong passwords, by account and network address."""
    LOGIN_ANYWHERE = "login_anywhere"
    """Wrong passwords, by account, from addresses where nobody signed in to it before."""
    SETUP = "setup"
    """Attempts with a setup code, by network address."""
    PROVIDER = "provider"
    """Logins sent to the identity provider, by network address."""
    AUTHORIZE = "authorize"
    """Authorization requests, by network address."""
    TOKEN = "token"  # noqa: S105 - the name of a limit
    """Requests to the token and revocation endpoints, by network address."""
    REGISTER = "register"
    """Clients that register themselves, by network address."""
    CONNECT = "connect"
    """Connections to upstreams that are looked into, begun or checked, by user."""
    DOCUMENT_HOST = "document_host"
    """Client metadata documents that are fetched, by their host."""
    DOCUMENTS = "documents"
    """The same, of all hosts together."""


DEFAULTS: Final[Mapping[Limit, str]] = {
    Limit.LOGIN_ADDRESS: "60 per minute",
    Limit.LOGIN_ACCOUNT: "10 per 5 minutes",
    Limit.LOGIN_ANYWHERE: "100 per 15 minutes",
    Limit.SETUP: "20 per minute",
    Limit.PROVIDER: "60 per minute",
    Limit.AUTHORIZE: "120 per minute",
    Limit.TOKEN: "600 per minute",
    Limit.REGISTER: "30 per hour",
    Limit.CONNECT: "60 per minute",
    Limit.DOCUMENT_HOST: "20 per minute",
    Limit.DOCUMENTS: "120 per minute",
}
"""How often, within how long. A proxy in front of the hub is one address for everybody behind it."""

MOST_KEYS: Final = 20_000
LONGEST_KEY: Final = 256
"""Characters of a key that is kept as it is; of a longer one, its digest is."""
_SHARED: Final = 1024
"""How many counters all further keys share while `MOST_KEYS` have one of their own."""


@final
class Limits:
    """All counters of a hub. Of one event loop; nothing waits, nothing is stored."""

    def __init__(
        self,
        rules: Mapping[Limit, str] = DEFAULTS,
        *,
        now: Callable[[], float] = time.time,
        most: int = MOST_KEYS,
    ) -> None:
        self._now = now
        self._windows = {name: _Window(parse(rule), _Counters(now, most)) for name, rule in rules.items()}

    def take(self, name: Limit, key: str) -> float | None:
        """Count one attempt: `None` if it may go on, else the seconds until the next may. A refusal is not counted."""
        window, key = self._windows[name], _short(key)
        if window.strategy.test(window.item, key) and window.strategy.hit(window.item, key):
            return None
        return self._wait(window, key)

    def wait(self, name: Limit, key: str) -> float | None:
        """The same without counting."""
        window, key = self._windows[name], _short(key)
        return None if window.strategy.test(window.item, key) else self._wait(window, key)

    def forget(self, name: Limit, key: str) -> None:
        """Start to count anew for this key, as after a success. Does nothing where many keys share one counter."""
        window = self._windows[name]
        window.strategy.clear(window.item, _short(key))

    def _wait(self, window: "_Window", key: str) -> float:
        return max(window.strategy.get_window_stats(window.item, key).reset_time - self._now(), 1.0)


def _short(key: str) -> str:
    if len(key) <= LONGEST_KEY:
        return key
    return sha256(key.encode("utf-8", "surrogatepass")).hexdigest()


def neighbourhood(address: str) -> str:
    """What an address is counted as: itself, or of IPv6 the /64, which one customer can use up at will."""
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if not isinstance(parsed, IPv6Address):
        return address
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return f"{IPv6Address(int(parsed) >> 64 << 64)}/64"


@final
class _Counters(Storage):
    """The counters of one limit. All windows are equally long, so the oldest entry is always the first to end.

    The library's own memory storage sweeps all keys in a thread of its own and has no upper bound.
    """

    STORAGE_SCHEME = None

    def __init__(self, now: Callable[[], float], most: int) -> None:
        super().__init__()
        self._now = now
        self._most = most
        self._counts: dict[str, tuple[int, float]] = {}

    @property
    def base_exceptions(self) -> type[Exception]:
        return ValueError

    def incr(self, key: str, expiry: float, amount: int = 1) -> int:
        self._sweep()
        own = self._own(key)
        count, ends = self._counts.get(own, (0, self._now() + expiry))
        self._counts[own] = (count + amount, ends)
        return count + amount

    def get(self, key: str) -> int:
        self._sweep()
        return self._counts.get(self._own(key), (0, 0.0))[0]

    def get_expiry(self, key: str) -> float:
        return self._counts.get(self._own(key), (0, self._now()))[1]

    def clear(self, key: str) -> None:
        self._counts.pop(key, None)

    def check(self) -> bool:
        return True

    def reset(self) -> int | None:
        count = len(self._counts)
        self._counts.clear()
        return count

    def __len__(self) -> int:
        return len(self._counts)

    def _own(self, key: str) -> str:
        """The key itself, or while there are too many of them one that it shares with others, which none can choose."""
        if key in self._counts or len(self._counts) < self._most:
            return key
        return f"\0{hash(key) % _SHARED}"

    def _sweep(self) -> None:
        now = self._now()
        while self._counts:
            first = next(iter(self._counts))
            if self._counts[first][1] > now:
                return
            del self._counts[first]


@final
class _Window:
    """One limit with its counters."""

    __slots__ = ("item", "strategy")

    def __init__(self, item: RateLimitItem, counters: _Counters) -> None:
        self.item = item
        self.strategy = FixedWindowRateLimiter(counters)
