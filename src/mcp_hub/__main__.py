"""`python -m mcp_hub` is the command `mcp-hub`."""

from mcp_hub.cli.main import main

main()
