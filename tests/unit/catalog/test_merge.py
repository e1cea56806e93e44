"""The merge is one catalog in declared order, whose names depend on nobody's neighbours and on nobody's speed."""

import copy
import re
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcp_hub.catalog.access import Filter
from mcp_hub.catalog.merge import CONNECTIONS_TOOL, merge
from mcp_hub.catalog.parts import MAX_WARNINGS, Exposure, Kind, Part
from mcp_hub.catalog.text import MAX_TEXT
from mcp_hub.wire.headers import ParamHeader

pytestmark = pytest.mark.promise("A1")

SETTINGS = settings(deadline=None)


def part(tools=(), prompts=(), resources=(), templates=(), **members):
    items = {
        Kind.TOOL: tuple({"name": name, "inputSchema": {"type": "object"}} for name in tools),
        Kind.PROMPT: tuple({"name": name} for name in prompts),
        Kind.RESOURCE: tuple({"uri": uri, "name": uri} for uri in resources),
        Kind.TEMPLATE: tuple({"uriTemplate": uri, "name": uri} for uri in templates),
    }
    return Part(items=items, **members)


def prefixed(name, **members):
    return Exposure(name, namespace=name, **members)


def plain(name, **members):
    return Exposure(name, namespace=None, **members)


def names(catalog, kind=Kind.TOOL):
    return [item[kind.key] for item in catalog.items[kind]]


words = st.lists(
    st.sampled_from(["x", "y", "a.b", "a_b", "a__x", "b__x", "hub__connections", "z" * 70]), unique=True, max_size=4
)
uris = st.lists(
    st.sampled_from(["file:///a", "b+file:///a", "ui://b/app", "urn:x:1", "t://{id}"]), unique=True, max_size=3
)
parts = st.builds(part, words, words, uris, uris)
upstreams = st.dictionaries(st.sampled_from("abcdef"), st.tuples(st.booleans(), parts), max_size=5)


def entries_of(chosen):
    return [((prefixed if has else plain)(name), own) for name, (has, own) in chosen.items()]


@pytest.mark.promise("A1", "A6")
@SETTINGS
@given(upstreams)
def test_everything_is_listed_once_under_a_name_of_its_own_and_leads_back(chosen):
    entries = entries_of(chosen)
    catalog = merge(entries)
    for kind in Kind:
        offered = [(exposure.name, item[kind.key]) for exposure, own in entries for item in own.of(kind)]
        routes = [catalog.owner(kind, exposed) for exposed in names(catalog, kind)]
        assert [(route.upstream, route.original) for route in routes if route is not None] == offered
        assert len(set(names(catalog, kind))) == len(offered)
        assert list(catalog.owners(kind)) == [
            (own, name) for (own, _), name in zip(offered, names(catalog, kind), strict=True)
        ]
    assert all(re.fullmatch("[A-Za-z0-9_-]{1,60}", name) for name in names(catalog))


@pytest.mark.promise("A6")
@SETTINGS
@given(upstreams, st.sampled_from("mn"), st.booleans(), parts, st.integers(0, 5))
def test_no_prefixed_name_changes_because_another_upstream_is_added(chosen, name, has, own, place):
    before = entries_of(chosen)
    after = [*before[:place], ((prefixed if has else plain)(name), own), *before[place:]]
    for kind in Kind:
        kept = [(route.upstream, route.original, exposed) for exposed, route in merge(before).tables[kind].items()]
        now = {(route.upstream, route.original, exposed) for exposed, route in merge(after).tables[kind].items()}
        assert {each for each in kept if chosen[each[0]][0]} <= now


@pytest.mark.promise("A8")
@SETTINGS
@given(upstreams, st.randoms(use_true_random=False))
def test_the_result_does_not_depend_on_who_answered_first(chosen, random):
    declared = entries_of(chosen)
    arrived = copy.deepcopy(declared)
    random.shuffle(arrived)
    by_name = {exposure.name: (exposure, own) for exposure, own in arrived}
    assert merge([by_name[exposure.name] for exposure, _ in declared]) == merge(declared)


