"""Server lists of MCP clients, with what is secret in them taken out."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_hub.config.foreign import NotAServerList, Variables, probe, read_servers

pytestmark = pytest.mark.promise("E40")

SECRET = "canary0123456789abcdef"


def one(entry, name="a"):
    (server,) = read_servers(json.dumps({"mcpServers": {name: entry}}))
    return server


@pytest.mark.promise("E40")
@pytest.mark.parametrize(
    "document",
    [
        {"mcpServers": {"a": {"url": "https://a.example/mcp"}}},
        {"servers": {"a": {"type": "http", "url": "https://a.example/mcp"}}, "inputs": []},
        {"mcp": {"servers": {"a": {"url": "https://a.example/mcp"}}}},
        {"mcpServers": {"a": {"serverUrl": "https://a.example/mcp"}}},
        {"mcpServers": {"a": {"httpUrl": "https://a.example/mcp"}}},
        {"context_servers": {"a": {"url": "https://a.example/mcp"}}},
        {"amp.mcpServers": {"a": {"url": "https://a.example/mcp"}}},
    ],
)
def test_the_lists_of_the_known_clients_are_read(document):
    (server,) = read_servers(json.dumps(document))
    assert (server.name, server.url, server.left_out) == ("a", "https://a.example/mcp", "")


@pytest.mark.parametrize("end", ["", ",", " // and so on"])
def test_a_list_is_read_without_the_braces_around_it_as_pages_show_it(end):
    (server,) = read_servers('\ufeff\n  "mcpServers": {"a": {"command": "uvx", "args": ["b"]}}' + end)
    assert (server.name, server.command) == ("a", ["uvx", "b"])


@pytest.mark.parametrize("command", [["mcp-hub"], ["/opt/bin/mcp-hub"], ["C:\\hub\\mcp-hub.exe"], ["uvx", "mcp-hub"]])
def test_the_hub_that_a_client_starts_is_not_taken_for_a_server_behind_it(command):
    server = one({"command": command[0], "args": [*command[1:], "stdio", "-c", "hub.yaml"]})
    assert (server.command, server.left_out) == ([], "it is the hub, which would start itself without end")


def test_a_line_above_the_list_may_say_where_it_belongs():
    (server,) = read_servers('# Add this to claude_desktop_config.json\n"mcpServers": {"a": {"command": "uvx"}}')
    assert server.command == ["uvx"]


def test_a_command_in_an_object_of_its_own_is_one():
    server = one({"command": {"path": "npx", "args": ["-y", "a"], "env": {"KEY": SECRET}}, "settings": {}})
    assert (server.command, server.env) == (["npx", "-y", "a"], {"KEY": "${A_KEY}"})


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "this is not JSON, from line 1, column 1 on"),
        ('{"a": \n canary}', "this is not JSON, from line 2, column 2 on"),
        ("[" * 100_000, "this JSON cannot be read"),
        ("9" * 10_000, "this JSON cannot be read"),
        ('"canary"', "this is not JSON, from line 1"),
        ('"a": {}', "there is neither 'mcpServers' nor 'servers' in it"),
        ("[]", "there is neither 'mcpServers' nor 'servers' in it"),
        ('{"mcpServers": ["canary"]}', "there is neither 'mcpServers' nor 'servers' in it"),
        ('{"mcp": "canary"}', "there is neither 'mcpServers' nor 'servers' in it"),
    ],
)
def test_what_is_no_list_is_refused_without_being_repeated(text, why):
    with pytest.raises(NotAServerList) as caught:
        read_servers(text)
    assert str(caught.value).startswith(why)


@pytest.mark.promise("E40")
def test_names_become_names_of_upstreams_and_never_meet():
    names = ["My Server", "my-server", "MY_SERVER", "hub", "123", "é", "x" * 40, "x" * 41]
    servers = read_servers(json.dumps({"mcpServers": {name: {} for name in names}}))
    made = ["my-server", "my-server-2", "my-server-3", "hub-2", "server", "server-2", "x" * 32, "x" * 30 + "-2"]
    assert [server.name for server in servers] == made
    assert [server.title for server in servers] == names


@pytest.mark.promise("E40")
@pytest.mark.parametrize(
    ("header", "value", "written", "variable"),
    [
        ("Authorization", f"Bearer {SECRET}", "Bearer ${A_TOKEN}", "A_TOKEN"),
        ("Authorization", "short", "${A_TOKEN}", "A_TOKEN"),
        ("X-API-Key", "k", "${A_X_API_KEY}", "A_X_API_KEY"),
        ("X-API-Key", "${input:my-key}", "${MY_KEY}", "MY_KEY"),
        ("X-API-Key", "${env:OWN}", "${OWN}", "OWN"),
        ("Authorization", "Bearer ${OWN}", "Bearer ${OWN}", "OWN"),
        ("Authorization", f"Bearer ${{OWN:-{SECRET}}}", "Bearer ${OWN}", "OWN"),
        ("Authorization", f"Bearer {SECRET}${{OWN}}", "Bearer ${A_TOKEN}", "A_TOKEN"),
    ],
)
def test_a_header_keeps_its_scheme_and_loses_its_secret(header, value, written, variable):
    server = one({"url": "https://a.example/mcp", "headers": {header: value}})
    assert server.headers == {header: written}
    assert list(server.variables.meanings) == [variable]


def test_a_header_that_is_empty_doubled_or_the_hubs_own_is_left_out():
    server = one({"url": "https://a.example/", "headers": {"Host": "x", "A B": "x", "X-A": "", "X-B": "1", "x-b": "2"}})
    assert list(server.headers) == ["X-B"]
    assert len(server.notes) == 2


@pytest.mark.promise("E40")
@pytest.mark.parametrize(
    ("url", "written"),
    [
        ("https://a.example/mcp?project=docs&x", "https://a.example/mcp?project=docs&x"),
        ("https://a.example/mcp?api_key=k", "https://a.example/mcp?api_key=${A_API_KEY}"),
        (f"https://a.example/mcp?p={SECRET}", "https://a.example/mcp?p=${A_P}"),
        (f"https://a.example/mcp?{SECRET}", "https://a.example/mcp?${A_QUERY}"),
        (f"https://a.example/s/{SECRET}/mcp", "https://a.example/s/${A_PATH}/mcp"),
        ("https://a.example/sk-x/mcp", "https://a.example/${A_PATH}/mcp"),
        (f"HTTPS://me:{SECRET}@x@a.example/mcp", "HTTPS://a.example/mcp"),
        ("https://a.example/mcp#canary", "https://a.example/mcp"),
        ("https://a.example/$x", "https://a.example/$$x"),
        ("${env:URL}/mcp", "${URL}/mcp"),
        ("https://${HOST}:${PORT}/mcp?key=${KEY}", "https://${HOST}:${PORT}/mcp?key=${KEY}"),
    ],
)
def test_a_url_loses_what_may_be_secret(url, written):
    server = one({"url": url})
    assert (server.url, server.left_out) == (written, "")


@pytest.mark.parametrize("url", ["ftp://a.example", "https://a b/", "a.example/mcp", "https://me:pa/ss@a.example/"])
def test_a_url_that_is_none_is_left_out_unseen(url):
    server = one({"url": url})
    assert (server.url, server.left_out) == ("", "its url is not an http address")


@pytest.mark.promise("E40", "A3")
def test_the_older_transport_is_taken_over_where_the_file_names_it():
    for key in ("type", "transport"):
        assert one({key: "sse", "url": "https://a.example/sse"}).transport == "sse"
        assert one({key: "http", "url": "https://a.example/mcp"}).transport == ""


@pytest.mark.promise("E40")
def test_what_is_not_supported_yet_is_kept_and_said_to_be_left_out():
    assert one({}).left_out == "it has neither a url nor a command"
    assert one("text").left_out == "it has neither a url nor a command"
    local = one({"command": "uvx", "args": ["x", 1], "env": {"TZ": SECRET, "N": 1}})
    assert local.left_out == ""
    assert local.env == {"TZ": "${A_TZ}"}
    assert local.command == ["uvx", "x", "1"]
    assert local.env == {"TZ": "${A_TZ}"}


@pytest.mark.promise("E40")
@pytest.mark.parametrize(
    "arguments",
    [
        ["--token", "short"],
        ["--api-key=short"],
        ["API_KEY=short"],
        ["Authorization: short"],
        ["postgresql://me:short@db/x"],
        ["https://a.example/?short"],
        [SECRET],
        ["ghp_short"],
    ],
)
def test_an_argument_that_may_be_secret_is_taken_out(arguments):
    command = one({"command": "npx", "args": arguments}).command
    assert command[-1] == f"${{A_ARG_{len(arguments)}}}"


def test_an_ordinary_argument_stays():
    arguments = ["-y", "@modelcontextprotocol/server-filesystem@2025.1.0", "/home/me/files", "--verbose"]
    assert one({"command": "npx", "args": arguments}).command == ["npx", *arguments]


@pytest.mark.promise("E40")
def test_a_bridge_to_a_url_becomes_the_url():
    arguments = [
        "-y",
        "mcp-remote@latest",
        "https://a.example/mcp",
        "--header",
        "Authorization:${AUTH}",
        "--header",
        "x",
    ]
    server = one({"command": "npx", "args": arguments, "env": {"AUTH": SECRET}})
    assert (server.url, server.headers, server.command) == ("https://a.example/mcp", {"Authorization": "${AUTH}"}, [])


def test_a_server_that_is_switched_off_stays_so():
    assert not one({"url": "https://a.example/", "disabled": True}).enabled
    assert not one({"url": "https://a.example/", "enabled": False}).enabled
    assert one({"url": "https://a.example/", "disabled": "no"}).enabled


def test_two_secrets_never_share_a_variable():
    header = {"X": "secret"}
    entries = {"a-b": {"url": "https://a.example/", "headers": {"C": "1"}}, "a": {"url": "https://b.example/"}}
    entries["a"]["headers"] = {"B-C": "2"}
    entries["c"] = {"url": "https://${C_X}/", "headers": header}
    servers = read_servers(json.dumps({"mcpServers": entries}))
    assert [list(server.variables.meanings) for server in servers] == [["A_B_C"], ["A_B_C_2"], ["C_X", "C_X_2"]]


def test_a_variable_has_a_name_the_shell_knows():
    variables = Variables()
    assert variables.take("1 é", "x") == "${V_1}"
    assert variables.take("é", "x") == "${VALUE}"


def test_the_host_of_an_imported_url_is_known_unless_a_variable_gives_it():
    found = probe("http://localhost:${PORT}/${X}")
    assert found is not None
    assert found.host == "localhost"
    assert probe("https://${HOST}/") is None
    assert probe("${URL}") is None


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=8)
    | st.sampled_from(["https://a.example/", "${X}", "npx"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["url", "headers", "command", "args", "env", "type", "x"]), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(st.dictionaries(st.text(max_size=8), JSON, max_size=4))
def test_any_list_is_read(entries):
    assert len(read_servers(json.dumps({"mcpServers": entries}))) == len(entries)


@given(st.text())
def test_any_text_is_a_list_or_is_refused(text):
    with pytest.raises(NotAServerList):
        read_servers(text)
