"""`mcp-hub serve`: run the hub."""

import asyncio
import socket
import sys
from collections.abc import Callable
from pathlib import Path

import click

from mcp_hub import __version__
from mcp_hub.cli.output import USAGE, echo_error, load_config
from mcp_hub.config.model import Config
from mcp_hub.config.places import data_dir

_DRAIN_SECONDS = 10
