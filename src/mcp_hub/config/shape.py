"""The shape of the file: every key, how its value is read, and what it means.

Rule: the JSON Schema and the reference in the documentation are made from this file and `auth_shape`, and from nothing
else. A key that a later version brings stands in `later` and is refused with "not supported yet", never ignored.
"""

from typing import Annotated, Any, ClassVar, Final

from pydantic import BeforeValidator, Field

from mcp_hub.config.addresses import Address, Bind, Host, IPNetwork, KeySource, Range, StoreUrl
from mcp_hub.config.auth_shape import AuthShape
from mcp_hub.config.fields import (
    Choice,
    Duration,
    Name,
    NewName,
    Original,
    Pattern,
    Prefix,
    Size,
    Switch,
    Text,
    VariableName,
    Version,
    Whole,
    Word,
)
from mcp_hub.config.headers import HeaderName, HeaderValue
from mcp_hub.config.login_fields import (
    ClientName,
    Documents,
    Domain,
    Email,
    IssuerUrl,
    Label,
    PageOrigin,
    RedirectUri,
    Scope,
    SecretText,
)
from mcp_hub.config.model import DEFAULTS, GIB, KIB, Lifetimes, ProtocolChoice, Server, Transport
from mcp_hub.config.part import Part, spelled_out
from mcp_hub.secret import Secret

_MINUTE, _DAY = 60.0, 86400.0
_SERVER: Final = Server()
_LIFETIMES: Final = Lifetimes()

CallTimeout = Annotated[float | None, Duration(0.001, _DAY)]
Ttl = Annotated[float | None, Duration(0, 7 * _DAY)]
Bytes = Size(KIB, GIB)
Patterns = list[Annotated[str, Pattern()]]


class ServerShape(Part):
    """Where the hub listens, and as what it is known."""

    public_url: Annotated[str | None, Address(query=False)] = Field(
        default=None, description="What clients see, where that is not the address the hub listens on."
    )
    host: Annotated[str, Bind()] = Field(
        default=_SERVER.host,
        description="The address to listen on. Others than this computer's own need a `login` and an https"
        " `public_url`.",
    )
    port: Annotated[int, Whole(0, 65535)] = Field(
        default=_SERVER.port, description="The port to listen on; 0 takes any that is free."
    )
    max_request: Annotated[int, Bytes] = Field(
        default=_SERVER.max_request, description="The largest request body a client may send."
    )
    allowed_hosts: list[Annotated[str, Host()]] = Field(
        default=[], description="Further `Host` names under which the hub may be reached, besides its own address."
    )
    allowed_origins: list[Annotated[str, PageOrigin()]] = Field(
        default=[], description="Web pages of other sites that may speak to the hub, as in `https://app.example.com`."
    )
    session_idle: Annotated[float, Duration(_MINUTE, 30 * _DAY)] = Field(
        default=_SERVER.session_idle,
        description="How long the session of a client of the older protocol may be unused; a restart does not end it.",
    )
    max_sessions: Annotated[int, Whole(1, 1_000_000)] = Field(
        default=_SERVER.max_sessions,
        description="How many such sessions there may be; the one longest unused makes room for a new one.",
    )


class LifetimesShape(Part):
    """How long what the hub gives out is good for."""

    access_token: Annotated[float, Duration(_MINUTE, _DAY)] = Field(
        default=_LIFETIMES.access_token, description="The token a client sends with its requests."
    )
    refresh_token_idle: Annotated[float, Duration(10 * _MINUTE, 365 * _DAY)] = Field(
        default=_LIFETIMES.refresh_token_idle, description="How long a client may be away and still get a new one."
    )
    refresh_token: Annotated[float, Duration(10 * _MINUTE, 3650 * _DAY)] = Field(
        default=_LIFETIMES.refresh_token, description="After this its user has to sign in again in any case."
    )
    browser_idle: Annotated[float, Duration(_MINUTE, 30 * _DAY)] = Field(
        default=_LIFETIMES.browser_idle, description="How long a browser stays signed in without being used."
    )
    browser: Annotated[float, Duration(_MINUTE, 365 * _DAY)] = Field(
        default=_LIFETIMES.browser, description="How long it stays signed in, used or not."
    )


