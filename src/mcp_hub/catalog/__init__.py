"""Pure: names, URIs, merging, filters of the merged view."""
