"""The wire to one MCP server, in both eras."""
