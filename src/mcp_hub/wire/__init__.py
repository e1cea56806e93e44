"""Pure: bytes and dicts of the protocol, no I/O."""
