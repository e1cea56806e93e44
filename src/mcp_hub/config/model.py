"""The checked configuration, as the rest of the hub reads it.

Rule: every value here is final. Defaults are filled in, secrets are wrapped, durations are seconds, sizes are bytes.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network
from typing import Final, Literal

from mcp_hub.errors import Problem
from mcp_hub.secret import Secret

Transport = Literal["auto", "streamable-http", "sse", "stdio"]
ProtocolChoice = Literal["auto", "legacy", "2026-07-28"]
IPNetwork = IPv4Network | IPv6Network
KIB, MIB, GIB = 2**10, 2**20, 2**30


@dataclass(frozen=True, slots=True)
class Server:
    """Where the hub listens, and as what it is known."""

    public_url: str | None = None
    host: str = "127.0.0.1"
    port: int = 8080
    max_request: int = 4 * MIB
    allowed_hosts: tuple[str, ...] = ()
    allowed_origins: tuple[str, ...] = ()
    session_idle: float = 1800.0
    max_sessions: int = 10_000

    @property
    def base_url(self) -> str:
        """What clients see, without a slash at the end: `public_url`, else the address the hub listens on."""
        if self.public_url:
            return self.public_url.rstrip("/")
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"

    @property
    def endpoint(self) -> str:
        """The URL that clients are pointed at."""
        return f"{self.base_url}/mcp"


@dataclass(frozen=True, slots=True)
class Provider:
    """The OpenID Connect provider where people sign in (`login: {type: oidc}`).

    Members of one of `admin_groups` are admins. Where `allowed_groups` is not empty, only their members may sign in;
    where `allowed_domains` is not empty, only people with a verified address of one of them (in lower case).
    """

    issuer: str
    client_id: str
    client_secret: Secret | None = None
    scopes: tuple[str, ...] = ("openid", "profile", "email")
    groups_claim: str = "groups"
    admin_groups: tuple[str, ...] = ()
    allowed_groups: tuple[str, ...] = ()
    allowed_domains: tuple[str, ...] = ()
    link_by_email: bool = False


@dataclass(frozen=True, slots=True)
class Issuer:
    """An authorization server of somebody else's, whose JWTs callers bring (`login: {type: jwt}`).

    `audience` is what its tokens must be for, `None` for the URL of the endpoint that is called; `jwks_url` is `None`
    where its metadata says it. `scopes` are what a token must have.
    """

    issuer: str
    audience: str | None = None
    jwks_url: str | None = None
    scopes: tuple[str, ...] = ()
    groups_claim: str = "groups"
    admin_groups: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Lifetimes:
    """How long what the hub gives out is good for, in seconds; `idle` counts from the last use."""

    access_token: float = 1800.0
    refresh_token_idle: float = 30 * 86400.0
    refresh_token: float = 180 * 86400.0
    browser_idle: float = 12 * 3600.0
    browser: float = 7 * 86400.0


LoginType = Literal["none", "local", "oidc", "jwt"]


@dataclass(frozen=True, slots=True)
class Login:
    """How callers sign in; `none` is for one person on one computer.

    `provider` is there for `oidc` and `external` for `jwt`. `registration` is whether clients may register themselves
    (RFC 7591), `client_documents` the hosts whose client metadata documents are taken: `None` for any.
    """

    type: LoginType = "none"
    provider: Provider | None = None
    external: Issuer | None = None
    registration: bool = True
    client_documents: tuple[str, ...] | None = None
    lifetimes: Lifetimes = Lifetimes()

    @property
    def issues_tokens(self) -> bool:
        """Whether the hub is an authorization server itself."""
        return self.type in ("local", "oidc")


@dataclass(frozen=True, slots=True)
class Client:
    """An OAuth client that the operator registered beforehand; its `client_id` is its name. Without a secret: public.

    `redirect_uris` are compared as they are written, but for the port of loopback ones. A client that has none has no
    users and acts for itself.
    """

    name: str
    redirect_uris: tuple[str, ...]
    title: str = ""
    secret: Secret | None = None
    jwks_url: str | None = None


@dataclass(frozen=True, slots=True)
class DeclaredUser:
    """What the file says of somebody who signs in with this address."""

    email: str
    roles: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Store:
    """Where the hub keeps what must survive a restart; `None` is `hub.db` in the data directory.

    `key` says where the master key comes from: `auto`, `env`, `keyring` or `file:PATH`.
    """

    url: str | None = None
    key: str = "auto"


@dataclass(frozen=True, slots=True)
class Network:
    """Which addresses that are not public upstreams may have."""

    allow_private: tuple[IPNetwork, ...] = ()


@dataclass(frozen=True, slots=True)
class Defaults:
    """What holds for every upstream that does not say otherwise, and for the merged catalog."""

    timeout: float = 60.0
    list_timeout: float = 10.0
    catalog_ttl: float = 60.0
    page_size: int = 0
    name_limit: int = 60
    max_result: int = 32 * MIB
    max_event: int = 1 * MIB


DEFAULTS: Final = Defaults()


@dataclass(frozen=True, slots=True)
class NoAuth:
    """`auth: none`: no credential, and none is looked for."""


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key that is sent as a bearer token for every caller."""

    value: Secret


@dataclass(frozen=True, slots=True)
class SharedHeader:
    """A header that is sent for every caller; `scheme` stands before the value, as in `Bearer`."""

    name: str
    value: Secret
    scheme: str = ""


