"""Who is calling: from what a request brings to a principal, and how people become known."""