class LoginShape(Part):
    """How callers sign in. `login: none` is short for `login: {type: none}`, and `login: local` likewise."""

    type: Annotated[str, Choice(("none", "local", "oidc", "jwt"))] = Field(
        default="none",
        description="`none`: nobody has to; the hub then listens on this computer only. `local`: accounts with"
        " passwords, kept by the hub. `oidc`: people sign in where they always do. `jwt`: callers bring tokens of"
        " another authorization server.",
    )
    issuer: Annotated[str | None, IssuerUrl()] = Field(
        default=None,
        description="For `oidc` the identity provider, for `jwt` the authorization server; exactly as it writes it.",
    )
    client_id: Annotated[str | None, Label()] = Field(
        default=None, description="For `oidc`: as what the hub is known to the provider."
    )
    client_secret: Annotated[Secret | None, SecretText()] = Field(
        default=None, description="For `oidc`, if the provider gave one. Take it from a variable: `${HUB_OIDC_SECRET}`."
    )
    scopes: list[Annotated[str, Scope()]] | None = Field(
        default=None,
        description="For `oidc` what is asked for (`openid`, `profile`, `email`); for `jwt` what a token must have.",
    )
    audience: Annotated[str | None, Label()] = Field(
        default=None, description="For `jwt`: what its tokens must be for. Left out, the URL of the hub's endpoint."
    )
    jwks_url: Annotated[str | None, IssuerUrl()] = Field(
        default=None, description="For `jwt`: where its keys are. Left out, its metadata says it."
    )
    groups_claim: Annotated[str | None, Label()] = Field(
        default=None, description="For `oidc` and `jwt`: the claim that holds somebody's groups (`groups`)."
    )
    admin_groups: list[Annotated[str, Label()]] = Field(
        default=[], description="For `oidc` and `jwt`: the members of these groups are admins."
    )
    allowed_groups: list[Annotated[str, Label()]] = Field(
        default=[], description="For `oidc`: only members of these groups may sign in. Left out, no group is needed."
    )
    allowed_domains: list[Annotated[str, Domain()]] = Field(
        default=[],
        description="For `oidc`: only people whose verified address ends in one of these may sign in, as in"
        " `example.com`. Left out, any.",
    )
    link_by_email: Annotated[bool, Switch()] = Field(
        default=False,
        description="For `oidc`: somebody with a verified address gets the local account of that address, if there is"
        " one. Only for providers that let nobody claim the address of another.",
    )
    registration: Annotated[bool, Switch()] = Field(
        default=True, description="For `local` and `oidc`: whether clients may register themselves."
    )
    client_documents: Annotated[Any, Documents()] = Field(
        default="any",
        description="For `local` and `oidc`: clients may be known by a document of their own at one of these hosts.",
    )
    lifetimes: LifetimesShape = Field(
        default_factory=LifetimesShape, description="For `local` and `oidc`: how long what the hub gives out is good."
    )


class ClientShape(Part):
    """An OAuth client that you register yourself; its name is its `client_id`. Without a secret or keys it is public.

    Most clients need no entry: they register themselves, or are known by their document.
    """

    redirect_uris: list[Annotated[str, RedirectUri()]] = Field(
        default=[],
        description="Where browsers may be sent back to, compared as they are written, but for the port of `http`"
        " addresses of this computer. Without any, it is a program without users (`client_credentials`), which needs"
        " `secret` or `jwks_url`.",
    )
    title: Annotated[str, Text()] = Field(default="", description="What people are told it is called.")
    secret: Annotated[Secret | None, SecretText(16)] = Field(
        default=None, description="What it proves itself with. Take it from a variable."
    )
    jwks_url: Annotated[str | None, IssuerUrl()] = Field(
        default=None, description="Instead of a secret: where its public keys are (`private_key_jwt`)."
    )


class UserShape(Part):
    """What is said here of somebody who signs in with this address; it counts more than what is said elsewhere."""

    roles: list[Annotated[str, Choice(("admin", "user"))]] = Field(
        default=[], description="`admin` may change what all share."
    )


class StoreShape(Part):
    """Where the hub keeps what must survive a restart."""

    url: Annotated[str | None, StoreUrl()] = Field(
        default=None,
        description="`sqlite:///PATH`, relative to where the hub is started. Left out, it is `hub.db` in the data"
        " directory (`MCP_HUB_DATA`, else `~/.local/share/mcp_hub`).",
    )
    key: Annotated[str, KeySource()] = Field(
        default="auto",
        description="Where the master key comes from that secrets in the store are sealed with. `env`:"
        " `MCP_HUB_MASTER_KEY_FILE` or `MCP_HUB_MASTER_KEY`. `file:PATH`: that file. `keyring`: this user's. `auto`:"
        " the variables, else the keyring, else, on this computer alone, `master.key` beside the store.",
    )


class NetworkShape(Part):
    """Where upstreams may be."""

    allow_private: list[Annotated[IPNetwork, Range()]] = Field(
        default=[], description="Private ranges upstreams may live in, such as `10.20.0.0/16`; plain http only there."
    )


class DefaultsShape(Part):
    """What holds for every upstream that does not say otherwise, and for the merged catalog."""

    timeout: Annotated[float, Duration(0.001, _DAY)] = Field(
        default=DEFAULTS.timeout, description="How long a call waits for an answer; progress starts it anew."
    )
    list_timeout: Annotated[float, Duration(0.001, 10 * _MINUTE)] = Field(
        default=DEFAULTS.list_timeout, description="How long one upstream may take to list what it offers."
    )
    catalog_ttl: Annotated[float, Duration(0, 7 * _DAY)] = Field(
        default=DEFAULTS.catalog_ttl, description="How long a list is fresh where the upstream does not say."
    )
    page_size: Annotated[int, Whole(0, 10_000)] = Field(
        default=DEFAULTS.page_size, description="Entries per page of a merged list; 0 gives everything in one page."
    )
    name_limit: Annotated[int, Whole(24, 128)] = Field(
        default=DEFAULTS.name_limit, description="The longest name offered to a client; longer ones are shortened."
    )
    max_result: Annotated[int, Bytes] = Field(
        default=DEFAULTS.max_result, description="The largest result an upstream may send."
    )
    max_event: Annotated[int, Bytes] = Field(
        default=DEFAULTS.max_event, description="The largest single notification an upstream may send."
    )


