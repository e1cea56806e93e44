"""Composition root: a Config in, an ASGI app out; the one file that knows every part."""
