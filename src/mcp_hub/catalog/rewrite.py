"""Results back into the hub's words, and references into an upstream's.

Rule: only URIs change. What needs no change is returned as it came, undecoded; of the rest only the objects on the way
to a URI are opened, and every other member stays the bytes it was.
"""

from typing import Final

from msgspec import Raw

from mcp_hub.catalog.inside import Change, at, each, starts
from mcp_hub.catalog.names import exposed_uri
from mcp_hub.catalog.parts import Kind
from mcp_hub.catalog.routes import Catalog, Route
from mcp_hub.catalog.text import label
from mcp_hub.errors import BadRequest, UnknownName
from mcp_hub.wire.jsonrpc import Fields, Malformed, encode, fields, text
from mcp_hub.wire.results import OWN_META

_OWN: Final = OWN_META.decode("ascii")
_SCANNED: Final = 32 * 1024
"""Bytes up to which three searches cost less than opening it."""


_NO_REFERENCE: Final = 'The reference must be of type "ref/prompt" with a name or "ref/resource" with a uri'

UriChange = Change[str]
"""Rewrites URIs for a namespace."""


def outward_result(method: str, raw: bytes | Raw, namespace: str | None) -> bytes | Raw:
    """The result of a request, or the `params` of `notifications/resources/updated`, with the hub's URIs.

    Methods whose results hold no URIs are passed through, and so is everything of an unprefixed upstream.

    Raises:
        Malformed: a part that had to be opened is not valid JSON.
    """
    change = _RESULTS.get(method)
    if namespace is None or change is None or not _may_hold_uri(raw):
        return raw
    return change(raw if isinstance(raw, Raw) else Raw(raw), namespace)


def without_own_words(raw: bytes | Raw) -> bytes | Raw:
    """The result without what in its `_meta` only the hub says, such as who has to open which page.

    Raises:
        Malformed: not a JSON object.
    """
    members = fields(raw)
    meta = members.get("_meta", Raw(b"{}"))
    said = fields(meta) if starts(meta, b"{") else {}
    kept = {key: each for key, each in said.items() if not key.startswith(_OWN)}
    return raw if len(kept) == len(said) else encode({**members, "_meta": kept})


def inward_ref(ref: Raw, catalog: Catalog) -> tuple[Route, Raw]:
    """Whose prompt or resource a `completion/complete` is about, and the reference in that upstream's words.

    Raises:
        BadRequest: not a reference.
        UnknownName: a reference to nothing in this catalog.
    """
    try:
        members = fields(ref)
        kind, name, uri = (text(members.get(member)) for member in ("type", "name", "uri"))
    except Malformed as error:
        raise BadRequest(_NO_REFERENCE) from error
    if kind == "ref/prompt" and name is not None:
        return _referred(members, "name", "prompt", name, catalog.prompt(name))
    if kind == "ref/resource" and uri is not None:
        # "The URI or URI template of the resource"
        return _referred(members, "uri", "resource", uri, catalog.owner(Kind.TEMPLATE, uri) or catalog.resource(uri))
    raise BadRequest(_NO_REFERENCE)


def _referred(members: Fields, key: str, noun: str, name: str, route: Route | None) -> tuple[Route, Raw]:
    if route is None:
        raise UnknownName(noun, name, f'There is no {noun} "{label(name)}" in this catalog; list it again.')
    return route, Raw(encode({**members, key: route.original}))


def with_member(raw: bytes | Raw, key: str, encoded: bytes) -> bytes:
    """The encoded object with this member first; one of the same key that is already there is replaced.

    Raises:
        Malformed: not a JSON object.
    """
    body = bytes(raw).lstrip()
    if not body.startswith(b"{") or _may_hold(body, key):
        return encode({key: Raw(encoded), **_without(fields(body), key)})
    rest = body[1:].lstrip()
    comma = b"" if rest.startswith(b"}") else b","
    return b"{%b:%b%b%b" % (encode(key), encoded, comma, rest)


def without_member(raw: bytes | Raw, key: str) -> bytes | Raw:
    """The encoded object without this member; the same object if it has none.

    Raises:
        Malformed: the key occurs, and the whole is not a JSON object.
    """
    if not _may_hold(bytes(raw), key):
        return raw
    members = fields(raw)
    return encode(_without(members, key)) if key in members else raw


def _without(members: Fields, key: str) -> Fields:
    return {name: value for name, value in members.items() if name != key}


def _may_hold(body: bytes, key: str) -> bool:
    # A key of ASCII letters can also be spelled with escapes, all of which begin like this.
    return b'"%b"' % key.encode() in body or b"\\u00" in body


def _may_hold_uri(raw: bytes | Raw) -> bool:
    if len(raw) > _SCANNED:
        return True
    body = bytes(raw)
    return b'"uri"' in body or b"esourceUri" in body or b"\\u00" in body


def _uri(raw: Raw, namespace: str) -> Raw:
    original = text(raw)
    return raw if original is None else Raw(encode(exposed_uri(namespace, original)))


def _content(raw: Raw, namespace: str) -> Raw:
    """Changes one content block: a link to a resource, or an embedded one."""
    if not starts(raw, b"{"):
        return raw
    change = _CONTENT.get(text(fields(raw).get("type")) or "")
    return raw if change is None else change(raw, namespace)


def _one_or_each(raw: Raw, namespace: str) -> Raw:
    return _contents(raw, namespace) if starts(raw, b"[") else _content(raw, namespace)


_CONTENT: Final[dict[str, UriChange]] = {
    "resource_link": at({"uri": _uri}),
    "resource": at({"resource": at({"uri": _uri})}),
}
_contents: Final = each(_content)
_META: Final = at({"ui": at({"resourceUri": _uri}), "ui/resourceUri": _uri})

_TOOL_RESULT: Final = at({"content": _contents, "_meta": _META})
# A task is of a tool's call: what it came to stands in the state of the task (2026-07-28) or is a result of its own.
_TASK: Final = at({"result": _TOOL_RESULT})

_RESULTS: Final[dict[str, UriChange]] = {
    "tools/call": _TOOL_RESULT,
    "tasks/get": _TASK,
    "tasks/result": _TOOL_RESULT,
    "notifications/tasks": _TASK,
    "prompts/get": at({"messages": each(at({"content": _one_or_each})), "_meta": _META}),
    "resources/read": at({"contents": each(at({"uri": _uri})), "_meta": _META}),
    "notifications/resources/updated": at({"uri": _uri}),
}
