"""Small honest servers that tests start on loopback."""
