"""An upstream as its callers connect with it: what its configuration says of that. Values only."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from urllib.parse import urlsplit

from mcp_hub.config.model import OAuth, OwnHeader
from mcp_hub.credentials.decide import SignIn
from mcp_hub.oauth.discovery import Target
from mcp_hub.secret import Secret


@dataclass(frozen=True, slots=True)
class Declared:
    """An upstream as its callers connect with it. `sign_in` is what is decided by the configuration alone.

    `said` is what the operator says of its users' signing in, `header` of a header of their own, and `also` are those
    that go there for everybody.
    """

    name: str
    title: str
    url: str
    sign_in: SignIn
    said: OAuth = field(default_factory=OAuth)
    header: OwnHeader | None = None
    also: Mapping[str, Secret] = field(default_factory=dict[str, Secret])

    @property
    def host(self) -> str:
        """Where it is, for people."""
        return urlsplit(self.url).netloc.rpartition("@")[2]

    @property
    def target(self) -> Target:
        """What discovery is told of it."""
        return Target(self.name, self.url, self.said, expected=self.sign_in is SignIn.OAUTH, title=self.title)

    @property
    def place(self) -> str:
        """What stands for where it is and who lets its users in: what they gave for another one goes nowhere."""
        return sha256(f"{self.url}\n{self.said.issuer or ''}".encode("utf-8", "surrogatepass")).hexdigest()

    @property
    def stands_for(self) -> str:
        """What must not change while a connection is being made."""
        return "\n".join((self.url, self.said.issuer or "", self.said.client_id or ""))
