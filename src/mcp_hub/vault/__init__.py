"""Sealed storage: where the master key comes from, and what is put away with it."""
