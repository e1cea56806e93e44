"""What is wrong, or without effect, in what is said about signing in. See `rules`."""

from collections.abc import Iterator
from typing import Final

from mcp_hub.config.addresses import split_url
from mcp_hub.config.findings import Finding, Path, Rule
from mcp_hub.config.model import Config, LoginType
from mcp_hub.config.reach import is_loopback, judge_address
from mcp_hub.wire.redirects import MOST_URIS

_GIVEN: Final = ("registration", "client_documents", "lifetimes")
_GROUPS: Final = ("groups_claim", "admin_groups")
KEYS: Final[dict[LoginType, frozenset[str]]] = {
    "none": frozenset({"type"}),
    "local": frozenset({"type", *_GIVEN}),
    "oidc": frozenset(
        {"type", "issuer", "client_id", "client_secret", "scopes", "allowed_groups", "allowed_domains", "link_by_email"}
        | {*_GROUPS, *_GIVEN}
    ),
    "jwt": frozenset({"type", "issuer", "audience", "jwks_url", "scopes", *_GROUPS}),
}
"""Which keys of `login` belong to which type."""

_OPEN_TO_ALL: Final = {
    "accounts.google.com": "a Google account",
    "appleid.apple.com": "an Apple account",
    "gitlab.com": "a GitLab account",
}
_ANY_TENANT: Final = ("/common/", "/organizations/", "/consumers/")


def exposed(config: Config) -> Finding | None:
    """Why the hub must not listen where it is told to: others could use it, or see what is sent to it.

    The one rule about this, for the file and for what a command says instead.
    """
    path: Path = ("server", "host")
    if is_loopback(config.server.host):
        return None
    if config.login.type == "none":
        hint = "set up 'login', or listen on 127.0.0.1"
        return Finding(path, "other computers could use this hub without signing in", hint, needs=(("login",),))
    url = split_url(config.server.public_url or "")
    if url is None or url.scheme != "https":
        message = "other computers could reach this hub, and it has no https address"
        hint = "set server.public_url to the https address under which the proxy in front of it is reached"
        return Finding(path, message, hint, needs=(("server", "public_url"),))
    return None


def _exposed(config: Config) -> Iterator[Finding]:
    found = exposed(config)
    if found is not None:
        yield found


def _public_url(config: Config) -> Iterator[Finding]:
    path: Path = ("server", "public_url")
    url = split_url(config.server.public_url or "")
    if url and url.scheme == "http" and not is_loopback(url.host or ""):
        yield Finding(path, "must start with https://, except on this computer")
    elif url and config.login.type != "none" and (url.path or "/") != "/":
        message = "must not have a path while people sign in"
        hint = "clients and browsers look for the sign-in at the root of the host; give the hub a host name of its own"
        yield Finding(path, message, hint, needs=(("login",),))


def _keys_of_the_type(config: Config) -> Iterator[Finding]:
    said = {path[1] for path in config.origins if len(path) > 1 and path[0] == "login"}
    for key in sorted(map(str, said - KEYS[config.login.type])):
        types = [name for name, keys in KEYS.items() if key in keys]
        if types:
            message = f"does not belong to type {config.login.type}"
            hint = f"it is for {' and '.join(types)}; remove it, or change 'type'"
            yield Finding(("login", key), message, hint, (("login", "type"),), at_key=True)


def _needed(config: Config) -> Iterator[Finding]:
    login = config.login
    if login.provider is not None:
        needed = {"issuer": login.provider.issuer, "client_id": login.provider.client_id}
    elif login.external is not None:
        needed = {"issuer": login.external.issuer}
    else:
        return
    for key, value in needed.items():
        if not value:
            hint = f"add  {key}: https://id.example.com" if key == "issuer" else f"add  {key}: mcp-hub"
            yield Finding(("login", key), f"is needed for type {login.type}", hint)


def _scopes(config: Config) -> Iterator[Finding]:
    provider = config.login.provider
    if provider is not None and "openid" not in provider.scopes:
        yield Finding(("login", "scopes"), "must have openid, without which nobody is said to be who", "add it")