@SETTINGS
@given(
    st.sampled_from(list(Kind)),
    st.dictionaries(
        st.text("xyz_", min_size=1, max_size=4), st.one_of(st.integers(), st.text("ab"), st.lists(st.integers()))
    ),
)
def test_only_the_identity_of_a_definition_changes(kind, extra):
    definition = {"first": 1, kind.key: "file:///x", **extra, "last": {"deep": [1, 2**70]}}
    catalog = merge([(prefixed("a"), Part(items={kind: (definition,)}))])
    (listed,) = catalog.items[kind]
    assert list(listed) == list(definition)
    assert {**listed, kind.key: "file:///x"} == definition
    assert definition[kind.key] == "file:///x"


def test_order_is_that_of_the_declaration_and_then_the_upstreams_own():
    catalog = merge([(prefixed("b"), part(["z", "a"])), (plain("c"), part(["q"])), (prefixed("a"), part(["m"]))])
    assert names(catalog) == ["b__z", "b__a", "q", "a__m"]
    assert catalog.upstreams == ("b", "c", "a")
    assert list(catalog.tools) == names(catalog)
    assert list(catalog.prompts) == []


@pytest.mark.promise("A6")
def test_of_two_unprefixed_names_the_first_declared_keeps_it():
    catalog = merge([(plain("a"), part(["x"])), (plain("b"), part(["x"]))])
    assert names(catalog) == ["x", "b__x"]
    assert catalog.warnings == ('b: The tool "x" is exposed as "b__x": "x" belongs to a.',)


@pytest.mark.promise("A6", "T27")
def test_an_unprefixed_upstream_cannot_take_a_name_of_one_with_a_namespace():
    catalog = merge(
        [
            (plain("evil"), part(["bank__pay", "bank__new"], resources=["bank+file:///a"])),
            (prefixed("bank"), part(["pay"])),
        ]
    )
    assert names(catalog) == ["evil__bank__pay", "evil__bank__new", "bank__pay"]
    assert names(catalog, Kind.RESOURCE) == ["evil+bank+file:///a"]
    assert catalog.tool("bank__pay").upstream == "bank"


@pytest.mark.promise("A6")
def test_the_digest_form_is_the_last_resort_and_then_a_name_is_left_out_with_a_warning():
    first = (plain("a"), part(["x"]))
    exposed = names(merge([first, (plain("b"), part(["b__x", "x"]))]))[-1]
    assert re.fullmatch("b__x_[0-9a-f]{8}", exposed)
    catalog = merge([first, (plain("b"), part(["b__x", exposed, "x"]))])
    assert names(catalog) == ["x", "b__x", exposed]
    assert catalog.warnings == ('b: The tool "x" is left out: every name it could have is taken, the first by a.',)


@pytest.mark.promise("A6")
def test_prefixed_names_are_given_out_before_an_unprefixed_upstream_falls_back():
    first, second = (plain("z"), part(["x"])), (plain("a"), part(["x"]))
    catalog = merge([first, second, (Exposure("b", namespace="a"), part(["x"]))])
    assert catalog.tool("a__x").upstream == "b"
    assert re.fullmatch("a__x_[0-9a-f]{8}", names(catalog)[1])


@pytest.mark.promise("A6")
def test_two_upstreams_that_share_a_namespace_fall_back_to_their_own_names():
    catalog = merge([(Exposure("a", namespace="dev"), part(["x"])), (Exposure("b", namespace="dev"), part(["x", "y"]))])
    assert names(catalog) == ["dev__x", "b__x", "dev__y"]


@pytest.mark.promise("T27")
@pytest.mark.parametrize("exposure", [plain("a"), Exposure("a", namespace="hub")])
def test_no_upstream_can_take_the_name_of_the_hubs_own_tool(exposure):
    original = CONNECTIONS_TOOL if exposure.namespace is None else "connections"
    catalog = merge([(exposure, part([original]))])
    assert catalog.tool(CONNECTIONS_TOOL) is None
    assert names(catalog) == [f"a__{original}"]
    assert catalog.warnings == (
        f'a: The tool "{original}" is exposed as "a__{original}": "hub__connections" belongs to hub.',
    )


def test_filters_see_original_names_and_renames_change_only_what_is_shown():
    exposure = prefixed("a", tools=Filter(("get_*",), ("get_secret",)), rename={"get_x": "x", "get_y": "x"})
    catalog = merge([(exposure, part(["get_x", "get_y", "get_secret", "put"]))])
    assert names(catalog)[0] == "a__x"
    assert re.fullmatch("a__x_[0-9a-f]{8}", names(catalog)[1])
    assert [route.original for route in catalog.tools.values()] == ["get_x", "get_y"]


