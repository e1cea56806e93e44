"""What is wrong, or without effect, between values that are each all right."""

from dataclasses import replace
from ipaddress import ip_network

import pytest

from mcp_hub.config.model import ApiKey, Config, Filter, Network, NoAuth, Server, Store, Upstream
from mcp_hub.config.reach import is_loopback, judge_address, private_range
from mcp_hub.config.rules import PROBLEMS, WARNINGS, is_private
from mcp_hub.secret import Secret

pytestmark = pytest.mark.promise("E39")

KEY = Secret("k")
URL = "https://a.example/mcp"


def found(rules, *upstreams, **parts):
    config = Config(upstreams={one.name: one for one in upstreams}, **parts)
    return [(*one.path, one.message) for rule in rules for one in rule(config)]


def problems(*upstreams, **parts):
    return found(PROBLEMS, *upstreams, **parts)


def warnings(*upstreams, **parts):
    return found(WARNINGS, *upstreams, **parts)


def test_a_sound_configuration_has_neither_problem_nor_warning():
    both = Upstream("a", URL), Upstream("b", URL, auth=ApiKey(KEY), tools=Filter(("x",), ("y",)), rename={"x": "z"})
    assert problems(*both) == []
    assert warnings(*both) == []


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "[::1]", "localhost", "a.localhost", "LOCALHOST."])
def test_this_computer_is_known(host):
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "localhost.example.com", "", "example.com"])
def test_another_computer_is_not_taken_for_this_one(host):
    assert not is_loopback(host)


@pytest.mark.promise("D28")
def test_without_a_login_only_this_computer_may_reach_the_hub():
    for host in ("0.0.0.0", "::", "192.168.1.5"):
        message = "other computers could use this hub without signing in"
        assert problems(server=Server(host=host)) == [("server", "host", message)]


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:8080/mcp", "http://localhost:8080/sse", "https://hub.example/a/mcp/"]
)
def test_a_hub_in_front_of_itself_is_warned_of(url):
    message = "is the address of this hub itself, whose lists would grow without end"
    server = Server("https://hub.example/a")
    found = [one for one in warnings(Upstream("a", url), server=server) if one[-1] == message]
    assert found == [("upstreams", "a", "url", message)]


def test_a_hub_that_would_start_itself_is_warned_of():
    words = tuple(map(Secret, ["/opt/mcp-hub", "stdio", "-c", "hub.yaml"]))
    message = "is a hub of its own; with this configuration it would start itself without end"
    assert warnings(Upstream("a", command=words)) == [("upstreams", "a", "command", message)]


@pytest.mark.parametrize("url", ["http://127.0.0.1:8081/mcp", "http://127.0.0.1:8080/other", "https://a.example/mcp"])
def test_a_neighbour_is_not_taken_for_the_hub_itself(url):
    assert warnings(Upstream("a", url)) == []


def test_a_neighbour_at_the_same_public_address_is_not_taken_for_the_hub_itself():
    said = warnings(Upstream("a", "https://hub.example/b/mcp"), server=Server("https://hub.example/a"))
    assert [one for one in said if one[0] == "upstreams"] == []


def test_a_public_url_is_https_except_on_this_computer():
    message = "must start with https://, except on this computer"
    assert problems(server=Server("http://hub.example.com")) == [("server", "public_url", message)]
    assert problems(server=Server("http://localhost:8080")) == []
    assert warnings(server=Server("https://hub.example.com")) == [
        ("server", "public_url", "others may reach this address, and nobody has to sign in")
    ]


