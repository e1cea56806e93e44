"""A URI reaches the upstream whose it is, listed or not, and never another one."""

from dataclasses import replace

import pytest

from mcp_hub.catalog.access import Filter
from mcp_hub.catalog.merge import merge
from mcp_hub.catalog.parts import Exposure, Kind, Part

pytestmark = pytest.mark.promise("A1")


def giver(name, namespace=None, resources=(), templates=()):
    items = {
        Kind.RESOURCE: tuple({"uri": uri} for uri in resources),
        Kind.TEMPLATE: tuple({"uriTemplate": uri} for uri in templates),
    }
    return Exposure(name, namespace=namespace), Part(items=items)


def filtered(name, allow, deny=(), namespace=None, templates=()):
    exposure, part = giver(name, namespace, templates=templates)
    return replace(exposure, resources=Filter(allow, deny)), part


def leads(catalog, uri):
    route = catalog.resource(uri)
    return None if route is None else (route.upstream, route.original)


@pytest.mark.promise("A1")
def test_the_namespace_decides_for_a_uri_that_no_list_holds():
    catalog = merge([giver("a", "a", templates=["docs://{id}"]), giver("b", "bb"), giver("c", resources=["x:1"])])
    assert leads(catalog, "a+docs://7") == ("a", "docs://7")
    assert leads(catalog, "a+anything at all") == ("a", "anything at all")
    assert leads(catalog, "ui://bb/app/main") == ("b", "ui://app/main")
    assert leads(catalog, "c+x:2") == ("c", "x:2")


@pytest.mark.promise("A1")
def test_the_only_unprefixed_giver_of_resources_gets_every_uri_without_a_namespace():
    catalog = merge([giver("a", "a", resources=["x:1"]), giver("b", resources=["x:2"]), (Exposure("silent"), Part())])
    assert leads(catalog, "x:3") == ("b", "x:3")
    assert leads(merge([giver("a", "a", resources=["x:1"])]), "x:3") is None
    assert leads(merge([(Exposure("silent"), Part())]), "x:3") is None
    assert leads(merge([(Exposure("said"), Part(capabilities={"resources": {}}))]), "x:3") == ("said", "x:3")


@pytest.mark.promise("A1")
def test_among_several_the_list_decides_and_then_the_first_template_that_fits():
    catalog = merge(
        [
            giver("a", resources=["x:1"], templates=["docs://{id}", "wiki://{id}"]),
            giver("b", resources=["x:1", "x:2"], templates=["wiki://{+path}"]),
        ]
    )
    assert leads(catalog, "x:1") == ("a", "x:1")
    assert leads(catalog, "b+x:1") == ("b", "x:1")
    assert leads(catalog, "x:2") == ("b", "x:2")
    assert leads(catalog, "wiki://7") == ("a", "wiki://7")
    assert leads(catalog, "wiki://7/8") == ("b", "wiki://7/8")
    assert leads(catalog, "x:3") is None


def test_upstreams_that_share_a_namespace_are_told_apart_by_list_and_template():
    catalog = merge([giver("a", "dev", ["x:1"]), giver("b", "dev", ["x:2"], ["t:{id}"])])
    assert leads(catalog, "dev+x:2") == ("b", "x:2")
    assert leads(catalog, "dev+t:9") == ("b", "t:9")
    assert leads(catalog, "dev+x:3") is None


@pytest.mark.promise("A1")
def test_a_filter_holds_for_uris_that_no_list_holds():
    catalog = merge([filtered("a", None, ("*secret*",), "a", ["file:///{name}"])])
    assert leads(catalog, "a+file:///secret") is None
    assert leads(catalog, "a+file:///open") == ("a", "file:///open")


def test_an_allowed_template_allows_its_expansions_unless_they_are_denied():
    catalog = merge([filtered("a", ("doc:{id}",), ("doc:9",), "a", ["doc:{id}", "other:{id}"])])
    assert leads(catalog, "a+doc:1") == ("a", "doc:1")
    assert leads(catalog, "a+doc:9") is None
    assert leads(catalog, "a+other:1") is None


def test_what_one_upstreams_filter_refuses_is_not_offered_to_another():
    catalog = merge([filtered("a", None, ("doc:9",), templates=["doc:{id}"]), giver("b", templates=["doc:{id}"])])
    assert leads(catalog, "doc:1") == ("a", "doc:1")
    assert leads(catalog, "doc:9") is None


def test_names_are_looked_up_and_never_guessed():
    catalog = merge([(Exposure("a", namespace="a"), Part(items={Kind.PROMPT: ({"name": "p"},)}))])
    assert catalog.prompt("a__p").original == "p"
    assert catalog.prompt("a__q") is None
    assert catalog.tool("a__p") is None
    assert catalog.owner(Kind.TEMPLATE, "a+x") is None


# Apps, which know their server's own names


def with_app(name, namespace, tools=("show",), resources=("ui://w/app",)):
    items = {
        Kind.TOOL: tuple({"name": tool, "_meta": {"ui": {"resourceUri": "ui://w/app"}}} for tool in tools),
        Kind.RESOURCE: tuple({"uri": uri} for uri in resources),
    }
    return Exposure(name, namespace=namespace), Part(items=items)


def called(catalog, name):
    route = catalog.tool(name)
    return None if route is None else (route.upstream, route.original)


@pytest.mark.promise("A1")
def test_an_app_reaches_the_tools_and_resources_of_its_server_by_the_names_it_knows():
    catalog = merge([giver("b", "b", resources=["x:1"]), with_app("a", "a")])
    assert called(catalog, "a__show") == called(catalog, "show") == ("a", "show")
    assert leads(catalog, "ui://a/w/app") == leads(catalog, "ui://w/app") == ("a", "ui://w/app")
    assert leads(catalog, "x:1") is None
    assert [item["name"] for item in catalog.items[Kind.TOOL]] == ["a__show"]


@pytest.mark.promise("T27")
def test_a_name_that_two_servers_with_apps_know_is_neithers():
    catalog = merge([with_app("a", "a", ["show", "one"]), with_app("b", "b"), with_app("c", "c", resources=["x:1"])])
    assert called(catalog, "show") is None
    assert called(catalog, "one") == ("a", "one")
    assert leads(catalog, "ui://w/app") is None
    assert leads(catalog, "x:1") == ("c", "x:1")


@pytest.mark.promise("T27")
def test_an_app_takes_nobodys_name():
    bare = Exposure("bare"), Part(items={Kind.TOOL: ({"name": "show"},), Kind.RESOURCE: ({"uri": "ui://w/app"},)})
    catalog = merge([with_app("a", "a"), bare])
    assert called(catalog, "show") == ("bare", "show")
    assert leads(catalog, "ui://w/app") == ("bare", "ui://w/app")


@pytest.mark.promise("T27")
def test_what_a_filter_hides_an_app_does_not_reach_either():
    exposure, part = with_app("a", "a", ["show", "hidden"], ["ui://w/app", "ui://w/hidden"])
    hidden = Filter(("*",), ("*hidden",))
    catalog = merge([(replace(exposure, tools=hidden, resources=hidden), part)])
    assert called(catalog, "hidden") is None
    assert leads(catalog, "ui://w/hidden") is None
    assert called(catalog, "show") == ("a", "show")
