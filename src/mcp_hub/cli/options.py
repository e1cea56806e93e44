"""What many commands share: naming the configuration, asking for JSON, naming a running hub."""

import os
from pathlib import Path
from typing import Final

import click

from mcp_hub.config.load import load_file
from mcp_hub.config.model import Config, Login
from mcp_hub.config.places import find_config

PRIVATE: Final = Config(login=Login(type="local"))
"""The hub of somebody who has no configuration: on this computer only, and others on it have to sign in as well."""

file_option = click.option(
    "-c",
    "--config",
    "file",
    type=click.Path(path_type=Path),
    help="The configuration. [default: hub.yaml, then config/hub.yaml]",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
url_option = click.option("--url", help="The hub's address. [default: as configured]")


def named_or_found(file: Path | None) -> Config | None:
    """The configuration that was named or is found here; `None` if none was named and none is here.

    Raises:
        ConfigError: it cannot be read, or is wrong.
    """
    path = file or find_config(Path())
    return None if path is None else load_file(path, os.environ)
