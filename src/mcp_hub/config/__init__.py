"""YAML text to a checked configuration, or every problem at once."""
