"""How the hub spells what upstreams call their own.

Rule: an exposed name depends on nothing but the upstream's name, its namespace and the original: the same on every
machine, in every order, after every restart. Names are never split to find their upstream; URIs can be.
"""

import hashlib
import re
from typing import Final

SEPARATOR: Final = "__"
DIGEST_LENGTH: Final = 9
"""An underscore and eight hex digits; a limit on names must leave room for more than this."""

_UI: Final = "ui://"
_foreign: Final = re.compile(r"[^A-Za-z0-9_-]")
_namespace: Final = re.compile(r"[a-z][a-z0-9-]*")


def exposed_name(upstream: str, namespace: str | None, original: str, limit: int, shown: str | None = None) -> str:
    """`{namespace}__{original}`, or the original alone without a namespace, in `[A-Za-z0-9_-]{1,limit}`.

    A name that had to be cleaned or shortened ends in a digest of (upstream, original). `shown` replaces the original
    in what is seen, not in the digest, so that a renamed tool cannot take the name of another.
    """
    plain = _plain(namespace, original if shown is None else shown)
    if len(plain) <= limit and not _foreign.search(plain):
        return plain
    return _digested(plain, upstream, original, limit)


def digest_name(upstream: str, namespace: str | None, original: str, limit: int, shown: str | None = None) -> str:
    """The form with the digest, also where the plain one would fit: for names that are already taken."""
    return _digested(_plain(namespace, original if shown is None else shown), upstream, original, limit)


def exposed_uri(namespace: str | None, uri: str) -> str:
    """`{namespace}+{uri}`, or `ui://{namespace}/…` because hosts accept apps only under that scheme.

    Works for any scheme, for URI templates and for strings that are no URIs; without a namespace nothing changes.
    """
    if namespace is None:
        return uri
    if uri.startswith(_UI):
        return f"{_UI}{namespace}/{uri[len(_UI) :]}"
    return f"{namespace}+{uri}"


def split_uri(uri: str) -> tuple[str, str] | None:
    """The namespace that a URI seems to carry and the URI without it; `None` if it cannot carry one."""
    if uri.startswith(_UI):
        namespace, slash, rest = uri[len(_UI) :].partition("/")
        return (namespace, _UI + rest) if slash and _namespace.fullmatch(namespace) else None
    namespace, plus, rest = uri.partition("+")
    return (namespace, rest) if plus and _namespace.fullmatch(namespace) else None


def may_be_of(namespace: str | None, name: str, *, is_uri: bool) -> bool:
    """Whether an exposed name, or URI, looks as if it were of this namespace; of none, nothing looks so."""
    if namespace is None:
        return False
    if is_uri:
        split = split_uri(name)
        return split is not None and split[0] == namespace
    return name.startswith(f"{namespace}{SEPARATOR}")


def _plain(namespace: str | None, name: str) -> str:
    return name if namespace is None else f"{namespace}{SEPARATOR}{name}"


def _digested(plain: str, upstream: str, original: str, limit: int) -> str:
    digest = hashlib.sha256(f"{upstream}\0{original}".encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"{_foreign.sub('_', plain[: limit - DIGEST_LENGTH])}_{digest}"
