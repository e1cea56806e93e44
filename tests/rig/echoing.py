"""Upstreams that tell each caller which headers arrived, and what protects one by an authorization server."""

import json
import time
from collections import Counter
from dataclasses import dataclass, field

from joserfc import jwt

from rig.fake_upstream import Answer, FakeUpstream, Request, result
from rig.identity_providers import IdentityProvider
from rig.relying_party import keys_of

METADATA = "/.well-known/oauth-protected-resource/mcp"
SCOPE = "mcp"


def echoing(name: str, eras: str = "modern") -> FakeUpstream:
    """An upstream whose tool `echo` answers with the headers of the request and the arguments, as JSON."""
    fake = FakeUpstream(eras=eras, name=name)

    async def echo(request: Request) -> Answer:
        told = {"headers": request.lines, "arguments": request.message["params"].get("arguments")}
        answer = {"content": [{"type": "text", "text": json.dumps(told)}]}
        modern = {"resultType": "complete"} if request.headers.get("mcp-session-id") is None else {}
        return result(request, {**answer, **modern})

    fake.handlers["tools/call"] = echo
    return fake


@dataclass
class Guard:
    """Lets in whoever brings a token of this provider for this upstream (RFC 9068), each token so many times.

    `tokens` are those that were brought, each with the subject it is of; `refused` counts those that were good before.
    """

    provider: IdentityProvider
    fake: FakeUpstream
    times: int
    tokens: dict[str, str] = field(default_factory=dict)
    refused: int = 0
    _used: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self._keys = keys_of(self.provider)
        self.fake.before = self._judge

    async def _judge(self, request: Request) -> Answer | None:
        if request.path == METADATA:
            told = {"resource": self.fake.url, "authorization_servers": [self.provider.issuer]}
            return Answer(json.dumps({**told, "scopes_supported": [SCOPE]}).encode())
        if request.path != "/mcp":
            return Answer(status=404)
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme != "Bearer":
            return self._refusal("")
        claims = jwt.decode(token, self._keys, algorithms=["ES256"]).claims
        assert (claims["iss"], claims["aud"]) == (self.provider.issuer, self.fake.url), "a token for somebody else"
        self.tokens[token] = claims["sub"]
        self._used[token] += 1
        if claims["exp"] > time.time() and self._used[token] <= self.times:
            return None
        self.refused += 1
        return self._refusal(', error="invalid_token"')

    def _refusal(self, why: str) -> Answer:
        metadata = self.fake.url.removesuffix("/mcp") + METADATA
        challenge = f'Bearer resource_metadata="{metadata}", scope="{SCOPE}"{why}'
        return Answer(b'{"error": "invalid_token"}', 401, headers={"www-authenticate": challenge})
