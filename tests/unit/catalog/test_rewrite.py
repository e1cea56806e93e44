"""Results come back with the hub's URIs and nothing else changed, and references go out in the upstream's words."""

import json

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Raw

from mcp_hub.catalog import rewrite
from mcp_hub.catalog.merge import merge
from mcp_hub.catalog.names import exposed_uri, split_uri
from mcp_hub.catalog.parts import Exposure, Kind, Part
from mcp_hub.catalog.rewrite import inward_ref, outward_result, with_member, without_member, without_own_words
from mcp_hub.catalog.routes import Route
from mcp_hub.errors import BadRequest, UnknownName
from mcp_hub.wire.jsonrpc import Malformed

pytestmark = pytest.mark.promise("A1")

SETTINGS = settings(deadline=None)
METHODS = ["tools/call", "prompts/get", "resources/read", "notifications/resources/updated"]

texts = st.text(st.characters(exclude_categories=("Cs",)), max_size=6)
keys = st.one_of(texts, st.sampled_from(["uri", "type", "resource", "content", "contents", "messages", "_meta", "ui"]))
uris = st.one_of(st.sampled_from(["file:///a", "ui://a/b", "urn:x", 'é+\n"', ""]), texts)
values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(10**25), 10**25), uris),
    lambda inner: st.one_of(st.lists(inner, max_size=2), st.dictionaries(keys, inner, max_size=3)),
    max_leaves=5,
)


def members(**fixed):
    return st.builds(
        lambda extra, own: {**extra, **own}, st.dictionaries(keys, values, max_size=2), st.fixed_dictionaries(fixed)
    )


blocks = st.one_of(
    members(type=st.just("text"), uri=uris),
    members(type=st.just("resource_link"), uri=uris),
    members(type=st.just("resource"), resource=members(uri=uris)),
    members(type=st.just("resource"), resource=values),
    members(type=values),
    values,
)
metas = st.one_of(values, members(ui=members(resourceUri=uris)), st.fixed_dictionaries({"ui/resourceUri": uris}))
results = st.one_of(
    members(content=st.one_of(values, st.lists(blocks, max_size=3)), _meta=metas),
    members(messages=st.lists(members(content=st.one_of(blocks, st.lists(blocks, max_size=2))), max_size=2)),
    members(contents=st.lists(members(uri=uris), max_size=2), _meta=metas),
    members(uri=uris),
    values,
)


def change(node, key, namespace):
    if isinstance(node, dict) and isinstance(node.get(key), str):
        node[key] = exposed_uri(namespace, node[key])


def change_block(node, namespace):
    if isinstance(node, dict) and node.get("type") == "resource_link":
        change(node, "uri", namespace)
    elif isinstance(node, dict) and node.get("type") == "resource":
        change(node.get("resource"), "uri", namespace)


def below(node, key):
    return node.get(key) if isinstance(node, dict) else None


def each(node, key):
    found = below(node, key)
    return found if isinstance(found, list) else []


def reference(method, tree, namespace):
    """The same on decoded trees, spelled out place by place."""
    out = json.loads(json.dumps(tree))
    if method == "notifications/resources/updated":
        change(out, "uri", namespace)
        return out
    links = {
        "tools/call": each(out, "content"),
        "prompts/get": [
            block
            for message in each(out, "messages")
            for block in each(message, "content") or [below(message, "content")]
        ],
    }
    for block in links.get(method, []):
        change_block(block, namespace)
    for item in each(out, "contents") if method == "resources/read" else []:
        change(item, "uri", namespace)
    change(below(out, "_meta"), "ui/resourceUri", namespace)
    change(below(below(out, "_meta"), "ui"), "resourceUri", namespace)
    return out


@pytest.mark.promise("A1")
@settings(deadline=None, max_examples=300)
@given(st.sampled_from(METHODS), results, st.booleans(), st.sampled_from([None, 1]))
def test_nothing_but_uris_changes_wherever_they_stand(method, tree, escaped, indent):
    raw = json.dumps(tree, ensure_ascii=escaped, indent=indent).encode()
    changed = json.loads(bytes(outward_result(method, raw, "ns")))
    assert changed == reference(method, tree, "ns")
    assert json.dumps(changed) == json.dumps(reference(method, tree, "ns"))