def _asked_addresses(config: Config) -> Iterator[Finding]:
    login = config.login
    asked: dict[Path, str | None] = {}
    if login.provider is not None:
        asked["login", "issuer"] = login.provider.issuer
    if login.external is not None:
        asked["login", "issuer"] = login.external.issuer
        asked["login", "jwks_url"] = login.external.jwks_url
    asked.update({("clients", name, "jwks_url"): client.jwks_url for name, client in config.clients.items()})
    for path, address in asked.items():
        url = split_url(address or "")
        if url is None:
            continue
        if url.scheme == "http" and not is_loopback(url.host or ""):
            yield Finding(path, "must start with https://, except on this computer")
            continue
        message, hint = judge_address(url.scheme, url.host or "", config.network.allow_private)
        if message:
            yield Finding(path, message, hint, needs=(("network",),))


def _clients(config: Config) -> Iterator[Finding]:
    for name, client in config.clients.items():
        at: Path = ("clients", name)
        uris = client.redirect_uris
        if not uris and client.secret is None and client.jwks_url is None:
            hint = "as in  redirect_uris: [https://app.example.com/callback]"
            yield Finding((*at, "redirect_uris"), "must name at least one address", hint)
        if len(uris) > MOST_URIS:
            yield Finding((*at, "redirect_uris"), f"must name at most {MOST_URIS} addresses")
        if client.secret is not None and client.jwks_url is not None:
            message = "'secret' already says how it proves itself"
            yield Finding((*at, "jwks_url"), message, "keep one of the two", ((*at, "secret"),), at_key=True)


def _users_alike(config: Config) -> Iterator[Finding]:
    seen: set[str] = set()
    for email in config.users:
        if email.lower() in seen:
            hint = "upper and lower case are the same here"
            yield Finding(("users", email), "this address stands here twice", hint, at_key=True)
        seen.add(email.lower())


def _without_login(config: Config) -> Iterator[Finding]:
    login = config.login
    if config.clients and not login.issues_tokens:
        why = f"have no effect with login {login.type}: the hub gives out no tokens"
        yield Finding(("clients",), why, needs=(("login",),), at_key=True)
    if config.users and not login.issues_tokens:
        why = f"have no effect with login {login.type}: nobody signs in here"
        yield Finding(("users",), why, needs=(("login",),), at_key=True)
    url = split_url(config.server.public_url or "")
    if login.type == "none" and url and not is_loopback(url.host or ""):
        message = "others may reach this address, and nobody has to sign in"
        hint = "set up 'login', or make sure that what stands in front asks who is there"
        yield Finding(("server", "public_url"), message, hint, needs=(("login",),))


def _nobody(config: Config) -> Iterator[Finding]:
    login = config.login
    admins = any("admin" in user.roles for user in config.users.values())
    if login.provider is not None and not admins and not login.provider.admin_groups:
        message = "nobody who signs in there becomes an admin"
        yield Finding(("login",), message, "name one in 'users', or set admin_groups", (("users",),), at_key=True)
    if login.issues_tokens and not login.registration and login.client_documents == () and not config.clients:
        message = "no client can sign in: none may register itself, no document is taken, and 'clients' names none"
        yield Finding(("login", "registration"), message, "personal tokens work", (("clients",),), at_key=True)


def _everybody(config: Config) -> Iterator[Finding]:
    provider = config.login.provider
    url = split_url(provider.issuer) if provider is not None else None
    if provider is None or url is None or provider.allowed_groups or provider.allowed_domains:
        return
    account = _OPEN_TO_ALL.get(url.host or "")
    if (url.host or "") == "login.microsoftonline.com" and (url.path or "").startswith(_ANY_TENANT):
        account = "a Microsoft account"
    if account:
        message = f"anybody with {account} may sign in"
        yield Finding(("login", "issuer"), message, "set allowed_domains or allowed_groups if that is too many")


def _lifetimes(config: Config) -> Iterator[Finding]:
    of = config.login.lifetimes
    at: Path = ("login", "lifetimes")
    for idle, whole in (("refresh_token_idle", "refresh_token"), ("browser_idle", "browser")):
        if getattr(of, idle) > getattr(of, whole):
            message = f"has no effect: it is longer than '{whole}'"
            yield Finding((*at, idle), message, needs=((*at, whole),), at_key=True)


PROBLEMS: Final[tuple[Rule, ...]] = (
    _exposed,
    _public_url,
    _keys_of_the_type,
    _needed,
    _scopes,
    _asked_addresses,
    _clients,
    _users_alike,
)
WARNINGS: Final[tuple[Rule, ...]] = (_without_login, _nobody, _everybody, _lifetimes)