class FilterShape(Part):
    """Which names of an upstream are offered. Patterns are of the upstream's own names; `*` stands for anything."""

    allow: Patterns | None = Field(default=None, description="Only names that match one of these; left out, all.")
    deny: Patterns = Field(default=[], description="No name that matches one of these, even if `allow` has it.")


class UpstreamShape(Part):
    """One MCP server behind the hub; its name is the key. A URL alone is enough, or a command alone."""

    later = frozenset({"args", "classification", "sessions", "edge"})
    elsewhere: ClassVar = {"oauth": "write it as  auth: {type: oauth, …}"}

    url: Annotated[str | None, Address()] = Field(
        default=None, description="The server's address. It may be set later."
    )
    command: list[Annotated[Secret, Word()]] = Field(
        default=[],
        description="Instead of `url`: a local program and its arguments, which speaks MCP on its standard streams.",
    )
    env: dict[Annotated[str, VariableName()], Annotated[Secret, Word()]] = Field(
        default={},
        description="What the environment of `command` holds besides `PATH`, `HOME`, `USER`, language and time zone."
        " Nothing else of the hub's environment is passed on.",
    )
    cwd: Annotated[str | None, Text()] = Field(
        default=None, description="The directory in which `command` runs. Left out, where the hub was started."
    )
    title: Annotated[str, Text()] = Field(default="", description="What people call it.")
    description: Annotated[str, Text()] = Field(
        default="", description="What it is for, for readers of this file; nothing shows it yet."
    )
    enabled: Annotated[bool, Switch()] = Field(default=True, description="Whether it is used at all.")
    transport: Annotated[Transport, Choice(("auto", "streamable-http", "sse", "stdio"))] = Field(
        default="auto",
        description="How to talk to it; `auto` finds out, and is `stdio` with a `command`. `sse` is HTTP+SSE, the"
        " transport of 2024-11-05.",
    )
    protocol: Annotated[ProtocolChoice, Choice(("auto", "legacy", "2026-07-28"))] = Field(
        default="auto", description="Which era of the protocol it speaks; `auto` finds out."
    )
    prefix: Annotated[bool | str, Prefix()] = Field(
        default=True,
        description="What stands before its tool and prompt names: `true` its name, `false` nothing, or another name.",
    )
    headers: dict[Annotated[str, HeaderName()], Annotated[Secret, HeaderValue()]] = Field(
        default={},
        description="Sent with every request, the same for all callers. No other credential is looked for then.",
    )
    auth: Annotated[AuthShape | None, BeforeValidator(spelled_out)] = Field(
        default=None,
        description="The credential. Left out, the `headers` are all that is sent; without any, the server is asked"
        " whether it wants its users to sign in.",
    )
    tools: FilterShape = Field(default_factory=FilterShape, description="Which tools are offered.")
    resources: FilterShape = Field(default_factory=FilterShape, description="Which resources are offered, by URI.")
    prompts: FilterShape = Field(default_factory=FilterShape, description="Which prompts are offered.")
    rename: dict[Annotated[str, Original()], Annotated[str, NewName()]] = Field(
        default={}, description="Other names for tools and prompts: the server's own name, then the new one."
    )
    timeout: CallTimeout = Field(default=None, description="As in `defaults`.")
    catalog_ttl: Ttl = Field(default=None, description="As in `defaults`.")
    max_result: Annotated[int | None, Bytes] = Field(default=None, description="As in `defaults`.")


class Root(Part):
    """A mcp_hub configuration."""

    later = frozenset({"presets"})

    version: Annotated[int, Version()] = Field(default=1, description="The version of this form.")
    server: ServerShape = Field(
        default_factory=ServerShape, description="Where the hub listens, and as what it is known."
    )
    login: Annotated[LoginShape, BeforeValidator(spelled_out)] = Field(
        default_factory=LoginShape, description="How callers sign in."
    )
    clients: dict[Annotated[str, ClientName()], ClientShape] = Field(
        default={}, description="OAuth clients that you register yourself, by their `client_id`."
    )
    users: dict[Annotated[str, Email()], UserShape] = Field(
        default={}, description="What some of those who sign in may do, by email address."
    )
    store: StoreShape = Field(
        default_factory=StoreShape, description="Where the hub keeps what must survive a restart."
    )
    network: NetworkShape = Field(default_factory=NetworkShape, description="Where upstreams may be.")
    defaults: DefaultsShape = Field(default_factory=DefaultsShape, description="What holds for every upstream.")
    upstreams: dict[Annotated[str, Name()], UpstreamShape] = Field(
        default={}, description="The MCP servers behind the hub, by name."
    )
