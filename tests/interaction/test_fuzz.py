"""Whatever comes from a client or from an upstream, in either era: an answer, and nothing that happens to a neighbour.

Everything is real but the sockets of the clients: the whole hub in this process, with fake upstreams on loopback.
`MCP_HUB_FUZZ` sets how many examples each of these runs.
"""

import asyncio
import json
import logging
import os
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from interaction import fuzzed
from interaction.fuzzed import Answered, Sent
from interaction.whole_hub import LEGACY, MODERN, Json, answer, events, message, modern
from mcp_hub.app import Hub, create_app
from mcp_hub.config.load import load
from rig.fake_upstream import Answer, FakeUpstream, Request
from unit.inbound.asgi import BOUND, Exchange, Response, begin

EXAMPLES = int(os.environ.get("MCP_HUB_FUZZ", "400"))
many = settings(max_examples=EXAMPLES, deadline=None)
CONFIG = """\
version: 1
store: {{url: "sqlite:///:memory:"}}
network: {{allow_private: [127.0.0.0/8]}}
defaults: {{timeout: 500ms, list_timeout: 500ms}}
upstreams:
{upstreams}
"""
FAKES = {"good-new": "modern", "good-old": "legacy", "evil-new": "modern", "evil-old": "legacy"}
USUAL = [
    ("host", "localhost"), ("content-type", "application/json"), ("accept", "application/json, text/event-stream")
]  # fmt: skip
