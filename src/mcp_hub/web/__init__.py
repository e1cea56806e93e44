"""Everything on HTTP that is not the MCP endpoint."""
