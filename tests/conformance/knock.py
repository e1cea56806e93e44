"""The client that the suite starts, once per scenario. It hands what it was told to `client_leg`, which does the work.

It is started some forty times at once and loads nothing: `knock.py PORT URL`. It ends as it is told to.
"""

import json
import os
import socket
import sys

PORT, URL = sys.argv[1:]
TOLD = {
    "name": os.environ["MCP_CONFORMANCE_SCENARIO"],
    "revision": os.environ["MCP_CONFORMANCE_PROTOCOL_VERSION"],
    "context": json.loads(os.environ.get("MCP_CONFORMANCE_CONTEXT", "{}")),
    "url": URL,
}

with socket.create_connection(("127.0.0.1", int(PORT))) as door, door.makefile("rw", encoding="utf-8") as lines:
    lines.write(json.dumps(TOLD) + "\n")
    lines.flush()
    answer = json.loads(lines.readline())
print(answer["said"])
sys.exit(answer["code"])
