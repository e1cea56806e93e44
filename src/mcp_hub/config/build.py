"""From the shape of the file to the configuration: defaults filled in, final values only."""

from typing import Final, cast

from mcp_hub.config import shape
from mcp_hub.config.build_auth import auth_of
from mcp_hub.config.document import Document
from mcp_hub.config.model import (
    Client,
    Config,
    DeclaredUser,
    Defaults,
    Filter,
    Issuer,
    Lifetimes,
    Login,
    LoginType,
    Network,
    Origin,
    Provider,
    Server,
    Store,
    Upstream,
)

_OIDC_SCOPES: Final = ("openid", "profile", "email")
_GROUPS: Final = "groups"


def build(root: shape.Root, document: Document, source: str) -> Config:
    """The configuration that `root` describes; nothing is checked any more."""
    defaults = Defaults(**root.defaults.model_dump())
    return Config(
        server=_server(root.server),
        login=_login(root.login),
        clients={name: _client(name, part) for name, part in root.clients.items()},
        users={email: DeclaredUser(email, frozenset(part.roles)) for email, part in root.users.items()},
        store=Store(root.store.url, root.store.key),
        network=Network(tuple(root.network.allow_private)),
        defaults=defaults,
        upstreams={
            name: _upstream(name, part, defaults, f"{source}, line {document.spot(('upstreams', name)).key_line}")
            for name, part in root.upstreams.items()
        },
        source=source,
        origins={path: Origin(spot.key_line, spot.variables) for path, spot in document.spots.items()},
    )


def _server(part: shape.ServerShape) -> Server:
    return Server(
        public_url=None if part.public_url is None else _as_browsers_say(part.public_url),
        host=part.host,
        port=part.port,
        max_request=part.max_request,
        allowed_hosts=tuple(part.allowed_hosts),
        allowed_origins=tuple(part.allowed_origins),
        session_idle=part.session_idle,
        max_sessions=part.max_sessions,
    )


def _as_browsers_say(url: str) -> str:
    """The URL with its host in lower case and without the port that its scheme implies.

    Browsers and clients send the host like this, and compare what the hub says of itself with it.
    """
    scheme, _, rest = url.partition("://")
    authority, slash, path = rest.partition("/")
    scheme, authority = scheme.lower(), authority.lower()
    return f"{scheme}://{authority.removesuffix(':443' if scheme == 'https' else ':80')}{slash}{path}"


def _login(part: shape.LoginShape) -> Login:
    return Login(
        type=cast("LoginType", part.type),
        provider=_provider(part) if part.type == "oidc" else None,
        external=_external(part) if part.type == "jwt" else None,
        registration=part.registration,
        client_documents=None if part.client_documents == "any" else part.client_documents,
        lifetimes=Lifetimes(**part.lifetimes.model_dump()),
    )


def _provider(part: shape.LoginShape) -> Provider:
    # Without an issuer or a client_id there is a problem, and nothing is made of this.
    return Provider(
        issuer=part.issuer or "",
        client_id=part.client_id or "",
        client_secret=part.client_secret,
        scopes=_OIDC_SCOPES if part.scopes is None else tuple(part.scopes),
        groups_claim=part.groups_claim or _GROUPS,
        admin_groups=tuple(part.admin_groups),
        allowed_groups=tuple(part.allowed_groups),
        allowed_domains=tuple(part.allowed_domains),
        link_by_email=part.link_by_email,
    )


def _external(part: shape.LoginShape) -> Issuer:
    return Issuer(
        issuer=part.issuer or "",
        audience=part.audience,
        jwks_url=part.jwks_url,
        scopes=tuple(part.scopes or ()),
        groups_claim=part.groups_claim or _GROUPS,
        admin_groups=tuple(part.admin_groups),
    )


def _client(name: str, part: shape.ClientShape) -> Client:
    return Client(name, tuple(part.redirect_uris), part.title, part.secret, part.jwks_url)


def _upstream(name: str, part: shape.UpstreamShape, defaults: Defaults, source: str) -> Upstream:
    return Upstream(
        name=name,
        url=part.url,
        title=part.title,
        description=part.description,
        enabled=part.enabled,
        transport=part.transport,
        protocol=part.protocol,
        prefix=part.prefix,
        headers=dict(part.headers),
        auth=auth_of(part.auth),
        tools=_filter(part.tools),
        resources=_filter(part.resources),
        prompts=_filter(part.prompts),
        rename=dict(part.rename),
        timeout=defaults.timeout if part.timeout is None else part.timeout,
        catalog_ttl=defaults.catalog_ttl if part.catalog_ttl is None else part.catalog_ttl,
        max_result=defaults.max_result if part.max_result is None else part.max_result,
        command=tuple(part.command),
        env=dict(part.env),
        cwd=part.cwd,
        source=source,
    )


def _filter(part: shape.FilterShape) -> Filter:
    return Filter(None if part.allow is None else tuple(part.allow), tuple(part.deny))
