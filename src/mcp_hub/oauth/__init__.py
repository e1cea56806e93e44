"""The hub as an OAuth client of each upstream: discovery, registration, the flow, grants and their renewal."""