def test_a_filtered_resource_is_neither_listed_nor_reached():
    catalog = merge(
        [(plain("a", resources=Filter(deny=("file:///secret*",))), part(resources=["file:///secret", "file:///b"]))]
    )
    assert names(catalog, Kind.RESOURCE) == ["file:///b"]
    assert catalog.resource("file:///secret") is None


def test_the_app_of_a_tool_is_named_by_the_uri_under_which_it_is_listed():
    own = {"name": "x", "_meta": {"ui": {"resourceUri": "ui://w/app", "k": 1}, "ui/resourceUri": "ui://w/app", "o": 2}}
    items = {
        Kind.TOOL: (own, {"name": "y", "_meta": {"ui": 3}}, {"name": "z", "_meta": []}),
        Kind.RESOURCE: ({"uri": "ui://w/app"},),
    }
    listed = merge([(prefixed("a"), Part(items=items))]).items
    assert listed[Kind.TOOL][0]["_meta"] == {
        "ui": {"resourceUri": "ui://a/w/app", "k": 1},
        "ui/resourceUri": "ui://a/w/app",
        "o": 2,
    }
    assert listed[Kind.RESOURCE][0]["uri"] == "ui://a/w/app"
    assert [item["_meta"] for item in listed[Kind.TOOL][1:]] == [{"ui": 3}, []]
    assert own["_meta"]["ui"]["resourceUri"] == "ui://w/app"
    fallen = merge([(plain("b"), Part(items=items)), (prefixed("w"), Part())]).items
    assert fallen[Kind.RESOURCE][0]["uri"] == fallen[Kind.TOOL][0]["_meta"]["ui"]["resourceUri"] == "ui://b/w/app"


@pytest.mark.promise("T27")
def test_hidden_characters_are_removed_from_what_is_shown_and_said_so():
    definition = {"name": "x", "title": "t\u202e", "description": "d\x1b[8m" + "x" * MAX_TEXT, "other": "\u202e"}
    clean = {"name": "y", "title": "Clean", "description": 7}
    catalog = merge([(prefixed("a"), Part(items={Kind.TOOL: (definition, clean)}))])
    listed, untouched = catalog.items[Kind.TOOL]
    assert untouched == {**clean, "name": "a__y"}
    assert listed["title"] == "t"
    assert "\x1b" not in listed["description"]
    assert len(listed["description"].encode()) <= MAX_TEXT
    assert listed["other"] == "\u202e"
    assert [warning[:19] for warning in catalog.warnings] == ["a: The title of the", "a: The description "]


@pytest.mark.promise("A7")
def test_warnings_of_parts_are_passed_on_under_the_name_of_their_upstream_and_bounded():
    many = tuple(f"w{number}" for number in range(MAX_WARNINGS + 2))
    catalog = merge([(prefixed("a"), part(["x"], warnings=("w",))), (prefixed("b"), part(warnings=many))])
    assert catalog.warnings[:2] == ("a: w", "b: w0")
    assert len(catalog.warnings) == MAX_WARNINGS + 2


def test_a_tools_mirrored_arguments_are_worked_out_once():
    schema = {"type": "object", "properties": {"r": {"type": "string", "x-mcp-header": "R"}}}
    catalog = merge([(prefixed("a"), Part(items={Kind.TOOL: ({"name": "x", "inputSchema": schema}, {"name": "y"})}))])
    assert catalog.tool("a__x").params == {("r",): ParamHeader("R", "string")}
    assert catalog.tool("a__y").params == {}


@pytest.mark.promise("A8")
def test_an_upstream_without_a_catalog_empties_nobody_elses_and_keeps_its_namespace():
    catalog = merge([(prefixed("dead"), Part()), (plain("a"), part(["dead__x"], resources=["r:1"]))])
    assert names(catalog) == ["a__dead__x"]
    assert catalog.resource("dead+file:///x").upstream == "dead"


def test_a_catalog_is_a_value():
    entries = [(prefixed("a"), part(["x"]))]
    assert merge(entries) == merge(entries)
    assert merge(entries) != merge([(replace(entries[0][0], name_limit=20), part(["y"]))])
