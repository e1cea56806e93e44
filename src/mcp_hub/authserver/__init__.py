"""The hub as an OAuth authorization server."""
