"""The MCP endpoint: bytes to message and back."""
