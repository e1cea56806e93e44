"""Where the hub looks and keeps."""

from pathlib import Path

import pytest

from mcp_hub.config.model import Store
from mcp_hub.config.places import data_dir, find_config, is_kept, store_path

pytestmark = pytest.mark.promise("E39")


def test_hub_yaml_here_comes_before_the_one_in_config(tmp_path):
    assert find_config(tmp_path) is None
    (tmp_path / "config").mkdir()
    inner = tmp_path / "config" / "hub.yaml"
    inner.touch()
    assert find_config(tmp_path) == inner
    (tmp_path / "hub.yaml").mkdir()
    assert find_config(tmp_path) == inner
    (tmp_path / "hub.yaml").rmdir()
    (tmp_path / "hub.yaml").touch()
    assert find_config(tmp_path) == tmp_path / "hub.yaml"


@pytest.mark.parametrize(
    ("environ", "folder"),
    [
        ({"HOME": "/home/a"}, "/home/a/.local/share/mcp_hub"),
        ({"HOME": "/home/a", "XDG_DATA_HOME": "/data"}, "/data/mcp_hub"),
        ({"HOME": "/home/a", "XDG_DATA_HOME": "relative"}, "/home/a/.local/share/mcp_hub"),
        ({"HOME": "/home/a", "XDG_DATA_HOME": "/data", "MCP_HUB_DATA": "/own"}, "/own"),
        ({"HOME": "/home/a", "MCP_HUB_DATA": ""}, "/home/a/.local/share/mcp_hub"),
    ],
)
def test_the_data_directory_is_said_by_the_environment(environ, folder):
    assert data_dir(environ) == Path(folder)


def test_without_a_home_in_the_environment_the_system_knows_it():
    assert data_dir({}) == Path.home() / ".local" / "share" / "mcp_hub"


def test_the_store_is_among_the_data_unless_it_is_said_where():
    assert store_path(Store(), {"MCP_HUB_DATA": "/own"}) == Path("/own/hub.db")
    assert store_path(Store("sqlite:///a/hub.db"), {}) == Path("a/hub.db")
    assert store_path(Store("sqlite:////a/hub.db"), {}) == Path("/a/hub.db")


def test_a_store_in_memory_is_kept_nowhere():
    assert not is_kept(Store("sqlite:///:memory:"))
    assert is_kept(Store())
    assert is_kept(Store("sqlite:///memory"))