@dataclass(frozen=True, slots=True)
class OwnHeader:
    """A header of the caller's own. `source` says where its value comes from, and `word` names it there.

    `brought`: the header `word` (lower case) of the caller's request. `pasted`: what they entered on the connections
    page, `word` is empty. `claim`: who they are: `email`, `subject`, `issuer`, `tenant`, `name` or `groups`.
    `scheme` stands before the value, as in `Bearer`.
    """

    name: str
    source: Literal["brought", "pasted", "claim"]
    word: str = ""
    scheme: str = ""


@dataclass(frozen=True, slots=True)
class OAuth:
    """Each caller signs in there with their own account; what is empty here is found out by discovery.

    `issuer` pins the authorization server. `scopes` are asked for in place of what the server asks for. `resource` is
    what is sent as such (RFC 8707): `None` what discovery says, empty nothing at all. `document_url` is where the
    hub's client document is published, if not at the hub. `unadvertised_pkce` takes a server that does not say that it
    knows PKCE.
    """

    issuer: str | None = None
    client_id: str | None = None
    client_secret: Secret | None = None
    authorization_url: str | None = None
    token_url: str | None = None
    revocation_url: str | None = None
    scopes: tuple[str, ...] | None = None
    extra_params: Mapping[str, str] = field(default_factory=dict[str, str])
    resource: str | None = None
    document_url: str | None = None
    unadvertised_pkce: bool = False


@dataclass(frozen=True, slots=True)
class ClientCredentials:
    """The hub acts there as itself, for all callers alike (OAuth client credentials).

    It proves itself with `client_secret`, or signs with `private_key` (PEM; RFC 7523). `issuer` is pinned: what the
    upstream says of its authorization server decides nothing. `token_url` is `None` where the issuer's metadata say it.
    """

    issuer: str
    client_id: str
    client_secret: Secret | None = None
    private_key: Secret | None = None
    token_url: str | None = None
    scopes: tuple[str, ...] = ()
    resource: str | None = None


Auth = NoAuth | ApiKey | SharedHeader | OwnHeader | OAuth | ClientCredentials


@dataclass(frozen=True, slots=True)
class Filter:
    """Which names are offered: those that match `allow` (`None`: all), without those that match `deny`."""

    allow: tuple[str, ...] | None = None
    deny: tuple[str, ...] = ()

    @property
    def is_set(self) -> bool:
        """Whether it says anything."""
        return self.allow is not None or bool(self.deny)


@dataclass(frozen=True, slots=True)
class Upstream:
    """One MCP server behind the hub. `url` is `None` while nobody has set it; `auth` is `None` if nothing is said.

    A local command has `command` instead, the program first; `env` and `cwd` are its environment and directory.

    `prefix` is `True` for the upstream's own name, `False` for none, or another namespace. `rename` maps an original
    tool or prompt name to what takes its place in the exposed name. `source` tells people where it was declared.
    """

    name: str
    url: str | None = None
    title: str = ""
    description: str = ""
    enabled: bool = True
    transport: Transport = "auto"
    protocol: ProtocolChoice = "auto"
    prefix: bool | str = True
    headers: Mapping[str, Secret] = field(default_factory=dict[str, Secret])
    auth: Auth | None = None
    tools: Filter = Filter()
    resources: Filter = Filter()
    prompts: Filter = Filter()
    rename: Mapping[str, str] = field(default_factory=dict[str, str])
    timeout: float = DEFAULTS.timeout
    catalog_ttl: float = DEFAULTS.catalog_ttl
    max_result: int = DEFAULTS.max_result
    command: tuple[Secret, ...] = ()
    env: Mapping[str, Secret] = field(default_factory=dict[str, Secret])
    cwd: str | None = None
    source: str = ""

    @property
    def is_reachable(self) -> bool:
        """Whether it is said where it is: by a URL or a command."""
        return self.url is not None or bool(self.command)

    @property
    def is_served(self) -> bool:
        """Whether callers have it: it is switched on, and it is said where it is."""
        return self.enabled and self.is_reachable

    @property
    def namespace(self) -> str | None:
        """What stands before its names: `None` if they are exposed as they are."""
        if isinstance(self.prefix, str):
            return self.prefix
        return self.name if self.prefix else None


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a value was said: its line, and the environment variables it was taken from."""

    line: int
    variables: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """A whole configuration; `upstreams` are in the order they were declared.

    `warnings` are what is allowed but does not do what it seems to. `origins` has an entry for every path that was
    said in `source`; what is missing there is a default.
    """

    version: Literal[1] = 1
    server: Server = Server()
    login: Login = Login()
    store: Store = Store()
    network: Network = Network()
    defaults: Defaults = Defaults()
    upstreams: Mapping[str, Upstream] = field(default_factory=dict[str, Upstream])
    clients: Mapping[str, Client] = field(default_factory=dict[str, Client])
    users: Mapping[str, DeclaredUser] = field(default_factory=dict[str, DeclaredUser])
    source: str = ""
    warnings: tuple[Problem, ...] = field(default=(), compare=False)
    origins: Mapping[tuple[str | int, ...], Origin] = field(
        default_factory=dict[tuple[str | int, ...], Origin], compare=False, repr=False
    )