@pytest.mark.promise("D28")
@pytest.mark.parametrize(
    ("scheme", "host", "allowed", "message"),
    [
        ("https", "a.example", [], ""),
        ("https", "93.184.216.34", [], ""),
        ("https", "10.0.0.1", ["10.0.0.0/8"], ""),
        ("http", "10.0.0.1", ["10.0.0.0/8"], ""),
        ("http", "[::1]", ["::1/128"], ""),
        ("http", "localhost", ["127.0.0.0/8"], ""),
        ("http", "a.example", ["10.0.0.0/8"], ""),
        ("https", "10.0.0.1", [], "this address is not public"),
        ("https", "localhost", [], "this address is not public"),
        ("https", "169.254.169.254", ["10.0.0.0/8"], "this address is not public"),
        ("https", "[::1]", ["127.0.0.0/8"], "this address is not public"),
        ("http", "127.0.0.1", ["10.0.0.0/8"], "this address is not public"),
        ("http", "93.184.216.34", ["10.0.0.0/8"], "a public address needs https"),
        ("http", "a.example", [], "plain http is for private networks, and none is allowed"),
    ],
)
def test_an_address_the_hub_would_never_connect_to_is_said_early(scheme, host, allowed, message):
    said, hint = judge_address(scheme, host, tuple(map(ip_network, allowed)))
    assert said == message
    assert bool(hint) == bool(message)


@pytest.mark.promise("D28")
def test_the_next_step_names_the_range_that_is_needed():
    assert judge_address("http", "127.0.0.1", ())[1].endswith("network: {allow_private: [127.0.0.0/8]}")
    assert judge_address("http", "10.1.2.3", ())[1].endswith("network: {allow_private: [10.1.2.3/32]}")
    assert private_range("localhost") == ip_network("127.0.0.0/8")
    assert private_range("a.example") is None


@pytest.mark.promise("D28")
def test_an_upstream_at_a_forbidden_address_is_a_problem_at_its_url():
    forbidden = Upstream("a", "http://0x7f.1/mcp")
    assert problems(forbidden) == [("upstreams", "a", "url", "this address is not public")]
    assert problems(forbidden, network=Network((ip_network("127.0.0.0/8"),))) == []


@pytest.mark.promise("B16")
@pytest.mark.parametrize("auth", [ApiKey(KEY), NoAuth()])
def test_auth_and_an_authorization_header_contradict_each_other(auth):
    (problem,) = problems(Upstream("a", URL, auth=auth, headers={"authorization": KEY}))
    assert problem == (
        "upstreams",
        "a",
        "headers",
        "authorization",
        "'auth' already decides what is sent as Authorization",
    )


@pytest.mark.promise("B12")
def test_a_header_is_set_once_whatever_its_case():
    assert problems(Upstream("a", URL, headers={"X-Key": KEY, "x-key": KEY})) == [
        ("upstreams", "a", "headers", "x-key", "this header is set twice")
    ]


def test_two_names_cannot_become_one():
    (problem,) = problems(Upstream("a", URL, rename={"x": "z", "y": "z"}))
    assert problem[:-1] == ("upstreams", "a", "rename", "y")


def test_two_upstreams_cannot_stand_under_one_name():
    assert problems(Upstream("a", URL, prefix="b"), Upstream("b", URL)) == [
        ("upstreams", "a", "prefix", "upstream 'b' stands under this name already")
    ]
    assert problems(Upstream("a", URL, prefix="c"), Upstream("b", URL, prefix="c"))[0][1] == "b"
    assert problems(Upstream("a", URL, prefix="a"), Upstream("b", URL, prefix=False)) == []


@pytest.mark.promise("B16")
def test_a_credential_in_the_headers_is_said_to_end_the_search_for_a_sign_in():
    (warning,) = warnings(Upstream("a", URL, headers={"X-Key": KEY}))
    assert warning[:-1] == ("upstreams", "a", "headers")
    assert "no sign-in (OAuth) is looked for" in warning[-1]
    assert warnings(Upstream("a", URL, headers={"X-Key": KEY}, auth=ApiKey(KEY))) == []


@pytest.mark.promise("B16")
def test_no_auth_beside_headers_has_no_effect():
    (warning,) = warnings(Upstream("a", URL, headers={"X-Key": KEY}, auth=NoAuth()))
    assert "has no effect" in warning[-1]


@pytest.mark.parametrize(
    ("change", "why"),
    [({"enabled": False}, "the upstream is disabled"), ({"url": None}, "the upstream has no url")],
)
def test_settings_of_an_idle_upstream_are_said_to_have_no_effect(change, why):
    busy = Upstream("a", URL, tools=Filter(deny=("x",)), prompts=Filter(("y",)), rename={"x": "y"}, auth=ApiKey(KEY))
    said = [one[2:] for one in warnings(replace(busy, **change)) if "no effect while" in one[-1]]
    assert said == [(part, f"has no effect while {why}") for part in ("tools", "prompts", "rename", "auth")]


