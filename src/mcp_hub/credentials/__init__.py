"""Which credential goes on this request."""