@SETTINGS
@given(st.sampled_from([*METHODS, "completion/complete", "sampling/createMessage"]), results)
def test_a_result_of_an_unprefixed_upstream_is_the_same_object(method, tree):
    raw = Raw(json.dumps(tree).encode())
    assert outward_result(method, raw, None) is raw


@pytest.mark.promise("S8")
def test_a_result_without_uris_is_the_same_object_and_is_not_even_decoded():
    for raw in (b'{"content":[{"type":"text","text":"x"}]', Raw(b'{"content":[{"type":"text","text":"urine"}'), b""):
        assert outward_result("tools/call", raw, "ns") is raw
    raw = b'{"contents":[{"uri":"file:///a"'
    assert outward_result("completion/complete", raw, "ns") is raw


def test_a_result_whose_uris_are_only_data_is_the_same_object():
    raw = Raw(b'{"content":[{"type":"text","uri":"file:///a"}],"structuredContent":{"uri":"file:///b"}}')
    assert outward_result("tools/call", raw, "ns") is raw


def test_members_that_are_not_opened_stay_the_bytes_they_were():
    link = b'{"type":"resource_link","uri":"%b","n":1E5}'
    whole = b'{"big":123456789012345678901234567890,"f":1.10,"content":[%b],"x":[1, 2]}'
    changed = outward_result("tools/call", whole % (link % b"a:b"), "ns")
    assert bytes(changed) == whole % (link % b"ns+a:b")


@pytest.mark.promise("T27")
def test_a_key_spelled_with_escapes_hides_no_uri():
    raw = b'{"content":[{"type":"resource_link","\\u0075ri":"file:///a"}]}'
    assert json.loads(bytes(outward_result("tools/call", raw, "ns")))["content"][0]["uri"] == "ns+file:///a"


@SETTINGS
@given(uris)
def test_a_link_in_a_result_can_be_read_back_by_its_upstream(uri):
    raw = json.dumps({"content": [{"type": "resource_link", "uri": uri}]}).encode()
    linked = json.loads(bytes(outward_result("tools/call", raw, "ns")))["content"][0]["uri"]
    assert split_uri(linked) == ("ns", uri)


@pytest.mark.promise("T25")
@pytest.mark.parametrize(
    "raw",
    [b'{"content":[{"type":"resource","uri"', b'{"content":[1,],"uri":1}', b'{"content":[{"type":"\xff","uri":1}]}'],
)
def test_a_result_that_must_be_opened_and_is_broken_raises_malformed(raw):
    with pytest.raises(Malformed):
        outward_result("tools/call", raw, "ns")


def test_a_list_that_is_broken_inside_raises_malformed():
    with pytest.raises(Malformed):
        rewrite._contents(Raw(b'[{"type":"text"},]'), "ns")


CATALOG = merge(
    [
        (
            Exposure("a", namespace="a"),
            Part(items={Kind.PROMPT: ({"name": "p.q"},), Kind.TEMPLATE: ({"uriTemplate": "docs://{id}"},)}),
        ),
        (Exposure("b"), Part(items={Kind.TEMPLATE: ({"uriTemplate": "wiki://{id}"},)})),
    ]
)
PROMPT = next(iter(CATALOG.prompts))


@pytest.mark.promise("A1")
@pytest.mark.parametrize(
    ("ref", "route", "inward"),
    [
        (
            {"type": "ref/prompt", "x": 1, "name": PROMPT},
            Route("a", "p.q"),
            {"type": "ref/prompt", "x": 1, "name": "p.q"},
        ),
        (
            {"type": "ref/resource", "uri": "a+docs://{id}"},
            Route("a", "docs://{id}"),
            {"type": "ref/resource", "uri": "docs://{id}"},
        ),
        (
            {"type": "ref/resource", "uri": "a+docs://1"},
            Route("a", "docs://1"),
            {"type": "ref/resource", "uri": "docs://1"},
        ),
        (
            {"type": "ref/resource", "uri": "wiki://{id}"},
            Route("b", "wiki://{id}"),
            {"type": "ref/resource", "uri": "wiki://{id}"},
        ),
    ],
)
def test_a_completion_reference_finds_its_upstream_and_is_put_in_its_words(ref, route, inward):
    found, rewritten = inward_ref(Raw(json.dumps(ref).encode()), CATALOG)
    assert found == route
    assert json.loads(bytes(rewritten)) == inward


