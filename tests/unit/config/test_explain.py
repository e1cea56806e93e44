"""Where in the shape a path leads."""

import pytest

from mcp_hub.config.document import read
from mcp_hub.config.explain import checked, part_at
from mcp_hub.config.shape import AuthShape, FilterShape, Part, Root, ServerShape, UpstreamShape

pytestmark = pytest.mark.promise("E39")


@pytest.mark.parametrize(
    ("path", "part"),
    [
        ((), Root),
        (("server",), ServerShape),
        (("upstreams",), None),
        (("upstreams", "server"), UpstreamShape),
        (("upstreams", "a", "auth"), AuthShape),
        (("upstreams", "a", "tools"), FilterShape),
        (("upstreams", "a", "headers"), None),
        (("upstreams", "a", "nothing", "here"), None),
    ],
)
def test_a_path_leads_to_its_part(path, part):
    assert part_at(path) is part


@pytest.mark.promise("E39")
def test_what_is_left_after_the_wrong_parts_are_out_is_the_rest():
    document = read(
        "server: {port: x, host: localhost}\nupstreams: {a: {auth: {type: x}}, B: {}, c: {tools: {deny: [x, '']}}}\n",
        {},
    )
    root = checked(document)
    assert root is not None
    assert (root.server.port, root.server.host) == (8080, "localhost")
    assert list(root.upstreams) == ["a", "c"]
    assert root.upstreams["a"].auth is None
    assert root.upstreams["c"].tools.deny == ["x"]
    assert [problem.path for problem in document.problems] == [
        "server.port",
        "upstreams.a.auth.type",
        "upstreams.B",
        "upstreams.c.tools.deny[1]",
    ]


def test_nothing_is_left_of_what_is_no_mapping():
    document = read("[server]", {})
    assert checked(document) is None
    assert len(document.problems) == 1


def test_every_part_of_the_shape_can_be_reached():
    seen = {part_at(path) for path in [(), ("server",), ("login",), ("store",), ("network",), ("defaults",)]}
    seen |= {part_at(("upstreams", "a", *rest)) for rest in [(), ("auth",), ("tools",)]}
    seen |= {part_at(path) for path in [("login", "lifetimes"), ("clients", "a"), ("users", "ada@example.com")]}
    assert seen == set(Part.__subclasses__())