def test_an_upstream_without_a_url_is_said_to_have_none():
    assert warnings(Upstream("a")) == [("upstreams", "a", "Server URL not set")]
    assert warnings(Upstream("a", enabled=False)) == []


def test_what_hides_everything_or_what_is_hidden_is_said():
    assert warnings(Upstream("a", URL, tools=Filter(allow=()))) == [
        ("upstreams", "a", "tools", "allow", "an empty list offers nothing")
    ]
    assert warnings(Upstream("a", URL, tools=Filter(deny=("x",)), rename={"x": "y"})) == [
        ("upstreams", "a", "rename", "x", "has no effect: 'deny' hides it")
    ]


@pytest.mark.promise("A6")
def test_two_upstreams_without_prefix_are_said_to_be_able_to_meet():
    both = Upstream("a", URL, prefix=False), Upstream("b", URL, prefix=False)
    ((*path, message),) = warnings(*both)
    assert path == ["upstreams", "b", "prefix"]
    assert "'a' has no prefix either" in message
    assert warnings(both[0], replace(both[1], enabled=False)) == []


def test_a_master_key_for_a_store_in_memory_has_no_effect():
    (warning,) = warnings(store=Store("sqlite:///:memory:", "env"))
    assert warning[:-1] == ("store", "key")
    assert "has no effect on a store in memory" in warning[-1]
    assert warnings(store=Store("sqlite:///:memory:")) == warnings(store=Store(key="env")) == []


@pytest.mark.promise("T32")
@pytest.mark.parametrize(
    ("server", "private"),
    [
        (Server(), True),
        (Server(host="::1", public_url="http://localhost:8080"), True),
        (Server(public_url="https://hub.example.com"), False),
        (Server(public_url="https://10.0.0.1"), False),
        (Server(host="0.0.0.0"), False),
        (Server(host="10.0.0.1", public_url="http://127.0.0.1"), False),
    ],
)
def test_a_hub_is_private_only_if_neither_its_address_nor_its_name_lets_others_in(server, private):
    assert is_private(server) is private


@pytest.mark.promise("D28")
def test_a_range_with_public_addresses_is_said_to_be_one():
    ranges = Network((ip_network("10.0.0.0/8"), ip_network("0.0.0.0/0")))
    ((*path, message),) = warnings(network=ranges)
    assert path == ["network", "allow_private", 1]
    assert message.startswith("this range holds public addresses")


CLOCK = (Secret("uvx"), Secret("mcp-server-time"))


@pytest.mark.promise("A3")
def test_a_command_is_enough_and_excludes_a_url_and_what_belongs_to_one():
    assert problems(Upstream("a", command=CLOCK)) == []
    assert warnings(Upstream("a", command=CLOCK, env={"K": KEY}, cwd="/x", transport="stdio")) == []
    assert problems(Upstream("a", URL, command=CLOCK))[0][2] == "command"
    assert problems(Upstream("a", command=CLOCK, headers={"X-Key": KEY}))[0][2] == "headers"
    assert problems(Upstream("a", command=CLOCK, auth=ApiKey(KEY)))[0][2] == "auth"
    assert problems(Upstream("a", command=CLOCK, transport="streamable-http"))[0][2] == "transport"
    assert problems(Upstream("a", URL, transport="stdio"))[0][2] == "transport"
    assert problems(Upstream("a", command=CLOCK, transport="sse"))[0][2] == "transport"


def test_the_older_transport_knows_no_newer_protocol():
    assert problems(Upstream("a", URL, transport="sse", protocol="2026-07-28"))[0][2] == "transport"
    assert problems(Upstream("a", URL, transport="sse", protocol="legacy")) == []


@pytest.mark.promise("A3")
def test_an_environment_without_a_command_is_said_to_have_no_effect():
    assert [each[2] for each in warnings(Upstream("a", URL, env={"K": KEY}, cwd="/x"))] == ["env", "cwd"]