@pytest.mark.parametrize("ref", [{"type": "ref/prompt", "name": "p.q"}, {"type": "ref/resource", "uri": "a-b+x"}])
def test_a_reference_to_nothing_is_an_unknown_name(ref):
    catalog = merge([(Exposure("a", namespace="a"), Part())])
    with pytest.raises(UnknownName):
        inward_ref(Raw(json.dumps(ref).encode()), catalog)


@pytest.mark.parametrize(
    "ref",
    [
        b"[]",
        b'"x"',
        b"{}",
        b'{"type":"ref/prompt"}',
        b'{"type":"ref/prompt","name":3}',
        b'{"type":"ref/x","name":"p"}',
        b'{"type":',
    ],
)
def test_what_is_no_reference_is_a_bad_request(ref):
    with pytest.raises(BadRequest):
        inward_ref(Raw(ref), CATALOG)


objects = st.dictionaries(st.one_of(keys, st.just("resultType")), values, max_size=4)


@SETTINGS
@given(objects, st.booleans(), st.sampled_from([None, 1]))
def test_a_member_is_put_in_front_exactly_once(tree, escaped, indent):
    raw = json.dumps(tree, ensure_ascii=escaped, indent=indent).encode()
    spliced = json.loads(with_member(raw, "resultType", b'"complete"'), object_pairs_hook=list)
    assert spliced[0] == ["resultType", "complete"] or spliced[0] == ("resultType", "complete")
    assert [key for key, _ in spliced].count("resultType") == 1
    rest = {key: value for key, value in tree.items() if key != "resultType"}
    assert json.loads(with_member(raw, "resultType", b'"complete"')) == {**rest, "resultType": "complete"}


@SETTINGS
@given(objects, st.booleans())
def test_a_member_is_taken_out_and_an_object_without_it_is_the_same_object(tree, escaped):
    raw = json.dumps(tree, ensure_ascii=escaped).encode()
    left = without_member(raw, "resultType")
    assert json.loads(bytes(left)) == {key: value for key, value in tree.items() if key != "resultType"}
    if "resultType" not in tree:
        assert left is raw


def test_a_spliced_object_keeps_every_byte_of_the_rest():
    assert with_member(Raw(b'{"a":1.10, "b":[ 1 ]}'), "k", b"1") == b'{"k":1,"a":1.10, "b":[ 1 ]}'
    assert with_member(b" { } ", "k", b"1") == b'{"k":1} '
    assert with_member(b'{"\\u006b":2,"a":1}', "k", b"1") == b'{"k":1,"a":1}'


def test_an_upstream_cannot_contradict_what_the_hub_adds():
    assert msgspec.json.decode(with_member(b'{"resultType":"input_required"}', "resultType", b'"complete"')) == {
        "resultType": "complete"
    }


@pytest.mark.parametrize("raw", [b"[]", b"", b'"k"', b"1"])
def test_only_an_object_takes_a_member(raw):
    with pytest.raises(Malformed):
        with_member(raw or b"null", "k", b"1")


@pytest.mark.promise("T27", "B20")
@pytest.mark.parametrize(
    "key", ['"io.mcp-hub/upstreams"', '"io.mcp\\u002dhub\\/upstreams"', '"io.mcp-hub/of the future"']
)
def test_what_only_the_hub_says_is_taken_out_of_an_upstreams_words(key):
    raw = f'{{"content":[],"_meta":{{{key}:{{"up":{{"link":"https://evil"}}}},"their/own":1}},"isError":true}}'
    assert json.loads(without_own_words(raw.encode())) == {"content": [], "_meta": {"their/own": 1}, "isError": True}


@pytest.mark.parametrize("raw", [b'{"content":[]}', b'{"_meta":null}', b'{"_meta":{"io.mcp":1}}', b'{"_meta":7}'])
def test_a_result_without_words_of_the_hubs_is_the_same_object(raw):
    assert without_own_words(raw) is raw
